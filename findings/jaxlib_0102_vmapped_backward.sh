#!/usr/bin/env bash
# jax 0.10.2 and jaxlib 0.10.2 on a CPU: a vmapped backward pass under jit is wrong without a word.
#
# Expected: jit(vmap(pullback)) gives what vmap(pullback) gives, to rounding.
# Seen (AMD Zen 5 and Intel Xeon, both with AVX-512): of f(h) = h · Σh over rows of 64 the first
#   cotangent's gradient is right to 1e-7 and all others are wrong by as much as they are long; of
#   an RMS or layer norm before a product likewise, by 0.2 to 2 of their length. A forward pass,
#   Σ(M x)² over 32,769 rows, is wrong in its last row. XLA:CPU makes one YNNPACK kernel
#   ("__ynn_fusion") of several products, sums and what lies between, and that reads a part of what
#   lies between at the wrong place. jax-ml/jax#39103 (closed) has the forward pass; there jaxlib
#   0.10.1 is right, and 0.12.0.1 is right here. 0.10.2 is the last jax
#   for Python 3.11.
# To do: XLA_FLAGS=--xla_cpu_experimental_ynn_fusion_type= (nothing after the equals sign) makes
#   none of these kernels, and the gradients are right; later jaxlibs take the flag too. Or compute
#   a gradient per task by vmap(grad) over a task axis of the data, as maml_loss does: everything
#   that is summed is then batched, and no case of that was found wrong. A test must have 48 rows
#   of 32 and a width of 64 to see it: with 12 rows all is right.
#
# Needs a Linux x86-64 processor for which this jaxlib makes such kernels. On any other both
# programs are right, which is said, and is no failure.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv" 2>/dev/null || python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6

cat >"$work/program.py" <<'PYTHON'
import sys

import jax
import jax.numpy as jnp
import numpy as np

random = np.random.default_rng(0)
h = jnp.asarray(random.normal(size=(48, 32, 64)), jnp.float32)
c = jnp.asarray(random.normal(size=(3, 48, 32, 64)), jnp.float32)


def backward(c, h):
    pull = jax.vjp(lambda h: h * h.sum(-1, keepdims=True), h)[1]
    return jax.vmap(lambda one: pull(one)[0])(c)


exact = np.float64(c) * np.float64(h).sum(-1, keepdims=True)
exact += (np.float64(c) * np.float64(h)).sum(-1, keepdims=True)
errors = {}
for name, function in (("vmap", backward), ("jit(vmap)", jax.jit(backward))):
    found = np.float64(function(c, h))
    errors[name] = [np.linalg.norm(a - b) / np.linalg.norm(b) for a, b in zip(found, exact)]
    print(f"  {name:9}", "error of each cotangent's gradient:", *(f"{e:.1e}" for e in errors[name]))
fused = "__ynn_fusion" in jax.jit(backward).lower(c, h).compile().as_text()

x = jnp.zeros((32769, 3)).at[:, 0].set(jnp.arange(32769.0))
square = jax.jit(jax.vmap(lambda row: jnp.sum((jnp.eye(3) @ row) ** 2)))
print(f"  forward   last row of Σ(Mx)²: {square(x)[-1]:.0f}, expected {32768**2}")
print(f"  the compiled program has such kernels: {fused}")
assert max(errors["vmap"]) < 1e-6, "even without jit it is wrong"
wrong = max(errors["jit(vmap)"]) > 1e-2
sys.exit({(True, True): 3, (True, False): 4}.get((fused, wrong), 5 if wrong else 0))
PYTHON

run() { # prints, and leaves the status in $status
  status=0
  "$work/venv/bin/python" "$work/program.py" || status=$?
}
export JAX_PLATFORMS=cpu
unset XLA_FLAGS
"$work/venv/bin/python" -c "import jax, jaxlib; print('jax', jax.__version__, 'jaxlib', jaxlib.__version__)"
echo "as it comes:"
run
default=$status
echo "with XLA_FLAGS=--xla_cpu_experimental_ynn_fusion_type= :"
XLA_FLAGS=--xla_cpu_experimental_ynn_fusion_type= run
if test "$status" -ne 0; then
  echo "changed: the flag no longer cures it" >&2
  exit 1
fi
case $default in
  3) echo "as described: wrong as it comes, right with the flag" ;;
  0) echo "this processor gets no such kernels: right both times" ;;
  *) echo "changed: status $default" >&2; exit 1 ;;
esac
