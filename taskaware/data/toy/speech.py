"""Read sentences aloud with the synthesizer eSpeak NG, in many voices, the same on every run.

The synthesizer is GPL-3 and comes with the extra ``synth``; nothing of it is shipped here.
"""

import _ctypes
import ctypes
import itertools
import random
import threading
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int16
from scipy.signal import butter, resample_poly, sosfilt

from taskaware.errors import UsageError, nearest

# Variants that sound like a plain man or woman; whispering, croaking and joke voices are left out,
# as are the Klatt ones, whose noise comes from the process' shared random numbers, and those whose
# spectra are far from all others', to which a few thousand sentences do not generalize. The
# held-out ones are similar to those of training: they test new speakers of a familiar kind.
_TRAINING = (
    *("Annie", "grandma", "grandpa", "shelby", "steph", "m1", "m5", "m6", "m7", "Alex"),
    *("boris", "Denis", "Gene", "iven3", "max", "Michael", "miguel", "norbert", "travis", "victor"),
)
_HELD_OUT = ("john", "Mike", "robert", "sandro")
_RATES, _PITCHES = (170, 180), (45, 55)

# From espeak-ng/speak_lib.h, version 1.52.
_SYNCHRONOUS, _DONT_EXIT = 2, 0x8000
_RATE, _VOLUME, _PITCH = 1, 2, 3
_CHARACTERS, _UTF8 = 1, 1
_HEADROOM = 70  # volume; at 100, the default, the loudest voices are clipped
_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)
_MARGIN = 800  # samples at 16 kHz: 50 ms of silence stay on either side
_SILENCE = 32  # of 32768: the synthesizer's pauses are quieter
_PAUSE = 1280  # samples: 80 ms; within words there are up to 60 ms of silence, between clauses 110

_lock = threading.Lock()  # the synthesizer keeps its state in globals


class Voice(NamedTuple):
    """A voice of the synthesizer: its language and variant, its speed and its pitch."""

    name: str
    """For example "en-us+f3"."""
    rate: int
    """Words per minute."""
    pitch: int
    """0 to 99, within the variant's range; 50 is its default."""

    @property
    def variant(self) -> str:
        """Who speaks, whatever the language, such as "f3"."""
        return self.name.partition("+")[2]


def training_voices(language: str = "en-us") -> tuple[Voice, ...]:
    """Return every training variant at two rates and two pitches."""
    return _voices(_TRAINING, language)


def held_out_voices(language: str = "en-us") -> tuple[Voice, ...]:
    """Return voices for validation and test, of variants that no training voice uses."""
    return _voices(_HELD_OUT, language)


def _voices(variants: tuple[str, ...], language: str) -> tuple[Voice, ...]:
    return tuple(
        Voice(f"{language}+{variant}", rate, pitch)
        for variant, rate, pitch in itertools.product(variants, _RATES, _PITCHES)
    )


