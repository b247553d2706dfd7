import itertools
from dataclasses import replace

import numpy as np
import pytest

from taskaware.config import Batching, Task
from taskaware.data import tasks
from taskaware.data.audio.features import log_mel, normalize, num_frames
from taskaware.data.corpora.base import Example, PreparedCorpus, Row
from taskaware.data.corpora.write import prepare
from taskaware.data.targets import TokenRows, output_text
from taskaware.data.tasks import (
    Recordings,
    TaskExamples,
    load_tasks,
    serves,
    serves_output,
)
from taskaware.data.tokenizer import Tokenizer
from taskaware.dims import UNK
from taskaware.errors import UsageError

SPOKEN = [f"s{i}" for i in range(26)]
WRITTEN = [f"w{i}" for i in range(41)]


def task(kind, **changes):
    source, target, metric = {
        "st": ("speech", "translation", "bleu"),
        "asr": ("speech", "transcript", "wer"),
        "mt": ("text", "translation", "bleu"),
        "copy": ("text", "transcript", "wer"),
    }[kind]
    return Task(name=kind, source=source, target=target, metric=metric, **changes)


def load(corpus, wanted, split="train", limits=None):
    wanted = replace(wanted, data=wanted.data or (str(corpus.folder),))
    (examples,) = load_tasks([wanted], split, corpus.tokenizer, limits)
    return examples


def ids(examples):
    return [row.id for row in examples.rows]


def test_speech_translation_takes_speech_with_a_translation_into_its_language(corpus):
    assert ids(load(corpus, task("st"))) == SPOKEN
    assert ids(load(corpus, task("st", target_language="tr"))) == ["Turkish translation"]
    german = task("st", source_language="de", target_language="en")
    assert ids(load(corpus, german)) == ["German speech"]


def test_recognition_takes_all_speech_of_its_language_translated_or_not(corpus):
    expected = [*SPOKEN, "only transcribed", "Turkish translation"]
    assert ids(load(corpus, task("asr"))) == expected
    assert ids(load(corpus, task("asr", target_language="xx"))) == expected
    assert ids(load(corpus, task("asr", source_language="de"))) == ["German speech"]


def test_text_translation_takes_the_text_of_speech_too(corpus):
    assert ids(load(corpus, task("mt"))) == [*SPOKEN, *WRITTEN]


def test_what_must_come_out_is_the_transcript_or_the_translation(corpus):
    rows = {row.id: row for row in PreparedCorpus(corpus.folder).rows("train")}
    assert load(corpus, task("asr")).references()[3] == rows["s3"].source_text
    assert load(corpus, task("st")).references()[3] == rows["s3"].target_text
    assert load(corpus, task("mt")).references()[30] == rows["w4"].target_text
    assert rows["s3"].source_text != rows["s3"].target_text


@pytest.mark.parametrize(
    ("num_samples", "texts", "spoken_languages", "expected"),
    [
        (800, ("a", "b"), ("en", "de"), {"st", "asr", "mt", "copy"}),
        (0, ("a", "b"), ("en", "de"), {"mt", "copy"}),
        (800, ("a", ""), ("en", ""), {"asr", "copy"}),
        (800, ("a", "b"), ("en", "tr"), {"asr", "copy"}),
        (800, ("a", "b"), ("de", "de"), set()),
        (800, ("", "b"), ("en", "de"), {"st", "mt"}),
    ],
)
def test_a_row_serves_the_tasks_whose_source_and_output_it_has(
    num_samples, texts, spoken_languages, expected
):
    row = Row("i", num_samples, "", *texts, *spoken_languages, "c")
    assert {kind for kind in ("st", "asr", "mt", "copy") if serves(row, task(kind))} == expected


def test_texts_that_the_tokenizer_cannot_give_back_are_found():
    rows = TokenRows([[5, 6], [UNK], [], [7, UNK, UNK], [UNK]])
    assert rows.having(UNK) == [1, 3, 4]
    assert rows.having(5) == [0]
    assert rows.having(99) == TokenRows([]).having(UNK) == []


