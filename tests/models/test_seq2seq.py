import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from taskaware.config import Decoding, FiLMConfig, ModelConfig, TCNConfig, paper_model
from taskaware.dims import EOS, PAD, Batch, Speech
from taskaware.models.building import abstract, build
from taskaware.models.seq2seq import with_positions
from taskaware.modulation.affine import TCNParam
from taskaware.modulation.tcn import ExplicitTCN, ImplicitTCN, TaskTokens
from taskaware.search.beam import beam_search
from taskaware.search.model import make_search
from taskaware.training.state import count_parameters

SMALL = ModelConfig(
    d_model=16,
    num_heads=4,
    d_ff=32,
    encoder_layers=2,
    decoder_layers=2,
    cnn_channels=(4, 4, 4),
    dropout=0.0,
    tcn=TCNConfig(width=8, d_ff=16, num_heads=2),
    film=FiLMConfig(init="lecun"),
)
V = 11
TOKENS = (("<|de|>", "<|translate|>"), ("<|en|>", "<|transcribe|>"), ("<|ro|>", "<|translate|>"))
PREFIX = {"explicit_input": 1, "implicit_input": 1, "tokens": 2}
"""How many vectors stand before what the decoder reads."""
WAYS = ("vanilla", "explicit", "implicit", *PREFIX)


def model(way="implicit", **changes):
    """A model that is told the task in some way: its conditioning, and where that goes."""
    conditioning, _, injection = way.partition("_")
    config = dataclasses.replace(
        SMALL, conditioning=conditioning, injection=injection or "film", **changes
    )
    return nnx.clone(drawn(config))


@functools.cache
def drawn(config):
    return build(config, V, 3, speech=True, task_tokens=TOKENS, seed=0)


def batch(speech_rows=2, text_rows=2, frames=40, source=6, target=5, seed=0):
    random = np.random.default_rng(seed)
    rows = speech_rows + text_rows
    length = random.integers(20, frames + 1, speech_rows)
    target_BT = random.integers(3, V, (rows, target))
    source_BS = random.integers(3, V, (text_rows, source))
    for row in range(rows):
        end = random.integers(2, target)
        target_BT[row, end], target_BT[row, end + 1 :] = EOS, PAD
    for row in range(text_rows):
        end = random.integers(2, source)
        source_BS[row, end], source_BS[row, end + 1 :] = EOS, PAD
    values = random.normal(size=(speech_rows, frames, 80)).astype(np.float32)
    return Batch(
        Speech(jnp.asarray(values), jnp.asarray(length, jnp.int32)) if speech_rows else None,
        jnp.asarray(source_BS, jnp.int32) if text_rows else None,
        jnp.asarray(target_BT, jnp.int32),
        jnp.asarray(random.integers(0, 3, rows), jnp.int32),
    )


def logits(model, batch, vector_BZ=None, key=None):
    """A batch's scores; every row has its own task's embedding where none is given."""
    return compiled_logits(*nnx.split(model), batch, vector_BZ, key)


@functools.partial(jax.jit, static_argnums=0)
def compiled_logits(graphdef, params, batch, vector_BZ, key):
    model = nnx.merge(graphdef, params)
    embedded = model.embed(batch)
    if vector_BZ is None:
        vector_BZ = model.task_vector(embedded, batch.task_B)
    return model(embedded, vector_BZ, key).logits_BTV


