import math
import pickle

import numpy as np
import pytest
from support.command_line import fresh, refused, taskaware

from taskaware.errors import UsageError

tfds = pytest.importorskip("tensorflow_datasets")
from taskaware.data.audio import augment  # noqa: E402
from taskaware.data.corpora import augmented  # noqa: E402
from taskaware.data.corpora.augmented import Augmented  # noqa: E402
from taskaware.data.corpora.base import NO_AUDIO, Example, PreparedCorpus  # noqa: E402
from taskaware.data.corpora.write import prepare, prepare_corpus  # noqa: E402


def spoken(id, seconds=0.3):
    samples = np.random.default_rng(list(id.encode())).normal(0, 2000, round(seconds * 16000))
    texts = f"by {id}", f"say {id}", f"sag {id}"
    return Example(id, samples.astype(np.int16), *texts, "en", "de", "c")


def timed(id, labels, seconds=0.5):
    return spoken(id, seconds)._replace(labels=labels)


def written(id):
    return Example(id, NO_AUDIO, "", f"read {id}", f"lies {id}", "en", "de", "c")


def corpus_of(folder, **splits):
    """A prepared corpus of examples by split."""
    shards = {name: [lambda examples=examples: examples] for name, examples in splits.items()}
    return prepare("given", lambda: shards, folder)


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    folder = tmp_path_factory.mktemp("given") / "corpus"
    train = [spoken("a"), written("t"), spoken("b", 0.5), spoken("ü~1", 0.4)]
    return corpus_of(folder, train=train, test=[spoken("x")])


@pytest.fixture(scope="module")
def copied(given, tmp_path_factory):
    return prepare_augmented(given.directory, tmp_path_factory.mktemp("out") / "corpus")


def prepare_augmented(folder, out, **options):
    return prepare_corpus(Augmented(folder, **options), out)


def audio(corpus, split="train"):
    """Every recording by its id."""
    return {row.id: corpus.audio(split, i) for i, row in enumerate(corpus.rows(split))}


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for id, samples in expected.items():
        np.testing.assert_array_equal(found[id], samples)


def refusal(folder, out, **options):
    with pytest.raises(UsageError) as error:
        prepare_augmented(folder, out, **options)
    assert "\n" not in str(error.value)
    assert not out.exists()
    return str(error.value)


def test_every_utterance_of_train_comes_three_times_with_its_texts(given, copied):
    assert copied.splits == ("train",)
    originals = {row.id: row for row in given.rows("train")}
    assert [row.id for row in copied.rows("train")] == [
        f"{id}~{copy}" for id in ("a", "b", "ü~1") for copy in (1, 2, 3)
    ]
    for row in copied.rows("train"):
        original = originals[row.id.rpartition("~")[0]]
        assert row._replace(id=original.id, num_samples=original.num_samples) == original


def test_no_two_copies_are_alike_and_none_is_its_original(given, copied):
    everything = [*audio(given).values(), *audio(copied).values()]
    spoken = [samples.tobytes() for samples in everything if len(samples)]
    assert len(set(spoken)) == len(spoken) == 3 + 9


def test_a_copy_is_what_its_parameters_make_of_its_original(given, tmp_path):
    """Ranges of one value leave nothing to chance."""
    ranges = {"speed": (1.03, 1.03), "tempo": (0.9, 0.9)}
    ranges |= {"echo_delay": (50.0, 50.0), "echo_decay": (0.1, 0.1)}
    found = audio(prepare_augmented(given.directory, tmp_path / "out", copies=2, **ranges))
    for id, samples in audio(given).items():
        if len(samples):
            expected = augment.echo(augment.tempo(augment.speed(samples, 1.03), 0.9), 50.0, 0.1)
            np.testing.assert_array_equal(found[f"{id}~1"], expected)
            np.testing.assert_array_equal(found[f"{id}~2"], expected)


def test_without_changes_the_copies_are_the_originals(given, tmp_path):
    one, none = (1.0, 1.0), (0.0, 0.0)
    copies = prepare_augmented(
        given.directory, tmp_path / "out", copies=1, speed=one, tempo=one, echo_decay=none
    )
    expected = {f"{id}~1": samples for id, samples in audio(given).items() if len(samples)}
    assert_same(audio(copies), expected)