def test_a_row_without_audio_has_the_output_that_a_speech_task_needs():
    row = Row("i", 0, "", "a", "b", "en", "de", "c")
    assert serves_output(row, task("st"))
    assert not serves(row, task("st"))
    assert (output_text(row, task("st")), output_text(row, task("asr"))) == ("b", "a")


@pytest.mark.parametrize(
    ("wanted", "named"),
    [
        (task("mt", target_language="ro"), "no text example with a translation (en to ro)"),
        (task("asr", source_language="ro"), "no speech example with a transcript (ro to ro)"),
    ],
)
def test_a_task_without_examples_is_refused(corpus, wanted, named):
    with pytest.raises(UsageError) as raised:
        load(corpus, wanted)
    message = str(raised.value)
    assert message.startswith(f"task '{wanted.name}': {named} in split 'train' of {corpus.folder}")
    assert len(message.splitlines()) == 1


def test_a_task_without_a_folder_is_refused(corpus):
    with pytest.raises(UsageError, match="split 'train' of no folder"):
        load_tasks([task("mt")], "train", corpus.tokenizer)


def test_a_missing_folder_or_split_is_refused(corpus, tmp_path):
    with pytest.raises(UsageError, match="expected a folder written by taskaware prepare"):
        load(corpus, task("mt", data=(str(tmp_path),)))
    with pytest.raises(UsageError, match=r"no split 'tests'.*did you mean 'test'"):
        load(corpus, task("mt"), "tests")


def test_several_folders_are_joined_in_their_order(corpus, tmp_path):
    def more():
        yield Example("m", np.ones(800, np.int16), "", "more", "mehr", "en", "de", "c")

    prepare("more", lambda: {"train": [more]}, tmp_path / "more")
    both = (str(tmp_path / "more"), str(corpus.folder))
    examples = load(corpus, task("st", data=both))
    assert ids(examples) == ["m", *SPOKEN]
    assert examples.frames(0).shape == (3, 80)
    np.testing.assert_array_equal(examples.frames(1), load(corpus, task("st")).frames(0))


def test_a_folder_without_the_split_adds_nothing_where_another_one_has_it(corpus, tmp_path):
    def more():
        yield Example("m", np.ones(800, np.int16), "", "more", "mehr", "en", "de", "c")

    prepare("more", lambda: {"train": [more]}, tmp_path / "more")
    both = task("st", data=(str(corpus.folder), str(tmp_path / "more")))
    assert ids(load(corpus, both)) == [*SPOKEN, "m"]
    assert ids(load(corpus, both, "test")) == ids(load(corpus, task("st"), "test"))
    with pytest.raises(UsageError, match=r"no split 'tests'.*did you mean 'test'"):
        load(corpus, both, "tests")
    alone = task("st", data=(str(tmp_path / "more"),))
    with pytest.raises(UsageError, match="no split 'test', found train"):
        load_tasks([both, alone], "test", corpus.tokenizer)


def test_a_folder_that_several_tasks_share_is_opened_once(corpus):
    data = (str(corpus.folder),)
    st, asr = load_tasks([task("st", data=data), task("asr", data=data)], "train", corpus.tokenizer)
    assert st.rows[0] is asr.rows[0]


@pytest.mark.parametrize(("limit", "times"), [(2**30, 1), (0, 2)])
def test_frames_are_computed_once_for_all_tasks_where_all_fit(corpus, monkeypatch, limit, times):
    monkeypatch.setattr(tasks, "_CACHE_BYTES", limit)
    heard = []
    read = PreparedCorpus.audio
    monkeypatch.setattr(
        PreparedCorpus, "audio", lambda self, *at: heard.append(at) or read(self, *at)
    )
    data = (str(corpus.folder),)
    st, asr = load_tasks([task("st", data=data), task("asr", data=data)], "train", corpus.tokenizer)
    expected = normalize(log_mel(read(PreparedCorpus(corpus.folder), "train", 3)))
    for examples in (st, asr):
        np.testing.assert_array_equal(examples.frames(3), expected)
    assert heard == [("train", 3)] * times


