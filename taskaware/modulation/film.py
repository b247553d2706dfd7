"""FiLM: scale and shift a layer's output by numbers that depend on the task (paper eq. 6-7)."""

from typing import Literal, NamedTuple, assert_never

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float


class TCNParam(nnx.Param):
    """A parameter of the task side: its type lets optimizers, MAML and freezing name it."""


class Modulation(NamedTuple):
    """γ and β, one pair a row. Stacked, both have a leading axis of places L."""

    gamma_BD: Float[Array, "*L B D"]
    beta_BD: Float[Array, "*L B D"]

    def at(self, place: int | slice) -> "Modulation":
        """Return one place, or a range of places, of a stacked modulation."""
        return Modulation(self.gamma_BD[place], self.beta_BD[place])


def film(
    x: Float[Array, "B *rest D"], gamma_BD: Float[Array, "B D"], beta_BD: Float[Array, "B D"]
) -> Float[Array, "B *rest D"]:
    """Return γ · x + β, each row by its own γ and β (eq. 7); the result keeps x's dtype.

    γ = 1 and β = 0 give x back bit for bit.

    Example:
        >>> x = jnp.ones((1, 2, 3))
        >>> film(x, jnp.full((1, 3), 2.0), jnp.full((1, 3), 0.5)).tolist()
        [[[2.5, 2.5, 2.5], [2.5, 2.5, 2.5]]]
    """
    shape = (x.shape[0], *[1] * (x.ndim - 2), x.shape[-1])
    return (gamma_BD.reshape(shape) * x + beta_BD.reshape(shape)).astype(x.dtype)


def modulate(
    x: Float[Array, "B *rest D"], modulation: Modulation | None
) -> Float[Array, "B *rest D"]:
    """Apply a modulation, if there is one."""
    return x if modulation is None else film(x, *modulation)


def embedding_init(
    d_model: int, init: Literal["task_distinct", "zero", "lecun"], scale: float
) -> nnx.Initializer:
    """Return an initializer for a map to task embeddings, whose halves become γ and β (eq. 6).

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


class Places(nnx.Module):
    """Turn a task embedding into γ and β at every place of a model (eq. 6).

    Args:
        d_model: D.
        encoder_places: places on the encoder's side, its frontend included; they come first.
        decoder_places: places on the decoder's side.
        scale: one_plus gives γ = 1 + t[:d]; direct gives γ = t[:d], the letter of eq. 6.
        sharing: all_blocks uses one γ, β everywhere (eq. 6); per_stack one for each side;
            per_block_offset adds a learned offset a place that starts at zero.
    """

    def __init__(
        self,
        d_model: int,
        encoder_places: int,
        decoder_places: int,
        *,
        scale: Literal["one_plus", "direct"] = "one_plus",
        sharing: Literal["all_blocks", "per_stack", "per_block_offset"] = "all_blocks",
    ):
        self.d_model = d_model
        self.encoder_places = encoder_places
        self.num_places = encoder_places + decoder_places
        self.scale = scale
        self.sharing: Literal["all_blocks", "per_stack", "per_block_offset"] = sharing
        self.embedding_width = 4 * d_model if sharing == "per_stack" else 2 * d_model
        if sharing == "per_block_offset":
            self.offset_LZ = TCNParam(jnp.zeros((self.num_places, 2 * d_model)))

    def __call__(self, embedding_BZ: Float[Array, "B Z"]) -> Modulation:
        """Return the modulation of all places, stacked."""
        width = 2 * self.d_model
        match self.sharing:
            case "all_blocks":
                t_LBZ = jnp.broadcast_to(embedding_BZ, (self.num_places, *embedding_BZ.shape))
            case "per_stack":
                side_L = (jnp.arange(self.num_places) >= self.encoder_places).astype(jnp.int32)
                stacks = jnp.stack([embedding_BZ[:, :width], embedding_BZ[:, width:]])
                t_LBZ = stacks[side_L]
            case "per_block_offset":
                t_LBZ = embedding_BZ[None] + self.offset_LZ[...][:, None]
            case _:
                assert_never(self.sharing)
        gamma, beta = t_LBZ[..., : self.d_model], t_LBZ[..., self.d_model :]
        return Modulation(1 + gamma if self.scale == "one_plus" else gamma, beta)


class FiLM(nnx.Module):
    """A layer that scales and shifts features by a linear function of a condition.

    It starts as the identity, so it may be put into a trained model.

    Args:
        d_condition: width Z of the condition: a one-hot task id, a sentence embedding, …
        d_model: width D of the features.

    Example:
        >>> layer = FiLM(3, 8, rngs=nnx.Rngs(0))
        >>> x = jnp.ones((2, 5, 8))
        >>> bool((layer(x, jax.nn.one_hot(jnp.array([0, 2]), 3)) == x).all())
        True
    """

    def __init__(self, d_condition: int, d_model: int, *, rngs: nnx.Rngs):
        self.d_model = d_model
        self.kernel_ZD = TCNParam(jnp.zeros((d_condition, 2 * d_model)))
        self.bias_D = TCNParam(jnp.zeros(2 * d_model))

    def __call__(
        self, x: Float[Array, "B *rest D"], condition_BZ: Float[Array, "B Z"]
    ) -> Float[Array, "B *rest D"]:
        """Return (1 + g) · x + β with [g : β] = condition · kernel + bias."""
        t = condition_BZ @ self.kernel_ZD[...] + self.bias_D[...][None]
        return film(x, 1 + t[:, : self.d_model], t[:, self.d_model :])
