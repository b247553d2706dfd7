"""Adam with the inverse square root schedule of Table 8."""

import jax.numpy as jnp
import optax
from jax.typing import ArrayLike
from jaxtyping import Array

from taskaware.config import OptimizerConfig


def inverse_sqrt(config: OptimizerConfig, d_model: int) -> optax.Schedule:
    """Return lr(step) = factor · D^-0.5 · min(1, step / warmup) / √max(step, warmup).

    Source: paper Table 8 by name; the formula is that of TensorFlow Model Garden's official
    Transformer, whose parameters the table lists. With the defaults and D = 512 the peak is
    6.99e-4 at step 16000. The first update is step 1.
    """

    def learning_rate(count: ArrayLike) -> Array:
        step = jnp.asarray(count, jnp.float32) + 1
        warmup = jnp.float32(config.warmup_steps)
        scale = config.learning_rate * d_model**-0.5
        return scale * jnp.minimum(1.0, step / warmup) / jnp.sqrt(jnp.maximum(step, warmup))

    return learning_rate


def make_optimizer(config: OptimizerConfig, d_model: int) -> optax.GradientTransformation:
    """Return clipping, then Adam with the schedule, on ``accumulate`` batches' mean gradient."""
    steps = [optax.clip_by_global_norm(config.clip_norm)] if config.clip_norm else []
    adam = optax.adam(inverse_sqrt(config, d_model), config.beta1, config.beta2, eps=config.epsilon)
    optimizer = optax.chain(*steps, adam)
    if config.accumulate > 1:
        return optax.MultiSteps(optimizer, config.accumulate).gradient_transformation()
    return optimizer
