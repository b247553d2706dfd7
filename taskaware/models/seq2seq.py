"""The whole model: speech or text in, tokens out, modulated by a task vector."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, assert_never

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Key

from taskaware.config import ModelConfig
from taskaware.dims import PAD, Batch, Cache, Source, Speech, Text
from taskaware.models.blocks import DecoderBlock, EncoderBlock, run_blocks
from taskaware.models.frontends import SpeechFrontend, TokenEmbedding
from taskaware.models.joining import RowOrder, join, row_order
from taskaware.modulation.modulator import AnyModulation, Modulator, modulate
from taskaware.modulation.tcn import ExplicitTCN, ImplicitTCN, TaskTokens
from taskaware.nn.layers import KeysValues, dropout, sinusoids, split_key
from taskaware.nn.linear import transpose_kernels

NextLogits = Callable[[Int[Array, "B W"], Int[Array, ""], Cache], tuple[Array, Cache]]
"""One step of a decoder: (tokens_BW, position, cache) → (logits_BWV, cache). The first token is
PAD, whose embedding is zero."""


class Embedded(NamedTuple):
    """Joined rows after the frontends, before any modulation: the input of the TCN (D5)."""

    x_BSD: Float[Array, "B S D"]
    mask_BS: Bool[Array, "B S"]
    y_BTD: Float[Array, "B T D"]
    mask_BT: Bool[Array, "B T"]


class Condition(NamedTuple):
    """The effect of a task vector on encoder or decoder: FiLM, or vectors before the input."""

    modulation: AnyModulation | None = None
    prefix_BPD: Float[Array, "B P D"] | None = None


class Memory(NamedTuple):
    """The encoder's output, which decoding starts from."""

    memory_BSD: Float[Array, "B S D"]
    mask_BS: Bool[Array, "B S"]
    stream_BSD: Float[Array, "B S D"]


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
    """

    def __init__(
        self,
        config: ModelConfig,
        vocab_size: int,
        tasks: Sequence[str],
        *,
        speech: bool,
        task_tokens: Sequence[Sequence[str]] = (),
        rngs: nnx.Rngs,
    ):
        dtype = jnp.dtype(config.dtype).type
        self.config = config
        self.vocab_size = vocab_size
        self.tasks = tuple(tasks)
        self.embedding = TokenEmbedding(vocab_size, config.d_model, dtype=dtype, rngs=rngs)
        self.speech = (
            SpeechFrontend(
                config.d_model,
                channels=config.cnn_channels,
                dtype=dtype,
                rngs=rngs,
            )
            if speech
            else None
        )
        self.encoder = nnx.List(
            [EncoderBlock(config, rngs=rngs) for _ in range(config.encoder_layers)]
        )
        self.decoder = nnx.List(
            [DecoderBlock(config, rngs=rngs) for _ in range(config.decoder_layers)]
        )
        pre = config.norm == "pre"
        self.encoder_norm = nnx.LayerNorm(config.d_model, rngs=rngs) if pre else None
        self.decoder_norm = nnx.LayerNorm(config.d_model, rngs=rngs) if pre else None
        self.modulator = _modulator(config)
        self.tcn = _tcn(config, len(self.tasks), task_tokens, self.modulator, rngs)

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
        target_BT = order.join([one.target.tokens_BT for one in rows])
        return Embedded(x_BSD, mask_BS, self.embedding(target_BT), target_BT != PAD)

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
        """Score every target token given those before it; a key turns dropout on."""
        encoder_key, decoder_key = split_key(key, 2)
        memory = self.encode(embedded.x_BSD, embedded.mask_BS, vector_BZ, encoder_key)
        _, condition = self._conditions(vector_BZ)
        y_BTD = jnp.pad(embedded.y_BTD[:, :-1], ((0, 0), (1, 0), (0, 0)))  # starts from zero: D17
        decoder_keys = split_key(decoder_key, 2)
        y_BTD = self._enter(_after(condition.prefix_BPD, y_BTD), condition, decoder_keys[0])
        at_blocks = _at(condition.modulation, slice(1, None))
        context = memory.memory_BSD, memory.mask_BS
        y_BTD = run_blocks(self.decoder, y_BTD, at_blocks, decoder_keys[1], *context)
        y_BTD = y_BTD[:, -embedded.y_BTD.shape[1] :]  # a prefix predicts nothing
        return Output(self.logits(y_BTD), memory.stream_BSD, y_BTD)

    def logits(self, y_BTD: Float[Array, "B T D"]) -> Float[Array, "B T V"]:
        """Score every token, given the decoder's stream before its final norm."""
        return self.embedding.logits(_norm(self.decoder_norm, y_BTD))

    def encode(
        self,
        x_BSD: Float[Array, "B S D"],
        mask_BS: Bool[Array, "B S"],
        vector_BZ: Float[Array, "B Z"] | None,
        key: Key[Array, ""] | None = None,
    ) -> Memory:
        """Condition the frontends' output and run the encoder; a prefix adds positions."""
        condition, _ = self._conditions(vector_BZ)
        if condition.prefix_BPD is not None:
            x_BSD = _after(condition.prefix_BPD, x_BSD)
            added = x_BSD.shape[1] - mask_BS.shape[1]
            mask_BS = jnp.pad(mask_BS, ((0, 0), (added, 0)), constant_values=True)
        keys = split_key(key, 2)
        x_BSD = self._enter(x_BSD, condition, keys[0])
        at_blocks = _at(condition.modulation, slice(1, None))
        x_BSD = run_blocks(self.encoder, x_BSD, at_blocks, keys[1], mask_BS)
        return Memory(_norm(self.encoder_norm, x_BSD), mask_BS, x_BSD)

    def start_decoding(
        self,
        memory: Memory,
        vector_BZ: Float[Array, "B Z"] | None,
        num_beams: int,
        max_length: int,
    ) -> tuple[NextLogits, Cache]:
        """Return (next_logits, cache) for the searches of ``search``; the TCN is not called."""
        # XLA would otherwise undo the keys' transposition, and redo it at every step.
        source = lax.optimization_barrier(self.source_keys(memory))
        return self.decoding(source, memory.mask_BS, vector_BZ, num_beams, max_length)

    def with_transposed_kernels(self) -> "Seq2Seq":
        """Return a copy for decoding few rows on a CPU: see ``transposed_product``."""
        copy = nnx.clone(self)
        transpose_kernels(copy.decoder)
        copy.embedding.transposed = True  # its table is stored transposed already
        return copy

    def source_keys(self, memory: Memory) -> list[KeysValues]:
        """Return the keys and values that each decoder block attends to, once per source."""
        return [b.cross_attention.keys_values(memory.memory_BSD) for b in self.decoder]

    def decoding(
        self,
        source: list[KeysValues],
        mask_BS: Bool[Array, "B S"],
        vector_BZ: Float[Array, "B Z"] | None,
        num_beams: int,
        max_length: int,
    ) -> tuple[NextLogits, Cache]:
        """Return (next_logits, cache) as ``start_decoding``, from the blocks' keys and values."""
        # One cache serves all beams of a row: keys and values of a token are written once, to the
        # slot of its position and beam, and stay there when the search drops, copies or reorders
        # beams. What moves is ``beams``, a mask per beam of the slots of the tokens it descends
        # from: bits in place of D numbers per block. A prefix's slots come first, in every mask.
        config = self.config
        _, (modulation, prefix_BPD) = self._conditions(vector_BZ)
        prefix_length = 0 if prefix_BPD is None else prefix_BPD.shape[1]
        position_TD = jnp.asarray(sinusoids(prefix_length + max_length, config.d_model))
        rows, slots = len(mask_BS), prefix_length + max_length * num_beams  # one per token and beam
        head_width = config.d_model // config.num_heads
        empty_BHXK = jnp.zeros((rows, config.num_heads, slots, head_width))
        past = [KeysValues(empty_BHXK.swapaxes(-1, -2), empty_BHXK) for _ in self.decoder]
        cache = Cache(jnp.zeros((rows, 1, slots), bool), past)

        def take_in(
            y_BWD: Float[Array, "B W D"],
            position: Int[Array, ""],
            slot: Int[Array, ""],
            cache: Cache,
        ) -> tuple[Float[Array, "B W D"], Cache]:
            y_BWD = modulate(y_BWD, _at(modulation, 0)) + position_TD[position][None, None]
            itself = jnp.tile(jnp.eye(y_BWD.shape[1], dtype=bool), (rows, 1, 1))
            seen_BWX = lax.dynamic_update_slice_in_dim(cache.beams, itself, slot, axis=-1)
            past = []
            for layer, block in enumerate(self.decoder):
                y_BWD, layer_past = block.step(
                    y_BWD,
                    _at(modulation, 1 + layer),
                    source[layer],
                    mask_BS,
                    cache.rows[layer],
                    slot,
                    seen_BWX,
                )
                past.append(layer_past)
            return y_BWD, Cache(seen_BWX, past)

        def next_logits(
            tokens_BW: Int[Array, "B W"], position: Int[Array, ""], cache: Cache
        ) -> tuple[Float[Array, "B W V"], Cache]:
            slot = prefix_length + position * num_beams
            embedded_BWD = self.embedding(tokens_BW)
            y_BWD, cache = take_in(embedded_BWD, prefix_length + position, slot, cache)
            return self.logits(y_BWD), cache

        for place in range(prefix_length):
            assert prefix_BPD is not None
            slot = jnp.int32(place)
            _, cache = take_in(prefix_BPD[:, place][:, None], slot, slot, cache)
        return next_logits, Cache(jnp.repeat(cache.beams, num_beams, axis=1), cache.rows)

    def _conditions(self, vector_BZ: Float[Array, "B Z"] | None) -> tuple[Condition, Condition]:
        """Return the task vector's effect on the encoder and on the decoder."""
        if vector_BZ is None:
            return Condition(), Condition()
        if self.modulator is not None:
            modulation, sites = self.modulator(vector_BZ), self.modulator.sites
            encoder, decoder = (modulation.at(sites(side)) for side in ("encoder", "decoder"))
            return Condition(encoder), Condition(decoder)
        prefix_BPD = vector_BZ.reshape(len(vector_BZ), -1, self.config.d_model)
        both = self.config.conditioning != "tokens"
        return Condition(prefix_BPD=prefix_BPD if both else None), Condition(prefix_BPD=prefix_BPD)

    def _enter(
        self, x: Float[Array, "B S D"], condition: Condition, key: Key[Array, ""] | None
    ) -> Float[Array, "B S D"]:
        """Modulate a frontend's output (D4: at the model's width), then add positions."""
        x = with_positions(modulate(x, _at(condition.modulation, 0)))
        return dropout(x, self.config.dropout, key)


