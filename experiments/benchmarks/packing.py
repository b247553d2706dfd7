"""Packing beside buckets: several examples in one row, or rows of examples of like lengths.

    GLIBC_TUNABLES=glibc.malloc.hugetlb=1 python experiments/benchmarks/packing.py [--size small]

In a packed row every example sees itself alone: attention has a mask of segments, positions and
convolutions begin anew with each, γ and β are gathered by segment. First the logits of packed
examples are compared with those of the same examples in rows of their own. Then an epoch of the
same examples, whose lengths are drawn like MuST-C's, is timed on both sides: the step of every
bucket in turns with those of packed rows, each counted as often as the epoch has it. Memory is
filled alike: as many source positions per batch. Packed rows come in two shapes, buckets
(``Batching.edges = least_padding``) in 40. Writes ``results/benchmarks/packing.json``.

Obtained at small size on two cores of an Intel Xeon (2026-11-29, nothing beside it, half an hour):
padding is 13.2 % of the work in buckets and 3.9 % in packed rows, logits differ by 2.7e-6, and
packed rows take 1.12 of the buckets' time per useful token: 365 tokens/s where buckets have 408.
What they save in padding they lose in attention, whose scores are those of the whole row and mostly
masked, and in γ and β of every position. So the package has buckets and no packing.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax
from peers import CHANNELS, RESULTS, SIZES, TASKS, Size, own_model

from taskaware.config import OptimizerConfig
from taskaware.data.buckets import least_padding, shape_of
from taskaware.data.targets import Shape, TokenRows
from taskaware.data.tasks import TaskExamples
from taskaware.dims import EOS, Batch, Rows, Speech, Tokens
from taskaware.files.whole import write_json
from taskaware.models.blocks import DecoderBlock, EncoderBlock
from taskaware.models.frontends import StridedConv
from taskaware.models.seq2seq import Seq2Seq
from taskaware.modulation.affine import Modulation
from taskaware.modulation.tcn import ExplicitTCN
from taskaware.nn.layers import dropout, sinusoids
from taskaware.nn.losses import cross_entropy_of_stream
from taskaware.runs.folder import environment
from taskaware.training.compiling import jit_step
from taskaware.training.joint import Step, descend, joint_step
from taskaware.training.objective import Objective
from taskaware.training.optimizer import make_optimizer
from taskaware.training.state import TrainState, initial_state

EXAMPLES, BUCKETS, STRIDE = 10_000, 40, 8
POSITIONS = 2_400
"""Source positions of a batch."""
ROW = 384
"""Source positions of a packed row; the few longer examples have rows of another length."""


class Packed(NamedTuple):
    """Rows of several examples: G of them at the most, -1 where there is none."""

    frames_BAC: Any
    is_frame_BA: Any
    segment_BS: Any
    place_BS: Any
    target_BT: Any
    segment_BT: Any
    place_BT: Any
    task_BG: Any


def lengths(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return frames and target tokens: log-normal of median 5 s, 3.6 ± 0.8 tokens per second."""
    random = np.random.default_rng(0)
    seconds = np.clip(random.lognormal(np.log(5.0), 0.7, count), 0.5, 30)
    rate = np.clip(random.normal(3.6, 0.8, count), 1, None)
    frames = (100 * seconds).astype(int)
    return frames, np.maximum(seconds * rate, 2).astype(int)


def first_fit(sizes_N2: np.ndarray, room: Sequence[int]) -> list[list[int]]:
    """Return rows of examples, the largest first, each put where there is still room for it."""
    rows: list[list[int]] = []
    free = np.zeros((len(sizes_N2), 2), int)
    for example in np.argsort(-(sizes_N2 / np.array(room)).max(1)):
        fits = (free[: len(rows)] >= sizes_N2[example]).all(1)
        row = int(fits.argmax()) if fits.any() else len(rows)
        if row == len(rows):
            rows.append([])
            free[row] = room
        rows[row].append(int(example))
        free[row] -= sizes_N2[example]
    return rows


