"""What a caller may give to a trained model, and what is refused in one line."""

import jax.numpy as jnp
import numpy as np
import pytest

from taskaware.config import Task
from taskaware.data.audio.features import log_mel, normalize
from taskaware.data.inputs import Inputs
from taskaware.data.tokenizer import Tokenizer, train_tokenizer
from taskaware.dims import EOS
from taskaware.errors import UsageError

ASR = Task(name="asr", source="speech", target="transcript", metric="wer")
MT = Task(name="mt", source="text", target="translation", metric="bleu")
TEXTS = ["one two three four five", "two three", "five one"]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    path = tmp_path_factory.mktemp("tokenizer") / "words.model"
    train_tokenizer(TEXTS, 24, path)
    return Tokenizer.load(path)


def speech(size=8000, seed=0):
    return (np.random.default_rng(seed).normal(size=size) * 3000).astype(np.int16)


def test_texts_are_tokens_ended_by_end_of_sequence_then_padding(tokenizer):
    prefixed = Task(name="mt", source="text", target="translation", metric="bleu", prefix="one two")
    given = Inputs(prefixed, TEXTS, tokenizer)
    expected = [[*tokenizer.encode(f"one two {text}"), EOS] for text in TEXTS]
    assert given.length_B.tolist() == [*map(len, expected)]
    (tokens_BS,) = given.source([2, 1])
    assert tokens_BS.shape[1] % 4 == 0  # so that texts of like lengths share a program
    for row, tokens in zip(tokens_BS.tolist(), (expected[2], expected[1]), strict=True):
        assert row == tokens + [0] * (len(row) - len(tokens))


def test_speech_is_normalized_frames_then_zeros(tokenizer):
    samples = [speech(8000), speech(4000, seed=1)]
    given = Inputs(ASR, samples, tokenizer)
    frames_BAC, length_B = given.source([1, 0])
    assert length_B.tolist() == [23, 48] and frames_BAC.shape == (2, 64, 80)
    np.testing.assert_array_equal(frames_BAC[0, :23], normalize(log_mel(samples[1])))
    np.testing.assert_array_equal(frames_BAC[1, :48], normalize(log_mel(samples[0])))
    assert not frames_BAC[0, 23:].any() and not frames_BAC[1, 48:].any()


@pytest.mark.parametrize(
    "stored",
    [
        lambda s: s.astype(np.float32) / 32768,
        lambda s: s.astype(np.float64) / 32768,
        lambda s: s.astype(">i2"),
        lambda s: np.repeat(s, 2)[::2],
        lambda s: jnp.asarray(s),
    ],
    ids=["float32", "float64", "big-endian", "strided", "jax"],
)
def test_samples_are_taken_as_a_file_of_them_would_be_read(stored, tokenizer):
    found = Inputs(ASR, [stored(speech())], tokenizer).source([0])[0]
    np.testing.assert_array_equal(found[0, :48], normalize(log_mel(speech())))


def test_what_little_lies_beyond_full_scale_is_clipped_as_in_a_file(tokenizer):
    loud = np.where(np.arange(8000) % 200 == 0, 1.25, speech() / 32768)
    clipped = np.where(np.arange(8000) % 200 == 0, 32767, speech()).astype(np.int16)
    found, expected = (Inputs(ASR, [x], tokenizer).source([0])[0] for x in (loud, clipped))
    np.testing.assert_array_equal(found, expected)


BAD_SAMPLES = {
    "a list": (lambda s: s.tolist(), "found one list"),
    "bytes": (lambda s: s.tobytes(), "found one bytes"),
    "a number": (lambda s: s[0], r"int16 and shape \(\)"),
    "two channels": (lambda s: np.stack([s, s], 1), r"int16 and shape \(8000, 2\)"),
    "a row": (lambda s: s[None], r"int16 and shape \(1, 8000\)"),
    "int32": (lambda s: s.astype(np.int32), r"of int32 and shape \(8000,\)"),
    "uint8": (lambda s: s.astype(np.uint8), "of uint8"),
    "bool": (lambda s: s > 0, "of bool"),
    "complex": (lambda s: s.astype(np.complex64), "of complex64"),
    "objects": (lambda s: s.astype(object), "of object"),
    "integers as floats": (
        lambda s: s.astype(np.float32),
        r"from -1 to 1, found up to 1\d,\d",
    ),
    "scaled twice": (lambda s: s / 2.0**30, "nothing above one step of 16 bits"),
    "not a number": (lambda s: np.where(s == s[7], np.nan, s / 32768), "found NaN or infinity"),
    "infinity": (lambda s: np.where(s == s[7], np.inf, s / 32768), "found NaN or infinity"),
    "24 ms": (lambda s: s[:399], r"at least 400 samples \(25 ms\), found 399"),
    "nothing": (lambda s: s[:0], r"at least 400 samples \(25 ms\), found 0"),
}


@pytest.mark.parametrize(("change", "message"), BAD_SAMPLES.values(), ids=BAD_SAMPLES)
def test_samples_that_are_none_are_refused_with_their_place(change, message, tokenizer):
    with pytest.raises(UsageError, match=f"task 'asr': input 1: expected .*{message}"):
        Inputs(ASR, [speech(), change(speech())], tokenizer)


BAD_LISTS = {
    "one text": (MT, lambda: "One two three.", "in a list, found one str by itself"),
    "bytes": (MT, lambda: b"One two three.", "in a list, found one bytes by itself"),
    "one recording": (ASR, speech, r"found an array of int16 and shape \(8000,\) by itself"),
    "rows": (ASR, lambda: speech()[None], r"int16 and shape \(1, 8000\) by itself"),
    "a generator": (MT, lambda: (text for text in TEXTS), "found one generator by itself"),
    "a set, which has no order": (MT, lambda: {*TEXTS}, "found one set by itself"),
    "None": (MT, lambda: None, "found one NoneType by itself"),
    "no input": (MT, list, "found none"),
    "texts for speech": (ASR, lambda: TEXTS, "speech inputs, found str"),
    "bytes for text": (MT, lambda: [b"one"], "text inputs, found bytes"),
    "a text and none": (MT, lambda: ["one", None], "text inputs, found NoneType, str"),
}


@pytest.mark.parametrize(("task", "inputs", "message"), BAD_LISTS.values(), ids=BAD_LISTS)
def test_what_is_no_list_of_a_tasks_inputs_is_refused(task, inputs, message, tokenizer):
    with pytest.raises(UsageError, match=f"task '{task.name}': expected one or more .*{message}"):
        Inputs(task, inputs(), tokenizer)