def test_parameters_are_uniform_in_their_ranges(given, tmp_path, monkeypatch):
    drawn = {name: [] for name in ("speed", "tempo", "delay", "decay", "snr")}

    def keep(samples, *values):
        for name, value in zip(values[::2], values[1::2], strict=True):
            drawn[name].append(value)
        return samples

    monkeypatch.setattr(augment, "speed", lambda x, value: keep(x, "speed", value))
    monkeypatch.setattr(augment, "tempo", lambda x, value: keep(x, "tempo", value))
    monkeypatch.setattr(augment, "echo", lambda x, d, g: keep(x, "delay", d, "decay", g))
    monkeypatch.setattr(augment, "add_noise", lambda x, value, rng: keep(x, "snr", value))
    prepare_augmented(given.directory, tmp_path / "out", copies=200, snr=(5.0, 25.0))
    # The paper's, §6.1.1.
    ranges = {"speed": (0.95, 1.05), "tempo": (0.85, 1.3), "delay": (20, 200)}
    ranges |= {"decay": (0.05, 0.2), "snr": (5, 25)}
    columns = []
    for name, (low, high) in ranges.items():
        values = (np.array(drawn[name]) - low) / (high - low)
        assert len(values) == 3 * 200
        assert ((values >= 0) & (values <= 1)).all()
        # Kolmogorov and Smirnov's distance from the uniform distribution, at the level 0.001.
        steps = np.arange(1, 601) / 600
        assert np.abs(np.sort(values) - steps).max() < 1.95 / math.sqrt(600)
        columns.append(values)
    correlation = np.corrcoef(columns) - np.eye(5)
    assert np.abs(correlation).max() < 4 / math.sqrt(600)


def test_noise_comes_at_the_ratio_asked_for(given, tmp_path):
    one = (1.0, 1.0)
    quiet = {"speed": one, "tempo": one, "echo_decay": (0.0, 0.0), "snr": (12.0, 12.0)}
    found = audio(prepare_augmented(given.directory, tmp_path / "out", copies=2, **quiet))
    samples = audio(given)["b"].astype(float)
    added = [found[f"b~{copy}"] - samples for copy in (1, 2)]
    for noise in added:
        ratio = np.square(samples).sum() / np.square(noise).sum()
        assert 10 * math.log10(ratio) == pytest.approx(12, abs=0.01)
    assert not np.array_equal(*added)


# What a copy depends on.


def test_a_copy_depends_on_the_seed_the_id_and_its_number_alone(given, copied, tmp_path):
    """Neither on the order of examples, nor on how many there are, nor on the number of copies."""
    train = [spoken("ü~1", 0.4), spoken("new"), spoken("a"), spoken("b", 0.5)]
    other = corpus_of(tmp_path / "other", train=train)
    found = audio(prepare_augmented(other.directory, tmp_path / "out", copies=4))
    assert_same({id: found[id] for id in audio(copied)}, audio(copied))
    again = prepare_augmented(given.directory, tmp_path / "seed", seed=1)
    for id, samples in audio(copied).items():
        assert not np.array_equal(audio(again)[id], samples)


def test_shards_give_the_same_copies_in_any_order_and_in_other_processes(
    given, copied, tmp_path, monkeypatch
):
    monkeypatch.setattr(augmented, "UTTERANCES_PER_SHARD", 3)
    corpus = Augmented(given.directory)
    shards = [pickle.loads(pickle.dumps(shard)) for shard in corpus.splits(strict=True)["train"]]
    assert [len(list(shard())) for shard in shards] == [3, 3, 3]
    assert_same(
        {example.id: example.audio for shard in reversed(shards) for example in shard()},
        audio(copied),
    )
    told = []
    at_once = prepare_corpus(
        corpus, tmp_path / "out", workers=2, on_shard=lambda *at: told.append(at)
    )
    assert [examples for examples, _ in told] == [3, 6, 9]
    assert_same(audio(at_once), audio(copied))


def test_the_corpus_that_is_read_stays_as_it_is(given, tmp_path):
    before = {path: path.read_bytes() for path in given.directory.rglob("*") if path.is_file()}
    prepare_augmented(given.directory, tmp_path / "out", copies=1)
    after = {path: path.read_bytes() for path in given.directory.rglob("*") if path.is_file()}
    assert after == before


