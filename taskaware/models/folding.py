"""A trained model for one task alone, its task vector folded into plain weights.

The result is a vanilla ``Seq2Seq``, of the size and speed of one trained without a TCN.
"""

import dataclasses

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from taskaware.config import Task
from taskaware.errors import UsageError
from taskaware.models.blocks import DecoderBlock, EncoderBlock
from taskaware.models.building import abstract_for
from taskaware.models.heads.decoder import Decoder
from taskaware.models.seq2seq import Seq2Seq
from taskaware.modulation.affine import Modulation
from taskaware.modulation.folding import fold_input, fold_output
from taskaware.nn.layers import MultiHeadAttention


def fold_task(model: Seq2Seq, vector_Z: Float[Array | np.ndarray, " Z"], task: Task) -> Seq2Seq:
    """Return a model without conditioning that gives the same logits for one task.

    Exact, up to the rounding of float32, in post-norm models, for every placement of FiLM: each γ
    and β goes into the norm, or the projection, that it follows or precedes. At the decoder's
    entry, γ goes into the table that target tokens and the softmax share, and the last norm takes
    it out again; β goes into the first block's biases.

    Args:
        model: trained, with FiLM.
        vector_Z: the task's vector.
        task: the task; the frontend for the other kind of source is left out.

    Raises:
        UsageError: the algebra is not exact for this model; the message says where.
    """
    if model.modulator is None:
        raise UsageError("single task: the model has no FiLM: there are no γ and β to fold")
    if model.config.norm == "pre":
        raise UsageError(
            "single task: in a pre-norm model β at the decoder's entry reaches a LayerNorm by no "
            "bias, so it cannot be folded; share all tasks with their vectors, or train with norm "
            "post"
        )
    name = model.head_of(task.name)
    if len(model.heads) > 1 or not isinstance(model.heads[name], Decoder):
        raise UsageError(
            "single task: expected a model whose tasks share one decoder, found heads "
            f"{', '.join(model.heads)}; share all tasks with their vectors"
        )
    if model.config.film.stacks != "both":
        raise UsageError(
            f"single task: film.stacks is {model.config.film.stacks}, which leaves sites without γ "
            "and β to fold; share all tasks with their vectors"
        )
    modulation = model.modulator(jnp.asarray(vector_Z)[None])
    if not isinstance(modulation, Modulation):
        raise UsageError("single task: an adapter is not affine, so no weights can take it in")
    gamma_LD, beta_LD = modulation.gamma_BD[:, 0], modulation.beta_BD[:, 0]
    decoder_entry = model.modulator.sites(name).start
    if task.source == "text" and (gamma_LD[0] != gamma_LD[decoder_entry]).any():
        raise UsageError(
            "single task: source and target text share one table, and sharing "
            f"{model.modulator.sharing} gives them different γ; it is exact for tasks of speech, "
            "or with sharing all_blocks"
        )
    if (gamma_LD[decoder_entry] == 0).any():
        raise UsageError(
            "single task: γ of the target's embedding is 0 in a feature, which loses it"
        )

    config = dataclasses.replace(model.config, conditioning="vanilla")
    graphdef, params = nnx.split(abstract_for([task], config, model.vocab_size))
    weights = dict(nnx.to_flat_state(nnx.state(model)))
    plain_weights = [(path, weights[path].copy()) for path, _ in nnx.to_flat_state(params)]
    plain = nnx.merge(graphdef, nnx.from_flat_state(plain_weights))

    for site, block in enumerate(plain.encoder, 1):
        _fold_block(block, gamma_LD[site], beta_LD[site])
    decoder = plain.decoder(name).blocks
    for site, block in enumerate(decoder, decoder_entry + 1):
        _fold_block(block, gamma_LD[site], beta_LD[site])
    if plain.speech is not None:
        fold_output(plain.speech.project, gamma_LD[0], beta_LD[0])
    else:
        _shift_entry(plain.encoder[0], beta_LD[0])
    gamma_D = gamma_LD[decoder_entry]
    plain.embedding.table_VD[...] = plain.embedding.table_VD[...] * gamma_D[None]
    _shift_entry(decoder[0], beta_LD[decoder_entry])
    fold_output(decoder[-1].add_feed_forward.norm, 1 / gamma_D, jnp.zeros_like(gamma_D))
    return plain


def _fold_block(
    block: EncoderBlock | DecoderBlock, gamma_D: Float[Array, " D"], beta_D: Float[Array, " D"]
) -> None:
    """Fold the γ and β of a post-norm block into its norms or projections."""
    match block.config.film.placement:
        case "block_output":
            fold_output(block.add_feed_forward.norm, gamma_D, beta_D)
        case "residual_branch":
            for layer in (*(a.out for a in _attentions(block)), block.feed_forward.down):
                fold_output(layer, gamma_D, beta_D)
        case (
            "norm"
        ):  # each branch's input from the stream, so not the keys and values of the source
            itself, *cross = _attentions(block)
            readers = [itself.query, itself.key, itself.value, *(a.query for a in cross)]
            for layer in (*readers, block.feed_forward.up):
                fold_input(layer, gamma_D, beta_D)


def _shift_entry(block: EncoderBlock | DecoderBlock, beta_D: Float[Array, " D"]) -> None:
    """Add β to the stream before a post-norm block: to what attention reads and to the stream."""
    attention, ones_D = _attentions(block)[0], jnp.ones_like(beta_D)
    for layer in (attention.query, attention.key, attention.value):
        fold_input(layer, ones_D, beta_D)
    fold_output(attention.out, ones_D, beta_D)


def _attentions(block: EncoderBlock | DecoderBlock) -> list[MultiHeadAttention]:
    if isinstance(block, EncoderBlock):
        return [block.attention]
    return [block.self_attention, block.cross_attention]
