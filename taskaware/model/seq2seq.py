"""The whole model: speech or text in, tokens out, modulated by a task embedding."""

from typing import Any, NamedTuple, assert_never

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Key

from taskaware.config import Model
from taskaware.dims import PAD, Batch
from taskaware.layers import dropout, sinusoids, split_key
from taskaware.model.blocks import Cache, DecoderBlock, EncoderBlock, KeysValues
from taskaware.model.frontends import SpeechFrontend, TokenEmbedding
from taskaware.modulation.film import Modulation, Places, modulate
from taskaware.modulation.tcn import ExplicitTCN, ImplicitTCN


class Embedded(NamedTuple):
    """A batch after the frontends, before any modulation: what the TCN looks at (D5)."""

    x_BSD: Float[Array, "B S D"]
    mask_BS: Bool[Array, "B S"]
    y_BTD: Float[Array, "B T D"]
    mask_BT: Bool[Array, "B T"]


class Memory(NamedTuple):
    """The encoder's output, which decoding starts from."""

    memory_BSD: Float[Array, "B S D"]
    mask_BS: Bool[Array, "B S"]
    stream_BSD: Float[Array, "B S D"]


class Output(NamedTuple):
    """What a teacher-forced pass gives: scores, and each stack's stream before its final norm."""

    logits_BTV: Float[Array, "B T V"]
    encoder_BSD: Float[Array, "B S D"]
    decoder_BTD: Float[Array, "B T D"]


