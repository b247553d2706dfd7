import hashlib
import random
import subprocess
import sys
import threading

import numpy as np
import pytest

from taskaware.data.toy import grammar, speech
from taskaware.data.toy.speech import Voice, held_out_voices, synthesize, training_voices
from taskaware.errors import UsageError

TEXT = "The old teacher does not see three red houses because the child is sleeping."
PLAIN = Voice("en-us+f1", 190, 50)


@pytest.fixture
def synthesizer():
    pytest.importorskip("espeakng_loader", reason="needs the extra synth")


def variants(voices):
    return {voice.name for voice in voices}


def test_no_held_out_voice_was_heard_in_training():
    assert len(variants(training_voices()) | variants(held_out_voices())) >= 20
    assert len(training_voices()) >= 20
    assert len(variants(held_out_voices())) >= 4
    assert not variants(training_voices()) & variants(held_out_voices())
    assert len(set(training_voices())) == len(training_voices())


@pytest.mark.synth
def test_every_voice_sounds_unlike_the_others(synthesizer):
    voices = {voice.name: voice for voice in training_voices() + held_out_voices()}
    heard = {synthesize("Who opened the red door?", voice).tobytes() for voice in voices.values()}
    assert len(heard) == len(voices)


@pytest.mark.synth
def test_speech_is_audible_and_not_clipped(synthesizer):
    voices = {voice.name: voice for voice in training_voices() + held_out_voices()}
    for voice in voices.values():
        sound_A = synthesize(TEXT, voice).astype(int)
        assert 3000 < np.abs(sound_A).max() < 32767, voice
        assert np.sqrt(np.mean(sound_A**2)) > 300, voice


@pytest.mark.synth
def test_a_sentence_takes_a_plausible_time(synthesizer):
    voices = training_voices()
    seconds = [
        len(synthesize(sentence.english, voices[7 * index % len(voices)])) / 16000
        for index, sentence in enumerate(grammar.sentences(60, 0))
    ]
    assert min(seconds) > 0.8
    assert max(seconds) < 6
    assert 1.6 < np.mean(seconds) < 2.6


@pytest.mark.synth
def test_silence_around_the_speech_is_short(synthesizer):
    loud = np.flatnonzero(np.abs(synthesize(TEXT, PLAIN).astype(int)) > 32)
    assert loud[0] <= 800
    assert len(synthesize(TEXT, PLAIN)) - loud[-1] <= 801


@pytest.mark.synth
def test_a_faster_voice_is_done_sooner(synthesizer):
    slow, fast = (len(synthesize(TEXT, PLAIN._replace(rate=rate))) for rate in (150, 225))
    # Half again as many words a minute; the pauses do not shrink in proportion.
    assert 1.25 < slow / fast < 1.6


def fundamental(sound_A):
    """Median over the loud frames of the lag at which 40 ms are most like themselves, in Hz."""
    found = []
    power = np.mean(sound_A.astype(float) ** 2)
    for start in range(0, len(sound_A) - 1280, 320):
        frame = sound_A[start : start + 1280].astype(float)
        if np.mean(frame**2) > 0.5 * power:
            likeness = [frame[:640] @ frame[lag : lag + 640] for lag in range(36, 640)]
            energy = [1 + np.sum(frame[lag : lag + 640] ** 2) for lag in range(36, 640)]
            found.append(16000 / (36 + np.argmax(np.array(likeness) / np.sqrt(energy))))
    return np.median(found)


@pytest.mark.synth
@pytest.mark.parametrize("name", ["en-us+f1", "en-us+m1"])
def test_a_higher_pitch_has_a_higher_fundamental(synthesizer, name):
    low, usual, high = (fundamental(synthesize(TEXT, Voice(name, 190, p))) for p in (20, 50, 80))
    assert 1.1 * low < usual
    assert 1.1 * usual < high


@pytest.mark.synth
def test_a_woman_speaks_higher_than_a_man(synthesizer):
    woman, man = (fundamental(synthesize(TEXT, Voice(f"en-us+{v}", 190, 50))) for v in ("f1", "m1"))
    assert 150 < woman < 260
    assert 70 < man < 130


@pytest.mark.synth
@pytest.mark.parametrize("variant", ["f2", "m1", "steph"])  # noise, tremor, neither
def test_the_same_voice_says_the_same_text_the_same_way(synthesizer, variant):
    voice = Voice(f"en-us+{variant}", 190, 50)
    first_A = synthesize(TEXT, voice)
    for other in training_voices()[::40]:
        synthesize("The dog is running in the garden.", other)
    np.testing.assert_array_equal(synthesize(TEXT, voice), first_A)


