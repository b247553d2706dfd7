"""Exported programs, run by a process that cannot import this package."""

import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from support.command_line import refused, taskaware
from support.variants import only
from test_pretrained import random_model

from taskaware.dims import Rows, Speech, Text, Tokens
from taskaware.errors import UsageError
from taskaware.pretrained.exporting import export
from taskaware.search.greedy import greedy_search

STRANGER = """
import sys
class NoTaskaware:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("taskaware", "flax"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, NoTaskaware())
import json
import numpy as np
from jax import export

folder, given = sys.argv[1:]
encode, step = (
    export.deserialize(open(f"{folder}/{name}.stablehlo", "rb").read()).call
    for name in ("encode", "step")
)
about = json.load(open(f"{folder}/export.json"))
with np.load(given) as arrays:
    source = tuple(arrays[name] for name in arrays.files)
memory, cache = encode(source)
token = np.zeros(about["rows"], np.int32)
logits, tokens = [], []
for position in range(about["max_length"]):
    scores, cache = step(token, np.int32(position), memory, cache)
    token = np.asarray(scores).argmax(-1).astype(np.int32)
    logits.append(scores)
    tokens.append(token)
assert not {"taskaware", "flax"} & set(sys.modules)
np.savez(given, logits=np.stack(logits, 1), tokens=np.stack(tokens, 1))
"""


@pytest.mark.parametrize(
    ("task", "conditioning"),
    only(
        [("st", "implicit"), ("mt", "implicit"), ("mt", "tokens")],
        *[("st", "implicit"), ("mt", "tokens")],
    ),
)
def test_a_process_without_this_package_gets_the_same_logits(task, conditioning, tmp_path):
    shared, random = random_model(tmp_path, conditioning=conditioning), np.random.default_rng(0)
    if task == "st":
        frames, length = random.normal(size=(2, 24, 80)).astype(np.float32), np.array([24, 15])
        arrays = {"frames": frames, "length": length.astype(np.int32)}
        source = Speech(*arrays.values())
    else:
        tokens = random.integers(3, 30, (2, 24)).astype(np.int32)
        tokens[1, 15:] = 0
        arrays, source = {"tokens": tokens}, Text(tokens)
    source = jax.tree.map(jnp.asarray, source)
    export(shared, task, tmp_path / "out", rows=2, source_length=24, max_length=5)
    assert json.loads((tmp_path / "out/export.json").read_text())["task"] == task
    assert (tmp_path / "out/tokenizer.model").read_bytes() == shared.tokenizer.model
    np.savez(tmp_path / "given.npz", **arrays)
    words = [sys.executable, "-c", STRANGER, tmp_path / "out", tmp_path / "given.npz"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr

    vector_BZ = jnp.tile(shared.vectors.named(task).array, (2, 1))
    model = shared.model

    @nnx.jit
    def expected(model):
        memory = model.encode(*model.embed_source(source), vector_BZ)
        start = model.start_decoding(memory, vector_BZ, 1, 5)
        return greedy_search(*start, 2, 5).tokens_BT

    tokens_BT = expected(model)
    with np.load(tmp_path / "given.npz") as found:
        written, logits = found["tokens"], found["logits"]
    # Teacher-forced: the whole sequence at once, no cache and no step.
    whole = {task: Rows(source, Tokens(jnp.asarray(written)), jnp.ones(2, bool))}
    forced = nnx.jit(lambda model: model(model.embed(whole), vector_BZ).logits_BTV)(model)
    np.testing.assert_allclose(logits, forced, atol=1e-5)
    for row, until_end in zip(written.tolist(), np.asarray(tokens_BT).tolist(), strict=True):
        end = until_end.index(1) + 1 if 1 in until_end else 5
        assert row[:end] == until_end[:end]


def test_the_command_writes_the_programs_of_a_shared_model(tmp_path):
    random_model(tmp_path).save_pretrained(tmp_path / "shared")
    out, lengths = tmp_path / "out", ["--source-length", 8, "--max-length", 2]
    said = taskaware("export", tmp_path / "shared", out, "--task", "mt", *lengths)
    names = "encode.stablehlo, export.json, step.stablehlo, tokenizer.model"
    assert said == (0, f"{out}: {names}\n", "")
    message = refused(
        taskaware("export", tmp_path / "shared", out, "--task", "mt", *lengths, "--rows", 0)
    )
    assert message == "rows: expected 1 or more, found 0"


def test_a_step_for_all_devices_has_no_products_made_for_a_cpu(tmp_path):
    """It would turn every kernel round at every step."""
    export(random_model(tmp_path), "mt", tmp_path / "out", rows=4, source_length=8, max_length=2)
    program = jax.export.deserialize((tmp_path / "out/step.stablehlo").read_bytes())
    assert "dot_general" in program.mlir_module()
    assert "optimization_barrier" not in program.mlir_module()


def test_an_unknown_task_is_named(tmp_path):
    with pytest.raises(UsageError, match="did you mean 'st'"):
        export(random_model(tmp_path), "stt", tmp_path, rows=1, source_length=8, max_length=2)