class Seq2Seq(nnx.Module):
    """One Transformer for every task.

    Args:
        config: its shape and conditioning.
        vocab_size: V.
        num_tasks: N.
        speech: whether any task's source is speech; without, there is no speech frontend.
    """

    def __init__(
        self, config: Model, vocab_size: int, num_tasks: int, *, speech: bool, rngs: nnx.Rngs
    ):
        dtype = jnp.dtype(config.dtype).type
        self.config = config
        self.vocab_size = vocab_size
        self.embedding = TokenEmbedding(vocab_size, config.d_model, dtype=dtype, rngs=rngs)
        self.speech = (
            SpeechFrontend(
                config.mel_channels,
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
        # Each side has a place after its frontend and one at every block.
        self.places = Places(
            config.d_model,
            1 + config.encoder_layers,
            1 + config.decoder_layers,
            scale=config.film.scale,
            sharing=config.film.sharing if config.conditioning != "vanilla" else "all_blocks",
        )
        self.tcn = _tcn(config, num_tasks, self.places.embedding_width, rngs)

    def embed(self, batch: Batch) -> Embedded:
        """Run the frontends over sources and targets; no block has run yet."""
        x_BSD, mask_BS = self.embed_source(batch)
        return Embedded(x_BSD, mask_BS, self.embedding(batch.target_BT), batch.target_BT != PAD)

    def embed_source(self, batch: Batch) -> tuple[Float[Array, "B S D"], Bool[Array, "B S"]]:
        """Run the frontends over sources and join speech rows and text rows."""
        sources = []
        if batch.speech is not None:
            assert self.speech is not None, "a batch with speech for a model without it"
            sources.append(self.speech(batch.speech.frames_BAC, batch.speech.length_B))
        if batch.source_BS is not None:
            sources.append((self.embedding(batch.source_BS), batch.source_BS != PAD))
        width = max(mask.shape[1] for _, mask in sources)
        x_BSD = jnp.concatenate([_pad_to(x, width) for x, _ in sources])
        mask_BS = jnp.concatenate([_pad_to(mask, width) for _, mask in sources])
        return x_BSD, mask_BS

    def task_embedding(
        self, embedded: Embedded, task_B: Int[Array, " B"]
    ) -> Float[Array, "B Z"] | None:
        """Return each row's own task embedding (eq. 1 or 2-5), or None without conditioning."""
        match self.tcn:
            case None:
                return None
            case ExplicitTCN():
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
        embedding_BZ: Float[Array, "B Z"] | None,
        key: Key[Array, ""] | None = None,
    ) -> Output:
        """Score every target token given those before it; a key turns dropout on."""
        encoder_key, decoder_key = split_key(key, 2)
        memory = self.encode(embedded.x_BSD, embedded.mask_BS, embedding_BZ, encoder_key)
        modulation = self._decoder_modulation(embedding_BZ)
        y_BTD = jnp.pad(embedded.y_BTD[:, :-1], ((0, 0), (1, 0), (0, 0)))  # starts from zero: D17
        decoder_keys = split_key(decoder_key, 2)
        y_BTD = self._enter(y_BTD, modulation, decoder_keys[0])
        y_BTD = self._run(
            self.decoder, y_BTD, modulation, decoder_keys[1], memory.memory_BSD, memory.mask_BS
        )
        logits_BTV = self.embedding.logits(_norm(self.decoder_norm, y_BTD))
        return Output(logits_BTV, memory.stream_BSD, y_BTD)

    def encode(
        self,
        x_BSD: Float[Array, "B S D"],
        mask_BS: Bool[Array, "B S"],
        embedding_BZ: Float[Array, "B Z"] | None,
        key: Key[Array, ""] | None = None,
    ) -> Memory:
        """Modulate the frontends' output and run the encoder."""
        modulation = None
        if embedding_BZ is not None:
            modulation = self.places(embedding_BZ).at(slice(0, self.places.encoder_places))
        keys = split_key(key, 2)
        x_BSD = self._enter(x_BSD, modulation, keys[0])
        x_BSD = self._run(self.encoder, x_BSD, modulation, keys[1], mask_BS)
        return Memory(_norm(self.encoder_norm, x_BSD), mask_BS, x_BSD)

    def start_decoding(self, memory: Memory, embedding_BZ, num_beams: int, max_length: int):
        """Return (next_logits, cache) for the searches of ``decode``; the TCN is not called."""
        config = self.config
        modulation = self._decoder_modulation(embedding_BZ)
        source = [
            KeysValues(*b.cross_attention.keys_values(memory.memory_BSD)) for b in self.decoder
        ]
        position_TD = jnp.asarray(sinusoids(max_length, config.d_model))
        shape = (
            memory.mask_BS.shape[0],
            num_beams,
            max_length,
            config.num_heads,
            config.d_model // config.num_heads,
        )
        cache = [Cache(jnp.zeros(shape), jnp.zeros(shape)) for _ in self.decoder]

        def next_logits(tokens_BW: Int[Array, "B W"], position: Int[Array, ""], cache: Any):
            y_BWD = modulate(self.embedding(tokens_BW), _at(modulation, 0))
            y_BWD = y_BWD + position_TD[position][None, None]
            updated = []
            for layer, block in enumerate(self.decoder):
                y_BWD, block_cache = block.step(
                    y_BWD,
                    _at(modulation, 1 + layer),
                    source[layer],
                    memory.mask_BS,
                    cache[layer],
                    position,
                )
                updated.append(block_cache)
            return self.embedding.logits(_norm(self.decoder_norm, y_BWD)), updated

        return next_logits, cache

    def _decoder_modulation(self, embedding_BZ) -> Modulation | None:
        if embedding_BZ is None:
            return None
        return self.places(embedding_BZ).at(slice(self.places.encoder_places, None))

    def _enter(self, x, modulation, key):
        """Modulate a frontend's output (D4: at the model's width), then add positions."""
        return dropout(with_positions(modulate(x, _at(modulation, 0))), self.config.dropout, key)

    def _run(self, blocks, x, modulation, key, *context):
        """Run a stack, one place of the modulation a block: unrolled, or as one compiled loop."""
        keys = None if key is None else jax.random.split(key, len(blocks))
        per_block = (None if modulation is None else modulation.at(slice(1, None)), keys)
        if not self.config.scan:
            for layer, block in enumerate(blocks):
                place, block_key = jax.tree.map(lambda leaf, i=layer: leaf[i], per_block)
                x = block(x, place, block_key, *context)
            return x
        graphdef = nnx.graphdef(blocks[0])
        weights = jax.tree.map(lambda *leaves: jnp.stack(leaves), *map(nnx.state, blocks))

        def body(x, slices):
            block_weights, (place, block_key) = slices
            block = nnx.merge(graphdef, block_weights)
            return block(x, place, block_key, *context), None

        return lax.scan(body, x, (weights, per_block))[0]


def with_positions(x_BSD: Float[Array, "B S D"]) -> Float[Array, "B S D"]:
    """Add sinusoidal positions."""
    return x_BSD + sinusoids(*x_BSD.shape[1:])[None]


def build(config: Model, vocab_size: int, num_tasks: int, *, speech: bool, seed: int) -> Seq2Seq:
    """Build a model with fresh weights."""
    return Seq2Seq(config, vocab_size, num_tasks, speech=speech, rngs=nnx.Rngs(seed))


def _tcn(
    config: Model, num_tasks: int, embedding_width: int, rngs: nnx.Rngs
) -> ExplicitTCN | ImplicitTCN | None:
    match config.conditioning:
        case "vanilla":
            return None
        case "explicit":
            return ExplicitTCN(
                num_tasks, config.d_model, embedding_width, init=config.film.init, rngs=rngs
            )
        case "implicit":
            return ImplicitTCN(
                config.d_model,
                embedding_width,
                width=config.tcn.width,
                d_ff=config.tcn.d_ff,
                num_heads=config.tcn.num_heads,
                num_layers=config.tcn.num_layers,
                scaled=config.tcn.scaled,
                init=config.film.init,
                dtype=jnp.dtype(config.dtype).type,
                rngs=rngs,
            )
        case _:
            assert_never(config.conditioning)


def _at(modulation: Modulation | None, place: int) -> Modulation | None:
    return None if modulation is None else modulation.at(place)


def _norm(norm: nnx.LayerNorm | None, x: Float[Array, "B T D"]) -> Float[Array, "B T D"]:
    return x if norm is None else norm(x)


def _pad_to(x: Array, width: int) -> Array:
    return jnp.pad(x, [(0, 0), (0, width - x.shape[1]), *[(0, 0)] * (x.ndim - 2)])
