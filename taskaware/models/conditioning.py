"""A model's TCN and modulator, from its configuration."""

from collections.abc import Mapping, Sequence
from typing import assert_never

import jax.numpy as jnp
from flax import nnx

from taskaware.config import ModelConfig
from taskaware.modulation.modulator import Modulator
from taskaware.modulation.tcn import ExplicitTCN, ImplicitTCN, TaskTokens


def make_modulator(config: ModelConfig, heads: Mapping[str, int]) -> Modulator | None:
    """Return the modulator, if any: one site after each stack's entry and one per block."""
    if config.conditioning not in ("explicit", "implicit") or config.injection != "film":
        return None
    stacks = {"encoder": 1 + config.encoder_layers} | dict(heads)
    match config.film.stacks:
        case "both":
            pass
        case "encoder":
            stacks = {"encoder": stacks["encoder"]}
        case "heads":
            stacks = dict(heads)
        case _:
            assert_never(config.film.stacks)
    return Modulator(
        config.d_model,
        stacks,
        kind=config.film.kind,
        scale=config.film.scale,
        sharing=config.film.sharing,
        adapter_width=config.film.adapter_width,
    )


def make_tcn(
    config: ModelConfig,
    num_tasks: int,
    task_tokens: Sequence[Sequence[str]],
    modulator: Modulator | None,
    rngs: nnx.Rngs,
) -> ExplicitTCN | ImplicitTCN | TaskTokens | None:
    """Return what makes the task vectors, if anything does."""
    # A vector before the input has no γ half that would have to start at zero.
    init = config.film.init if modulator else "lecun"
    vector_width = modulator.vector_width if modulator else config.d_model
    match config.conditioning:
        case "vanilla":
            return None
        case "tokens":
            return TaskTokens(task_tokens, config.d_model, rngs=rngs)
        case "explicit":
            return ExplicitTCN(
                num_tasks,
                config.d_model,
                vector_width,
                init=init,
                kernel_init=modulator and modulator.kernel_init(init, config.film.open_share),
                rngs=rngs,
            )
        case "implicit":
            return ImplicitTCN(
                config.d_model,
                vector_width,
                width=config.tcn.width,
                d_ff=config.tcn.d_ff,
                num_heads=config.tcn.num_heads,
                num_layers=config.tcn.num_layers,
                scaled=config.tcn.scaled,
                init=init,
                dtype=jnp.dtype(config.dtype).type,
                rngs=rngs,
            )
        case _:
            assert_never(config.conditioning)