@pytest.mark.synth
def test_another_process_hears_the_same(synthesizer):
    voices = [Voice(f"en-us+{variant}", 190, 50) for variant in ("f2", "m1")]
    code = (
        "import hashlib\n"
        "from taskaware.data.toy.speech import Voice, synthesize\n"
        f"for voice in {voices}:\n"
        f"    print(hashlib.sha256(synthesize({TEXT!r}, voice).tobytes()).hexdigest())\n"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = [hashlib.sha256(synthesize(TEXT, voice).tobytes()).hexdigest() for voice in voices]
    assert there.stdout.split() == here


@pytest.mark.synth
def test_threads_do_not_disturb_each_other(synthesizer):
    voices = training_voices()[::12]
    alone = [synthesize(TEXT, voice) for voice in voices]
    together = [np.zeros(0, np.int16)] * len(voices)

    def say(index):
        together[index] = synthesize(TEXT, voices[index])

    threads = [threading.Thread(target=say, args=(index,)) for index in range(len(voices))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one_A, other_A in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one_A, other_A)


@pytest.mark.synth
@pytest.mark.parametrize(
    ("text", "voice", "message"),
    [
        (TEXT, Voice("en-us+f33", 190, 50), "did you mean 'f3'"),
        (TEXT, Voice("xx+f3", 190, 50), "language"),
        (" ", PLAIN, "a text to read aloud"),
    ],
)
def test_what_cannot_be_said_is_refused_in_one_line(synthesizer, text, voice, message):
    with pytest.raises(UsageError, match=message) as caught:
        synthesize(text, voice)
    assert "\n" not in str(caught.value)


def test_a_missing_synthesizer_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(UsageError, match=r'pip install "taskaware\[synth\]"'):
        speech.synthesize(TEXT, PLAIN)


@pytest.mark.parametrize(
    ("hertz", "low", "high"), [(1000, 0.95, 1.05), (100, 0, 0.05), (6000, 0, 0.05)]
)
def test_a_telephone_lets_a_band_through_and_nothing_else(hertz, low, high):
    wave = 10000 * np.sin(2 * np.pi * hertz * np.arange(16000) / 16000)
    heard = speech.over_telephone(wave.astype(np.int16))
    assert heard.dtype == np.int16 and heard.shape == wave.shape
    assert low <= heard[4000:].std() / wave.std() <= high


def test_a_telephone_clips_instead_of_wrapping_around():
    square = np.where(np.arange(16000) % 16 < 8, 32767, -32768).astype(np.int16)
    heard = speech.over_telephone(square).astype(int)
    assert np.abs(np.diff(heard)).max() < 40000


def sound_of(*stretches):
    """Loud and silent stretches in turn, the first of them loud, each of some samples."""
    rng = np.random.default_rng(0)
    parts = [
        rng.choice([-900, 900], length) if i % 2 == 0 else np.zeros(length)
        for i, length in enumerate(stretches)
    ]
    return np.concatenate(parts).astype(np.int16)


def test_segments_are_what_pauses_part():
    # Silence of 60 ms is within a word, one of 110 ms is a pause.
    silence = np.zeros(800, np.int16)
    sound_A = np.concatenate([silence, sound_of(1600, 960, 1600, 1760, 3200), silence])
    assert speech.stretches(sound_A) == [(0.05, 0.31), (0.42, 0.62)]


def test_sound_without_speech_has_no_segments():
    assert speech.stretches(np.full(1600, 30, np.int16)) == []


@pytest.mark.parametrize("text", ["one two three", "one two", "one"])
def test_pauses_are_put_around_the_words_and_between_two(monkeypatch, text):
    def spoken(part, voice):
        assert voice == PLAIN
        said.append(part)
        return sound_of(1600 * len(part.split()))

    monkeypatch.setattr(speech, "synthesize", spoken)
    cuts = set()
    for seed in range(20):
        said = []
        sound_A = speech.with_pauses(text, PLAIN, random.Random(seed))
        assert " ".join(said) == text
        assert len(said) == min(2, len(text.split()))
        cuts.add(tuple(said))
        times = [0.0, *(time for one in speech.stretches(sound_A) for time in one)]
        times.append(len(sound_A) / 16000)
        pauses = np.diff(times)[::2]
        assert len(pauses) == len(said) + 1
        assert (pauses > 0.199).all() and (pauses < 0.801).all()
    assert len(cuts) == max(1, len(text.split()) - 1)
