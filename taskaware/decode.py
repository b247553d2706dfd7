"""Greedy and beam search over any ``next_logits``, each one compiled loop; and of a whole model."""

import functools
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Bool, Float, Int

from taskaware.config import Decoding, Model
from taskaware.dims import EOS, MEL_CHANNELS, PAD, Batch, Cache
from taskaware.layers import are_few
from taskaware.model.seq2seq import Seq2Seq

NextLogits = Callable[[Int[Array, "B W"], Int[Array, ""], Cache], tuple[Array, Cache]]
"""(tokens_BW, position, cache) → (logits_BWV, cache). The first token is PAD, whose embedding is
zero."""

_NEVER = -1e9

_BLOCK = 32
"""Tokens whose scores ``beam_search`` looks at together first."""


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
        best_B = log_p_BV.max(-1)
        token_B = jnp.where(done_B, PAD, _first(~(log_p_BV < best_B[:, None])))
        score_B = score_B + jnp.where(done_B, 0, best_B)
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
        best, parent, token = _best_extensions(log_p_BWV, 2 * beam_size)
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


Search = Callable[..., Int[Array, "B W T"]]
"""(source, embedding_BZ, max_length=None) → what a model writes for each source, the best
hypothesis first. Of the source ``target_BT`` and ``task_B`` are not looked at; ``embedding_BZ`` is
each row's task embedding, None for a model without conditioning; ``max_length`` is T, instead of by
the configuration."""


