"""Whatever stands in a file that is read: a result, or one line that refuses it.

Those readers that have a form of their own to try are in their own tests.
"""

import functools
import io
import json
import shutil
import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from taskaware.errors import UsageError

pytest.importorskip("tensorflow_datasets")
pytest.importorskip("soundfile")
from support.corpus_files import noise, write

from taskaware.data.audio.recording import read_audio
from taskaware.data.corpora.base import NO_AUDIO, Example, PreparedCorpus
from taskaware.data.corpora.europarl_st import EuroparlST
from taskaware.data.corpora.folder import Folder
from taskaware.data.corpora.librispeech import LibriSpeech
from taskaware.data.corpora.manifest import Manifest
from taskaware.data.corpora.parallel import Parallel
from taskaware.data.corpora.write import prepare
from taskaware.data.tokenizer import Tokenizer


def refused(do):
    """The line that refuses, or nothing where there is a result."""
    try:
        do()
    except UsageError as error:
        assert str(error) and "\n" not in str(error)
        return str(error)
    return ""


def listed_or_refused(corpus):
    """The lines that refuse a corpus, or nothing."""
    return [refused(functools.partial(corpus.splits, strict=strict)) for strict in (True, False)]


def of(root, lines):
    """Whether each line names what it refuses."""
    return all(not line or line.startswith(str(root)) for line in lines)


def made_of(*pieces):
    """Bytes, any or such as a reader looks for."""
    known = st.lists(st.sampled_from(pieces)).map("".join)
    return st.binary(max_size=99) | (st.text(max_size=99) | known).map(
        lambda text: text.encode(errors="surrogatepass")
    )


COLUMNS = b"id\taudio\tstart\tduration\tspeaker\tsource_text\ttarget_text\tsource_language\t"
COLUMNS += b"target_language\tsplit\n"


@given(
    made_of("\t", "\n", "a", "a.wav", "../a.wav", "/", "\0", "0.5", "1e999", "en", "de", "\r"),
    st.booleans(),
)
@example(b"a\ta.wav\t\t\t\tx\ty\ten\tde\ttrain\n", True)
@example(b"a\t" + b"../" * 30 + b"\t\t\t\tx\ty\ten\tde\t\n", True)
def test_any_table_of_one_s_own(tmp_path_factory, rows, whole):
    root = tmp_path_factory.getbasetemp() / "any_table"
    write(root, {"a.wav": noise(0.1), "t.tsv": COLUMNS * whole + rows})
    assert of(root, listed_or_refused(Manifest(root / "t.tsv")))


@given(
    made_of("speech", " ", "0.0", "1.5", "-1", "nan", "\n", "../x", "\u2028"), made_of("a", "\n")
)
@example(b"speech 0.0 1.5\n", b"a\n")
def test_any_list_of_segments(tmp_path_factory, segments, text):
    root = tmp_path_factory.getbasetemp() / "any_europarl"
    files = {"segments.lst": segments, "segments.en": text, "segments.de": text}
    files |= {"speeches.lst": segments, "speakers.lst": text}
    write(root, {f"en/de/dev/{name}": content for name, content in files.items()})
    write(root, {"en/audios/speech.wav": b""})
    assert of(root, listed_or_refused(EuroparlST(root)))


@given(made_of("1-2-0000", "1-2-0001", " ", "WORDS", "\n", "\r", "/", "../"))
@example(b"1-2-0000 WORDS\n")
def test_any_transcripts(tmp_path_factory, table):
    root = tmp_path_factory.getbasetemp() / "any_libri"
    write(root, {"dev-clean/1/2/1-2.trans.txt": table, "dev-clean/1/2/1-2-0000.flac": b""})
    assert of(root, listed_or_refused(LibriSpeech(root)))


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_text_beside_a_recording_or_another_text(tmp_path_factory, text):
    root = tmp_path_factory.getbasetemp() / "any_text"
    write(root, {"a.wav": b"", "a.txt": text, "p.en": text, "p.de": b"a\nb\n", "q.en.gz": text})
    write(root, {"q.de": b"a\n"})
    assert of(root, listed_or_refused(Folder(root)))
    for stem in ("p", "q"):
        assert of(root, listed_or_refused(Parallel(root, ("en", "de"), (stem,))))


# What follows has a form, of which any part may be another.

numbers = st.integers(0, 2**32 - 1) | st.sampled_from([0, 1, 2, 3, 16, 0x11, 16000, 0xFFFE, 2**31])
chunks = st.tuples(
    st.sampled_from([b"fmt ", b"data", b"LIST", b"fact", b"RIFF"])
    | st.binary(min_size=4, max_size=4),
    st.none() | numbers,
    st.binary(max_size=64)
    | st.tuples(*[st.sampled_from([0, 1, 2, 3, 8, 16, 0xFFFE, 16000])] * 6).map(
        lambda fields: struct.pack("<HHIIHH", *fields)
    )
    | st.just(bytes(3200)),
)
PLAIN = (b"fmt ", None, struct.pack("<HHIIHH", 1, 1, 16000, 32000, 2, 16))


