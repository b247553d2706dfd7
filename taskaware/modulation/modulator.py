"""From a task vector to the modulation of every site of a model (paper eq. 6, and beyond)."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal, assert_never

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax
from jaxtyping import Array, Float

from taskaware.modulation.adapter import Adapter, adapt
from taskaware.modulation.affine import Modulation, TCNParam, film

Kind = Literal["film", "adapter", "mask"]
Sharing = Literal["all_blocks", "per_stack", "per_block", "per_block_offset"]
Init = Literal["task_distinct", "zero", "lecun"]
AnyModulation = Modulation | Adapter

BETA = 0.3
"""Standard deviation of β at the start: enough to tell confusable tasks apart from the first
step (24 pre-norm blocks learned three tasks on one input with it, and not from zero)."""


def modulate(
    x: Float[Array, "B *rest D"], modulation: AnyModulation | None
) -> Float[Array, "B *rest D"]:
    """Apply a modulation of any kind; None returns x unchanged."""
    match modulation:
        case None:
            return x
        case Modulation():
            return film(x, *modulation)
        case Adapter():
            return adapt(x, modulation)
        case _:
            assert_never(modulation)


def vector_init(d_model: int, init: Init, scale: float) -> nnx.Initializer:
    """Return an initializer for a map to task vectors, whose halves become γ and β (eq. 6).

    Args:
        d_model: D; columns alternate between D for γ and D for β.
        init: task_distinct draws β alone at random and leaves γ's half 0, so that γ = 1 + t
            does not compound over blocks while tasks differ from the first step; zero is the
            identity; lecun draws both.
        scale: standard deviation of a random t, given inputs of mean square 1.
    """

    def initialize(key, shape, dtype=jnp.float32, out_sharding=None):
        is_gamma = jnp.arange(shape[-1]) % (2 * d_model) < d_model
        random = jax.random.normal(key, shape, dtype)
        match init:
            case "zero":
                return jnp.zeros(shape, dtype)
            case "task_distinct":
                return jnp.where(is_gamma, 0, scale * random)
            case "lecun":
                return scale * random
            case _:
                assert_never(init)

    return initialize


class Modulator(nnx.Module):
    """Maps a task vector to γ and β at every site of a model (eq. 6), or to another kind.

    Args:
        d_model: D.
        stacks: how many sites each stack of the model has, by its name, in the order in which the
            model reaches them: ``{"encoder": 13, "decoder": 13}``.
        kind: film is γ and β. adapter is a residual adapter's weights (Houlsby et al. 2019), and
            mask a γ of zeros and ones that is not learned (Strezoski et al. 2019); for both,
            ``ExplicitTCN`` takes ``kernel_init``.
        scale: of film: one_plus gives γ = 1 + t[:d]; direct gives γ = t[:d], the letter of eq. 6.
        sharing: all_blocks uses one γ, β everywhere (eq. 6); per_stack one for each stack;
            per_block one for each site; per_block_offset one, plus a learned offset per site
            that all tasks share and that starts at zero.
        adapter_width: R, an adapter's hidden units.
    """

    def __init__(
        self,
        d_model: int,
        stacks: Mapping[str, int],
        *,
        kind: Kind = "film",
        scale: Literal["one_plus", "direct"] = "one_plus",
        sharing: Sharing = "all_blocks",
        adapter_width: int = 16,
    ):
        self.d_model = d_model
        self.stacks = tuple(stacks.items())
        self.num_sites = sum(stacks.values())
        self.kind: Kind = kind
        self.scale = scale
        self.sharing: Sharing = sharing
        self.adapter_width = adapter_width
        if sharing == "per_block_offset":
            self.offset_LZ = TCNParam(jnp.zeros((self.num_sites, self._width)))

    @property
    def vector_width(self) -> int:
        """Z, the width of a task vector."""
        parts = {"per_stack": len(self.stacks), "per_block": self.num_sites}
        return self._width * parts.get(self.sharing, 1)

    def sites(self, stack: str) -> slice:
        """Return the indices of a stack's sites, as a slice."""
        names = [name for name, _ in self.stacks]
        first = sum(count for _, count in self.stacks[: names.index(stack)])
        return slice(first, first + dict(self.stacks)[stack])

    def columns(self, stacks: Sequence[str]) -> np.ndarray:
        """Return which numbers of a task vector serve some of the stacks, in their order."""
        parts = {"per_stack": lambda sites: 1, "per_block": lambda sites: sites}
        if self.sharing not in parts:
            return np.arange(self.vector_width)
        first, columns = 0, {}
        for name, sites in self.stacks:
            last = first + parts[self.sharing](sites) * self._width
            columns[name], first = np.arange(first, last), last
        return np.concatenate([columns[name] for name in stacks])

    @property
    def _shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the parts of one site's modulation, in their order in the task vector."""
        d, r = self.d_model, self.adapter_width
        match self.kind:
            case "film":
                return (d,), (d,)
            case "adapter":
                return (d, r), (r,), (r, d), (d,)
            case "mask":
                return ((d,),)
            case _:
                assert_never(self.kind)

    @property
    def _width(self) -> int:
        return sum(map(math.prod, self._shapes))

    def __call__(self, vector_BZ: Float[Array, "B Z"]) -> AnyModulation:
        """Return the modulation of all sites, stacked along a first axis L."""
        match self.sharing:
            case "all_blocks":
                t_LBP = jnp.broadcast_to(vector_BZ, (self.num_sites, *vector_BZ.shape))
            case "per_stack":
                stack_L = np.repeat(range(len(self.stacks)), [sites for _, sites in self.stacks])
                t_LBP = jnp.stack(jnp.split(vector_BZ, len(self.stacks), axis=1))[stack_L]
            case "per_block":
                t_LBP = jnp.stack(jnp.split(vector_BZ, self.num_sites, axis=1))
            case "per_block_offset":
                t_LBP = vector_BZ[None] + self.offset_LZ[...][:, None]
            case _:
                assert_never(self.sharing)
        parts, first = [], 0
        for shape in self._shapes:
            part = t_LBP[..., first : first + math.prod(shape)]
            parts.append(part.reshape(*part.shape[:2], *shape))
            first += math.prod(shape)
        match self.kind:
            case "film":
                gamma, beta = parts
                return Modulation(1 + gamma if self.scale == "one_plus" else gamma, beta)
            case "adapter":
                return Adapter(*parts)
            case "mask":
                gamma = lax.stop_gradient(parts[0])
                return Modulation(gamma, jnp.zeros_like(gamma))
            case _:
                assert_never(self.kind)

    def kernel_init(self, init: Init = "task_distinct", open_share: float = 0.5) -> nnx.Initializer:
        """Return an initializer for the rows (N, Z) of an ``ExplicitTCN``.

        Args:
            init: of film, as ``vector_init``. Of adapters: task_distinct starts them as the
                identity plus a random vector per task, zero as the identity, and lecun draws all
                their weights, by fan-in.
            open_share: for masks: the share of the units that each task uses, drawn at random.
        """

        def initialize(key, shape, dtype=jnp.float32, out_sharding=None):
            if self.kind == "film":
                scale = shape[0] ** -0.5 if init == "lecun" else BETA
                return vector_init(self.d_model, init, scale)(key, shape, dtype)
            sites = shape[1] // self._width
            if self.kind == "mask":
                random = jax.random.uniform(key, (shape[0], sites, self.d_model))
                rank = jnp.argsort(jnp.argsort(random))  # of each unit, in a random order
                is_open = rank < round(open_share * self.d_model)
                return is_open.astype(dtype).reshape(shape)
            deviations = {
                "task_distinct": (self.d_model**-0.5, 0, 0, BETA),
                "zero": (self.d_model**-0.5, 0, 0, 0),
                "lecun": (self.d_model**-0.5, 0, self.adapter_width**-0.5, BETA),
            }[init]
            parts = [
                jnp.full(math.prod(part), deviation, dtype)
                for part, deviation in zip(self._shapes, deviations, strict=True)
            ]
            deviation_Z = jnp.tile(jnp.concatenate(parts), sites)
            return deviation_Z[None] * jax.random.normal(key, shape, dtype)

        return initialize
