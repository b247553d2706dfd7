"""The embedded corpus speaks more tasks than translation: labels, languages, pauses."""

import hashlib
import re

import numpy as np
import pytest

from taskaware.errors import UsageError

pytest.importorskip("tensorflow_datasets")
from taskaware.data.corpora import toy
from taskaware.data.corpora.toy import Toy
from taskaware.data.toy import speech
from taskaware.data.toy.grammar import sentences

SIZES = {"train": 36, "validation": 8, "test": 12}
ALL = ("de", "ro", "tr")


def spoken(text, voice):
    """A stand-in for speech: 50 ms of silence, noise for each text and voice, and silence."""
    rng = np.random.default_rng(list(f"{text}{voice.name}".encode()))
    sound_A = rng.choice([-900, 900], 1600 + 100 * len(text)).astype(np.int16)
    return np.pad(sound_A, 800)


@pytest.fixture(autouse=True)
def stand_in(request, monkeypatch):
    if "synth" not in request.keywords:
        monkeypatch.setattr(speech, "synthesize", spoken)


def examples(**options):
    """All examples by split."""
    splits = Toy(**(SIZES | options)).splits(strict=True)
    return {split: [one for read in shards for one in read()] for split, shards in splits.items()}


def test_the_sentences_and_speakers_of_the_quickstart_do_not_change():
    digest = hashlib.sha256()
    for split, some in examples(train=60, validation=10, test=14).items():
        for one in some:
            about = (split, one.id, one.speaker, one.source_text, one.target_text)
            digest.update(repr(about).encode())
    assert digest.hexdigest() == "3996bd512d27f0b5b3fadb2efe7a362bb56586ba21ca8ca00c1a75449665878f"


def test_further_tasks_leave_the_english_examples_as_they_were():
    plain = examples()
    more = examples(languages=ALL, test_seen=True)
    for split, some in plain.items():
        english = [one for one in more[split] if one.source_language == "en"]
        for one, same in zip(some, english, strict=True):
            assert one[0] == same[0]
            assert one[2:] == same[2:]
            np.testing.assert_array_equal(one.audio, same.audio)


def test_an_english_example_has_all_labels():
    sentence = {one.english: one for one in sentences(56, 0)}
    for one in examples()["train"]:
        assert one.labels == {
            "language": "en",
            "intent": sentence[one.source_text].shape,
            "slots": one.labels["slots"],
            "marked": sentence[one.source_text].marked,
            "speech": f"speech 0.050 {(2400 + 100 * len(one.source_text)) / 16000:.3f}",
            "speaker": one.speaker.removeprefix("en-us+"),
        }
        assert len(one.labels["slots"].split()) == len(one.source_text.split())


def test_all_kinds_of_sentences_are_intents():
    intents = {one.labels["intent"] for one in examples()["train"]}
    assert len(intents) == 12


def test_text_has_the_labels_of_text():
    for some in examples(sound="none", languages=ALL).values():
        for one in some:
            of_english = {"slots", "marked"} if one.source_language == "en" else set()
            assert one.labels.keys() == {"language", "intent"} | of_english


def test_each_sentence_is_spoken_in_another_language_too_in_turn():
    attribute = {"de": "german", "ro": "romanian", "tr": "turkish"}
    sentence = {one.english: one for one in sentences(56, 0)}
    for some in examples(languages=ALL, target_language="tr").values():
        english = [one for one in some if one.source_language == "en"]
        others = [one for one in some if one.source_language != "en"]
        for i, (one, other) in enumerate(zip(english, others, strict=True)):
            language = ALL[i % 3]
            assert other.id == f"{one.id}-{language}"
            assert (other.source_language, other.target_language) == (language, "en")
            assert other.source_text == getattr(sentence[one.source_text], attribute[language])
            assert other.target_text == one.source_text
            assert other.speaker.startswith(f"{language}+")
            assert other.labels["language"] == language
            assert other.labels["intent"] == one.labels["intent"]


