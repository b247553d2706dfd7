"""The whole model: what a score may depend on, and what may not change it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from support.tiny_model import (
    SMALL,
    TASKS,
    WAYS,
    V,
    batch,
    embed,
    logits,
    model,
    targets,
    vectors,
)
from support.variants import only

from taskaware.config import FiLMConfig, paper_model
from taskaware.dims import PAD, Tokens
from taskaware.models.building import abstract, build
from taskaware.training.state import count_parameters


@pytest.mark.parametrize("way", only(WAYS, "implicit", "implicit_input", "tokens"))
def test_padding_never_changes_a_score(way):
    m, b = model(way), batch()
    wider = {"frames_BAC": ((0, 0), (0, 24), (0, 0)), "tokens_BS": ((0, 0), (0, 7))}

    def padded(rows):
        name = rows.source._fields[0]
        source = jnp.pad(rows.source[0], wider[name], constant_values=9 * (name == "frames_BAC"))
        target = jnp.pad(rows.target.tokens_BT, ((0, 0), (0, 3)))
        return rows._replace(source=rows.source._replace(**{name: source}), target=Tokens(target))

    found = logits(m, {name: padded(rows) for name, rows in b.items()})[:, :5]
    valid = np.asarray(targets(b) != PAD)
    np.testing.assert_allclose(found[valid], logits(m, b)[valid], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("way", only(["vanilla", "explicit", "tokens"], "explicit", "tokens"))
def test_a_score_depends_on_no_later_target(way):
    """By gradient: of position t's scores with respect to what is fed in at each position."""
    m, b = model(way), batch()
    embedded, embedding = embed(m, b), vectors(m, b)
    graphdef, params = nnx.split(m)

    @jax.jit
    @jax.grad
    def slope(y_BTD, params, position):
        output = nnx.merge(graphdef, params)(embedded._replace(y_BTD=y_BTD), embedding)
        return output.logits_BTV[:, position].sum()

    for position in range(5):
        reach = np.abs(slope(embedded.y_BTD, params, position)).max((0, 2))
        assert (reach[position:] == 0).all()  # its own token is what it must predict
        valid = np.asarray(targets(b) != PAD).any(0)[:position]
        assert (reach[:position][valid] > 0).all()


@pytest.mark.parametrize("way", only(WAYS, "implicit", "explicit_input", "tokens"))
def test_a_mixed_batch_is_the_batches_of_each_modality(way):
    m, b = model(way), batch()
    both = logits(m, b)
    for name, rows in (("asr", slice(0, 2)), ("mt", slice(2, 4))):
        valid = np.asarray(b[name].target.tokens_BT != PAD)
        alone = logits(m, {name: b[name]})
        np.testing.assert_allclose(alone[valid], both[rows][valid], atol=1e-4)


@pytest.mark.parametrize(
    ("way", "sharing"),
    [
        ("explicit", "per_block"),
        # Without FiLM, nothing is shared.
        pytest.param("explicit_input", "all_blocks", marks=pytest.mark.variants),
        *(
            pytest.param(*case, marks=pytest.mark.long)
            for case in [
                ("vanilla", "all_blocks"),
                ("explicit", "per_block_offset"),
                ("explicit", "all_blocks"),
                ("vanilla", "per_block"),
                ("vanilla", "per_block_offset"),
                ("implicit", "per_block"),
                ("implicit", "all_blocks"),
                ("implicit", "per_block_offset"),
            ]
        ),
    ],
)
def test_a_loop_over_blocks_gives_what_the_unrolled_stack_gives(way, sharing):
    film = FiLMConfig(init="lecun", sharing=sharing)
    unrolled = model(way, film=film, dropout=0.3)
    looped = model(way, film=film, dropout=0.3, scan=True)
    b, key = batch(), jax.random.key(3)
    np.testing.assert_allclose(logits(looped, b), logits(unrolled, b), atol=1e-5)
    np.testing.assert_allclose(logits(looped, b, key=key), logits(unrolled, b, key=key), atol=1e-5)
    assert jax.tree.structure(nnx.state(looped)) == jax.tree.structure(nnx.state(unrolled))


