"""Searches of a model, compiled once per shape and split over devices."""

import functools
import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float

from taskaware.config import Decoding, ModelConfig
from taskaware.dims import MEL_CHANNELS, Source
from taskaware.models.seq2seq import Seq2Seq
from taskaware.nn.linear import are_few
from taskaware.search.answers import answer

Search = Callable[..., Array]
"""(source, vector_BZ, max_length=None) → the best answers per row of a source: see ``answer``.
``vector_BZ`` is each row's task vector, None for a model without conditioning; ``max_length`` is of
tokens."""


def make_search(
    model: Seq2Seq,
    config: Decoding,
    rows: int | None = None,
    *,
    split: bool = True,
    head: str | None = None,
    ctc_weight: float = 0.0,
) -> Search:
    """Return a model's search, compiled once per shape for all models of one kind.

    Args:
        model: its weights are taken as they are now; later changes do not reach the search.
        config: beam, length penalty, lengths.
        rows: number of sources per call, if it is always the same: on a CPU, kernels are laid out
            for it, which takes as long as some steps of a search.
        split: whether to split the rows over this process's devices, where they divide evenly. A
            model that is on several devices already, as on a training mesh, is left there.
        head: whose answers; by default the first head's.
        ctc_weight: of joint CTC/attention: see ``answer``.
    """
    devices = _devices(model)[: None if split else 1]
    if rows is not None and devices:
        parts = 1 if rows % len(devices) else len(devices)
        if are_few(rows * config.beam_size // parts):
            model = model.with_transposed_kernels()
    graphdef, params = nnx.split(model)
    params = jax.tree.map(jnp.asarray, params)  # NumPy arrays, as another library's weights are
    mesh = None
    if len(devices) > 1:
        mesh = jax.make_mesh((len(devices),), ("rows",), (AxisType.Auto,), devices=devices)
        params = jax.tree.map(_row_major, params)
        params = jax.device_put(params, NamedSharding(mesh, PartitionSpec()))
    name = head or model.wiring.heads[0].name
    return functools.partial(_compiled(graphdef, config, mesh, name, ctc_weight), params)


class Searches:
    """A model's search for calls of any number of rows: laid out once for few and once for many.

    To split a model, hash it and transpose its kernels takes as long as many steps of a search.
    A parameter that has been given another array is noticed, and NumPy arrays, which may change in
    place, are laid out at every call. After replacing modules of the model, make new searches.
    """

    def __init__(
        self, model: Seq2Seq, config: Decoding, head: str | None = None, ctc_weight: float = 0.0
    ):
        self._model, self._config, self._head = model, config, head
        self._ctc_weight = ctc_weight
        self._variables = [v for _, v in nnx.iter_graph(model) if isinstance(v, nnx.Variable)]
        self._values: list[Any] = []
        self._num_devices = 1
        self._made: dict[bool, Search] = {}

    def __call__(self, source: Source, vector_BZ: Float[np.ndarray, "B Z"] | None) -> Array:
        """Search, with rows filled up by copies so that every device has equally many."""
        values = [variable.get_raw_value() for variable in self._variables]
        changed = map(operator.is_not, values, self._values)
        if not self._made or any(changed) or any(isinstance(x, np.ndarray) for x in values):
            self._values, self._made = values, {}
            self._num_devices = max(1, len(_devices(self._model)))
        rows = len(jax.tree.leaves(source)[0])
        filled = -(-rows // self._num_devices) * self._num_devices
        few = are_few(filled * self._config.beam_size // self._num_devices)
        search = self._made.get(few)  # read once: another thread may clear the dictionary
        if search is None:
            search = self._made[few] = make_search(
                self._model, self._config, filled, head=self._head, ctc_weight=self._ctc_weight
            )
        row_B = np.arange(filled) % rows
        source, vector_BZ = jax.tree.map(lambda leaf: leaf[row_B], (source, vector_BZ))
        return search(source, vector_BZ)[:rows]


def search_bytes(model: ModelConfig, config: Decoding, positions: int, frames: int = 0) -> int:
    """Return approximately how many bytes a search takes per row, beside the model's weights.

    That is the keys and values of every beam and position that may be written, and the encoder's
    peak before: twice its attention scores, which grow with the square of the length, or the
    output of the convolutions over speech, whichever is more.

    Args:
        model: its shape.
        config: beam and lengths.
        positions: of the source, S.
        frames: of speech, A (10 ms each); 0 for text.
    """
    written = config.beam_size * (positions + config.extra_length)
    cache = 2 * model.decoder_layers * model.d_model * written
    convolutions = sum(
        -(-frames // 2**depth) * -(-MEL_CHANNELS // 2**depth) * channels
        for depth, channels in enumerate(model.cnn_channels, 1)
    )
    return 4 * (cache + max(2 * model.num_heads * positions**2, convolutions))


def _devices(model: Seq2Seq) -> list[Any]:
    """Return the devices to split rows over; none for a model that is on several already."""
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
def _compiled(
    graphdef: nnx.GraphDef[Seq2Seq],
    config: Decoding,
    mesh: Mesh | None,
    head: str,
    ctc_weight: float,
) -> Callable[..., Array]:
    """Return the search of one kind of model; hashing a graphdef to look it up takes 10 ms."""

    @functools.partial(jax.jit, static_argnames="max_length")
    def search(
        params: nnx.State,
        source: Source,
        vector_BZ: Float[Array, "B Z"] | None,
        max_length: int | None = None,
    ) -> Array:
        def of_rows(
            params: nnx.State, source: Source, vector_BZ: Float[Array, "B Z"] | None
        ) -> Array:
            model = nnx.merge(graphdef, params)
            x_BSD, mask_BS = model.embed_source(source)
            memory = model.encode(x_BSD, mask_BS, vector_BZ)
            return answer(model, head, memory, vector_BZ, config, max_length, ctc_weight)

        if mesh is not None and all(len(leaf) % mesh.size == 0 for leaf in jax.tree.leaves(source)):
            # Each device searches alone: it need not wait for the others' longest row.
            parts = PartitionSpec("rows")
            of_rows = jax.shard_map(
                of_rows,
                mesh=mesh,
                in_specs=(PartitionSpec(), parts, parts),
                out_specs=parts,
                check_vma=False,
            )
        return of_rows(params, source, vector_BZ)

    return search
