"""Models of one shape by this package and by others, and their timing in turns."""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from taskaware.config import Decoding, ModelConfig, OptimizerConfig
from taskaware.dims import Batch, Rows, Source, Speech, Text, Tokens
from taskaware.files.whole import write_json
from taskaware.models.building import build
from taskaware.models.seq2seq import Seq2Seq
from taskaware.runs.folder import environment
from taskaware.search.model import make_search
from taskaware.training.compiling import compiled_first, jit_step
from taskaware.training.joint import joint_step
from taskaware.training.objective import Objective
from taskaware.training.optimizer import make_optimizer
from taskaware.training.state import initial_state

Run = Callable[[], Any]
"""Does the work once, to the end."""

RESULTS = Path(__file__).parents[1] / "results" / "benchmarks"

ROWS, FRAMES, SHORTEST, CHANNELS, SOURCE, TARGET = 16, 800, 600, 80, 40, 40
"""16 utterances of 6 to 8 s, or sentences of 40 tokens; 40 tokens come out."""


TASKS = ("first", "second")


class Size(NamedTuple):
    """The shape of a model; as many layers in the encoder as in the decoder."""

    layers: int
    d_model: int
    num_heads: int
    d_ff: int
    vocabulary: int
    cnn_channels: tuple[int, ...]
    """Of this package's frontend, whose convolutions are two-dimensional, as the paper's. Hugging
    Face's are one-dimensional over 2 D channels, so the two do not do the same work there."""


SIZES = {
    "tiny": Size(2, 128, 4, 512, 1_000, (16, 32, 32)),
    "small": Size(6, 256, 4, 1_024, 8_000, (32, 32, 64)),
    "paper": Size(12, 512, 8, 1_024, 32_000, (64, 64, 64)),
}


class Times(NamedTuple):
    """Medians of two runs that took turns, in seconds, and of their ratios."""

    own: float
    peer: float
    ratio: float


def take_turns(own: Run, peer: Run, rounds: int) -> Times:
    """Time both, in turns, so that a busy machine slows both; each warms up in every turn.

    A first run after the other's work, or after a pause, was seen to take 13 to 27 % longer than
    those that follow, which are what training is made of.
    """
    seconds = [(_timed(own), _timed(peer)) for _ in range(rounds)]
    return Times(
        statistics.median(a for a, _ in seconds),
        statistics.median(b for _, b in seconds),
        statistics.median(a / b for a, b in seconds),
    )


def _timed(run: Run) -> float:
    run()
    since = time.perf_counter()
    run()
    return time.perf_counter() - since


def measure_all(
    about: str,
    works: tuple[str, ...],
    measure: Callable[[str, str, int], list[dict[str, Any]]],
    out: str,
) -> None:
    """Measure what the command line names, and store it beside what was measured before.

    Args:
        about: the first words of ``--help``.
        works: what can be named; all of it by default.
        measure: returns the lines of a work at a size by a number of rounds.
        out: a file of ``results/benchmarks``, with one line per work and size.
    """
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("works", nargs="*", default=works, metavar="WORK")
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), choices=SIZES)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    path = RESULTS / out
    stored = json.loads(path.read_text())["measured"] if path.exists() else []
    lines = {(entry["work"], entry["size"]): entry for entry in stored}
    for work in options.works:
        for size in options.sizes:
            for entry in measure(work, size, options.rounds):
                print("  ".join(f"{key} {value}" for key, value in entry.items()), flush=True)
                lines[entry["work"], entry["size"]] = entry
                path.parent.mkdir(parents=True, exist_ok=True)
                write_json(path, {"measured": list(lines.values()), "environment": environment()})


def line(
    work: str,
    size: str,
    own: float,
    peer: float | None,
    ratio: float | None,
    goal: float,
    unit: str,
) -> dict[str, Any]:
    """Return a line of a table, to three digits."""
    figures = {"own": own, "peer": peer, "ratio": ratio}
    rounded = {key: value and float(f"{value:.3g}") for key, value in figures.items()}
    return {"work": work, "size": size, **rounded, "unit": unit, "goal": goal}