def test_all_recordings_of_a_process_together_keep_no_more_than_one_limit(corpus, monkeypatch):
    """Not each folder and split its own; and what is let go of is free again."""
    heard = []
    read = PreparedCorpus.audio
    monkeypatch.setattr(
        PreparedCorpus, "audio", lambda self, *at: heard.append(at) or read(self, *at)
    )

    def computed(recordings):
        heard.clear()
        for one in 2 * recordings:
            one.frames(3)
        return len(heard)

    prepared = PreparedCorpus(corpus.folder)
    size = 80 * 4 * sum(num_frames(row.num_samples) for row in prepared.rows("train"))
    monkeypatch.setattr(tasks, "_reserved", {})  # whatever other tests have left
    monkeypatch.setattr(tasks, "_CACHE_BYTES", 2 * size)
    four = [Recordings(prepared, "train") for _ in range(4)]
    assert computed(four) == 2 + 2 * 2
    del four[:2]
    five = [*four, *(Recordings(prepared, "train") for _ in range(3))]
    assert computed(five) == 2 * 2 + 2 + 2


def test_what_is_too_long_or_has_no_frame_is_left_out_and_counted(corpus):
    limits = Batching(max_seconds=2.0, max_tokens=50)
    st = load(corpus, task("st"), "extreme", limits)
    assert [st.rows[i].id for i in st.selection] == ["s0", "s1", "s2"]
    assert (len(st), len(st.rows), st.left_out) == (3, 6, 3)
    mt = load(corpus, task("mt"), "extreme", limits)
    kept = {mt.rows[i].id for i in mt.selection}
    assert kept == {"s0", "s1", "s2", "long audio", "no frame"}
    assert mt.left_out == 2


def test_nothing_is_left_out_where_there_are_no_limits(corpus):
    st = load(corpus, task("st"), "extreme")
    assert (len(st), st.left_out) == (6, 0)


def test_limits_are_kept_to_the_token_and_the_frame(corpus):
    mt = load(corpus, task("mt"), "extreme")
    longest = int(max(*mt.source.length, *mt.target.length))
    assert load(corpus, task("mt"), "extreme", Batching(max_tokens=longest)).left_out == 0
    assert load(corpus, task("mt"), "extreme", Batching(max_tokens=longest - 1)).left_out == 1
    # 2.5 s are 40000 samples: 1 + (40000 - 400) / 160 = 248 frames, of which 2.47 s hold 247.
    assert load(corpus, task("asr"), "extreme", Batching(max_seconds=2.48)).left_out == 1
    assert load(corpus, task("asr"), "extreme", Batching(max_seconds=2.47)).left_out == 2


def test_limits_that_leave_nothing_are_refused(corpus):
    with pytest.raises(UsageError, match=r"max_seconds 0\.01 or batching\.max_tokens 50; raise"):
        load(corpus, task("st"), "extreme", Batching(max_seconds=0.01, max_tokens=50))


def test_every_target_is_its_texts_tokens_and_an_end(corpus):
    st = load(corpus, task("st"))
    for i, text in enumerate(st.references()):
        assert st.target[i].tolist() == [*corpus.tokenizer.encode(text), 1]
        assert st.target.length[i] == len(corpus.tokenizer.encode(text)) + 1


def test_a_text_source_is_its_texts_tokens_and_an_end(corpus):
    mt = load(corpus, task("mt"))
    for i, row in enumerate(mt.rows):
        assert mt.source[i].tolist() == [*corpus.tokenizer.encode(row.source_text), 1]
    assert mt.source_length is mt.source.length
    assert load(corpus, task("st")).source is None