def test_other_splits_are_copied_where_they_are_named(given, tmp_path):
    both = prepare_augmented(
        given.directory, tmp_path / "out", copies=1, from_splits=("train", "test")
    )
    assert {split: len(both.rows(split)) for split in both.splits} == {"train": 3, "test": 1}


# What is refused.


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"copies": 0}, "copies: expected 1 or more, found 0"),
        ({"speed": (0.0, 1.0)}, "speed: expected two numbers from 0.1 to 10, the lower one first,"),
        ({"speed": (95.0, 105.0)}, "speed: expected two numbers from 0.1 to 10"),
        ({"tempo": (1.3, 0.85)}, "tempo: expected two numbers from 0.1 to 10"),
        ({"tempo": (1.0, math.nan)}, "tempo: expected two numbers from 0.1 to 10"),
        ({"echo_delay": (-1.0, 20.0)}, "echo_delay: expected two numbers from 0 to 10000"),
        ({"echo_decay": (0.0, 1.5)}, "echo_decay: expected two numbers from 0 to 1"),
        ({"snr": (0.0, math.inf)}, "snr: expected two numbers from -100 to 100"),
        ({"from_splits": ("tain",)}, "no split 'tain', found train, test; did you mean 'train'?"),
    ],
)
def test_what_cannot_be_drawn_from_is_refused_before_anything_is_written(
    given, tmp_path, options, expected
):
    assert expected in refusal(given.directory, tmp_path / "out", **options)


def test_a_corpus_without_speech_is_refused(tmp_path):
    text = corpus_of(tmp_path / "text", train=[written("t")])
    message = refusal(text.directory, tmp_path / "out")
    assert message == f"{text.directory}: expected speech in split 'train', found text alone"


def test_a_folder_that_is_no_corpus_is_refused(tmp_path):
    assert "expected a folder written by taskaware prepare" in refusal(tmp_path, tmp_path / "out")


# The command.


def test_the_command_takes_every_range(given, tmp_path):
    out = tmp_path / "out"
    options = ["--copies", 2, "--snr", 10, 20, "--echo-decay", 0, 0, "--seed", 3]
    outcome = taskaware("prepare", "augmented", given.directory, "--out", out, *options)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.endswith(f"{out}: ready\n")
    assert len(PreparedCorpus(out).rows("train")) == 6
    expected = prepare_augmented(
        given.directory,
        tmp_path / "same",
        copies=2,
        snr=(10.0, 20.0),
        echo_decay=(0.0, 0.0),
        seed=3,
    )
    assert_same(audio(PreparedCorpus(out)), audio(expected))


def test_the_command_s_defaults_are_the_function_s_in_another_process_too(given, copied, tmp_path):
    out = tmp_path / "out"
    prepare = ["prepare", "augmented", given.directory, "--out", out, "--workers", 1]
    assert fresh(*prepare).code == 0
    assert_same(audio(PreparedCorpus(out)), audio(copied))


def test_the_command_refuses_a_range_in_one_line(given, tmp_path):
    options = ["--tempo", 1.3, 0.85]
    outcome = taskaware(
        "prepare", "augmented", given.directory, "--out", tmp_path / "out", *options
    )
    assert refused(outcome).startswith("tempo: expected two numbers from 0.1 to 10")


def test_times_in_labels_move_with_the_speech(tmp_path):
    train = [
        timed(
            "a", {"speech": "speech 0.1 0.3, speech 0.35 0.45", "name": "hall 12 30", "who": "x"}
        ),
        timed("b", {"speech": "speech 0.25 0.5", "name": "no hall"}),
        written("t"),
    ]
    given = corpus_of(tmp_path / "given", train=train)
    options = {"copies": 1, "speed": (2.0, 2.0), "tempo": (1.25, 1.25), "echo_decay": (0.0, 0.0)}
    rows = prepare_augmented(given.directory, tmp_path / "out", **options).rows("train")
    # 0.1 / 2.5 is 0.04. A column is one of times if all of it is.
    assert rows[0].labels == {
        "speech": "speech 0.04 0.12, speech 0.14 0.18",
        "name": "hall 12 30",
        "who": "x",
    }
    assert rows[1].labels == {"speech": "speech 0.1 0.2", "name": "no hall"}
    assert rows[1].num_samples == 3200
