"""Task Characteristics Networks: from a task id or from an example to a task vector."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int, Key

from taskaware.modulation.affine import TCNParam
from taskaware.modulation.modulator import BETA, Init, Modulator, vector_init
from taskaware.nn.layers import NEVER, FeedForward, MultiHeadAttention, causal_mask
from taskaware.nn.linear import Linear


class TaskRow(TCNParam):
    """A parameter with one row per task, which no other task uses.

    Its type tells where a new task needs a row, and lets an optimizer train these rows alone.
    """


class ExplicitTCN(nnx.Module):
    """t_e = FFN(e) for a one-hot task id e (eq. 1): one row of parameters per task, and no more.

    Args:
        num_tasks: N, the paper's s.
        d_model: D, for telling γ's half from β's.
        vector_width: Z; 2 D in eq. 6, which makes N · 2 D parameters. (The paper's "roughly
            1500" for N = 3, D = 512 is half of them.)
        init: of γ and β, as ``Modulator.kernel_init``.
        kernel_init: that of other kinds of ``Modulator``, in place of ``init``.
    """

    def __init__(
        self,
        num_tasks: int,
        d_model: int,
        vector_width: int,
        *,
        init: Init = "task_distinct",
        kernel_init: nnx.Initializer | None = None,
        rngs: nnx.Rngs,
    ):
        draw = kernel_init or Modulator(d_model, {"model": 1}).kernel_init(init)
        self.kernel_NZ = TaskRow(draw(rngs.params(), (num_tasks, vector_width)))

    def __call__(self, task_B: Int[Array | np.ndarray, " B"]) -> Float[Array, "B Z"]:
        """Return each row's task vector."""
        return self.kernel_NZ[...][task_B]


class TaskTokens(nnx.Module):
    """Each task as P tokens, such as <|de|><|translate|>, some of which tasks may share.

    As in Whisper (Radford et al. 2022), except that the tokens have a separate table, outside the
    vocabulary, so that a search cannot write them.

    Args:
        tasks: each task's tokens, equally many.
        d_model: D.

    Raises:
        ValueError: a task has none, or more or fewer than another.
    """

    def __init__(self, tasks: Sequence[Sequence[str]], d_model: int, *, rngs: nnx.Rngs):
        if len({len(tokens) for tokens in tasks} - {0}) != 1 or () in map(tuple, tasks):
            raise ValueError(f"expected equally many tokens for each task, found {tasks!r}")
        names = sorted({token for tokens in tasks for token in tokens})
        self.token_NP = tuple(tuple(names.index(token) for token in tokens) for tokens in tasks)
        # With the scale of a word's embedding, to which these vectors are prepended.
        self.table_VD = TCNParam(jax.random.normal(rngs.params(), (len(names), d_model)))

    def __call__(self, task_B: Int[Array | np.ndarray, " B"]) -> Float[Array, "B Z"]:
        """Return each row's task vector: its tokens' vectors, concatenated, Z = P · D."""
        token_BP = jnp.array(self.token_NP)[task_B]
        return self.table_VD[...][token_BP].reshape(len(task_B), -1)


class CausalBlock(nnx.Module):
    """A uni-directional post-norm Transformer block, the TE of eq. 2 and eq. 4."""

    def __init__(self, width: int, d_ff: int, num_heads: int, *, dtype: DTypeLike, rngs: nnx.Rngs):
        self.attention = MultiHeadAttention(width, num_heads, dtype=dtype, rngs=rngs)
        self.attention_norm = nnx.LayerNorm(width, rngs=rngs)
        self.feed_forward = FeedForward(width, d_ff, dtype=dtype, rngs=rngs)
        self.feed_forward_norm = nnx.LayerNorm(width, rngs=rngs)

    def __call__(self, x_BSD: Float[Array, "B S D"]) -> Float[Array, "B S D"]:
        """Transform positions, each seeing itself and those before."""
        mask_BTS = causal_mask(x_BSD.shape[1])
        x_BSD = self.attention_norm(x_BSD + self.attention(x_BSD, x_BSD, mask_BTS))
        return self.feed_forward_norm(x_BSD + self.feed_forward(x_BSD))


def bidirectional_attention(
    x_BSD: Float[Array, "B S D"],
    mask_BS: Bool[Array, "B S"],
    y_BTD: Float[Array, "B T D"],
    mask_BT: Bool[Array, "B T"],
    *,
    scaled: bool = False,
) -> tuple[Float[Array, "B S D"], Float[Array, "B T D"]]:
    """Let source and target look at each other by dot products (eq. 3; Luong et al. 2015).

    Args:
        x_BSD: source.
        mask_BS: its positions; padding gets no weight.
        y_BTD: target.
        mask_BT: its positions.
        scaled: divide the scores by √D (D10).

    Returns:
        softmax(x yᵀ) y and softmax(y xᵀ) x. There are no parameters.
    """
    score_BST = jnp.einsum("BSD,BTD->BST", x_BSD, y_BTD)
    if scaled:
        score_BST = score_BST * x_BSD.shape[-1] ** -0.5
    over_target = jax.nn.softmax(jnp.where(mask_BT[:, None], score_BST, NEVER), axis=2)
    over_source = jax.nn.softmax(jnp.where(mask_BS[:, :, None], score_BST, NEVER), axis=1)
    return (
        jnp.einsum("BST,BTD->BSD", over_target, y_BTD),
        jnp.einsum("BST,BSD->BTD", over_source, x_BSD),
    )


def last_valid(x_BSD: Float[Array, "B S D"], mask_BS: Bool[Array, "B S"]) -> Float[Array, "B D"]:
    """Return each row's last valid position, which has seen its whole sequence (D9)."""
    last_B = jnp.maximum(mask_BS.sum(1) - 1, 0)
    return jnp.take_along_axis(x_BSD, last_B[:, None, None], axis=1)[:, 0]


class ImplicitTCN(nnx.Module):
    """t_e from an example (X, Y) of the task (eq. 2-5); no task id is seen.

    TE reads X and Y by shared causal blocks, each looks at the other, TE_u summarizes both into
    their last valid positions, and one dense layer maps the pair to t_e.

    Args:
        d_model: D of X and Y, which are projected where ``width`` differs.
        vector_width: Z.
        width: of the TCN's blocks.
        d_ff: of their feed-forward layers.
        num_heads: of their attention.
        num_layers: blocks in TE, and again in TE_u.
        scaled: divide the bi-directional scores by √width.
        init: of γ and β, as ``vector_init``.
        dtype: of matrix products; parameters are float32.
    """

    def __init__(
        self,
        d_model: int,
        vector_width: int,
        *,
        width: int = 128,
        d_ff: int = 1024,
        num_heads: int = 4,
        num_layers: int = 1,
        scaled: bool = False,
        init: Init = "task_distinct",
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        def blocks():
            shape = (width, d_ff, num_heads)
            return nnx.List(
                [CausalBlock(*shape, dtype=dtype, rngs=rngs) for _ in range(num_layers)]
            )

        self.scaled = scaled
        self.project = None if width == d_model else Linear(d_model, width, dtype=dtype, rngs=rngs)
        self.represent = blocks()
        self.summarize = blocks()
        scale = (1.0 if init == "lecun" else BETA) * (2 * width) ** -0.5
        self.head = Linear(
            2 * width,
            vector_width,
            kernel_init=vector_init(d_model, init, scale),
            dtype=dtype,
            rngs=rngs,
        )
        _retype(self)

    def __call__(
        self,
        x_BSD: Float[Array, "B S D"],
        mask_BS: Bool[Array, "B S"],
        y_BTD: Float[Array, "B T D"],
        mask_BT: Bool[Array, "B T"],
    ) -> Float[Array, "B Z"]:
        """Return each row's task vector, inferred from its source and target."""
        if self.project is not None:
            x_BSD, y_BTD = self.project(x_BSD), self.project(y_BTD)
        for block in self.represent:  # eq. 2
            x_BSD, y_BTD = block(x_BSD), block(y_BTD)
        x_BSD, y_BTD = bidirectional_attention(  # eq. 3
            x_BSD, mask_BS, y_BTD, mask_BT, scaled=self.scaled
        )
        for block in self.summarize:  # eq. 4
            x_BSD, y_BTD = block(x_BSD), block(y_BTD)
        summary = jnp.concatenate([last_valid(x_BSD, mask_BS), last_valid(y_BTD, mask_BT)], axis=1)
        return self.head(summary)  # eq. 5


def derangement(key: Key[Array, ""], task_B: Int[Array, " B"]) -> Int[Array, " B"]:
    """Return for each row another row of its task, at random (paper §2.3; D6).

    Every row is taken once, and by another row: the task vector must not carry the answer. A row
    that is alone with its task in the batch takes itself.

    Example:
        >>> task = jnp.array([0, 0, 1, 1, 2])
        >>> derangement(jax.random.key(0), task).tolist()
        [1, 0, 3, 2, 4]
    """
    count = task_B.shape[0]
    shuffled_B = jax.random.permutation(key, count)
    order_B = shuffled_B[jnp.argsort(task_B[shuffled_B], stable=True)]  # by task, else at random
    task_of = task_B[order_B]
    first_of = jnp.searchsorted(task_of, task_of)  # where each row's task begins in that order
    next_B = jnp.arange(count) + 1
    same = jnp.concatenate([task_of[1:] == task_of[:-1], jnp.zeros(1, bool)])
    return jnp.zeros_like(task_B).at[order_B].set(order_B[jnp.where(same, next_B, first_of)])


def _retype(module: nnx.Module) -> None:
    """Make every parameter of the module a TCNParam."""
    for _, part in nnx.iter_modules(module):
        for name, variable in list(vars(part).items()):
            if type(variable) is nnx.Param:
                setattr(part, name, TCNParam(variable.get_value()))
