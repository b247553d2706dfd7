"""Samples of a wrong scale, as scipy.io.wavfile.write writes what it is given."""

import numpy as np
import pytest
from support.sounds import RATE

from taskaware.errors import UsageError

soundfile = pytest.importorskip("soundfile")
from taskaware.data.audio.recording import CLIPPED, FAINT, SILENT, read_audio  # noqa: E402


def speech():
    return (8000 * np.sin(np.arange(RATE) / 20)).astype(np.int16)


@pytest.mark.parametrize(
    ("values", "subtype", "expected"),
    [
        (speech().astype(np.int32), "PCM_32", "samples of up to 3.7e-06 of full scale"),
        (speech() / 32768.0 / 32768.0, "FLOAT", "nothing above one step of 16 bits"),
        (speech() / 32768.0 / 32768.0, "DOUBLE", "nothing above one step of 16 bits"),
        (speech().astype(np.float32), "FLOAT", "found up to 7,999, so that 100%"),
        (speech() / 32768.0 * 6, "FLOAT", "found up to 1.46"),
        (speech() * 1e33, "FLOAT", "found up to 7.999e+36"),
        (speech() / 9000.0 / 32768.0, "FLOAT", "nothing above one step of 16 bits"),
    ],
)
@pytest.mark.parametrize("rate", [RATE, 44100])
def test_a_file_of_a_wrong_scale_is_refused_with_its_peak(
    tmp_path, values, subtype, expected, rate
):
    path = tmp_path / "a.wav"
    soundfile.write(path, values, rate, subtype=subtype)
    with pytest.raises(UsageError) as error:
        read_audio(path, resample=True)
    said = str(error.value)
    assert said.startswith(f"{path}: ") and "\n" not in said
    assert "written in a wrong scale?" in said
    assert expected in said or rate != RATE


def test_a_stretch_may_be_too_faint_for_16_bits(tmp_path):
    path = tmp_path / "a.wav"
    values = np.concatenate([speech() / 32768, speech() / 2**31])
    soundfile.write(path, values, RATE, subtype="FLOAT")
    assert read_audio(path).notes == ()
    samples, notes = read_audio(path, 1.0)
    assert not samples.any()
    assert notes == (FAINT,)


@pytest.mark.parametrize(
    ("suffix", "subtype"), [("ogg", "OPUS"), ("ogg", "VORBIS"), ("mp3", None), ("wav", "PCM_16")]
)
def test_silence_with_traces_in_it_is_silence(tmp_path, suffix, subtype):
    """Opus decodes zeros as numbers like 1e-34; conversion rounds a lone step of 16 bits away."""
    path = tmp_path / f"a.{suffix}"
    for traces in (0, 1):
        values = np.zeros((48000, 2))
        values[::4801, 0] = values[7::4801, 1] = traces / 32768
        soundfile.write(path, values, 48000, subtype=subtype)
        samples, notes = read_audio(path, resample=True)
        assert not samples.any() and notes in ((FAINT,), (SILENT,))


def test_a_few_samples_beyond_full_scale_are_clipped_and_noted(tmp_path):
    path = tmp_path / "a.wav"
    values = speech() / 32768
    values[1000:1100] *= 2.4 / np.abs(values[1000:1100]).max()
    soundfile.write(path, values, RATE, subtype="FLOAT")
    samples, notes = read_audio(path)
    assert samples.max() == 32767
    assert notes == (CLIPPED,)


def test_what_a_decoder_puts_beyond_full_scale_is_noted_however_much_it_is(tmp_path):
    """Noise of full scale and more, clipped, and then compressed, which rounds the corners off."""
    path = tmp_path / "a.ogg"
    values = np.random.default_rng(0).normal(0, 1, RATE).clip(-1, 1)
    soundfile.write(path, values, RATE, format="OGG", subtype="VORBIS")
    decoded, _ = soundfile.read(path, dtype="float32")
    assert np.mean(np.abs(decoded) > 1) > 0.05
    assert read_audio(path).notes == (CLIPPED,)
