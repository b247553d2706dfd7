"""Greedy and beam search over any ``next_logits``, each one compiled loop; and of a whole model."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Bool, Float, Int

from taskaware.config import Decoding
from taskaware.dims import EOS, PAD, Batch, Cache
from taskaware.model.seq2seq import Seq2Seq

NextLogits = Callable[[Int[Array, "B W"], Int[Array, ""], Cache], tuple[Array, Cache]]
"""(tokens_BW, position, cache) → (logits_BWV, cache). The first token is PAD, whose embedding is
zero."""

_NEVER = -1e9


class Hypotheses(NamedTuple):
    """One token sequence a row, ended by EOS where it fits, then padding, and its score."""

    tokens_BT: Int[Array, "B T"]
    score_B: Float[Array, " B"]


def length_penalty(length: Array | int, alpha: float) -> Array | float:
    """Return ((5 + length) / 6)^α, which divides a hypothesis' log probability (Wu et al. 2016).

    Example:
        >>> length_penalty(7, 1.0)
        2.0
    """
    return ((5.0 + length) / 6.0) ** alpha


def greedy(next_logits: NextLogits, cache: Cache, num_rows: int, max_length: int) -> Hypotheses:
    """Take the likeliest token at each position until every row has ended.

    Args:
        next_logits: the model, one position at a time.
        cache: what it starts from, for one beam.
        num_rows: B.
        max_length: T; a row that has not ended by then is cut.

    Returns:
        Tokens, and the sum of their log probabilities.
    """

    def unfinished(state):
        position, _, _, done_B, _ = state
        return (position < max_length) & ~done_B.all()

    def extend(state):
        position, tokens_BT, score_B, done_B, cache = state
        logits_BWV, cache = next_logits(_last(tokens_BT, position)[:, None], position, cache)
        log_p_BV = jax.nn.log_softmax(logits_BWV[:, 0])
        token_B = jnp.where(done_B, PAD, jnp.argmax(log_p_BV, -1)).astype(jnp.int32)
        score_B = score_B + jnp.where(done_B, 0, log_p_BV.max(-1))
        return (
            position + 1,
            tokens_BT.at[:, position].set(token_B),
            score_B,
            done_B | (token_B == EOS),
            cache,
        )

    tokens_BT = jnp.full((num_rows, max_length), PAD, jnp.int32)
    start = (jnp.int32(0), tokens_BT, jnp.zeros(num_rows), jnp.zeros(num_rows, bool), cache)
    _, tokens_BT, score_B, _, _ = lax.while_loop(unfinished, extend, start)
    return Hypotheses(tokens_BT, score_B)


class NBest(NamedTuple):
    """Each row's W best hypotheses, the best first, as in ``Hypotheses``."""

    tokens_BWT: Int[Array, "B W T"]
    score_BW: Float[Array, "B W"]


class _Beams(NamedTuple):
    """The search's state: hypotheses still growing, the best ended ones, and the cache."""

    position: Int[Array, ""]
    alive_BWT: Int[Array, "B W T"]
    alive_BW: Float[Array, "B W"]  # log probability
    ended_BWT: Int[Array, "B W T"]
    ended_BW: Float[Array, "B W"]  # log probability over length penalty; _NEVER where empty
    cache: Cache


def beam_search(
    next_logits: NextLogits,
    cache: Cache,
    num_rows: int,
    max_length: int,
    *,
    beam_size: int,
    alpha: float,
) -> NBest:
    """Return each row's best hypotheses among those that a beam finds.

    At each position the 2 W best extensions are kept: those that end compete with the ended ones
    so far, the W best of the others go on. A row stops when no growing hypothesis can beat its
    worst ended one. Where fewer than W have ended at ``max_length``, growing ones, cut there,
    follow them.

    Args:
        next_logits: the model, one position at a time, for W beams.
        cache: what it starts from.
        num_rows: B.
        max_length: T.
        beam_size: W.
        alpha: of the length penalty.

    Returns:
        Tokens, and log probability over length penalty.
    """
    most_penalty = length_penalty(max_length, alpha)

    def unfinished(beams: _Beams) -> Bool[Array, ""]:
        # Log probabilities only fall, and the largest penalty flatters them most.
        hope_B = beams.alive_BW[:, 0] / most_penalty
        return (beams.position < max_length) & (hope_B > beams.ended_BW.min(1)).any()

    def extend(beams: _Beams) -> _Beams:
        position = beams.position
        logits_BWV, cache = next_logits(_last(beams.alive_BWT, position), position, beams.cache)
        log_p_BWV = jax.nn.log_softmax(logits_BWV) + beams.alive_BW[..., None]
        vocab_size = log_p_BWV.shape[-1]
        best, flat = lax.top_k(
            log_p_BWV.reshape(num_rows, -1), min(2 * beam_size, beam_size * vocab_size)
        )
        parent, token = flat // vocab_size, (flat % vocab_size).astype(jnp.int32)
        grown = jnp.take_along_axis(beams.alive_BWT, parent[..., None], axis=1)
        grown = grown.at[:, :, position].set(token)
        ends = token == EOS

        alive_BW, keep = lax.top_k(jnp.where(ends, _NEVER, best), beam_size)
        keep_parent = jnp.take_along_axis(parent, keep, axis=1)
        done = jnp.where(ends, best / length_penalty(position + 1, alpha), _NEVER)
        ended_BW, pick = lax.top_k(jnp.concatenate([beams.ended_BW, done], axis=1), beam_size)
        both = jnp.concatenate([beams.ended_BWT, grown], axis=1)
        return _Beams(
            position + 1,
            jnp.take_along_axis(grown, keep[..., None], axis=1),
            alive_BW,
            jnp.take_along_axis(both, pick[..., None], axis=1),
            ended_BW,
            cache._replace(
                beams=jax.tree.map(lambda leaf: _choose(leaf, keep_parent), cache.beams)
            ),
        )

    shape = (num_rows, beam_size)
    empty = jnp.full((*shape, max_length), PAD, jnp.int32)
    first_only = jnp.where(jnp.arange(beam_size) == 0, 0.0, _NEVER)  # all beams start equal
    start = _Beams(
        jnp.int32(0),
        empty,
        jnp.broadcast_to(first_only, shape),
        empty,
        jnp.full(shape, _NEVER),
        cache,
    )
    beams = lax.while_loop(unfinished, extend, start)
    return _best(beams, most_penalty)


