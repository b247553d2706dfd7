import concurrent.futures
import json
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from taskaware.errors import UsageError

tfds = pytest.importorskip("tensorflow_datasets")
from taskaware.data.corpora import toy  # noqa: E402
from taskaware.data.corpora.base import NO_AUDIO, Example, PreparedCorpus, Row  # noqa: E402
from taskaware.data.corpora.write import prepare, prepare_corpus  # noqa: E402


def samples(i):
    return np.random.default_rng(i).integers(-32768, 32768, 400 + i).astype(np.int16)


def example(i, audio=None):
    audio = samples(i) if audio is None else audio
    texts = f"text {i}\u2028\n\tö", f"Text {i}"
    labels = {"kind": f"größer {i % 3}", "number": str(i)} if i % 2 else {}
    return Example(f"u{i}", audio, f"s{i % 2}", *texts, "en", "de", "c", labels)


def read():
    """Two shards of train, unequal, and one of test that is text alone."""
    return {
        "train": [lambda: map(example, range(5)), lambda: map(example, range(5, 8))],
        "test": [lambda: (example(i, NO_AUDIO) for i in range(3))],
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("prepared") / "new" / "corpus"
    prepare("my_corpus", read, out)
    return out


@pytest.fixture
def copy(folder, tmp_path):
    """A copy that a test may damage."""
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def test_every_example_comes_back_as_it_was(folder):
    corpus = PreparedCorpus(folder)
    assert set(corpus.splits) == {"train", "test"}
    expected = [example(i) for i in range(8)]
    assert corpus.rows("train") == [Row(e.id, len(e.audio), *e[2:]) for e in expected]
    for i in (7, 0, 4, 5, 3):
        audio = corpus.audio("train", i)
        assert audio.dtype == np.int16
        np.testing.assert_array_equal(audio, samples(i))
    assert [row.num_samples for row in corpus.rows("test")] == [0, 0, 0]
    assert corpus.audio("test", 2).shape == (0,)


def test_tfds_alone_reads_the_folder(folder):
    source = tfds.builder_from_directory(folder).as_data_source("train")
    record = source[6]
    assert record["id"] == b"u6"
    assert record["source_text"].decode() == "text 6\u2028\n\tö"
    assert record["sample_rate"] == 16000
    assert json.loads(record["labels"]) == {}
    assert json.loads(source[7]["labels"]) == {"kind": "größer 1", "number": "7"}
    np.testing.assert_array_equal(record["audio"], samples(6))


def test_the_index_is_json_lines_in_the_order_of_the_records(folder):
    lines = (folder / "index-train.jsonl").read_bytes().split(b"\n")
    assert lines.pop() == b""
    assert [json.loads(line)[0] for line in lines] == [f"u{i}" for i in range(8)]
    assert json.loads(lines[3])[1] == 403


def test_threads_read_what_one_reads(folder):
    corpus = PreparedCorpus(folder)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        audio = list(pool.map(lambda i: corpus.audio("train", i % 8), range(400)))
    for i, found in enumerate(audio):
        np.testing.assert_array_equal(found, samples(i % 8))


def test_a_pickled_corpus_opens_the_folder_anew(folder):
    corpus = pickle.loads(pickle.dumps(PreparedCorpus(folder)))
    np.testing.assert_array_equal(corpus.audio("train", 1), samples(1))


def test_progress_counts_examples_over_all_splits(tmp_path):
    told = []
    prepare("c", read, tmp_path / "out", on_shard=lambda *at: told.append(at))
    assert told == [(5, 1 / 3), (8, 2 / 3), (11, 1)]


def test_nothing_is_printed(tmp_path, capfd):
    prepare("c", read, tmp_path / "out")
    assert capfd.readouterr() == ("", "")


def test_no_temporary_file_stays(tmp_path, monkeypatch):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    prepare("c", read, tmp_path / "out")
    assert not list((tmp_path / "tmp").iterdir())


def test_neither_tensorflow_nor_jax_is_imported(folder):
    code = (
        "import sys; from taskaware.data.corpora import toy, manifest, parallel, summary;"
        "from taskaware.data.corpora import PreparedCorpus;"
        f"PreparedCorpus({str(folder)!r}).audio('train', 0);"
        "print([m for m in ('tensorflow', 'jax', 'flax', 'torch') if m in sys.modules])"
    )
    root = Path(__file__).parents[3]
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=root, check=True)
    assert run.stdout == b"[]\n"


@pytest.mark.parametrize("error", [UsageError("row 3"), KeyboardInterrupt(), ZeroDivisionError()])
def test_an_error_of_the_reader_comes_through_and_leaves_nothing(tmp_path, error):
    def shard():
        yield example(0)
        raise error

    with pytest.raises(type(error)) as raised:
        prepare("c", lambda: {"train": [lambda: [example(1)], shard]}, tmp_path / "out")
    assert raised.value is error
    assert not list(tmp_path.iterdir())


