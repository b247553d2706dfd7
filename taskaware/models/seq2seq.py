"""The whole model: speech or text in, one head's answer out, modulated by a task vector."""

from collections.abc import Sequence
from typing import NamedTuple, assert_never

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Key

from taskaware.config import ModelConfig
from taskaware.config.heads import DecoderConfig, Wiring
from taskaware.dims import (
    PAD,
    Batch,
    Cache,
    FrameLabels,
    Label,
    Number,
    Source,
    Speech,
    Tags,
    Target,
    Text,
    Tokens,
)
from taskaware.models.blocks import EncoderBlock, run_blocks
from taskaware.models.conditioning import make_modulator, make_tcn
from taskaware.models.frontends import SpeechFrontend, TokenEmbedding
from taskaware.models.heads.base import (
    Condition,
    Encoded,
    TargetVectors,
    enter,
    norm_of,
    with_positions,
    with_prefix,
)
from taskaware.models.heads.building import build_head
from taskaware.models.heads.ctc import CTC
from taskaware.models.heads.decoder import Decoder, NextLogits
from taskaware.models.heads.pooled import LabelHead, NumberHead
from taskaware.models.heads.positions import FrameHead, TagHead
from taskaware.models.joining import RowOrder, join, row_order
from taskaware.modulation.tcn import ExplicitTCN, ImplicitTCN, TaskTokens
from taskaware.nn.layers import split_key
from taskaware.nn.linear import transpose_kernels


class Embedded(NamedTuple):
    """Joined rows after the frontends, before any modulation: the input of the TCN (D5)."""

    x_BSD: Float[Array, "B S D"]
    mask_BS: Bool[Array, "B S"]
    y_BTD: Float[Array, "B T D"]
    mask_BT: Bool[Array, "B T"]


class Memory(NamedTuple):
    """The encoder's output."""

    memory_BSD: Float[Array, "B S D"]
    """After the final norm."""
    mask_BS: Bool[Array, "B S"]
    stream_BSD: Float[Array, "B S D"]
    """Before it."""
    layers: dict[int, Float[Array, "B S D"]]
    """Outputs of the blocks that some head reads, by their number from 1."""


class Output(NamedTuple):
    """Of a teacher-forced pass: logits, and each stack's stream before its final norm."""

    logits_BTV: Float[Array, "B T V"]
    encoder_BSD: Float[Array, "B S D"]
    decoder_BTD: Float[Array, "B T D"]