def make_search(
    model: Seq2Seq, config: Decoding, rows: int | None = None, *, split: bool = True
) -> Search:
    """Return a model's search, compiled once a shape for all models of one kind.

    Args:
        model: as it is now; what becomes of it later does not change the search.
        config: beam, length penalty, lengths.
        rows: how many sources will come together, again and again: on a CPU kernels are laid out
            for as many, which takes as long as some steps of a search.
        split: whether every device of this process searches a part of the rows, if they divide
            them; not so a model that lies on several already, such as those of a training mesh.
    """
    devices = _devices(model)[: None if split else 1]
    if rows is not None and devices:
        parts = 1 if rows % len(devices) else len(devices)
        if are_few(rows * config.beam_size // parts):
            model = model.with_turned_kernels()
    graphdef, params = nnx.split(model)
    params = jax.tree.map(jnp.asarray, params)  # NumPy arrays, as another library's weights are
    mesh = None
    if len(devices) > 1:
        mesh = jax.make_mesh((len(devices),), ("rows",), (AxisType.Auto,), devices=devices)
        params = jax.tree.map(_row_major, params)
        params = jax.device_put(params, NamedSharding(mesh, PartitionSpec()))
    return functools.partial(_compiled(graphdef, config, mesh), params)


class Searches:
    """A model's search for calls of any number of rows: laid out once for few and once for many.

    To split a model, to hash it and to turn its kernels takes as long as many steps of a search.
    That a parameter has another array since is noticed, and NumPy arrays, which may change in
    place, are laid out at every call; whoever puts other modules into the model makes new searches.
    """

    def __init__(self, model: Seq2Seq, config: Decoding):
        self._model, self._config = model, config
        self._variables = [v for _, v in nnx.iter_graph(model) if isinstance(v, nnx.Variable)]
        self._values: list[Any] = []
        self._num_devices = 1
        self._made: dict[bool, Search] = {}

    def __call__(
        self, source: Batch, embedding_BZ: Float[np.ndarray, "B Z"] | None
    ) -> Int[Array, "B W T"]:
        """Return what ``Search`` does; rows are filled up so that every device has as many."""
        values = [variable.get_raw_value() for variable in self._variables]
        changed = map(operator.is_not, values, self._values)
        if not self._made or any(changed) or any(isinstance(x, np.ndarray) for x in values):
            self._values, self._made = values, {}
            self._num_devices = max(1, len(_devices(self._model)))
        rows = len(jax.tree.leaves(source)[0])
        filled = -(-rows // self._num_devices) * self._num_devices
        few = are_few(filled * self._config.beam_size // self._num_devices)
        search = self._made.get(few)  # by itself, for another thread may drop what is made
        if search is None:
            search = self._made[few] = make_search(self._model, self._config, filled)
        row_B = np.arange(filled) % rows
        given = jax.tree.map(lambda leaf: leaf[row_B], (source, embedding_BZ))
        return search(*given)[:rows]


def search_bytes(model: Model, config: Decoding, positions: int, frames: int = 0) -> int:
    """Return about how much memory a search takes per row, beside the model's weights.

    Keys and values of every beam and position that may be written; and what the encoder takes most
    for before: twice its attention scores, which grow with the square of the length, or what the
    convolutions make of speech.

    Args:
        model: its shape.
        config: beam and lengths.
        positions: of the source, S.
        frames: of speech, A; 0 of text.
    """
    written = config.beam_size * (positions + config.extra_length)
    kept = 2 * model.decoder_layers * model.d_model * written
    convolved = sum(
        -(-frames // 2**depth) * -(-MEL_CHANNELS // 2**depth) * channels
        for depth, channels in enumerate(model.cnn_channels, 1)
    )
    return 4 * (kept + max(2 * model.num_heads * positions**2, convolved))


def _devices(model: Seq2Seq) -> list[Any]:
    """Return those that may share the rows; none where the model lies on several as it is."""
    leaves = [x for x in jax.tree.leaves(nnx.state(model)) if isinstance(x, jax.Array)]
    spread = any(len(leaf.sharding.device_set) > 1 for leaf in leaves)
    return [] if spread else jax.local_devices()


def _row_major(leaf: Any) -> Any:
    """Return an array that other devices read as it is.

    ``jnp.from_dlpack`` keeps the layout of a transposed PyTorch tensor, and jax 0.10 computes with
    other numbers on every CPU device that such an array is copied to.
    """
    if leaf.format.layout.major_to_minor == tuple(range(leaf.ndim)):
        return leaf
    return np.asarray(leaf, order="C")


@functools.cache
def _compiled(graphdef: nnx.GraphDef[Seq2Seq], config: Decoding, mesh: Mesh | None):
    """Return the search of one kind of model; to find it by a graphdef takes 10 ms."""

    @functools.partial(jax.jit, static_argnames="max_length")
    def search(params, source: Batch, embedding_BZ, max_length: int | None = None):
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

    return search


def _best_extensions(
    score_BWV: Float[Array, "B W V"], count: int
) -> tuple[Float[Array, "B best"], Int[Array, "B best"], Int[Array, "B best"]]:
    """Return the scores, beams and tokens of each row's best extensions, ``count`` if there are.

    What ``top_k`` of them all gives where scores are finite, equals included; only those blocks of
    the vocabulary are looked at closely that have the largest maxima. On a CPU that takes a sixth
    of the time with 8,000 tokens and a tenth with 32,000.
    """
    rows, beams, vocab_size = score_BWV.shape
    count = min(count, beams * vocab_size)
    beyond = -vocab_size % _BLOCK
    padded = jnp.pad(score_BWV, ((0, 0), (0, 0), (0, beyond)), constant_values=-jnp.inf)
    blocks = padded.reshape(rows, -1, _BLOCK)  # those of the first beam, then of the second ...
    _, chosen = lax.top_k(blocks.max(-1), min(count, blocks.shape[1]))
    chosen = jnp.sort(chosen)  # of equal scores top_k takes the first
    near = jnp.take_along_axis(blocks, chosen[..., None], axis=1)
    best, place = lax.top_k(near.reshape(rows, -1), count)
    block = jnp.take_along_axis(chosen, place // _BLOCK, axis=1)
    beam, block = jnp.divmod(block, blocks.shape[1] // beams)
    token = jnp.minimum(block * _BLOCK + place % _BLOCK, vocab_size - 1)
    return best, beam, token.astype(jnp.int32)


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


def _first(holds_BV: Bool[Array, "B V"]) -> Int[Array, " B"]:
    """Return the first place where it holds: on a CPU several times as fast as argmax."""
    width = holds_BV.shape[-1]
    return jnp.where(holds_BV, jnp.arange(width, dtype=jnp.int32), width - 1).min(-1)


def _last(tokens: Int[Array, "*rest T"], position: Int[Array, ""]) -> Int[Array, "*rest"]:
    """Return the token before ``position``, or PAD at the start."""
    before = lax.dynamic_index_in_dim(tokens, jnp.maximum(position - 1, 0), -1, keepdims=False)
    return jnp.where(position == 0, PAD, before)


def _choose(leaf: Array, beam_BW: Int[Array, "B W"]) -> Array:
    """Reorder a cache leaf's beams."""
    return jnp.take_along_axis(
        leaf, beam_BW.reshape(*beam_BW.shape, *[1] * (leaf.ndim - 2)), axis=1
    )