def synthesize(text: str, voice: Voice) -> Int16[np.ndarray, " A"]:
    """Read a text aloud; the same text and voice give the same samples on every machine.

    Args:
        text: what to say, in the voice's language.
        voice: how to say it.

    Returns:
        Mono samples at 16 kHz, with 50 ms of silence before and after.

    Raises:
        UsageError: the synthesizer is not installed or does not know the voice, or the text has
            nothing to say.
    """
    with _lock:
        sound, rate = _speak(text, voice)
    if not np.any(np.abs(sound) > _SILENCE):
        raise UsageError(f"speech: expected a text to read aloud, found {text!r}")
    common = np.gcd(rate, 16000)
    resampled = resample_poly(sound.astype(np.float64), 16000 // common, rate // common)
    sound_A = np.clip(np.round(resampled), -32768, 32767).astype(np.int16)
    loud = np.flatnonzero(np.abs(sound_A.astype(int)) > _SILENCE)
    return sound_A[max(loud[0] - _MARGIN, 0) : loud[-1] + 1 + _MARGIN]


def with_pauses(text: str, voice: Voice, rng: random.Random) -> Int16[np.ndarray, " A"]:
    """Read a text aloud with pauses of 0.2 to 0.8 s before it, after it and between two words."""
    words = text.split()
    cut = rng.randrange(1, max(2, len(words)))
    sound = [np.zeros(rng.randint(3200, 12800), np.int16)]
    for part in filter(None, (words[:cut], words[cut:])):
        pause = np.zeros(rng.randint(3200, 12800), np.int16)
        sound += [synthesize(" ".join(part), voice), pause]
    return np.concatenate(sound)


def stretches(sound_A: Int16[np.ndarray, " A"]) -> list[tuple[float, float]]:
    """Return start and end, in seconds, of each stretch of a synthesized text without a pause.

    The synthesizer is silent for 110 ms and more between clauses, for 60 ms at most within words.
    """
    loud = np.flatnonzero(np.abs(sound_A.astype(int)) > _SILENCE)
    parts = np.split(loud, np.flatnonzero(np.diff(loud) > _PAUSE) + 1)
    return [(part[0] / 16000, (part[-1] + 1) / 16000) for part in parts if len(part)]


def over_telephone(sound_A: Int16[np.ndarray, " A"]) -> Int16[np.ndarray, " A"]:
    """Keep the band of a telephone, 300 to 3,400 Hz, of samples at 16 kHz.

    A different channel is the plainest difference between the recordings of two corpora.

    Source: the band of ITU-T G.712; here a Butterworth filter of eighth order.
    """
    sections = butter(4, (300, 3400), "bandpass", fs=16000, output="sos")
    filtered = sosfilt(sections, sound_A.astype(np.float64))
    return np.clip(np.round(filtered), -32768, 32767).astype(np.int16)


def _speak(text: str, voice: Voice) -> tuple[Int16[np.ndarray, " A"], int]:
    """Return the synthesizer's samples and their rate in Hz.

    The library is loaded anew for each text: it never resets the tremor and the noise of its
    voices, so only a freshly loaded one says the same text the same way twice.
    """
    library_path, data_path = _installed()
    _check_variant(voice.name, data_path)
    sound: list[bytes] = []

    def keep(samples, count, _events) -> int:
        if samples and count > 0:
            sound.append(ctypes.string_at(samples, 2 * count))
        return 0

    callback = _CALLBACK(keep)  # must live as long as the library may call it
    library = ctypes.CDLL(library_path)
    try:
        library.espeak_Initialize.argtypes = [
            *(ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int)
        ]
        library.espeak_SetSynthCallback.argtypes = [_CALLBACK]
        library.espeak_ng_SetRandSeed.argtypes = [ctypes.c_long]
        library.espeak_Synth.argtypes = [
            *(ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int),
            *(ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p),
        ]
        rate = library.espeak_Initialize(_SYNCHRONOUS, 0, data_path.encode(), _DONT_EXIT)
        if rate <= 0:
            raise UsageError(
                f"speech: expected the synthesizer's data in {data_path}, found none it can "
                'read; run: pip install --force-reinstall "taskaware[synth]"'
            )
        library.espeak_ng_SetRandSeed(0)
        library.espeak_SetSynthCallback(callback)
        if library.espeak_SetVoiceByName(voice.name.encode()) != 0:
            raise UsageError(
                f'speech: expected a voice such as "en-us+f3", found {voice.name!r}, whose '
                "language the synthesizer does not know"
            )
        library.espeak_SetParameter(_RATE, voice.rate, 0)
        library.espeak_SetParameter(_PITCH, voice.pitch, 0)
        library.espeak_SetParameter(_VOLUME, _HEADROOM, 0)
        line = text.encode()
        library.espeak_Synth(line, len(line) + 1, 0, _CHARACTERS, 0, _UTF8, None, None)
        library.espeak_Terminate()
    finally:
        _ctypes.dlclose(library._handle)
    return np.frombuffer(b"".join(sound), np.int16), rate


def _installed() -> tuple[str, str]:
    """Return where the synthesizer's library and data are."""
    try:
        import espeakng_loader
    except ImportError:
        raise UsageError(
            "speech: expected the speech synthesizer, found no package espeakng-loader; "
            'run: pip install "taskaware[synth]"'
        ) from None
    return espeakng_loader.get_library_path(), espeakng_loader.get_data_path()


def _check_variant(name: str, data_path: str) -> None:
    # The synthesizer itself replaces an unknown variant silently.
    _, plus, variant = name.partition("+")
    names = sorted(path.name for path in Path(data_path, "voices", "!v").iterdir())
    if plus and variant not in names:
        raise UsageError(
            f'speech: expected a voice such as "en-us+f3", found {name!r}, an unknown variant'
            f"{nearest(variant, names)}"
        )