@given(
    st.sampled_from([b"RIFF", b"RIFX", b"RF64", b"FORM", b"ID3\3", b"NIST", b"fLaC", b"OggS"]),
    st.lists(chunks, max_size=5),
    st.booleans(),
)
@example(b"RIFF", [PLAIN, (b"data", None, bytes(3200))], False)
@example(b"RIFF", [PLAIN, (b"data", 2**32 - 1, bytes(3200))], True)
def test_any_header_of_audio(tmp_path_factory, magic, parts, resample):
    path = tmp_path_factory.getbasetemp() / "any.wav"
    body = b"".join(
        name + struct.pack("<I", len(data) if claimed is None else claimed) + data
        for name, claimed, data in parts
    )
    path.write_bytes(magic + struct.pack("<I", 4 + len(body)) + b"WAVE" + body)
    assert of(path, [refused(lambda: read_audio(path, resample=resample))])


def recordings():
    """A recording of every container whose samples no decoder of libsndfile touches."""
    import soundfile

    for name in ("WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "NIST"):
        file = io.BytesIO()
        soundfile.write(file, noise(0.1), 16000, format=name, subtype="PCM_16")
        yield file.getvalue()


@given(
    st.sampled_from([*recordings()]),
    st.lists(
        st.tuples(st.integers(0, 4200), st.binary(max_size=8), st.integers(0, 40)), max_size=5
    ),
)
@example([*recordings()][3], [(96, b"\xff" * 8, 8)])
def test_any_recording_with_other_bytes_in_it(tmp_path_factory, content, changes):
    path = tmp_path_factory.getbasetemp() / "any.audio"
    for place, new, lost in changes:
        place %= len(content) + 1
        content = content[:place] + new + content[place + lost :]
    path.write_bytes(content)
    assert of(path, [refused(lambda: read_audio(path, resample=True))])


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=9) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A corpus of one text, and a copy of it."""
    one = Example("u", NO_AUDIO, "", "one", "eins", "en", "de", "c")
    out = tmp_path_factory.mktemp("any_corpus") / "corpus"
    prepare("c", lambda: {"train": [lambda: [one]]}, out)
    return out, shutil.copytree(out, out.with_name("good"))


FILES = ["dataset_info.json", "features.json", "index-train.jsonl", "left_out-train.jsonl"]


def mutated(value, places, new):
    """A copy with something else at a place, found by going down as the numbers say."""
    if not places or not isinstance(value, dict | list) or not value:
        return new
    keys = [*value] if isinstance(value, dict) else [*range(len(value))]
    key = keys[places[0] % len(keys)]
    inner = mutated(value[key], places[1:], new)
    if isinstance(value, dict):
        return value | {key: inner}
    return [*value[:key], inner, *value[key + 1 :]]


@given(
    st.sampled_from([*FILES, "sha256.json"]),
    st.lists(st.integers(0, 9), max_size=6),
    anything,
    st.none() | st.binary(max_size=60),
)
def test_any_file_of_a_prepared_folder(folder, name, places, new, content):
    out, copy = folder
    shutil.copytree(copy, out, dirs_exist_ok=True)
    good = (copy / name).read_bytes()
    if content is None:
        known = json.loads(good) if good else ["a reason", "where"]
        content = json.dumps(mutated(known, places, new)).encode()
    (out / name).write_bytes(content)

    def use():
        corpus = PreparedCorpus(out)
        for split in corpus.splits:
            corpus.left_out(split)
            for i in range(len(corpus.rows(split))):
                corpus.audio(split, i)
        corpus.verify()

    said = refused(use)
    assert not said or said.startswith(str(out))
    # TFDS writes its own two when the digests have been taken.
    assert said or content == good or name in ("dataset_info.json", "features.json")


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
    from taskaware.data.tokenizer import train_tokenizer

    path = tmp_path_factory.mktemp("any_model") / "t.model"
    train_tokenizer(["zero one two three"], 20, path)
    return path.read_bytes()


@given(st.integers(0, 10**6), st.binary(max_size=20), st.booleans())
def test_any_tokenizer(vocabulary, place, new, cut):
    place %= len(vocabulary)
    end = b"" if cut else vocabulary[place + len(new) :]
    model = vocabulary[:place] + new + end
    said = refused(lambda: Tokenizer(model, "t.model").encode("zero one"))
    assert of("t.model", [said])
    assert not said or model != vocabulary
