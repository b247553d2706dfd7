"""Each way to tell a model its task, and where it reaches the scores."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from support.tiny_model import (
    KINDS,
    PREFIX,
    SMALL,
    TASKS,
    WAYS,
    V,
    batch,
    embed,
    logits,
    model,
    vectors,
)
from support.variants import only

from taskaware.config import FiLMConfig
from taskaware.models.seq2seq import with_positions
from taskaware.modulation.affine import TCNParam
from taskaware.modulation.tcn import ExplicitTCN, ImplicitTCN, TaskTokens
from taskaware.training.state import count_parameters


@pytest.mark.parametrize(
    "way", only(["explicit", "explicit_input", "tokens"], "explicit", "tokens")
)
def test_rows_of_another_task_change_and_those_beside_them_do_not(way):
    m, b = model(way), batch()
    other = {"st": b["asr"], "mt": b["mt"]}
    difference = np.abs(np.asarray(logits(m, other) - logits(m, b))).max((1, 2))
    assert (difference[:2] > 1e-3).all()
    assert (difference[2:] == 0).all()


@pytest.mark.parametrize("way", only(["implicit", "implicit_input"], "implicit"))
def test_another_row_s_embedding_for_one_row_changes_that_row_alone(way):
    m, b = model(way), batch()
    own = vectors(m, b)
    difference = np.abs(np.asarray(logits(m, b, own.at[1].set(own[2])) - logits(m, b, own)))
    assert difference[1].max() > 1e-3
    assert (difference[jnp.array([0, 2, 3])] == 0).all()


def test_a_batch_s_names_choose_the_rows_of_an_explicit_tcn():
    m, b = model("explicit"), batch()
    given = {"st": b["mt"], "mt": b["mt"], "asr": b["asr"]}
    kernel_NZ = m.tcn.kernel_NZ[...]
    rows = [kernel_NZ[TASKS.index(name)] for name in ("asr", "st", "mt") for _ in range(2)]
    np.testing.assert_array_equal(vectors(m, given), jnp.stack(rows))


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_identity_modulation_is_no_modulation_bit_for_bit(norm):
    explicit = model("explicit", norm=norm, film=FiLMConfig(init="zero"))
    vanilla = model("vanilla", norm=norm)
    shared = nnx.state(explicit, nnx.Param)
    del shared["tcn"]
    nnx.update(vanilla, shared)
    with jax.disable_jit():  # compiled whole, two programs may round a sum in two ways
        assert np.array_equal(logits(explicit, batch()), logits(vanilla, batch()))


# Vectors before what the model reads.


def scores_by_hand(m, b, vectors_BPD, in_front=True):
    """What a vanilla model of the same weights says where the vectors are fed to it."""
    vanilla, shared = model("vanilla"), nnx.state(m, nnx.Param)
    del shared["tcn"]
    nnx.update(vanilla, shared)
    return scores_after(vanilla, b, vectors_BPD, m.config.injection == "input", in_front)


@functools.partial(nnx.jit, static_argnums=(3, 4))
def scores_after(vanilla, b, vectors_BPD, before_source, in_front):
    x_BSD, mask_BS, y_BTD, _ = vanilla.embed(b)
    if before_source:
        keep = jnp.ones((4, 1), bool)
        order = slice(None) if in_front else slice(None, None, -1)
        x_BSD = jnp.concatenate([vectors_BPD, x_BSD][order], 1)
        mask_BS = jnp.concatenate([keep, mask_BS][order], 1)
    memory = vanilla.encode(x_BSD, mask_BS, None)
    # What is fed in at each target's position is the target before it, and zero at first.
    before_BTD = jnp.zeros_like(y_BTD).at[:, 1:].set(y_BTD[:, :-1])
    y_BTD = with_positions(jnp.concatenate([vectors_BPD, before_BTD], 1))
    for block in vanilla.decoder().blocks:
        y_BTD = block(y_BTD, None, None, memory.memory_BSD, memory.mask_BS)
    scores = vanilla.embedding.logits(vanilla.decoder().norm(y_BTD))
    return scores[:, vectors_BPD.shape[1] :]


@pytest.mark.parametrize("way", only(PREFIX, "implicit_input", "tokens"))
def test_a_prefix_is_one_more_position_a_vector_of_a_model_that_knows_of_none(way):
    m, b = model(way), batch()
    embedding = vectors(m, b)
    vectors_BPD = jnp.stack(jnp.split(embedding, PREFIX[way], axis=1), 1)
    found = logits(m, b)
    np.testing.assert_allclose(found, scores_by_hand(m, b, vectors_BPD), rtol=1e-4, atol=1e-4)
    # At the source's end, or in another order, they would say something else.
    elsewhere = scores_by_hand(m, b, vectors_BPD[:, ::-1], in_front=False)
    assert float(jnp.abs(found - elsewhere).max()) > 1e-2


@pytest.mark.parametrize(
    ("way", "added"),
    only(
        [("explicit", 0), ("explicit_input", 1), ("implicit_input", 1), ("tokens", 0)],
        *[("implicit_input", 1), ("tokens", 0)],
    ),
)
def test_a_vector_before_the_input_adds_a_source_position_and_none_that_is_scored(way, added):
    m, b = model(way), batch()
    embedded = embed(m, b)
    embedding = vectors(m, b)
    output = nnx.jit(lambda m: m(embedded, embedding))(m)
    assert output.logits_BTV.shape == (4, 5, V)
    assert output.decoder_BTD.shape == (4, 5, 16)
    assert output.encoder_BSD.shape[1] == embedded.mask_BS.shape[1] + added
    encode = nnx.jit(lambda m: m.encode(embedded.x_BSD, embedded.mask_BS, embedding))
    mask_BS = encode(m).mask_BS
    expected = np.pad(embedded.mask_BS, ((0, 0), (added, 0)), constant_values=True)
    np.testing.assert_array_equal(mask_BS, expected)


def test_tokens_say_nothing_to_the_encoder():
    m, b = model("tokens"), batch()
    x_BSD, mask_BS, *_ = embed(m, b)
    tasks = jnp.array([0, 1, 2, 0]), jnp.array([1, 2, 0, 1])
    encode = nnx.jit(lambda m, task_B: m.encode(x_BSD, mask_BS, m.tcn(task_B)).memory_BSD)
    one, other = (encode(m, task_B) for task_B in tasks)
    assert np.array_equal(one, other)


@pytest.mark.parametrize(
    ("way", "numbers"),
    [
        ("explicit", 3 * 2 * 16 + 6 * 2 * 16),  # γ, β of three tasks; offsets of six sites
        ("explicit_input", 3 * 16),  # a vector a task
        ("tokens", 5 * 16),  # a vector a token
    ],
)
def test_there_are_sites_for_film_where_film_is_what_tells_the_task(way, numbers):
    m = model(way, film=FiLMConfig(init="lecun", sharing="per_block_offset"))
    assert (m.modulator is not None) == (way == "explicit")
    assert count_parameters(nnx.state(m), TCNParam) == numbers


def test_there_is_a_site_after_each_frontend_and_at_each_block():
    modulator = model(encoder_layers=3, decoder_layers=2).modulator
    assert modulator.num_sites == (1 + 3) + (1 + 2)
    assert [modulator.sites(side) for side in ("encoder", "decoder")] == [slice(0, 4), slice(4, 7)]


@pytest.mark.parametrize("site", range(6))
@pytest.mark.parametrize("kind", KINDS)
def test_every_site_of_the_modulation_reaches_the_scores(kind, site):
    m, b = model("explicit", film=KINDS[kind]), batch()
    before = logits(m, b)
    kernel_NLP = m.tcn.kernel_NZ[...].reshape(3, 6, -1)
    m.tcn.kernel_NZ[...] = kernel_NLP.at[:, site].add(0.5).reshape(3, -1)
    assert np.abs(np.asarray(logits(m, b) - before)).max() > 1e-3


@pytest.mark.parametrize("site", range(6))
def test_every_offset_reaches_the_scores(site):
    m, b = model("explicit", film=FiLMConfig(sharing="per_block_offset")), batch()
    before = logits(m, b)
    m.modulator.offset_LZ[...] = m.modulator.offset_LZ[...].at[site].set(0.5)
    assert np.abs(np.asarray(logits(m, b) - before)).max() > 1e-3


def test_the_tcn_looks_at_frontends_that_no_task_has_modulated():
    """Otherwise its input would depend on its output (D5)."""
    m, b = model("implicit"), batch()
    assert np.array_equal(vectors(m, b), vectors(m, {"st": b["asr"], "mt": b["mt"]}))


@pytest.mark.parametrize("stopped", [True, False])
def test_stop_gradient_decides_whether_frontends_learn_through_the_tcn(stopped):
    tcn = dataclasses.replace(SMALL.tcn, stop_gradient=stopped)
    m, b = model("implicit", tcn=tcn), batch()
    square = lambda m: (vectors(m, b) ** 2).sum()  # noqa: E731
    gradient = nnx.jit(nnx.grad(square))(m)
    reach = float(jnp.abs(gradient["embedding"]["table_VD"][...]).max())
    assert (reach == 0) is stopped


def test_each_conditioning_has_its_tcn():
    kinds = {way: type(model(way).tcn) for way in WAYS}
    assert kinds == {
        "vanilla": type(None),
        "explicit": ExplicitTCN,
        "explicit_input": ExplicitTCN,
        "implicit": ImplicitTCN,
        "implicit_input": ImplicitTCN,
        "tokens": TaskTokens,
    }
