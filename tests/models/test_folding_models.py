"""One task's vector in plain weights: the same logits, the same text, no more parameters."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from support.train_toy import MODEL, TASKS, V, batch
from support.variants import only

from taskaware.config import Decoding, FiLMConfig, ModelConfig, Task, TCNConfig, paper_model
from taskaware.dims import Speech
from taskaware.errors import UsageError
from taskaware.models.building import abstract, abstract_for
from taskaware.models.folding import fold_task
from taskaware.search.model import make_search

NAMED = {
    "speech": Task(name="asr", source="speech", target="transcript", metric="wer"),
    "text": Task(name="mt", source="text", target="translation", metric="bleu"),
}
SMALL = dataclasses.replace(MODEL, norm="post", encoder_layers=2, decoder_layers=2, dropout=0.0)


def random_model(config, speech=True):
    """Every number random: fresh biases are 0 and fresh scales are 1, which would hide mistakes."""
    graphdef, params = nnx.split(abstract(config, V, TASKS, speech=speech))
    random = np.random.default_rng(0)
    params = jax.tree.map(
        lambda x: jnp.asarray(0.3 * random.normal(size=x.shape) + (x.ndim == 1), x.dtype), params
    )
    return nnx.merge(graphdef, params)


def rows(source):
    """Rows of the task of that source."""
    return batch()[NAMED[source].name]


def repeated(vector_Z, given):
    return None if vector_Z is None else jnp.repeat(vector_Z[None], len(given.counts_B), axis=0)


@nnx.jit
def outputs(model, given, vector_Z):
    name = NAMED["speech" if isinstance(given.source, Speech) else "text"].name
    return model(model.embed({name: given}), repeated(vector_Z, given))


def texts(model, given, vector_Z):
    config = Decoding(beam_size=1, extra_length=4)
    search = make_search(model, config, split=False)
    return search(given.source, repeated(vector_Z, given))


LONG = pytest.mark.long
CASES = [
    (placement, *others)
    for placement in ("block_output", "residual_branch", "norm")
    for others in (("all_blocks", "one_plus", "speech"), ("all_blocks", "direct", "text"))
]
CASES = [
    *only(CASES, CASES[0], CASES[3], CASES[4]),  # each placement, each scale, each source
    ("block_output", "per_block_offset", "one_plus", "speech"),
    ("block_output", "per_stack", "one_plus", "speech"),
    pytest.param("residual_branch", "per_block_offset", "one_plus", "speech", marks=LONG),
    pytest.param("norm", "per_block_offset", "one_plus", "speech", marks=LONG),
]


@pytest.mark.parametrize(("placement", "sharing", "scale", "source"), CASES)
def test_a_single_task_model_gives_the_same_logits(placement, sharing, scale, source):
    init = "lecun" if scale == "direct" else "task_distinct"
    film = FiLMConfig(placement=placement, sharing=sharing, scale=scale, init=init)
    config = dataclasses.replace(SMALL, conditioning="explicit", film=film)
    model, given = random_model(config), rows(source)
    random = np.random.default_rng(7)
    vector_Z = jnp.asarray(random.normal(size=model.modulator.vector_width), jnp.float32)
    plain = fold_task(model, vector_Z, NAMED[source])

    expected, found = outputs(model, given, vector_Z), outputs(plain, given, None)
    kept = np.asarray(model.embed_source(given.source)[1])
    assert source == "text" or not kept.all()  # padding too
    # Logits of some tens: 1e-5 of the largest.
    largest = max(1.0, float(jnp.abs(expected.logits_BTV).max()))
    np.testing.assert_allclose(found.logits_BTV, expected.logits_BTV, atol=1e-5 * largest)
    np.testing.assert_allclose(
        np.asarray(found.encoder_BSD)[kept], np.asarray(expected.encoder_BSD)[kept], atol=1e-5
    )

    vanilla = dataclasses.replace(config, conditioning="vanilla")
    bare = abstract_for([NAMED[source]], vanilla, V)
    shapes = [
        [(path, leaf.shape) for path, leaf in nnx.to_flat_state(nnx.state(m))]
        for m in (plain, bare)
    ]
    assert shapes[0] == shapes[1]
    assert nnx.graphdef(plain) == nnx.graphdef(bare)


def test_the_paper_s_model_can_be_folded():
    small = paper_model(d_model=16, num_heads=2, d_ff=16, encoder_layers=2, decoder_layers=2)
    config = dataclasses.replace(
        small, cnn_channels=(2, 2, 2), tcn=TCNConfig(width=8, d_ff=8, num_heads=2)
    )
    model, given = random_model(config), rows("speech")
    vector_Z = model.task_vector(model.embed({"asr": given}), jnp.ones(8, int))[0]
    plain = fold_task(model, vector_Z, NAMED["speech"])
    expected, found = outputs(model, given, vector_Z), outputs(plain, given, None)
    largest = max(1.0, float(jnp.abs(expected.logits_BTV).max()))
    np.testing.assert_allclose(found.logits_BTV, expected.logits_BTV, atol=1e-5 * largest)
    np.testing.assert_array_equal(texts(plain, given, None), texts(model, given, vector_Z))


def test_another_vector_gives_another_model_and_the_given_one_stays():
    model, given = random_model(dataclasses.replace(SMALL, conditioning="explicit")), rows("text")
    before = jax.tree.map(np.array, nnx.state(model))
    a, b = (fold_task(model, model.tcn.kernel_NZ[...][n], NAMED["text"]) for n in (0, 1))
    logits = [outputs(m, given, None).logits_BTV for m in (a, b)]
    assert float(jnp.abs(logits[0] - logits[1]).max()) > 1e-2
    jax.tree.map(np.testing.assert_array_equal, before, nnx.state(model))


def changed(**changes) -> ModelConfig:
    return dataclasses.replace(SMALL, conditioning="explicit", **changes)


@pytest.mark.parametrize(
    ("config", "source", "message"),
    [
        (
            changed(norm="pre"),
            "speech",
            "pre-norm model β at the decoder's entry reaches a LayerNorm",
        ),
        (changed(injection="input"), "speech", "has no FiLM"),
        (dataclasses.replace(SMALL, conditioning="vanilla"), "speech", "has no FiLM"),
        (
            changed(film=FiLMConfig(sharing="per_stack")),
            "text",
            "sharing per_stack gives them diff",
        ),
    ],
)
def test_what_is_not_exact_is_refused(config, source, message):
    model = random_model(config)
    width = model.modulator.vector_width if model.modulator else 1
    vector_Z = jnp.asarray(np.random.default_rng(0).normal(size=width), jnp.float32)
    with pytest.raises(UsageError, match=message) as refusal:
        fold_task(model, vector_Z, NAMED[source])
    assert "\n" not in str(refusal.value)


def test_a_gamma_of_zero_at_the_table_is_refused():
    model = random_model(changed())
    vector_Z = jnp.zeros(model.modulator.vector_width).at[3].set(-1.0)  # γ = 1 + t
    with pytest.raises(UsageError, match="γ of the target's embedding is 0"):
        fold_task(model, vector_Z, NAMED["speech"])