def test_a_prefix_s_tokens_stand_before_every_text_source_and_nowhere_else(corpus):
    data = (str(corpus.folder),)
    kinds = ("mt", "st", "asr", "copy")
    bare = load_tasks([task(kind, data=data) for kind in kinds], "train", corpus.tokenizer)
    told = [replace(bare[0].task, prefix="read alles"), *(examples.task for examples in bare[1:])]
    prefixed = load_tasks(told, "train", corpus.tokenizer)
    front = corpus.tokenizer.encode("read alles")
    for i in range(len(bare[0].rows)):
        assert prefixed[0].source[i].tolist() == [*front, *bare[0].source[i].tolist()]
    np.testing.assert_array_equal(prefixed[0].source_length - len(front), bare[0].source_length)
    for found, expected in zip(prefixed, bare, strict=True):
        assert ids(found) == ids(expected)
        for i in range(len(expected.rows)):
            np.testing.assert_array_equal(found.target[i], expected.target[i])
    for i in range(len(bare[3].rows)):  # the other task of text
        np.testing.assert_array_equal(prefixed[3].source[i], bare[3].source[i])


def test_without_a_prefix_the_tokenizer_is_given_the_text_itself(corpus, monkeypatch):
    heard = []
    monkeypatch.setattr(Tokenizer, "encode", lambda self, text: heard.append(text) or [5])
    mt = load(corpus, task("mt"))
    texts = [row.source_text for row in mt.rows]
    assert heard == [*texts, *mt.references()]
    heard.clear()
    load(corpus, task("mt", prefix="to German:"))
    assert heard == [*(f"to German: {text}" for text in texts), *mt.references()]


def test_a_prefix_counts_towards_the_longest_source(corpus):
    mt = load(corpus, task("mt"), "extreme")
    limits = Batching(max_tokens=int(mt.source.length.max()))
    assert load(corpus, task("mt"), "extreme", limits).left_out == 0
    assert load(corpus, task("mt", prefix="read"), "extreme", limits).left_out == 1


def test_frames_are_those_of_the_examples_own_audio_normalized(corpus):
    asr = load(corpus, task("asr"))
    prepared = PreparedCorpus(corpus.folder)
    place = {row.id: i for i, row in enumerate(prepared.rows("train"))}
    for i in (0, 5, len(asr) - 1):
        audio = prepared.audio("train", place[asr.rows[i].id])
        raw = log_mel(audio).astype(np.float64)
        expected = (raw - raw.mean(axis=0)) / raw.std(axis=0)
        np.testing.assert_allclose(asr.frames(i), expected, atol=1e-4)
        assert asr.source_length[i] == len(expected) == 1 + (len(audio) - 400) // 160
    assert asr.rows[len(asr) - 1].id == "Turkish translation"


def test_token_rows_give_back_what_they_were_given():
    sequences = [[5, 6], [], [7], range(8, 40)]
    rows = TokenRows(sequences)
    assert [rows[i].tolist() for i in range(4)] == [[*tokens, 1] for tokens in sequences]
    assert rows.length.tolist() == [3, 1, 2, 33]
    assert rows[0].dtype == np.int32


def test_token_rows_may_be_read_from_a_generator_or_be_none():
    assert TokenRows([i] for i in (3, 4))[1].tolist() == [4, 1]
    assert TokenRows([]).length.shape == (0,)


def test_token_rows_take_4_bytes_a_token_and_12_a_row():
    tokens, rows = 100, 1000
    held = TokenRows(itertools.repeat([9] * (tokens - 1), rows))
    arrays = [value for value in vars(held).values() if isinstance(value, np.ndarray)]
    assert sum(array.nbytes for array in arrays) <= 4 * tokens * rows + 12 * rows + 8


def test_a_task_may_be_built_from_an_open_corpus(corpus):
    prepared = PreparedCorpus(corpus.folder)
    tokenizer = Tokenizer.load(corpus.tokenizer_path)
    examples = TaskExamples(task("st"), [Recordings(prepared, "test")], "test", tokenizer)
    assert ids(examples) == [f"s{i}" for i in range(7)]