def goal(goals: tuple[float, ...], size: str) -> float:
    """Return the goal at a size, of those at all sizes in order."""
    return dict(zip(SIZES, goals, strict=True))[size]


def batch(size: Size, source: str, rows: int = ROWS) -> Batch:
    """Return random rows of one task."""
    random = np.random.default_rng(0)
    tokens = random.integers(3, size.vocabulary, (2, rows, TARGET)).astype(np.int32)
    inputs: Source = Text(tokens[0])
    if source == "speech":
        frames = random.standard_normal((rows, FRAMES, CHANNELS), np.float32)
        length = np.linspace(SHORTEST, FRAMES, rows).astype(np.int32)
        inputs = Speech(frames, length)
    return jax.device_put({TASKS[0]: Rows(inputs, Tokens(tokens[1]), np.ones(rows, bool))})


def own_config(size: Size, **changes: Any) -> ModelConfig:
    """Return the configuration of this package's model; 800 frames become 100 positions."""
    return ModelConfig(
        d_model=size.d_model,
        num_heads=size.num_heads,
        d_ff=size.d_ff,
        encoder_layers=size.layers,
        decoder_layers=size.layers,
        cnn_channels=size.cnn_channels,
        **{"conditioning": "vanilla", **changes},
    )


def own_model(size: Size, source: str, **changes: Any) -> Seq2Seq:
    """Return this package's model."""
    speech = source == "speech"
    return build(own_config(size, **changes), size.vocabulary, TASKS, speech=speech, seed=0)


def own_training(size: Size, source: str, rows: int = ROWS, **changes: Any) -> Run:
    """Return a training step of this package, compiled, on one batch again and again."""
    model = own_model(size, source, **changes)
    optimizer = make_optimizer(OptimizerConfig(), size.d_model)
    step = jit_step(joint_step(nnx.graphdef(model), optimizer, Objective(0.1)))
    step = compiled_first(step, 1, print)
    state = [initial_state(nnx.state(model), optimizer, 0)]
    one_batch = batch(size, source, rows)

    def run() -> None:
        state[0], metrics = step(state[0], one_batch)
        jax.block_until_ready((state[0], metrics))

    return run


def training_flops(size: Size, source: str, rows: int = ROWS) -> float:
    """Return the floating point operations of a step, as XLA counts them before it compiles."""
    model, optimizer = own_model(size, source), make_optimizer(OptimizerConfig(), size.d_model)
    state = jax.eval_shape(lambda: initial_state(nnx.state(model), optimizer, 0))
    step = jax.jit(joint_step(nnx.graphdef(model), optimizer, Objective(0.1)))
    shapes = jax.eval_shape(lambda: batch(size, source, rows))
    cost = step.lower(state, shapes).cost_analysis()
    assert cost is not None, "XLA has no count of the work for this device"
    return float(cost["flops"])


def product_ceiling(width: int, rounds: int, dtype: Any) -> float:
    """Return the FLOP/s of a square product with float32 sums."""
    a = jax.random.normal(jax.random.key(0), (width, width), dtype)
    product = jax.jit(lambda a: jnp.matmul(a, a, preferred_element_type=jnp.float32))

    def ten() -> None:
        jax.block_until_ready([product(a) for _ in range(10)])

    return 10 * 2 * width**3 / take_turns(ten, ten, rounds).own