def test_what_two_sentences_say_in_turkish_is_said_once(monkeypatch):
    # He and she are one word there.
    he, she, *others = sentences(56, 0)
    said = [he, *others, she._replace(turkish=he.turkish)]
    monkeypatch.setattr(toy, "sentences", lambda count, seed: said)
    splits = examples(languages=("tr",), test_seen=True)
    turkish = {
        split: [one.source_text for one in some if one.source_language == "tr"]
        for split, some in splits.items()
    }
    assert turkish["train"] == [one.turkish for one in said[:36]]
    assert turkish["test"] == turkish["test_seen"] == [one.turkish for one in said[44:-1]]


def variants(voices):
    return {voice.variant for voice in voices}


TRAINING, HELD_OUT = variants(speech.training_voices()), variants(speech.held_out_voices())


def test_no_speaker_of_test_is_heard_in_train_in_any_language():
    splits = examples(languages=ALL, test_seen=True)
    heard = {
        split: {one.speaker.partition("+")[2] for one in some} for split, some in splits.items()
    }
    assert heard["train"] <= TRAINING
    assert heard["test_seen"] <= TRAINING
    assert heard["test"] <= HELD_OUT
    assert heard["validation"] & TRAINING
    assert heard["validation"] & HELD_OUT


def test_a_speaker_is_a_label_where_training_knows_the_voice():
    for some in examples(languages=ALL, test_seen=True).values():
        for one in some:
            variant = one.speaker.partition("+")[2]
            assert one.labels.get("speaker") == (variant if variant in TRAINING else None)


def test_test_seen_has_the_sentences_of_test():
    splits = examples(languages=ALL, test_seen=True)
    pairs = zip(splits["test"], splits["test_seen"], strict=True)
    for one, seen in pairs:
        assert seen.id == one.id.replace("test-", "test_seen-")
        assert (seen.source_text, seen.target_text) == (one.source_text, one.target_text)
    assert "test_seen" not in examples()


@pytest.mark.parametrize("sound", ["microphone", "telephone"])
def test_pauses_are_where_the_labels_leave_them(sound):
    for one in examples(pauses=True, sound=sound, languages=ALL)["train"]:
        match = re.fullmatch(r"speech (\S+) (\S+), speech (\S+) (\S+)", one.labels["speech"])
        assert match
        edges = [round(float(time) * 16000) for time in match.groups()]
        silent = [(0, edges[0]), (edges[1], edges[2]), (edges[3], len(one.audio))]
        for first, last in silent:
            assert 3200 <= last - first < 15000
            # Times are rounded, and behind speech the filter of the telephone rings for a while.
            assert np.abs(one.audio[first + 1600 : last - 16].astype(int)).max() <= 1
        for first, last in zip(edges[::2], edges[1::2], strict=True):
            assert np.abs(one.audio[first:last].astype(int)).mean() > 300


def test_equal_options_pause_at_equal_times():
    for one, again in zip(
        examples(pauses=True)["test"], examples(pauses=True)["test"], strict=True
    ):
        assert one.labels == again.labels
        np.testing.assert_array_equal(one.audio, again.audio)


@pytest.mark.parametrize("languages", [("de", "de"), ("de", "ro", "tr", "de")])
def test_a_language_that_is_named_twice_is_refused(languages):
    with pytest.raises(UsageError, match="languages: expected each of de, ro, tr once"):
        Toy(languages=languages)


@pytest.mark.parametrize("options", [{"pauses": True}, {"test_seen": True}])
def test_what_only_changes_sound_is_refused_for_text(options):
    with pytest.raises(UsageError, match="only with sound"):
        Toy(sound="none", **options)


@pytest.mark.synth
def test_the_synthesizer_speaks_all_languages():
    pytest.importorskip("espeakng_loader", reason="needs the synth extra")
    some = examples(train=6, validation=1, test=1, languages=ALL)["train"]
    assert len(some) == 12
    for one in some:
        first, *_ = one.labels["speech"].split(", ")
        assert float(first.split()[1]) < 0.051
        last = float(one.labels["speech"].split()[-1])
        assert len(one.audio) / 16000 - 0.051 < last < len(one.audio) / 16000 + 0.001
        assert 0.5 < last < 6


@pytest.mark.synth
def test_clauses_of_german_are_segments():
    pytest.importorskip("espeakng_loader", reason="needs the synth extra")
    voice = speech.training_voices("de")[0]
    sound_A = speech.synthesize("Als das Kind geweint hat, hat die Frau gelacht.", voice)
    assert len(speech.stretches(sound_A)) == 2