def test_a_failing_disk_is_one_line_and_leaves_nothing(tmp_path):
    code = f"""
import resource, signal, numpy as np
from taskaware.data.corpora.base import Example  # noqa: E402
from taskaware.data.corpora.write import prepare
from taskaware.errors import RunError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
noise = np.random.default_rng(0).integers(-9999, 9999, 9999).astype(np.int16)
shard = lambda: (Example(str(i), noise, "", "a", "", "en", "", "c") for i in range(99))
try:
    prepare("c", lambda: {{"train": [shard]}}, {str(tmp_path / "out")!r})
except RunError as error:
    print(error)
"""
    root = Path(__file__).parents[3]
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=root, check=True)
    assert b"nothing was kept" in run.stdout
    assert run.stdout.count(b"\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "splits",
    [{}, {"train": []}, {"train": [lambda: []]}, {"train": [lambda: [example(0)]], "test": []}],
)
def test_a_split_without_examples_is_refused(tmp_path, splits):
    with pytest.raises(UsageError, match="expected examples"):
        prepare("c", lambda: splits, tmp_path / "out")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("split", ["a/b", "all", "", "train[:5]", "../x", "tr in"])
def test_a_name_that_cannot_be_a_split_is_refused(tmp_path, split):
    with pytest.raises(UsageError, match="expected splits named"):
        prepare("c", lambda: {split: [lambda: [example(0)]]}, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def must_not_be_called():
    raise AssertionError("the reader was called before the folder was checked")


def test_a_folder_that_is_taken_is_refused_before_any_work(folder, tmp_path):
    for out in (folder, folder / "index-train.jsonl"):
        with pytest.raises(UsageError, match="choose another folder or delete this one"):
            prepare("c", must_not_be_called, out)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be written"):
        prepare("c", must_not_be_called, tmp_path / "file" / "out")


def test_an_empty_folder_and_what_a_killed_run_left_are_taken_over(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "incomplete.AB12CD_out").mkdir()
    (tmp_path / "incomplete.AB12CD_out" / "half").touch()
    (tmp_path / "incomplete.AB12CD_other").mkdir()
    prepare("c", read, tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"out", "incomplete.AB12CD_other"}


def test_any_flipped_bit_of_the_audio_is_found_or_harmless(copy):
    path = copy / "my_corpus-train.array_record-00000-of-00002"
    intact = path.read_bytes()
    found = 0
    for position in np.random.default_rng(0).integers(0, len(intact), 40):
        damaged = bytearray(intact)
        damaged[position] ^= 4
        path.write_bytes(damaged)
        corpus = PreparedCorpus(copy)
        for i in range(5):
            try:
                np.testing.assert_array_equal(corpus.audio("train", i), samples(i))
            except UsageError as error:
                assert "damaged corpus" in str(error)
                assert "\n" not in str(error)
                found += 1
    assert found


def test_a_cut_or_missing_file_is_found_when_the_folder_is_opened(copy):
    path = copy / "my_corpus-train.array_record-00001-of-00002"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UsageError, match="bytes of split 'train', found"):
        PreparedCorpus(copy)
    path.unlink()
    with pytest.raises(UsageError, match="bytes of split 'train', found"):
        PreparedCorpus(copy)