def torch_model(size: Size, source: str) -> Any:
    """Return Hugging Face's model of the shape: Speech2Text or Marian."""
    import transformers

    shape: dict[str, Any] = {
        "vocab_size": size.vocabulary,
        "d_model": size.d_model,
        "encoder_layers": size.layers,
        "decoder_layers": size.layers,
        "encoder_attention_heads": size.num_heads,
        "decoder_attention_heads": size.num_heads,
        "encoder_ffn_dim": size.d_ff,
        "decoder_ffn_dim": size.d_ff,
        "dropout": 0.1,
        "attention_dropout": 0.0,
        "activation_dropout": 0.0,
        "encoder_layerdrop": 0.0,
        "decoder_layerdrop": 0.0,
        "scale_embedding": True,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "bos_token_id": 2,
        "decoder_start_token_id": 2,
    }
    if source == "text":
        return transformers.MarianMTModel(
            transformers.MarianConfig(
                **shape, max_position_embeddings=256, forced_eos_token_id=None
            )
        )
    return transformers.Speech2TextForConditionalGeneration(
        transformers.Speech2TextConfig(
            **shape,
            input_feat_per_channel=CHANNELS,
            num_conv_layers=3,
            conv_kernel_sizes=(3, 3, 3),
            conv_channels=2 * size.d_model,
            max_source_positions=FRAMES,
            max_target_positions=256,
        )
    )


def torch_source(size: Size, source: str, rows: int = ROWS, device: str = "cpu") -> dict[str, Any]:
    """Return the same rows as inputs of Hugging Face's model."""
    import torch

    same = batch(size, source, rows)[TASKS[0]].source
    if isinstance(same, Text):
        inputs = {
            "input_ids": np.array(same.tokens_BS, np.int64),
            "attention_mask": np.ones((rows, SOURCE), np.int64),
        }
    else:
        mask = np.arange(FRAMES)[None] < np.array(same.length_B)[:, None]
        inputs = {
            "input_features": np.array(same.frames_BAC),
            "attention_mask": mask.astype(np.int64),
        }
    return {name: torch.from_numpy(values).to(device) for name, values in inputs.items()}


def torch_training(
    size: Size, source: str, rows: int = ROWS, *, bf16: bool, device: str = "cpu"
) -> Run:
    """Return a training step of Hugging Face's model, eager, with PyTorch's fused Adam."""
    import torch

    model = torch_model(size, source).to(device).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)
    inputs = torch_source(size, source, rows, device)
    tokens_BT = batch(size, source, rows)[TASKS[0]].target.tokens_BT
    target = torch.from_numpy(np.array(tokens_BT, np.int64)).to(device)
    before = torch.nn.functional.pad(target[:, :-1], (1, 0), value=2)

    def run() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device, torch.bfloat16, enabled=bf16):
            logits = model(**inputs, decoder_input_ids=before, use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(
            logits.float().flatten(0, 1), target.flatten(), ignore_index=0, label_smoothing=0.1
        )
        loss.backward()
        optimizer.step()
        _finish(device)

    return run


def own_decoding(size: Size, source: str, beams: int, rows: int = ROWS, **changes: Any) -> Run:
    """Return a search of this package for 40 tokens per row, compiled."""
    config = Decoding(beam_size=beams, length_penalty=1.0)
    search = make_search(own_model(size, source, **changes), config, rows)
    inputs = jax.tree.map(np.asarray, batch(size, source, rows)[TASKS[0]].source)

    return lambda: jax.block_until_ready(search(inputs, None, TARGET))


def torch_decoding(
    size: Size,
    source: str,
    beams: int,
    rows: int = ROWS,
    *,
    bf16: bool = False,
    device: str = "cpu",
) -> Run:
    """Return Hugging Face's ``generate`` for 40 tokens per row, with its cache."""
    import torch

    model = torch_model(size, source).to(device).eval()
    inputs = torch_source(size, source, rows, device)

    def run() -> None:
        with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled=bf16):
            model.generate(
                **inputs,
                num_beams=beams,
                do_sample=False,
                min_new_tokens=TARGET,
                max_new_tokens=TARGET,
            )
        _finish(device)

    return run


def _finish(device: str) -> None:
    """Wait for a GPU, which still computes when PyTorch returns."""
    import torch

    if device == "cuda":
        torch.cuda.synchronize()