def gradient(model, batch):
    """The gradient of some scores, as a function to be compiled, and what it is taken of."""
    graphdef, params = nnx.split(model)

    def total(params):
        scores = logits(nnx.merge(graphdef, params), batch, key=jax.random.key(3))
        return (scores * jnp.sin(jnp.arange(scores.size).reshape(scores.shape))).sum()

    return jax.jit(jax.grad(total)), params


@pytest.mark.long  # that a loop which computes again is right is in test_axes too
@pytest.mark.parametrize("scan", [False, True])
def test_what_is_computed_again_changes_memory_and_not_the_gradient(scan):
    layers = 3 if scan else 1  # a loop over them is compiled once
    shape = {"encoder_layers": layers, "decoder_layers": layers, "dropout": 0.3, "scan": scan}
    b = batch(speech_rows=8, frames=200, source=20, target=20)
    expected, memory, products = None, [], []
    for remat in ("none", "minimal", "full"):
        found, params = gradient(model(remat=remat, **shape), b)
        lowered = found.lower(params)
        products.append(lowered.as_text().count("dot_general"))
        compiled = lowered.compile()
        memory.append(compiled.memory_analysis().temp_size_in_bytes)
        expected = expected or compiled(params)
        for one, other in zip(*map(jax.tree.leaves, (compiled(params), expected)), strict=True):
            np.testing.assert_allclose(one, other, atol=1e-4)
    assert products == sorted(set(products))
    if scan:  # without a loop, XLA for CPUs takes the second computation for the first
        assert memory == sorted(set(memory), reverse=True)


def test_a_text_only_model_has_no_speech_frontend_and_unused_ones_get_no_gradient():
    text = build(SMALL, V, ["mt"], speech=False, seed=0)
    assert "speech" not in nnx.to_pure_dict(nnx.state(text))
    m, b = model("explicit"), batch(speech_rows=0)
    gradient = nnx.jit(nnx.grad(lambda m: logits(m, b).sum()))(m)
    assert all((np.asarray(leaf) == 0).all() for leaf in jax.tree.leaves(gradient["speech"]))


def test_dropout_is_random_by_key_and_off_without():
    m, b = model("explicit", dropout=0.5), batch()
    one, same, other = (logits(m, b, key=jax.random.key(k)) for k in (0, 0, 1))
    assert np.array_equal(one, same)
    assert not np.allclose(one, other)
    assert np.array_equal(logits(m, b), logits(m, b))


def test_bfloat16_stays_near_float32_and_keeps_float32_parameters():
    exact, rounded = model("explicit"), model("explicit", dtype="bfloat16")
    assert {leaf.dtype for leaf in jax.tree.leaves(nnx.state(rounded))} == {jnp.dtype("float32")}
    found, expected = logits(rounded, batch()), logits(exact, batch())
    assert found.dtype == jnp.float32
    # Eight bits of mantissa through four blocks: a few per cent of the scores' spread.
    assert float(jnp.abs(found - expected).max()) < 0.1 * float(expected.std()) * 3
    assert not np.array_equal(found, expected)


def test_the_paper_s_model_has_the_parameters_counted_from_table_8():
    def count(conditioning, **changes):
        config = paper_model(conditioning=conditioning, **changes)
        return count_parameters(nnx.state(abstract(config, 32_000, TASKS, speech=True)))

    # PAPER.md §1.7: 12 + 12 blocks 63.1 M and 32k × 512 for the embedding.
    encoder = 4 * (512 * 512 + 512) + 2 * 512 * 1024 + 1024 + 512 + 2 * 2 * 512
    decoder = encoder + 4 * (512 * 512 + 512) + 2 * 512
    cnn = (9 * 64 + 64) + 2 * (9 * 64 * 64 + 64) + 10 * 64 * 512 + 512
    base = 12 * (encoder + decoder) + 32_000 * 512 + cnn
    assert count("vanilla") == base
    assert 12 * (encoder + decoder) == pytest.approx(63.1e6, rel=0.002)
    few = {"encoder_layers": 1, "decoder_layers": 1}  # what is added is the same for any number
    assert count("explicit", **few) - count("vanilla", **few) == 3_072
    assert count("implicit", **few) - count("vanilla", **few) == 988_544