def spread(params: nnx.State) -> tuple[Mesh | None, nnx.State]:
    """Return this process's devices and the parameters on each of them; ``search`` takes both.

    None, and the parameters as they are, where there is one device or they lie on several already.
    """
    devices = jax.local_devices()
    if len(devices) == 1 or any(
        len(leaf.sharding.device_set) > 1 for leaf in jax.tree.leaves(params)
    ):
        return None, params
    mesh = jax.make_mesh((len(devices),), ("rows",), (AxisType.Auto,), devices=devices)
    return mesh, jax.device_put(params, NamedSharding(mesh, PartitionSpec()))


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 6))  # compiled once a shape
def search(
    graphdef: nnx.GraphDef[Seq2Seq],
    config: Decoding,
    mesh: Mesh | None,
    params: nnx.State,
    source: Batch,
    embedding_BZ: Float[Array, "B Z"] | None,
    max_length: int | None = None,
) -> Int[Array, "B W T"]:
    """Return the tokens that a model writes for each source, the best hypothesis first.

    Args:
        graphdef: of the model, split by ``nnx.split``.
        config: beam, length penalty, lengths.
        mesh: devices that each search a part of the rows, if they divide them; see ``spread``.
        params: of the model.
        source: a batch whose ``target_BT`` and ``task_B`` are not looked at.
        embedding_BZ: each row's task embedding; None for a model without conditioning.
        max_length: T, instead of by ``config``.
    """

    def of_rows(params, source, embedding_BZ):
        model = nnx.merge(graphdef, params)
        x_BSD, mask_BS = model.embed_source(source)
        memory = model.encode(x_BSD, mask_BS, embedding_BZ)
        rows, positions = mask_BS.shape
        length = max_length or positions + config.extra_length
        start = model.start_decoding(memory, embedding_BZ, config.beam_size, length)
        if config.beam_size == 1:
            return greedy(*start, rows, length).tokens_BT[:, None]
        found = beam_search(
            *start,
            rows,
            length,
            beam_size=config.beam_size,
            alpha=config.length_penalty,
        )
        return found.tokens_BWT

    if mesh is not None and all(len(leaf) % mesh.size == 0 for leaf in jax.tree.leaves(source)):
        # Each device by itself: it need not wait for the others' longest row.
        parts = PartitionSpec("rows")
        of_rows = jax.shard_map(
            of_rows,
            mesh=mesh,
            in_specs=(PartitionSpec(), parts, parts),
            out_specs=parts,
            check_vma=False,
        )
    return of_rows(params, source, embedding_BZ)


def _best(beams: _Beams, most_penalty: Array | float) -> NBest:
    """Return the ended hypotheses and, where there are too few, growing ones after them."""
    beam_size = beams.ended_BW.shape[1]
    missing_BW = beams.ended_BW <= _NEVER / 2
    ended_B = beam_size - missing_BW.sum(1)
    growing_BW = jnp.maximum(jnp.arange(beam_size)[None] - ended_B[:, None], 0)
    cut_BWT = jnp.take_along_axis(beams.alive_BWT, growing_BW[..., None], axis=1)
    cut_BW = jnp.take_along_axis(beams.alive_BW, growing_BW, axis=1) / most_penalty
    return NBest(
        jnp.where(missing_BW[..., None], cut_BWT, beams.ended_BWT),
        jnp.where(missing_BW, cut_BW, beams.ended_BW),
    )


def _last(tokens: Int[Array, "*rest T"], position: Int[Array, ""]) -> Int[Array, "*rest"]:
    """Return the token before ``position``, or PAD at the start."""
    before = lax.dynamic_index_in_dim(tokens, jnp.maximum(position - 1, 0), -1, keepdims=False)
    return jnp.where(position == 0, PAD, before)


def _choose(leaf: Array, beam_BW: Int[Array, "B W"]) -> Array:
    """Reorder a cache leaf's beams."""
    return jnp.take_along_axis(
        leaf, beam_BW.reshape(*beam_BW.shape, *[1] * (leaf.ndim - 2)), axis=1
    )