def with_positions(x_BSD: Float[Array, "B S D"]) -> Float[Array, "B S D"]:
    """Add sinusoidal positions."""
    return x_BSD + sinusoids(*x_BSD.shape[1:])[None]


def _modulator(config: ModelConfig) -> Modulator | None:
    """Return the modulator, if any: one site after each side's frontend and one per block."""
    if config.conditioning not in ("explicit", "implicit") or config.injection != "film":
        return None
    return Modulator(
        config.d_model,
        {"encoder": 1 + config.encoder_layers, "decoder": 1 + config.decoder_layers},
        kind=config.film.kind,
        scale=config.film.scale,
        sharing=config.film.sharing,
        adapter_width=config.film.adapter_width,
    )


def _tcn(
    config: ModelConfig,
    num_tasks: int,
    task_tokens: Sequence[Sequence[str]],
    modulator: Modulator | None,
    rngs: nnx.Rngs,
) -> ExplicitTCN | ImplicitTCN | TaskTokens | None:
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


def _at(modulation: AnyModulation | None, site: int | slice) -> AnyModulation | None:
    return None if modulation is None else modulation.at(site)


def _after(prefix_BPD: Float[Array, "B P D"] | None, x: Array) -> Array:
    return x if prefix_BPD is None else jnp.concatenate([prefix_BPD.astype(x.dtype), x], axis=1)


def _norm(norm: nnx.LayerNorm | None, x: Float[Array, "B T D"]) -> Float[Array, "B T D"]:
    return x if norm is None else norm(x)