@pytest.mark.parametrize("way", WAYS)
def test_padding_never_changes_a_score(way):
    m, b = model(way), batch()
    padded = Batch(
        Speech(
            jnp.pad(b.speech.frames_BAC, ((0, 0), (0, 24), (0, 0)), constant_values=9.0),
            b.speech.length_B,
        ),
        jnp.pad(b.source_BS, ((0, 0), (0, 7))),
        jnp.pad(b.target_BT, ((0, 0), (0, 3))),
        b.task_B,
    )
    found, bare = logits(m, padded)[:, : b.target_BT.shape[1]], logits(m, b)
    valid = np.asarray(b.target_BT != PAD)
    np.testing.assert_allclose(found[valid], bare[valid], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("way", ["vanilla", "explicit", "tokens"])
def test_a_score_depends_on_no_later_target(way):
    """By gradient: of position t's scores with respect to what is fed in at each position."""
    m, b = model(way), batch()
    embedded = m.embed(b)
    embedding = m.task_vector(embedded, b.task_B)

    def score(y_BTD, position):
        return m(embedded._replace(y_BTD=y_BTD), embedding).logits_BTV[:, position].sum()

    for position in range(b.target_BT.shape[1]):
        reach = np.abs(jax.grad(score)(embedded.y_BTD, position)).max((0, 2))
        assert (reach[position:] == 0).all()  # its own token is what it must predict
        valid = np.asarray(b.target_BT != PAD).any(0)[:position]
        assert (reach[:position][valid] > 0).all()


@pytest.mark.parametrize("way", WAYS)
def test_a_mixed_batch_is_the_batches_of_each_modality(way):
    m, b = model(way), batch()
    both = logits(m, b)
    speech = b._replace(source_BS=None, target_BT=b.target_BT[:2], task_B=b.task_B[:2])
    text = b._replace(speech=None, target_BT=b.target_BT[2:], task_B=b.task_B[2:])
    valid = np.asarray(b.target_BT != PAD)
    np.testing.assert_allclose(logits(m, speech)[valid[:2]], both[:2][valid[:2]], atol=1e-4)
    np.testing.assert_allclose(logits(m, text)[valid[2:]], both[2:][valid[2:]], atol=1e-4)


@pytest.mark.parametrize("way", ["explicit", "explicit_input", "tokens"])
def test_another_task_for_one_row_changes_that_row_alone(way):
    m, b = model(way), batch()
    other = b._replace(task_B=b.task_B.at[1].set((b.task_B[1] + 1) % 3))
    difference = np.abs(np.asarray(logits(m, other) - logits(m, b))).max((1, 2))
    assert difference[1] > 1e-3
    assert (difference[[0, 2, 3]] == 0).all()


@pytest.mark.parametrize("way", ["implicit", "implicit_input"])
def test_another_row_s_embedding_for_one_row_changes_that_row_alone(way):
    m, b = model(way), batch()
    own = m.task_vector(m.embed(b), b.task_B)
    difference = np.abs(np.asarray(logits(m, b, own.at[1].set(own[2])) - logits(m, b, own)))
    assert difference[1].max() > 1e-3
    assert (difference[jnp.array([0, 2, 3])] == 0).all()


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
    x_BSD, mask_BS, y_BTD, _ = vanilla.embed(b)
    if m.config.injection == "input":
        keep = jnp.ones((4, 1), bool)
        order = slice(None) if in_front else slice(None, None, -1)
        x_BSD = jnp.concatenate([vectors_BPD, x_BSD][order], 1)
        mask_BS = jnp.concatenate([keep, mask_BS][order], 1)
    memory = vanilla.encode(x_BSD, mask_BS, None)
    # What is fed in at each target's position is the target before it, and zero at first.
    before_BTD = jnp.zeros_like(y_BTD).at[:, 1:].set(y_BTD[:, :-1])
    y_BTD = with_positions(jnp.concatenate([vectors_BPD, before_BTD], 1))
    for block in vanilla.decoder:
        y_BTD = block(y_BTD, None, None, memory.memory_BSD, memory.mask_BS)
    scores = vanilla.embedding.logits(vanilla.decoder_norm(y_BTD))
    return scores[:, vectors_BPD.shape[1] :]


@pytest.mark.parametrize("way", PREFIX)
def test_a_prefix_is_one_more_position_a_vector_of_a_model_that_knows_of_none(way):
    m, b = model(way), batch()
    embedding = m.task_vector(m.embed(b), b.task_B)
    vectors_BPD = jnp.stack(jnp.split(embedding, PREFIX[way], axis=1), 1)
    found = logits(m, b)
    np.testing.assert_allclose(found, scores_by_hand(m, b, vectors_BPD), rtol=1e-4, atol=1e-4)
    # At the source's end, or in another order, they would say something else.
    elsewhere = scores_by_hand(m, b, vectors_BPD[:, ::-1], in_front=False)
    assert float(jnp.abs(found - elsewhere).max()) > 1e-2


@pytest.mark.parametrize(
    ("way", "added"), [("explicit", 0), ("explicit_input", 1), ("implicit_input", 1), ("tokens", 0)]
)
def test_a_vector_before_the_input_adds_a_source_position_and_none_that_is_scored(way, added):
    m, b = model(way), batch()
    embedded = m.embed(b)
    embedding = m.task_vector(embedded, b.task_B)
    output = m(embedded, embedding)
    assert output.logits_BTV.shape == (*b.target_BT.shape, V)
    assert output.decoder_BTD.shape == (*b.target_BT.shape, 16)
    assert output.encoder_BSD.shape[1] == embedded.mask_BS.shape[1] + added
    mask_BS = m.encode(embedded.x_BSD, embedded.mask_BS, embedding).mask_BS
    expected = np.pad(embedded.mask_BS, ((0, 0), (added, 0)), constant_values=True)
    np.testing.assert_array_equal(mask_BS, expected)


def test_tokens_say_nothing_to_the_encoder():
    m, b = model("tokens"), batch()
    x_BSD, mask_BS = m.embed_source(b)
    one, other = (
        m.encode(x_BSD, mask_BS, m.tcn(task)).memory_BSD for task in (b.task_B, (b.task_B + 1) % 3)
    )
    assert np.array_equal(one, other)


@pytest.mark.parametrize(
    ("way", "numbers"),
    [
        ("explicit", 3 * 2 * 16 + 6 * 2 * 16),  # γ, β of three tasks; offsets of six places
        ("explicit_input", 3 * 16),  # a vector a task
        ("tokens", 5 * 16),  # a vector a token
    ],
)
def test_there_are_places_for_film_where_film_is_what_tells_the_task(way, numbers):
    m = model(way, film=FiLMConfig(init="lecun", sharing="per_block_offset"))
    assert (m.places is not None) == (way == "explicit")
    assert count_parameters(nnx.state(m), TCNParam) == numbers


def test_there_is_a_place_after_each_frontend_and_at_each_block():
    assert model(encoder_layers=3, decoder_layers=2).places.num_places == (1 + 3) + (1 + 2)


KINDS = {
    "film": FiLMConfig(sharing="per_block"),
    "adapter": FiLMConfig(kind="adapter", sharing="per_block", init="lecun", adapter_width=3),
    "mask": FiLMConfig(kind="mask", sharing="per_block", placement="residual_branch"),
}


@pytest.mark.parametrize("place", range(6))
@pytest.mark.parametrize("kind", KINDS)
def test_every_place_of_the_modulation_reaches_the_scores(kind, place):
    m, b = model("explicit", film=KINDS[kind]), batch()
    before = logits(m, b)
    kernel_NLP = m.tcn.kernel_NZ[...].reshape(3, 6, -1)
    m.tcn.kernel_NZ[...] = kernel_NLP.at[:, place].add(0.5).reshape(3, -1)
    assert np.abs(np.asarray(logits(m, b) - before)).max() > 1e-3


@pytest.mark.parametrize("place", range(6))
def test_every_offset_reaches_the_scores(place):
    m, b = model("explicit", film=FiLMConfig(sharing="per_block_offset")), batch()
    before = logits(m, b)
    m.places.offset_LZ[...] = m.places.offset_LZ[...].at[place].set(0.5)
    assert np.abs(np.asarray(logits(m, b) - before)).max() > 1e-3


@pytest.mark.parametrize(
    ("way", "sharing"),
    [
        ("explicit", "per_block"),
        ("explicit_input", "all_blocks"),  # without FiLM, nothing is shared
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


CACHED = [*((way, "film") for way in WAYS), ("explicit", "adapter"), ("explicit", "mask")]


@pytest.mark.parametrize(
    ("norm", "way", "kind"),
    [
        *(("pre", *case) for case in CACHED),
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
    embedding = m.task_vector(embedded, b.task_B)
    expected = m(embedded, embedding).logits_BTV
    memory = m.encode(embedded.x_BSD, embedded.mask_BS, embedding)
    next_logits, cache = m.start_decoding(memory, embedding, 2, b.target_BT.shape[1])
    token_B = jnp.zeros(4, jnp.int32)
    for position in range(b.target_BT.shape[1]):
        found, cache = next_logits(jnp.stack([token_B, token_B], 1), jnp.int32(position), cache)
        for beam in range(2):
            np.testing.assert_allclose(found[:, beam], expected[:, position], rtol=1e-4, atol=1e-4)
        token_B = b.target_BT[:, position]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_turned_kernels_give_the_same_scores(dtype):
    m, b = model("explicit", dtype=dtype), batch()
    before, embedding = nnx.state(m), m.tcn(b.task_B)
    transposed = m.with_transposed_kernels()
    assert transposed.decoder[1].self_attention.query.kernel_DF.shape == (16, 16)
    jax.tree.map(np.testing.assert_array_equal, nnx.state(m), before)
    scores = []
    for way in (m, transposed):
        memory = way.encode(*way.embed_source(b), embedding)
        next_logits, cache = way.start_decoding(memory, embedding, 2, 4)
        for position, token in enumerate((PAD, 5, 7)):
            tokens_BW = jnp.full((4, 2), token, jnp.int32)
            found, cache = next_logits(tokens_BW, jnp.int32(position), cache)
        scores.append(found)
    difference = np.abs(scores[0] - scores[1])
    assert np.median(difference) < 1e-4
    # Sums in another order may round an operand to its other neighbor in bfloat16, 1/128 away.
    assert difference.max() < (1e-4 if dtype == "float32" else 5e-2)


@pytest.mark.parametrize("way", ["explicit", "tokens"])
def test_beams_keep_their_own_history_in_the_cache(way):
    """What a beam search says of each hypothesis is what teacher forcing says of it."""
    m, b = model(way), batch()
    x_BSD, mask_BS = m.embed_source(b)
    embedding = m.tcn(b.task_B)
    memory = m.encode(x_BSD, mask_BS, embedding)
    next_logits, cache = m.start_decoding(memory, embedding, 4, 7)
    found = beam_search(next_logits, cache, 4, 7, beam_size=4, alpha=0.0)
    compared = 0
    for beam in range(4):
        tokens_BT = found.tokens_BWT[:, beam]
        log_p = jax.nn.log_softmax(logits(m, b._replace(target_BT=tokens_BT), embedding))
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
def test_kernels_are_turned_for_few_rows_on_a_device(rows, split, transposed):
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
        source = jax.tree.map(np.asarray, batch(rows, 0)._replace(target_BT=None, task_B=None))
        found = parts(source, embedding[:rows])
        assert len(found.sharding.device_set) == 8
        expected = whole(source, embedding[:rows])
        assert len(expected.sharding.device_set) == 1
        np.testing.assert_array_equal(found, expected)
        assert len({tuple(row) for row in found[:, 0].tolist()}) > 1


def test_a_model_that_lies_on_several_devices_searches_where_it_lies():
    m, config = model("explicit"), Decoding(beam_size=3, extra_length=2)
    source = batch(16, 0)._replace(target_BT=None, task_B=None)
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
    memory = m.encode(*m.embed_source(b), embedding)
    next_logits, cache = m.start_decoding(memory, embedding, 1, 4)
    scores, _ = next_logits(jnp.zeros((4, 1), jnp.int32), jnp.int32(0), cache)
    assert scores.shape == (4, 1, V)


def test_the_tcn_looks_at_frontends_that_no_task_has_modulated():
    """Otherwise its input would depend on its output (D5)."""
    m, b = model("implicit"), batch()
    before = m.task_vector(m.embed(b), b.task_B)
    after = m.task_vector(m.embed(b), (b.task_B + 1) % 3)
    assert np.array_equal(before, after)


@pytest.mark.parametrize("stopped", [True, False])
def test_stop_gradient_decides_whether_frontends_learn_through_the_tcn(stopped):
    tcn = dataclasses.replace(SMALL.tcn, stop_gradient=stopped)
    m, b = model("implicit", tcn=tcn), batch()
    square = lambda m: (m.task_vector(m.embed(b), b.task_B) ** 2).sum()  # noqa: E731
    gradient = nnx.jit(nnx.grad(square))(m)
    reach = float(jnp.abs(gradient["embedding"]["table_VD"][...]).max())
    assert (reach == 0) is stopped


def test_a_text_only_model_has_no_speech_frontend_and_unused_ones_get_no_gradient():
    text = build(SMALL, V, 1, speech=False, seed=0)
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
        return count_parameters(nnx.state(abstract(config, 32_000, 3, speech=True)))

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
