"""Calls of a shared model: what a second one costs, how long inputs are searched, and limits."""

import copy
import dataclasses
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.experimental.layout import Format, Layout
from jax.sharding import SingleDeviceSharding
from test_pretrained import random_model

from taskaware.data.inputs import Inputs
from taskaware.dims import Speech, Text
from taskaware.errors import UsageError
from taskaware.models.building import abstract_for
from taskaware.pretrained import model as pretrained
from taskaware.pretrained.model import digest, from_pretrained
from taskaware.search import model as search

WORDS = ["zero one", "two", "three four five zero one two three four five", "one two three"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model that nobody may change."""
    return random_model(tmp_path_factory.mktemp("model"))


def speech(size, seed=0):
    return (np.random.default_rng(seed).normal(size=size) * 3000).astype(np.int16)


def test_a_second_call_splits_turns_and_compiles_nothing(model, monkeypatch):
    first = model(WORDS, task="mt")

    def never(*args, **kwargs):
        raise AssertionError("the model was laid out anew")

    monkeypatch.setattr(search.nnx, "split", never)
    monkeypatch.setattr(search, "make_search", never)
    jax.config.update("jax_no_tracing", True)
    try:
        assert model(WORDS, task="mt") == first
        assert model([*reversed(WORDS)], task="mt") == first[::-1]
    finally:
        jax.config.update("jax_no_tracing", False)


def test_models_of_one_kind_share_their_programs(model, tmp_path):
    model(WORDS, task="mt")
    compiled = search._compiled.cache_info().currsize
    assert random_model(tmp_path)(WORDS, task="mt") == model(WORDS, task="mt")
    assert search._compiled.cache_info().currsize == compiled


@pytest.mark.parametrize(("rows", "transposed"), [(4, True), (2, False)])
def test_a_call_takes_the_kernels_that_its_rows_are_fast_with(
    rows, transposed, tmp_path, monkeypatch
):
    monkeypatch.setattr(jax, "local_devices", lambda: jax.devices()[:1])
    called = random_model(tmp_path)
    called(WORDS[:rows], task="mt")
    (search,) = called._search_of(called.tasks[1])._made.values()
    names = {path[-1] for path, _ in nnx.to_flat_state(search.args[0])}
    assert ("kernel_DF" in names) == transposed


def test_every_device_searches_a_part_of_a_call(model):
    assert jax.local_device_count() == 8
    given = Inputs(model.tasks[1], WORDS, model.tokenizer)
    vectors = np.tile(model.vectors.named("mt").array, (len(WORDS), 1))
    searches = model._search_of(model.tasks[1])
    tokens = searches(given.source([0, 1, 2, 3]), vectors)
    alone = search.make_search(model.model, model.decoding, split=False)
    np.testing.assert_array_equal(tokens, alone(given.source([0, 1, 2, 3]), vectors))
    (made,) = {*searches._made.values()}
    filled = given.source([0, 1, 2, 3, 0, 1, 2, 3])
    spread = made(filled, np.concatenate([vectors, vectors]))
    assert {shard.data.shape[0] for shard in spread.addressable_shards} == {1}


def test_weights_that_change_between_two_calls_are_noticed(tmp_path):
    called = random_model(tmp_path, conditioning="vanilla")
    before = called(WORDS, task="mt")
    random = np.random.default_rng(0)
    drawn = jax.tree.map(
        lambda leaf: random.normal(size=leaf.shape).astype(np.float32), nnx.state(called.model)
    )
    nnx.update(called.model, drawn)  # NumPy arrays, as of another library
    after = called(WORDS, task="mt")
    assert after != before
    assert dataclasses.replace(called)(WORDS, task="mt") == after
    table = called.model.embedding.table_VD
    table[...] = table[...][::-1]
    assert called(WORDS, task="mt") == dataclasses.replace(called)(WORDS, task="mt") != after


@pytest.mark.parametrize("again", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_model_that_was_called_can_be_copied(again, model):
    written = model(WORDS, task="mt")
    assert again(model)(WORDS, task="mt") == written


# Long inputs.


def test_inputs_that_need_much_memory_are_searched_apart_and_come_back_in_order(model, monkeypatch):
    texts = [" ".join(WORDS[i % 4] for i in range(n)) for n in (1, 20, 2, 8, 1)]
    given = Inputs(model.tasks[1], texts, model.tokenizer)
    (whole,) = model._together(given)
    assert sorted(whole) == [0, 1, 2, 3, 4]
    monkeypatch.setattr(pretrained, "_TOGETHER", 3 * model._bytes(given, int(given.length_B[2])))
    groups = [*model._together(given)]
    assert groups == [[1], [3], [2, 0, 4]]
    # How long a text may become depends on the longest of those searched together.
    expected = {}
    for group in groups:
        written = model([texts[row] for row in group], task="mt")
        expected |= dict(zip(group, written, strict=True))
    assert model(texts, task="mt") == [expected[row] for row in range(5)]
    assert len({*expected.values()}) > 2


@pytest.mark.parametrize("beam_size", [1, 4])
@pytest.mark.parametrize(("positions", "frames"), [(2048, 0), (64, 512), (1600, 12_800)])
def test_the_memory_of_a_search_is_what_xla_reserves(model, positions, frames, beam_size):
    shape = dataclasses.replace(
        model.model.config, conditioning="vanilla", cnn_channels=(64, 64, 64)
    )
    config = dataclasses.replace(model.decoding, beam_size=beam_size)
    graphdef, params = nnx.split(abstract_for(model.tasks, shape, model.tokenizer.size))
    source = Text(jax.ShapeDtypeStruct((1, positions), jnp.int32))
    if frames:
        spoken = jax.ShapeDtypeStruct((1, frames, 80), jnp.float32)
        source = Speech(spoken, jax.ShapeDtypeStruct((1,), jnp.int32))
    searched = search._compiled(graphdef, config, None, "decoder", 0.0)
    program = searched.lower(params, source, None).compile()
    reserved = program.memory_analysis().temp_size_in_bytes
    expected = search.search_bytes(shape, config, positions, frames)
    assert reserved / 1.5 < expected < 1.5 * reserved


def test_frames_of_speech_count_in_the_memory_of_a_call(model):
    given, shape = Inputs(model.tasks[0], [speech(8000)], model.tokenizer), model.model.config
    expected = search.search_bytes(shape, model.decoding, 1000 // shape.stride, 1000)
    assert model._bytes(given, 1000) == expected


def test_an_input_that_no_memory_holds_is_refused_before_any_work(model, monkeypatch):
    monkeypatch.setattr(pretrained.Pretrained, "_searches", None)
    with pytest.raises(UsageError, match=r"input 1: .* 4 GiB, found 21001 tokens, which take 6\.5"):
        model(["one", "one two " * 3000], task="mt")
    with pytest.raises(UsageError, match=r"'st': input 0: .* 4 GiB, found 599\.98 s, which take"):
        model([np.zeros(9_600_000, np.int16)], task="st")
    endless = dataclasses.replace(model.decoding, extra_length=2**40)
    with pytest.raises(UsageError, match=r"input 0: expected one whose search fits into 4 GiB"):
        dataclasses.replace(model, decoding=endless)(["one"], task="mt")


def test_an_input_longer_than_what_was_trained_on_is_refused_before_any_work(
    model, tmp_path, monkeypatch
):
    tokens = len(model.tokenizer.encode(WORDS[2])) + 1
    limited = dataclasses.replace(model, max_seconds=0.5, max_tokens=tokens)
    limited.save_pretrained(tmp_path / "model")
    limited = from_pretrained(tmp_path / "model")
    assert limited(WORDS, task="mt") == model(WORDS, task="mt")
    assert len(limited([speech(8240 - 1)], task="st")) == 1  # 49 frames
    monkeypatch.setattr(pretrained.Pretrained, "_searches", None)
    with pytest.raises(
        UsageError,
        match=rf"'mt': input 1: expected at most {tokens} tokens, .*found {tokens + 1}; give",
    ):
        limited(["one", WORDS[2] + " " + WORDS[2][:1]], task="mt")
    with pytest.raises(UsageError, match=r"'st': input 0: expected at most 0\.5 s, .*found 0\.51"):
        limited([speech(8000 + 400)], task="st")


# Weights that were not made here.


def column_major(array):
    return np.asfortranarray(array)


def strided(array):
    return np.repeat(array, 2, axis=-1)[..., ::2]


def on_device(array):
    """As ``jnp.from_dlpack`` gives a transposed PyTorch tensor."""
    layout = Layout((*reversed(range(array.ndim)),))
    return jax.device_put(array, Format(layout, SingleDeviceSharding(jax.devices()[0])))


@pytest.mark.parametrize("lay_out", [column_major, strided, on_device])
def test_a_model_is_shared_with_the_numbers_that_were_tried_however_they_lie(lay_out, tmp_path):
    given = random_model(tmp_path, conditioning="vanilla")
    name, tried = digest(given.model), given(WORDS, task="mt")
    state = nnx.state(given.model)
    laid_out = jax.tree.map(lambda leaf: lay_out(np.asarray(leaf)), state)
    assert not all(np.asarray(x).flags.c_contiguous for x in jax.tree.leaves(laid_out))
    nnx.update(given.model, laid_out)
    assert digest(given.model) == name
    given.save_pretrained(tmp_path / "model")
    loaded = from_pretrained(tmp_path / "model")
    for a, b in zip(*map(jax.tree.leaves, (nnx.state(loaded.model), state)), strict=True):
        np.testing.assert_array_equal(a, b)
    assert loaded(WORDS, task="mt") == given(WORDS, task="mt") == tried


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda bias: bias.astype(np.float16), r"float32 of \(8,\), found float16 of \(8,\)"),
        (lambda bias: bias.astype(jnp.bfloat16), "found bfloat16"),
        (lambda bias: bias[:-1], r"float32 of \(8,\), found float32 of \(7,\)"),
        (lambda bias: bias * np.nan, "expected finite numbers, found others"),
    ],
)
def test_weights_that_nobody_could_load_are_not_shared(change, message, tmp_path):
    given = random_model(tmp_path)
    bias = given.model.decoder().blocks[0].feed_forward.up.bias
    bias.set_raw_value(change(np.asarray(bias[...])))
    name = r"heads\.decoder\.blocks\.0\.feed_forward\.up\.bias"
    with pytest.raises(UsageError, match=f"'{name}': .*{message}"):
        given.save_pretrained(tmp_path / "model")
    assert not (tmp_path / "model").exists()