@pytest.mark.parametrize("name", ["dataset_info.json", "features.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"[1]", None])
def test_a_damaged_description_is_refused(copy, name, content):
    if content is None:
        (copy / name).unlink()
    else:
        (copy / name).write_bytes(content)
    with pytest.raises(UsageError):
        PreparedCorpus(copy)


@pytest.mark.parametrize("change", [lambda t: t[:-9], lambda t: t + t, lambda t: b"[1]\n" * 8])
def test_a_damaged_index_is_refused(copy, change):
    index = copy / "index-train.jsonl"
    index.write_bytes(change(index.read_bytes()))
    with pytest.raises(UsageError, match="damaged corpus"):
        PreparedCorpus(copy).rows("train")


def test_audio_that_belongs_to_another_row_is_refused(copy):
    index = copy / "index-train.jsonl"
    first, second, *rest = index.read_bytes().splitlines(keepends=True)
    index.write_bytes(b"".join([second, first, *rest]))
    corpus = PreparedCorpus(copy)
    with pytest.raises(UsageError, match="to be 'u1' with 401 samples, found 'u0' with 400"):
        corpus.audio("train", 0)
    np.testing.assert_array_equal(corpus.audio("train", 2), samples(2))


def test_a_folder_of_something_else_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UsageError, match="expected a folder written by taskaware prepare"):
            PreparedCorpus(path)


def test_an_unknown_split_is_refused_with_the_nearest(folder):
    with pytest.raises(UsageError, match=r"found test, train|found train, test") as error:
        PreparedCorpus(folder).rows("tran")
    assert str(error.value).endswith("did you mean 'train'?")


def spoken(text, voice):
    """A stand-in for speech: as long as the text, and another for each text and voice."""
    seed = list(f"{text}{voice.name}".encode())
    return np.random.default_rng(seed).integers(-99, 99, 400 + len(text)).astype(np.int16)


def make_toy(out, **changes):
    return prepare_corpus(
        toy.Toy(**({"train": 30, "validation": 20, "test": 25, "seed": 3} | changes)), out
    )


def test_the_embedded_corpus_holds_sentences_out(tmp_path, monkeypatch):
    monkeypatch.setattr(toy.speech, "synthesize", spoken)
    corpus = make_toy(tmp_path / "toy")
    rows = {split: corpus.rows(split) for split in corpus.splits}
    assert {split: len(part) for split, part in rows.items()} == {
        "train": 30,
        "validation": 20,
        "test": 25,
    }
    texts = [row.source_text for part in rows.values() for row in part]
    assert len(set(texts)) == 75
    ids = {row.id for part in rows.values() for row in part}
    assert len(ids) == 75


def test_the_embedded_corpus_holds_voices_out(tmp_path, monkeypatch):
    monkeypatch.setattr(toy.speech, "synthesize", spoken)
    corpus = make_toy(tmp_path / "toy")
    training = {voice.name for voice in toy.speech.training_voices()}
    held_out = {voice.name for voice in toy.speech.held_out_voices()}
    speakers = {split: [row.speaker for row in corpus.rows(split)] for split in corpus.splits}
    assert set(speakers["train"]) <= training
    assert set(speakers["test"]) <= held_out
    assert sum(name in training for name in speakers["validation"]) == 10
    assert sum(name in held_out for name in speakers["validation"]) == 10
    voices = {voice.name: voice for voice in toy.speech.training_voices()}
    row = corpus.rows("train")[7]
    expected = spoken(row.source_text, voices[row.speaker])
    np.testing.assert_array_equal(corpus.audio("train", 7), expected)


def test_the_embedded_corpus_goes_over_a_telephone_or_is_text_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(toy.speech, "synthesize", spoken)
    plain, phone = make_toy(tmp_path / "a"), make_toy(tmp_path / "b", sound="telephone")
    heard = toy.speech.over_telephone(plain.audio("train", 7))
    np.testing.assert_array_equal(phone.audio("train", 7), heard)
    monkeypatch.setattr(toy.speech, "synthesize", None)  # text needs no synthesizer
    text = make_toy(tmp_path / "c", sound="none")
    for split in text.splits:
        for alone, said in zip(text.rows(split), plain.rows(split), strict=True):
            assert (alone.num_samples, alone.speaker, alone.corpus) == (0, "", "toy_none")
            assert alone[3:7] == said[3:7]
            assert said.num_samples > 0


def test_the_seed_decides_on_the_embedded_corpus(tmp_path, monkeypatch):
    monkeypatch.setattr(toy.speech, "synthesize", spoken)
    first, again = make_toy(tmp_path / "a"), make_toy(tmp_path / "b")
    other = make_toy(tmp_path / "c", seed=4)
    for split in first.splits:
        assert first.rows(split) == again.rows(split)
        texts = {row.source_text for row in first.rows(split)}
        assert texts != {row.source_text for row in other.rows(split)}
        speakers = [row.speaker for row in first.rows(split)]
        assert speakers != [row.speaker for row in other.rows(split)]


def test_the_embedded_corpus_translates_into_the_language_asked_for(tmp_path, monkeypatch):
    from taskaware.data.toy.grammar import sentences

    monkeypatch.setattr(toy.speech, "synthesize", spoken)
    corpus = make_toy(tmp_path / "toy", target_language="tr")
    turkish = {sentence.english: sentence.turkish for sentence in sentences(75, 3)}
    for row in corpus.rows("test"):
        assert (row.source_language, row.target_language, row.corpus) == ("en", "tr", "toy")
        assert row.target_text == turkish[row.source_text]


@pytest.mark.parametrize("sizes", [{"train": 0}, {"test": -1}])
def test_an_embedded_corpus_without_sentences_is_refused(tmp_path, sizes):
    with pytest.raises(UsageError, match="1 or more"):
        make_toy(tmp_path / "toy", **sizes)


@pytest.mark.synth
def test_the_embedded_corpus_speaks(tmp_path):
    pytest.importorskip("espeakng_loader", reason="needs the synth extra")
    corpus = make_toy(tmp_path / "toy", train=3, validation=2, test=1)
    again = make_toy(tmp_path / "again", train=3, validation=2, test=1)
    for split in corpus.splits:
        for i, row in enumerate(corpus.rows(split)):
            audio = corpus.audio(split, i)
            assert 0.5 < len(audio) / 16000 < 15
            assert np.abs(audio.astype(float)).max() > 1000
            np.testing.assert_array_equal(audio, again.audio(split, i))
            assert len(audio) == row.num_samples
