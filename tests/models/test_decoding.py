"""Decoding step by step; oracle: the teacher-forced scores of the whole sequence."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from support.tiny_model import KINDS, SMALL, WAYS, V, batch, logits, model, targets, vectors
from support.variants import only

from taskaware.config import Decoding
from taskaware.dims import EOS, PAD, Tokens
from taskaware.search.beam import beam_search
from taskaware.search.model import make_search

CACHED = [*((way, "film") for way in WAYS), ("explicit", "adapter"), ("explicit", "mask")]
TRIED = [case for case in CACHED if case not in [("explicit", "film"), ("explicit_input", "film")]]


@pytest.mark.parametrize(
    ("norm", "way", "kind"),
    [
        *only([("pre", *case) for case in CACHED], *(("pre", *case) for case in TRIED)),
        *(
            pytest.param(
                "post", *case, marks=() if case == ("explicit", "film") else pytest.mark.long
            )
            for case in CACHED
        ),
    ],
)
def test_decoding_with_a_cache_gives_the_teacher_forced_scores(norm, way, kind):
    m, b = model(way, norm=norm, film=SMALL.film if kind == "film" else KINDS[kind]), batch()
    embedded = m.embed(b)
    embedding = vectors(m, b)
    expected = m(embedded, embedding).logits_BTV
    memory = m.encode(embedded.x_BSD, embedded.mask_BS, embedding)
    next_logits, cache = m.start_decoding(memory, embedding, 2, 5)
    token_B = jnp.zeros(4, jnp.int32)
    for position in range(5):
        found, cache = next_logits(jnp.stack([token_B, token_B], 1), jnp.int32(position), cache)
        for beam in range(2):
            np.testing.assert_allclose(found[:, beam], expected[:, position], rtol=1e-4, atol=1e-4)
        token_B = targets(b)[:, position]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_transposed_kernels_give_the_same_scores(dtype):
    m, b = model("explicit", dtype=dtype), batch()
    before, embedding = nnx.state(m), vectors(m, b)
    transposed = m.with_transposed_kernels()
    assert transposed.decoder().blocks[1].self_attention.query.kernel_DF.shape == (16, 16)
    jax.tree.map(np.testing.assert_array_equal, nnx.state(m), before)
    scores = []
    for way in (m, transposed):
        memory = way.encode(*way.embed(b)[:2], embedding)
        next_logits, cache = way.start_decoding(memory, embedding, 2, 4)
        for position, token in enumerate((PAD, 5, 7)):
            tokens_BW = jnp.full((4, 2), token, jnp.int32)
            found, cache = next_logits(tokens_BW, jnp.int32(position), cache)
        scores.append(found)
    difference = np.abs(scores[0] - scores[1])
    assert np.median(difference) < 1e-4
    # Sums in another order may round an operand to its other neighbor in bfloat16, 1/128 away.
    assert difference.max() < (1e-4 if dtype == "float32" else 5e-2)


@pytest.mark.parametrize("way", only(["explicit", "tokens"], "tokens"))
def test_beams_keep_their_own_history_in_the_cache(way):
    """What a beam search says of each hypothesis is what teacher forcing says of it."""
    m, b = model(way), batch(names=("st", "mt"))
    embedding = vectors(m, b)
    memory = m.encode(*m.embed(b)[:2], embedding)
    next_logits, cache = m.start_decoding(memory, embedding, 4, 7)
    found = beam_search(next_logits, cache, 4, 7, beam_size=4, alpha=0.0)
    compared = 0
    for beam in range(4):
        tokens_BT = found.tokens_BWT[:, beam]
        said = {"st": Tokens(tokens_BT[:2]), "mt": Tokens(tokens_BT[2:])}
        written = {name: rows._replace(target=said[name]) for name, rows in b.items()}
        log_p = jax.nn.log_softmax(logits(m, written, embedding))
        picked = jnp.take_along_axis(log_p, tokens_BT[..., None], -1)[..., 0]
        expected = jnp.where(tokens_BT != PAD, picked, 0).sum(1)
        for row, tokens in enumerate(tokens_BT.tolist()):
            # PAD inside a hypothesis is a token like any other to the search; leave such out.
            if EOS in tokens and PAD not in tokens[: tokens.index(EOS)]:
                np.testing.assert_allclose(
                    found.score_BW[row, beam], expected[row], rtol=1e-4, atol=1e-4
                )
                compared += 1
    assert compared > 1


@pytest.mark.parametrize(
    ("rows", "split", "transposed"),
    [(8, False, True), (64, True, True), (64, False, False), (17, True, True), (None, True, False)],
)
def test_kernels_are_transposed_for_few_rows_on_a_device(rows, split, transposed):
    search = make_search(model("explicit"), Decoding(beam_size=2), rows, split=split)
    names = {path[-1] for path, _ in nnx.to_flat_state(search.args[0])}
    assert ("kernel_DF" in names) == transposed


@pytest.mark.parametrize("beam_size", [pytest.param(1, marks=pytest.mark.long), 3])
def test_each_device_searches_a_part_of_the_rows(beam_size):
    config = Decoding(beam_size=beam_size, extra_length=2)
    m = model("explicit")
    embedding = 3 * jax.random.normal(jax.random.key(1), (16, 32))
    parts, whole = make_search(m, config, 16), make_search(m, config, 16, split=False)
    assert jax.local_device_count() == 8
    for rows in (16, 6):  # 8 devices do not divide 6 rows: then one has all
        source = jax.tree.map(np.asarray, batch(rows, 0)["asr"].source)
        found = parts(source, embedding[:rows])
        assert len(found.sharding.device_set) == 8
        expected = whole(source, embedding[:rows])
        assert len(expected.sharding.device_set) == 1
        np.testing.assert_array_equal(found, expected)
        assert len({tuple(row) for row in found[:, 0].tolist()}) > 1


def test_a_model_that_lies_on_several_devices_searches_where_it_lies():
    m, config = model("explicit"), Decoding(beam_size=3, extra_length=2)
    source = batch(16, 0)["asr"].source
    embedding = 3 * jax.random.normal(jax.random.key(1), (16, 32))
    expected = make_search(m, config, 16, split=False)(source, embedding)
    mesh = jax.make_mesh((8,), ("fsdp",), (AxisType.Auto,))
    for leaf in jax.tree.leaves(nnx.state(m), is_leaf=lambda leaf: isinstance(leaf, nnx.Param)):
        part = "fsdp" if len(leaf) % 8 == 0 else None
        leaf[...] = jax.device_put(leaf[...], NamedSharding(mesh, PartitionSpec(part)))
    found = make_search(m, config, 16)(source, embedding)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("way", "width"),
    [("implicit", 32), ("explicit_input", 16), ("implicit_input", 16), ("tokens", 32)],
)
def test_decoding_never_calls_the_tcn(way, width, monkeypatch):
    m, b = model(way), batch()
    embedding = jnp.zeros((4, width))
    monkeypatch.setattr(type(m.tcn), "__call__", None)
    memory = m.encode(*m.embed(b)[:2], embedding)
    next_logits, cache = m.start_decoding(memory, embedding, 1, 4)
    scores, _ = next_logits(jnp.zeros((4, 1), jnp.int32), jnp.int32(0), cache)
    assert scores.shape == (4, 1, V)
