"""A model as two StableHLO programs, which run wherever JAX is and need nothing of this package.

Folder: ``encode.stablehlo`` and ``step.stablehlo`` (``jax.export``; weights and task vector are in
them), ``tokenizer.model``, and ``export.json`` with their shapes. A search is a loop around
``step``; docs/sharing.md has the greedy one.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax import export as jax_export

from taskaware.config import Decoding, Task
from taskaware.dims import EOS, MEL_CHANNELS, Speech, Text
from taskaware.errors import UsageError, require_known
from taskaware.models.heads.decoder import Decoder
from taskaware.pretrained.model import Pretrained
from taskaware.search.answers import answer

PLATFORMS = ("cpu", "cuda", "tpu")


def export(
    pretrained: Pretrained,
    task: str,
    folder: str | Path,
    *,
    rows: int,
    source_length: int,
    max_length: int,
) -> None:
    """Write a task's encoder and one step of its decoder as programs of fixed shapes.

    Of a task with another head it writes one program, ``answer(source)``: its best answer per row,
    as ``search.answers.answer`` gives it; ``export.json`` then holds the head's inventory.

    ``encode(source) → (memory, cache)``: source is, of speech, (log-mel frames (rows, length,
    channels), how many of them each row has), of text (tokens (rows, length),), padded with 0.
    ``step(tokens, position, memory, cache) → (logits, cache)``: tokens are int32 (rows,), 0 at
    position 0 and then those chosen; position is an int32 scalar; logits are (rows, V).

    Args:
        pretrained: from ``from_pretrained``.
        task: its name.
        folder: where to write; files of the same names are replaced.
        rows: number of sources that are encoded together.
        source_length: frames (10 ms each), or tokens including EOS, that a source is padded to.
        max_length: most tokens that can be written.

    Raises:
        UsageError: there is no such task, the folder cannot be written, or the extra ``export`` is
            missing.
    """
    require_known(task, [one.name for one in pretrained.tasks], "task")
    chosen = next(one for one in pretrained.tasks if one.name == task)
    about = {
        "task": task,
        "source": chosen.source,
        "rows": rows,
        "source_length": source_length,
        "max_length": max_length,
        "end": EOS,
        "platforms": PLATFORMS,
        "jax": jax.__version__,
    }
    model, name = pretrained.model, pretrained.model.head_of(task)
    if isinstance(model.heads[name], Decoder):
        made = _programs(pretrained, chosen, rows, source_length, max_length)
        programs = dict(zip(("encode", "step"), made, strict=True))
    else:
        programs = {"answer": _answer(pretrained, chosen, rows, source_length)}
        if name in pretrained.inventories:
            about["inventory"] = dataclasses.asdict(pretrained.inventories[name])
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, program in programs.items():
            (folder / f"{name}.stablehlo").write_bytes(program.serialize())
        (folder / "tokenizer.model").write_bytes(pretrained.tokenizer.model)
        (folder / "export.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{folder}: cannot be written ({error.strerror})") from None
    except ImportError:
        raise UsageError(
            'export: flatbuffers is missing; pip install "taskaware[export]"'
        ) from None


def _programs(
    pretrained: Pretrained, task: Task, rows: int, source_length: int, max_length: int
) -> tuple[jax_export.Exported, jax_export.Exported]:
    model, vector_BZ = pretrained.model, None
    if pretrained.vectors is not None:
        vector_BZ = jnp.tile(pretrained.vectors.named(task.name).array, (rows, 1))
    name = model.head_of(task.name)
    decoder = model.decoder(name)
    how = model.condition(name, vector_BZ), model.embedding, 1, max_length
    structure: Any = None  # of keys and cache: an exported program has no containers of ours

    def encode(source):
        nonlocal structure
        kind = Speech if task.source == "speech" else Text
        x_BSD, mask_BS = model.embed_source(kind(*source))
        memory = model.encode(x_BSD, mask_BS, vector_BZ)
        keys = decoder.source_keys(model.read_by(name, memory))
        _, cache = decoder.decoding(keys, memory.mask_BS, *how)
        both = (keys, memory.mask_BS), cache
        structure = [*map(jax.tree.structure, both)]
        return tuple(tuple(jax.tree.leaves(part)) for part in both)

    def step(token_B, position, *both):
        (keys, mask_BS), cache = map(jax.tree.unflatten, structure, both)
        next_logits, _ = decoder.decoding(keys, mask_BS, *how)
        logits_BWV, cache = next_logits(token_B[:, None], position, cache)
        return logits_BWV[:, 0], tuple(jax.tree.leaves(cache))

    source = _source(task, rows, source_length)
    encoded = jax_export.export(jax.jit(encode), platforms=PLATFORMS)(source)
    both = jax.tree.unflatten(encoded.out_tree, encoded.out_avals)
    stepped = jax_export.export(jax.jit(step), platforms=PLATFORMS)(_int32(rows), _int32(), *both)
    return encoded, stepped


def _answer(
    pretrained: Pretrained, task: Task, rows: int, source_length: int
) -> jax_export.Exported:
    """Return the program of a head that answers at once."""
    model, head, vector_BZ = pretrained.model, pretrained.model.head_of(task.name), None
    if pretrained.vectors is not None:
        vector_BZ = jnp.tile(pretrained.vectors.named(task.name).array, (rows, 1))

    def program(source):
        kind = Speech if task.source == "speech" else Text
        x_BSD, mask_BS = model.embed_source(kind(*source))
        memory = model.encode(x_BSD, mask_BS, vector_BZ)
        return answer(model, head, memory, vector_BZ, Decoding(beam_size=1))[:, 0]

    source = _source(task, rows, source_length)
    return jax_export.export(jax.jit(program), platforms=PLATFORMS)(source)


def _source(task: Task, rows: int, source_length: int) -> tuple[jax.ShapeDtypeStruct, ...]:
    if task.source == "text":
        return (_int32(rows, source_length),)
    frames = (rows, source_length, MEL_CHANNELS)
    return jax.ShapeDtypeStruct(frames, jnp.float32), _int32(rows)


def _int32(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.int32)