class Seq2Seq(nnx.Module):
    """One Transformer for every task.

    Args:
        config: its shape and conditioning.
        vocab_size: V.
        tasks: their names; an explicit TCN has a row for each, in this order.
        speech: whether any task's source is speech; otherwise there is no speech frontend.
        task_tokens: of each task (``Task.tokens``), for conditioning by tokens.
        wiring: its heads, and which tasks have them; by default one decoder for all.
    """

    def __init__(
        self,
        config: ModelConfig,
        vocab_size: int,
        tasks: Sequence[str],
        *,
        speech: bool,
        task_tokens: Sequence[Sequence[str]] = (),
        wiring: Wiring = Wiring(),  # noqa: B008 (a NamedTuple)
        rngs: nnx.Rngs,
    ):
        dtype = jnp.dtype(config.dtype).type
        self.config = config
        self.vocab_size = vocab_size
        self.tasks = tuple(tasks)
        self.wiring = wiring
        self.embedding = TokenEmbedding(vocab_size, config.d_model, dtype=dtype, rngs=rngs)
        self.speech = (
            SpeechFrontend(config.d_model, channels=config.cnn_channels, dtype=dtype, rngs=rngs)
            if speech
            else None
        )
        self.encoder = nnx.List(
            [EncoderBlock(config, rngs=rngs) for _ in range(config.encoder_layers)]
        )
        sizes = [vocab_size if outputs is None else outputs for outputs in wiring.outputs]
        built = [
            build_head(head, config, size, rngs=rngs)
            for head, size in zip(wiring.heads, sizes, strict=True)
        ]
        self.heads = nnx.Dict({h.name: b for h, b in zip(wiring.heads, built, strict=True)})
        pre = config.norm == "pre"
        self.encoder_norm = nnx.LayerNorm(config.d_model, rngs=rngs) if pre else None
        # By key, since some head may be named "items".
        sites = {name: self.heads[name].num_sites for name in self.heads}
        self.modulator = make_modulator(config, sites)
        self.tcn = make_tcn(config, len(self.tasks), task_tokens, self.modulator, rngs)

    def head_of(self, task: str) -> str:
        """Return the name of a task's head."""
        names = self.wiring.of_tasks
        return self.wiring.heads[0].name if names is None else names[self.tasks.index(task)]

    def order(self, batch: Batch) -> RowOrder:
        """Return in which order the rows of a batch's tasks are joined."""
        return row_order(batch, self.tasks)

    def task_of_rows(self, batch: Batch) -> Int[np.ndarray, " B"]:
        """Return the task of each joined row, as an index into ``tasks``."""
        order = self.order(batch)
        each = zip(order.names, order.rows, strict=True)
        places = [np.full(rows, self.tasks.index(name), np.int32) for name, rows in each]
        return join(places, order.parts)

    def embed(self, batch: Batch) -> Embedded:
        """Run the frontends over sources and targets of all tasks; no block has run yet."""
        order = self.order(batch)
        rows = [batch[name] for name in order.names]
        spoken = [one.source for one in rows if isinstance(one.source, Speech)]
        written = [one.source for one in rows if isinstance(one.source, Text)]
        sources = []
        if spoken:
            frames_BAC, length_B = map(order.join, zip(*spoken, strict=True))
            sources.append(self.embed_source(Speech(frames_BAC, length_B)))
        if written:
            sources.append(
                self.embed_source(Text(order.join([text.tokens_BS for text in written])))
            )
        x_BSD, mask_BS = map(order.join, zip(*sources, strict=True))
        return Embedded(x_BSD, mask_BS, *self._target_vectors(batch, order))

    def _target_vectors(self, batch: Batch, order: RowOrder) -> TargetVectors:
        """Return all targets as vectors: those of a head's tasks together, then all joined."""
        by_task: dict[str, TargetVectors] = {}
        for name, tasks in self.by_head(order.names).items():
            of_head = order.of(tasks)
            vectors = self._vectors_of(name, of_head.join_trees([batch[t].target for t in tasks]))
            if len(tasks) == len(order.names):
                return vectors
            each = [of_head.part(leaf) for leaf in vectors]
            by_task |= {task: TargetVectors(*(leaf[task] for leaf in each)) for task in tasks}
        return order.join_trees([by_task[task] for task in order.names])

    def _vectors_of(self, head: str, target: Target) -> TargetVectors:
        place = [one.name for one in self.wiring.heads].index(head)
        match self.heads[head], target:
            case (Decoder() | CTC(), Tokens()) if self.wiring.outputs[place] is None:
                return TargetVectors(self.embedding(target.tokens_BT), target.tokens_BT != PAD)
            case CTC() as made, Tokens():
                return made.vectors(target)
            case LabelHead() as made, Label():
                return made.vectors(target)
            case NumberHead() as made, Number():
                return made.vectors(target)
            case TagHead() as made, Tags():
                return made.vectors(target)
            case FrameHead() as made, FrameLabels():
                return made.vectors(target)
            case _:
                raise AssertionError(f"head {head!r} for targets of {type(target).__name__}")

    def by_head(self, tasks: Sequence[str]) -> dict[str, list[str]]:
        """Return which of some tasks each head serves, in their order."""
        heads: dict[str, list[str]] = {}
        for task in tasks:
            heads.setdefault(self.head_of(task), []).append(task)
        return heads

    def embed_source(self, source: Source) -> tuple[Float[Array, "B S D"], Bool[Array, "B S"]]:
        """Return the frontend's output for sources, and a mask of its valid positions."""
        match source:
            case Speech():
                assert self.speech is not None, "speech for a model without it"
                return self.speech(source.frames_BAC, source.length_B)
            case Text():
                return self.embedding(source.tokens_BS), source.tokens_BS != PAD
            case _:
                assert_never(source)

    def task_vector(
        self, embedded: Embedded, task_B: Int[Array | np.ndarray, " B"]
    ) -> Float[Array, "B Z"] | None:
        """Return each row's task vector (eq. 1 or 2-5), or None without conditioning.

        Args:
            embedded: the rows.
            task_B: the task of each, as an index into ``tasks``: see ``task_of_rows``.
        """
        match self.tcn:
            case None:
                return None
            case ExplicitTCN() | TaskTokens():
                return self.tcn(task_B)
            case ImplicitTCN():
                if self.config.tcn.stop_gradient:
                    embedded = jax.tree.map(lax.stop_gradient, embedded)
                x_BSD, y_BTD = with_positions(embedded.x_BSD), with_positions(embedded.y_BTD)
                return self.tcn(x_BSD, embedded.mask_BS, y_BTD, embedded.mask_BT)
            case _:
                assert_never(self.tcn)

    def __call__(
        self,
        embedded: Embedded,
        vector_BZ: Float[Array, "B Z"] | None,
        key: Key[Array, ""] | None = None,
    ) -> Output:
        """Score every target token given those before it; a key turns dropout on.

        All rows are taken to be of tasks of the first head, a decoder.
        """
        encoder_key, decoder_key = split_key(key, 2)
        memory = self.encode(embedded.x_BSD, embedded.mask_BS, vector_BZ, encoder_key)
        name = self.wiring.heads[0].name
        decoder, condition = self.decoder(name), self.condition(name, vector_BZ)
        y_BTD = decoder.stream(self.read_by(name, memory), embedded.y_BTD, condition, decoder_key)
        return Output(decoder.logits(y_BTD, self.embedding), memory.stream_BSD, y_BTD)

    def encode(
        self,
        x_BSD: Float[Array, "B S D"],
        mask_BS: Bool[Array, "B S"],
        vector_BZ: Float[Array, "B Z"] | None,
        key: Key[Array, ""] | None = None,
    ) -> Memory:
        """Condition the frontends' output and run the encoder; a prefix adds positions."""
        condition = self.condition("encoder", vector_BZ)
        if condition.prefix_BPD is not None:
            x_BSD = with_prefix(condition, x_BSD)
            added = x_BSD.shape[1] - mask_BS.shape[1]
            mask_BS = jnp.pad(mask_BS, ((0, 0), (added, 0)), constant_values=True)
        keys = split_key(key, 2)
        x_BSD = enter(x_BSD, condition, self.config, keys[0])
        depth = len(self.encoder)
        ends = sorted({depth, *(head.layer for head in self.wiring.heads if head.layer)})
        block_keys = [keys[1]] if len(ends) == 1 else split_key(keys[1], len(ends))
        layers, first = {}, 0
        for end, block_key in zip(ends, block_keys, strict=True):
            at_blocks = condition.at(slice(1 + first, 1 + end))
            blocks = self.encoder[first:end]
            layers[end] = x_BSD = run_blocks(blocks, x_BSD, at_blocks, block_key, mask_BS)
            first = end
        return Memory(norm_of(self.encoder_norm, x_BSD), mask_BS, x_BSD, layers)

    def read_by(self, head: str, memory: Memory) -> Encoded:
        """Return what a head reads of the encoder's output: a block's, and of which positions."""
        config = next(one for one in self.wiring.heads if one.name == head)
        layer = config.layer
        x_BSD = memory.memory_BSD
        if layer is not None and layer < len(self.encoder):
            x_BSD = norm_of(self.encoder_norm, memory.layers[layer])
        before = 0 if isinstance(config, DecoderConfig) else self.prefix_length
        return Encoded(x_BSD[:, before:], memory.mask_BS[:, before:])

    @property
    def vector_width(self) -> int:
        """Z, the width of its task vectors; 0 without conditioning."""
        match self.tcn:
            case ExplicitTCN():
                return self.tcn.kernel_NZ.shape[1]
            case TaskTokens():
                return len(self.tcn.token_NP[0]) * self.config.d_model
            case ImplicitTCN():
                return self.tcn.head.out_features
            case None:
                return 0
            case _:
                assert_never(self.tcn)

    @property
    def prefix_length(self) -> int:
        """How many positions the task vector takes before the source."""
        into_input = self.config.injection == "input"
        return int(into_input and self.config.conditioning in ("explicit", "implicit"))

    def with_transposed_kernels(self) -> "Seq2Seq":
        """Return a copy for decoding few rows on a CPU: see ``transposed_product``."""
        copy = nnx.clone(self)
        for name in copy.heads:
            if isinstance(copy.heads[name], Decoder):
                transpose_kernels(copy.heads[name])
        copy.embedding.transposed = True  # its table is stored transposed already
        return copy

    def start_decoding(
        self,
        memory: Memory,
        vector_BZ: Float[Array, "B Z"] | None,
        num_beams: int,
        max_length: int,
        head: str | None = None,
    ) -> tuple[NextLogits, Cache]:
        """Return (next_logits, cache) of a decoder, by default the first; no TCN is called."""
        name = head or self.wiring.heads[0].name
        condition, encoded = self.condition(name, vector_BZ), self.read_by(name, memory)
        table = self.embedding
        return self.decoder(name).start_decoding(encoded, condition, table, num_beams, max_length)

    def decoder(self, head: str | None = None) -> Decoder:
        """Return the decoder of a name, by default the first head."""
        made = self.heads[head or self.wiring.heads[0].name]
        assert isinstance(made, Decoder), f"head {head!r} is no decoder"
        return made

    def condition(self, stack: str, vector_BZ: Float[Array, "B Z"] | None) -> Condition:
        """Return the task vector's effect on a stack: ``encoder``, or a head by its name."""
        if vector_BZ is None:
            return Condition()
        if self.modulator is not None:
            if stack not in dict(self.modulator.stacks):
                return Condition()
            return Condition(self.modulator(vector_BZ).at(self.modulator.sites(stack)))
        if stack == "encoder" and self.config.conditioning == "tokens":
            return Condition()
        return Condition(prefix_BPD=vector_BZ.reshape(len(vector_BZ), -1, self.config.d_model))
