"""Read audio files as 16 kHz mono int16, or say in one line why not."""

import contextlib
import functools
import io
import math
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from jaxtyping import Float32, Int16, Num

from taskaware.data.audio.containers import read_header
from taskaware.data.audio.features import SAMPLE_RATE, WINDOW, to_int16
from taskaware.data.audio.mp3 import open_mp3
from taskaware.data.audio.streams import (
    SampleType,
    Sequential,
    Version,
    flac,
    flac_length,
    ogg_patch,
    patched,
    require_flac_ends,
)
from taskaware.errors import UsageError

MAX_SECONDS = 600.0
"""The longest stretch that is read, so that a mistaken table does not fill the memory."""
OVERHANG = 1.0
"""Seconds by which a stretch may exceed its file; it is cut at the file's end."""

_TOLERANCE = 0.05
"""Seconds of excess that are not worth a note, as corpora round their times."""
_RATES = (1_000, 192_000)
"""Samples per second; converting other rates could take any amount of memory."""
_OPPOSED = -0.3
"""Correlation of two channels below which most of the sound is lost in their mean."""
_WIDTHS = {
    **dict.fromkeys(("PCM_S8", "PCM_U8", "ULAW", "ALAW"), 1),
    **{"PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8},
}
"""Bytes per sample, by libsndfile's name of its type."""

_WIDE = ("PCM_24", "PCM_32", "FLOAT", "DOUBLE")
"""Types in which a program may have written numbers of a wrong scale."""

# Notes on a recording that is read all the same.
CUT = "segment cut at the end of its recording"
ONE_CHANNEL = "two channels that cancel each other, the stronger one taken"
CLIPPED = "samples beyond full scale, clipped"
SILENT = "silence: all samples are 0"
FAINT = "silence once rounded to 16 bits"


class TooShortError(UsageError):
    """Audio shorter than one frame, from which no features can be computed."""


class Recording(NamedTuple):
    """Samples, and notes on what was done to them."""

    samples: Int16[np.ndarray, " A"]
    """16 kHz."""
    notes: tuple[str, ...]
    """What a user should know of them; the same words for all notes of a kind."""


class _Source(NamedTuple):
    """An open file of known length."""

    rate: int
    channels: int
    length: int
    """Samples of each channel."""
    subtype: str
    """libsndfile's name of the type of its samples."""
    read: Callable[[int, int, SampleType], Num[np.ndarray, "A N"]]
    """Reads a stretch, by its first sample, number of samples and dtype; fewer if damaged."""


def read_audio(
    path: str | Path,
    start: float = 0.0,
    duration: float | None = None,
    *,
    resample: bool = False,
) -> Recording:
    """Read a file, or a stretch of it, as mono int16 samples.

    Two channels are averaged, unless one is empty or they cancel each other. Samples other than
    16-bit ones are scaled to that range, rounded and clipped.

    Args:
        path: WAV, RF64, W64, AIFF, AU, CAF or NIST SPHERE of PCM or float samples, FLAC, MP3, Ogg
            Vorbis or Opus; M4A through ffmpeg.
        start: seconds from the beginning of the file.
        duration: seconds; None reads to the end. A stretch that exceeds the file by up to a
            second is cut.
        resample: whether a file of another rate is converted instead of refused.

    Raises:
        UsageError: the file is missing, empty, not audio, damaged or cut short; its rate differs,
            it has more than two channels, or samples that are not finite or of a wrong scale; the
            stretch exceeds the file by more than a second, or is longer than ten minutes.
        TooShortError: it is shorter than one frame of 25 ms.
    """
    path = Path(path)
    if not path.is_file():
        instead = "something that is not a file" if path.exists() else "nothing there"
        raise UsageError(f"{path}: expected an audio file, found {instead}")
    if not path.stat().st_size:
        raise UsageError(f"{path}: expected an audio file, found an empty one")
    try:
        with _opened(path) as source:
            _require_convertible(path, source, resample)
            first, count, cut = _stretch(path, source, start, duration)
            as_is = (source.rate, source.channels, source.subtype) == (SAMPLE_RATE, 1, "PCM_16")
            channels = source.read(first, count, "int16" if as_is else "float32")
    except OSError as error:
        raise UsageError(f"{path}: cannot read the audio file ({error.strerror})") from None
    # soundfile raises TypeError for the suffix .raw, which implies neither rate nor width.
    except (soundfile.LibsndfileError, TypeError) as error:
        reason = getattr(error, "error_string", "headerless samples").strip(" .")
        raise UsageError(
            f"{path}: cannot read as audio ({reason}); if it is whole, convert it: ffmpeg -i"
            f" {path.name} NEW.wav"
        ) from None
    if len(channels) < count:
        raise UsageError(
            f"{path}: the header promises {source.length} samples, found {first + len(channels)};"
            " the file was cut short or damaged: fetch or convert it again"
        )
    if as_is:
        silent = "" if channels.any() else SILENT
        return Recording(channels[:, 0], tuple(note for note in (cut, silent) if note))
    finite = np.isfinite(channels)
    if not finite.all():
        at = (first + int(finite.all(axis=1).argmin())) / source.rate
        raise UsageError(f"{path}: expected finite samples, found NaN or infinity at {at:.3f} s")
    signal_A, mixed = _mono(channels)
    if source.rate != SAMPLE_RATE:
        import scipy.signal  # takes a second

        common = math.gcd(source.rate, SAMPLE_RATE)
        up, down = SAMPLE_RATE // common, source.rate // common
        signal_A = scipy.signal.resample_poly(signal_A, up, down)
    samples_A, scaled = _int16(path, signal_A, source.subtype, whole=count == source.length)
    return Recording(samples_A, tuple(note for note in (cut, mixed, scaled) if note))


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[_Source]:
    if path.suffix.lower() == ".m4a":
        decoded = io.BytesIO(_decode_m4a(path, path.stat().st_mtime_ns))
        with Sequential(decoded) as sound:
            yield _source(sound, sound.frames)
        return
    header, version = read_header(path), Version.of(path)
    if header.container == "MP3":
        file = open_mp3(version)
        yield _Source(file.rate, file.channels, file.length, "MP3", file.read)
        return
    if header.container == "FLAC":
        content, length = flac(version)
        with Sequential(content) as sound:
            ends = functools.partial(require_flac_ends, version)
            yield _source(sound, length or flac_length(version), ends)
        return
    patch = ogg_patch(version) if header.container == "Ogg" else None
    with Sequential(path if patch is None else patched(path, *patch)) as sound:
        if header.sample_bytes is None:
            yield _source(sound, sound.frames)
        else:
            yield _source(sound, _counted(path, sound, header.sample_bytes))


def _source(
    sound: soundfile.SoundFile,
    length: int,
    require_end: Callable[[soundfile.SoundFile], None] = lambda sound: None,
) -> _Source:
    def read(first: int, count: int, dtype: SampleType) -> Num[np.ndarray, "A N"]:
        if first:
            sound.seek(first)
        channels = sound.read(count, dtype=dtype, always_2d=True)
        if first + count == length:
            require_end(sound)
        return channels

    return _Source(sound.samplerate, sound.channels, length, sound.subtype, read)


def _counted(path: Path, sound: soundfile.SoundFile, sample_bytes: int) -> int:
    """Return the number of samples by their size; a header that promises fewer is an error."""
    if sound.subtype not in _WIDTHS:
        raise UsageError(f"{path}: expected PCM or float samples, found {sound.subtype}")
    length = sample_bytes // (_WIDTHS[sound.subtype] * sound.channels)
    if sound.frames < length:
        raise UsageError(
            f"{path}: the header promises {sound.frames} samples, found {length}; convert the file"
        )
    return length


def _require_convertible(path: Path, source: _Source, resample: bool) -> None:
    if source.rate != SAMPLE_RATE and not resample:
        raise UsageError(
            f"{path}: expected {SAMPLE_RATE} Hz, found {source.rate} Hz; convert with --resample"
        )
    if not _RATES[0] <= source.rate <= _RATES[1]:
        raise UsageError(
            f"{path}: expected {_RATES[0]} to {_RATES[1]} Hz, found {source.rate} Hz; convert it:"
            f" ffmpeg -i {path.name} -ar {SAMPLE_RATE} NEW.wav"
        )
    if source.channels > 2:
        raise UsageError(
            f"{path}: expected one or two channels, found {source.channels}; mix them first"
        )


@functools.lru_cache(maxsize=1)  # A corpus reads the many stretches of a file in a row.
def _decode_m4a(path: Path, changed: int) -> bytes:
    """Return the file as AU, a format whose header need not state the length.

    Args:
        path: the file.
        changed: its time of change in nanoseconds, so that a replaced file is read again.
    """
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        raise UsageError(
            f"{path}: .m4a needs ffmpeg, found none; install it (apt install ffmpeg, brew install"
            " ffmpeg), or convert the files to .wav or .flac"
        )
    # The demuxer and the protocols are named, so that a file that is something else in disguise,
    # such as a playlist, reaches nothing.
    words = [ffmpeg, *"-nostdin -v error -xerror -protocol_whitelist file,pipe -f mov".split()]
    words += ["-i", f"file:{path}", *"-map 0:a:0 -c:a pcm_s16be -f au pipe:1".split()]
    done = subprocess.run(words, capture_output=True, check=False)
    if done.returncode != 0:
        # The first line says the most: "[mov,mp4 @ 0x5634] moov atom not found".
        reason = done.stderr.decode(errors="replace").partition("\n")[0].rpartition("] ")[2]
        raise UsageError(
            f"{path}: ffmpeg cannot read it ({reason or 'no reason given'}); fetch it again"
        )
    return done.stdout


def _stretch(
    path: Path, source: _Source, start: float, duration: float | None
) -> tuple[int, int, str]:
    """Return a stretch's first sample, its number of samples, and a note or ""."""
    rate, length = source.rate, source.length / source.rate
    end = length if duration is None else start + duration
    # Written so that NaN fails every comparison.
    if not (0 <= start <= length and start <= end <= length + OVERHANG):
        raise UsageError(
            f"{path}: expected a stretch of its {length:.2f} s, found {start:.2f} s to {end:.2f} s;"
            " correct start and duration"
        )
    first, last = round(start * rate), min(round(end * rate), source.length)
    if (last - first) * SAMPLE_RATE < WINDOW * rate:
        raise TooShortError(
            f"{path}: expected at least 0.025 s of audio, found {(last - first) / rate:.4f} s"
        )
    if last - first > MAX_SECONDS * rate:
        raise UsageError(
            f"{path}: expected at most {MAX_SECONDS:.0f} s of audio, found"
            f" {(last - first) / rate:.0f} s; give start and duration"
        )
    return first, last - first, CUT if end > length + _TOLERANCE else ""


def _mono(channels: Float32[np.ndarray, "A N"]) -> tuple[Float32[np.ndarray, " A"], str]:
    """Return the mean of two channels, or the one that the mean would lose, and a note or ""."""
    if channels.shape[1] == 1:
        return channels[:, 0], ""
    # Of two channels one may be empty; a mean with it would halve the other.
    used = np.maximum(channels.max(axis=0), -channels.min(axis=0)) >= 0.5 / 32768
    if used.sum() < 2:
        return channels[:, used.argmax()], ""
    left, right = np.square(channels).mean(axis=0).tolist()
    if (channels[:, 0] * channels[:, 1]).mean() < _OPPOSED * math.sqrt(left * right):
        return channels[:, int(right > left)], ONE_CHANNEL
    return channels.mean(axis=1), ""


def _int16(
    path: Path, signal_A: Float32[np.ndarray, " A"], subtype: str, *, whole: bool
) -> tuple[Int16[np.ndarray, " A"], str]:
    """Return 16-bit samples, and a note or "".

    Only samples wider than 16 bits can have been written in a wrong scale: decoders leave traces in
    silence, and exceed full scale where the sound was clipped before it was compressed. A stretch
    may be silence.
    """
    scaled = to_int16(signal_A)
    plausible = subtype not in _WIDE or (not whole and scaled.peak < 1)
    if scaled.fault and not plausible:
        raise UsageError(
            f"{path}: {scaled.fault}; written in a wrong scale? mend it: sox --norm {path.name}"
            " NEW.wav"
        )
    if not scaled.samples.any():
        return scaled.samples, FAINT if scaled.peak else SILENT
    return scaled.samples, CLIPPED if scaled.clipped else ""