def packed_rows(frames: np.ndarray, target: np.ndarray) -> dict[tuple[int, int], list[list[int]]]:
    """Return, by the positions and tokens of a row, which examples stand in each such row."""
    sizes_N2 = np.stack([-(-frames // STRIDE), target], 1)
    tokens_per_position = target.sum() / sizes_N2[:, 0].sum()
    usual = ROW, -(-int(ROW * tokens_per_position) // 4) * 4
    longest = tuple((-(-sizes_N2.max(0) // 4) * 4).tolist())
    fits = (sizes_N2 <= usual).all(1)
    rows = {}
    for shape, members in ((usual, np.flatnonzero(fits)), (longest, np.flatnonzero(~fits))):
        if len(members):
            rows[shape] = [members[row].tolist() for row in first_fit(sizes_N2[members], shape)]
    return rows


def pack(
    chosen: Sequence[Sequence[int]],
    shape: tuple[int, int],
    examples: Mapping[int, tuple],
    most: int,
) -> Packed:
    """Return rows of (frames, target, task), each example from a multiple of the stride on."""
    rows, (positions, tokens) = len(chosen), shape
    batch = Packed(
        np.zeros((rows, positions * STRIDE, CHANNELS), np.float32),
        np.zeros((rows, positions * STRIDE), bool),
        *np.full((2, rows, positions), -1, np.int32),
        np.zeros((rows, tokens), np.int32),
        *np.full((2, rows, tokens), -1, np.int32),
        np.zeros((rows, most), np.int32),
    )
    for row, members in enumerate(chosen):
        s = t = 0
        for number, example in enumerate(members):
            frames, target, task = examples[example]
            batch.frames_BAC[row, STRIDE * s : STRIDE * s + len(frames)] = frames
            batch.is_frame_BA[row, STRIDE * s : STRIDE * s + len(frames)] = True
            wide = -(-len(frames) // STRIDE)
            batch.segment_BS[row, s : s + wide] = batch.segment_BT[row, t : t + len(target)] = (
                number
            )
            batch.place_BS[row, s : s + wide] = np.arange(wide)
            batch.place_BT[row, t : t + len(target)] = np.arange(len(target))
            batch.target_BT[row, t : t + len(target)] = target
            batch.task_BG[row, number] = task
            s, t = s + wide, t + len(target)
    return batch


def of_segments(per_BGD: jax.Array, segment_BS: jax.Array) -> jax.Array:
    """Return each position's vector, by its segment."""
    return jnp.take_along_axis(per_BGD, jnp.maximum(segment_BS, 0)[..., None], axis=1)


def modulated(x_BSD: jax.Array, modulation: Modulation, segment_BS: jax.Array) -> jax.Array:
    """Return γ · x + β, each segment by its own."""
    gamma_BSD, beta_BSD = (of_segments(part, segment_BS) for part in modulation)
    return gamma_BSD * x_BSD + beta_BSD


def convolved(conv: StridedConv, x: jax.Array, begins: jax.Array) -> jax.Array:
    """Apply ``StridedConv``; an example sees nothing of the one before it in its row."""
    time_, freq = -(-x.shape[1] // 2), -(-x.shape[2] // 2)
    x = jnp.pad(x, ((0, 0), (1, 2), (1, 2), (0, 0)))
    patches = [
        x[:, t : t + 2 * time_ : 2, f : f + 2 * freq : 2] for t in range(3) for f in range(3)
    ]
    patches[:3] = [jnp.where(begins[:, :, None, None], 0, patch) for patch in patches[:3]]
    kernel, bias = (param[...].astype(conv.dtype) for param in (conv.kernel, conv.bias))
    x = jnp.concatenate(patches, axis=-1).astype(conv.dtype)
    y = jnp.matmul(x, kernel, preferred_element_type=jnp.float32)
    return jax.nn.relu(y + bias[None, None, None])


def embedded_speech(model: Seq2Seq, batch: Packed) -> jax.Array:
    """Return source positions, as the speech frontend makes them of each example."""
    assert model.speech is not None
    valid, begins = batch.is_frame_BA, jnp.repeat(batch.place_BS == 0, STRIDE, axis=1)
    begins &= jnp.arange(begins.shape[1])[None] % STRIDE == 0
    x = jnp.where(valid[..., None], batch.frames_BAC, 0)[..., None]
    for convolution in model.speech.convolutions:
        valid, begins = valid[:, ::2], begins[:, ::2]
        x = jnp.where(valid[:, :, None, None], convolved(convolution, x, begins), 0)
    return model.speech.project(x.reshape(*x.shape[:2], -1))


def encoder_block(block: EncoderBlock, x, modulation, keys, segment_BS):
    """Apply an encoder block to each segment alone."""
    seen = segment_BS[:, :, None] == segment_BS[:, None]
    x = block.add_attention(x, lambda h: block.attention(h, h, seen), None, keys[0])
    x = block.add_feed_forward(x, block.feed_forward, None, keys[1])
    return modulated(x, modulation, segment_BS)


def decoder_block(block: DecoderBlock, y, modulation, keys, memory_BSD, segment_BS, segment_BT):
    """Apply a decoder block to each segment alone."""
    before = jnp.tri(y.shape[1], dtype=bool)[None]
    seen = (segment_BT[:, :, None] == segment_BT[:, None]) & before
    source = segment_BT[:, :, None] == segment_BS[:, None]
    y = block.add_self(y, lambda h: block.self_attention(h, h, seen), None, keys[0])
    y = block.add_cross(y, lambda h: block.cross_attention(h, memory_BSD, source), None, keys[1])
    y = block.add_feed_forward(y, block.feed_forward, None, keys[2])
    return modulated(y, modulation, segment_BT)


def run_blocks(one, blocks, x, modulation, key, *context):
    """Run a stack as one compiled loop, as ``Model.scan`` does."""
    graphdef = nnx.graphdef(blocks[0])
    weights = jax.tree.map(lambda *leaves: jnp.stack(leaves), *map(nnx.state, blocks))

    def body(x, slices):
        weights, site, key = slices
        keys = [None] * 3 if key is None else jax.random.split(key, 3)
        return one(nnx.merge(graphdef, weights), x, site, keys, *context), None

    keys = None if key is None else jax.random.split(key, len(blocks))
    return lax.scan(body, x, (weights, modulation, keys))[0]


def packed_stream(model: Seq2Seq, batch: Packed, key: jax.Array | None) -> jax.Array:
    """Return the decoder's stream before its final norm, as ``Seq2Seq`` has it."""
    assert isinstance(model.tcn, ExplicitTCN) and model.modulator and model.encoder_norm
    rows, most = batch.task_BG.shape
    flat = model.modulator(model.tcn(batch.task_BG.reshape(-1)))
    modulation = Modulation(*[part.reshape(-1, rows, most, part.shape[-1]) for part in flat])
    border = model.modulator.sites("decoder").start
    keys = [None] * 4 if key is None else jax.random.split(key, 4)

    def enter(x, site, key, segment, place_in_segment):
        x = modulated(x, modulation.at(site), segment)
        table = jnp.asarray(sinusoids(*x.shape[1:]))
        return dropout(x + table[jnp.maximum(place_in_segment, 0)], model.config.dropout, key)

    x = embedded_speech(model, batch)
    x = enter(x, 0, keys[0], batch.segment_BS, batch.place_BS)
    inner = slice(1, border)
    x = run_blocks(encoder_block, model.encoder, x, modulation.at(inner), keys[1], batch.segment_BS)
    y = jnp.pad(model.embedding(batch.target_BT)[:, :-1], ((0, 0), (1, 0), (0, 0)))
    y = jnp.where((batch.place_BT == 0)[..., None], 0, y)
    y = enter(y, border, keys[2], batch.segment_BT, batch.place_BT)
    context = model.encoder_norm(x), batch.segment_BS, batch.segment_BT
    after = slice(border + 1, None)
    return run_blocks(
        decoder_block, model.decoder().blocks, y, modulation.at(after), keys[3], *context
    )


def packed_step(model: Seq2Seq, size: Size):
    """Return the training step over packed rows."""
    graphdef = nnx.graphdef(model)

    def loss(params, batch: Packed, key):
        merged = nnx.merge(graphdef, params)
        y_BTD = packed_stream(merged, batch, key)
        is_token_BT = batch.segment_BT >= 0
        loss_BT = cross_entropy_of_stream(merged.logits, y_BTD, batch.target_BT, 0.1)
        return jnp.where(is_token_BT, loss_BT, 0).sum() / is_token_BT.sum(), {}

    return descend(loss, make_optimizer(OptimizerConfig(), size.d_model))


def drawn(frames: int, target: int, size: Size, random: np.random.Generator) -> tuple:
    """Return an example of random numbers: frames, target, task."""
    tokens = random.integers(3, size.vocabulary, target).astype(np.int32)
    tokens[-1] = EOS
    return (
        random.standard_normal((frames, CHANNELS), np.float32),
        tokens,
        random.integers(len(TASKS)),
    )


def unpacked(examples: Sequence[tuple], frames: int, target: int) -> tuple[Batch, list[int]]:
    """Return a row per example, padded; and which example each is, as the model joins them."""
    batch, order = {}, []
    for task, name in enumerate(TASKS):
        members = [i for i, example in enumerate(examples) if example[2] == task]
        if not members:
            continue
        speech = np.zeros((len(members), frames, CHANNELS), np.float32)
        tokens = np.zeros((len(members), target), np.int32)
        for row, i in enumerate(members):
            heard, text, _ = examples[i]
            speech[row, : len(heard)], tokens[row, : len(text)] = heard, text
        length = np.array([len(examples[i][0]) for i in members], np.int32)
        batch[name] = Rows(Speech(speech, length), Tokens(tokens), np.ones(len(members), bool))
        order += members
    return batch, order


def largest_difference(model: Seq2Seq, size: Size) -> float:
    """Return the largest difference of a logit between packed and unpacked examples."""
    random = np.random.default_rng(1)
    few = [drawn(f, t, size, random) for f, t in [(203, 9), (64, 4), (97, 12), (300, 7), (8, 2)]]
    rows = [[0, 1, 4], [2, 3]]
    packed = jax.tree.map(jnp.asarray, pack(rows, (56, 24), dict(enumerate(few)), 3))
    logits = model.logits(packed_stream(model, packed, None))
    batch, order = unpacked(few, 304, 12)
    embedded = model.embed(jax.tree.map(jnp.asarray, batch))
    expected = model(embedded, model.task_vector(embedded, model.task_of_rows(batch)))
    worst = 0.0
    for row, members in enumerate(rows):
        for number, example in enumerate(members):
            of_example = logits[row][packed.segment_BT[row] == number]
            difference = (
                of_example - expected.logits_BTV[order.index(example), : len(few[example][1])]
            )
            worst = max(worst, float(jnp.abs(difference).max()))
    return worst


class Part(NamedTuple):
    """A batch of one shape, and how often an epoch has one."""

    batch: Any
    often: float


def packed_epoch(size: Size, frames: np.ndarray, target: np.ndarray) -> Iterator[Part]:
    """Yield a batch of each shape of packed rows."""
    random = np.random.default_rng(2)
    for shape, rows in packed_rows(frames, target).items():
        chosen = rows[:: max(1, len(rows) * shape[0] // POSITIONS)][: POSITIONS // shape[0]]
        examples = {i: drawn(frames[i], target[i], size, random) for row in chosen for i in row}
        batch = pack(chosen, shape, examples, max(map(len, rows)))
        yield Part(batch, len(rows) / len(chosen))


def bucketed_epoch(size: Size, frames: np.ndarray, target: np.ndarray) -> Iterator[Part]:
    """Yield a batch of each bucket's shape."""
    random, examples = np.random.default_rng(2), of_lengths(frames, target)
    for bucket in least_padding([examples], BUCKETS, [None], STRIDE):
        (members,) = bucket.members
        shape = shape_of([(examples, members)])
        rows = max(1, round(POSITIONS / (shape.frames / STRIDE)))
        batch = [drawn(frames[i], target[i], size, random) for i in np.resize(members, rows)]
        yield Part(unpacked(batch, shape.frames, shape.target)[0], len(members) / rows)


def compiled(step: Step, state: TrainState, batch: Any) -> Callable[[], float]:
    """Return a function that times one step, which is compiled before."""
    run = jit_step(step).lower(state, batch).compile()
    held = [jax.tree.map(jnp.copy, state)]

    def seconds() -> float:
        since = time.perf_counter()
        held[0], metrics = run(held[0], batch)
        jax.block_until_ready((held[0], metrics))
        return time.perf_counter() - since

    seconds()
    return seconds


def of_lengths(frames: np.ndarray, target: np.ndarray) -> TaskExamples:
    """Return examples that have lengths and no content."""
    examples = TaskExamples.__new__(TaskExamples)
    examples.source_length, examples.source = frames, None
    examples.target = TokenRows([])
    examples.target.length = target
    examples.rows = [None] * len(frames)
    examples.selection = np.arange(len(frames))
    return examples


def waste(frames: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """Return the share of the work that is padding, of either side, as ``Shape.work`` counts it."""
    needed = sum(f / STRIDE + 1.6 * t for f, t in zip(frames, target, strict=True))
    examples = of_lengths(frames, target)
    buckets = least_padding([examples], BUCKETS, [None], STRIDE)
    shapes = [(shape_of([(examples, b.members[0])]), len(b.members[0])) for b in buckets]
    rows = [
        (Shape(STRIDE * s, 0, t), len(of)) for (s, t), of in packed_rows(frames, target).items()
    ]
    done = {"buckets": shapes, "packed": rows}
    return {
        kind: 1 - needed / sum(shape.work(STRIDE) * count for shape, count in pairs)
        for kind, pairs in done.items()
    }


def main() -> None:
    """Print and store both sides."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", default="small", choices=SIZES)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    size = SIZES[options.size]
    model = own_model(size, "speech", conditioning="explicit", scan=True)
    difference = largest_difference(model, size)
    assert difference < 1e-4, f"packed logits differ by {difference}"
    frames, target = lengths(EXAMPLES)
    lost = waste(frames, target)
    print(f"logits differ by {difference:.1e}; padding", lost, flush=True)
    optimizer = make_optimizer(OptimizerConfig(), size.d_model)
    steps = {
        "packed": packed_step(model, size),
        "buckets": joint_step(nnx.graphdef(model), optimizer, Objective(0.1)),
    }
    made = {"packed": packed_epoch, "buckets": bucketed_epoch}
    parts = {kind: [*make(size, frames, target)] for kind, make in made.items()}
    state = initial_state(nnx.state(model), optimizer, 0)
    rows = [compiled(steps["packed"], state, part.batch) for part in parts["packed"]]
    of_rows: list[list[float]] = [[] for _ in rows]
    epochs = dict.fromkeys(parts, 0.0)
    for part in parts["buckets"]:
        # One bucket's program at a time: forty of them are more mappings than a process may have.
        bucket = compiled(steps["buckets"], state, part.batch)
        turns = []
        for _ in range(options.rounds):
            turns.append(bucket())
            for seconds, row in zip(of_rows, rows, strict=True):
                seconds.append(row())
        epochs["buckets"] += part.often * statistics.median(turns)
        print(".", end="", flush=True)
        del bucket
        jax.clear_caches()
    for part, seconds in zip(parts["packed"], of_rows, strict=True):
        epochs["packed"] += part.often * statistics.median(seconds)
    figures: dict[str, Any] = {
        kind: {
            "tokens_per_second": float(target.sum() / epochs[kind]),
            "padding": lost[kind],
            "shapes": len(parts[kind]),
        }
        for kind in parts
    }
    figures["ratio"] = epochs["packed"] / epochs["buckets"]
    figures |= {"size": options.size, "logits_differ_by": difference}
    print(figures)
    RESULTS.mkdir(parents=True, exist_ok=True)
    write_json(RESULTS / "packing.json", figures | {"environment": environment()})


if __name__ == "__main__":
    main()
