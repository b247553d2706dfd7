"""Audio files as 16 kHz mono int16, or one line saying why not."""

import functools
import io
import math
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import soundfile
from jaxtyping import Float32, Int16

from taskaware.data.features import SAMPLE_RATE, WINDOW
from taskaware.errors import UsageError

MAX_SECONDS = 600.0
"""Longest stretch read at once, so that a mistaken table does not fill the memory."""

_TOLERANCE = 0.05
"""Seconds by which a stretch may pass the end of its file, as corpora round their times."""
_RATES = (1_000, 96_000)
"""Samples a second; to convert another rate could take any amount of memory."""

# Of a WAV's header.
_PLAIN = (0x0001, 0x0003, 0x0006, 0x0007)
"""PCM, float, A-law and µ-law."""
_ADPCM = {0x0002: "Microsoft ADPCM", 0x0011: "IMA ADPCM"}
_EXTENSIBLE = 0xFFFE
_MOST_CHUNKS = 1000


class TooShortError(UsageError):
    """Audio shorter than one frame, of which nothing can be computed."""


def read_audio(
    path: str | Path,
    start: float = 0.0,
    duration: float | None = None,
    *,
    resample: bool = False,
) -> Int16[np.ndarray, " A"]:
    """Read a file, or a stretch of it, as mono int16 samples.

    Two channels are averaged, unless one of them is empty. Samples other than 16-bit ones are
    scaled to that range, rounded and clipped.

    Args:
        path: WAV, FLAC, Ogg, MP3, NIST SPHERE or AIFF; M4A through ffmpeg.
        start: seconds from the beginning of the file.
        duration: seconds; None reads to the end.
        resample: whether a file of another rate is converted instead of refused.

    Raises:
        UsageError: the file is missing, empty, not audio or cut short; its rate differs, it has
            more than two channels or samples that are not finite; the stretch leaves the file by
            more than 0.05 s, or is longer than ten minutes.
        TooShortError: it is shorter than one frame of 25 ms.
    """
    path = Path(path)
    if not path.is_file():
        found = "something that is not a file" if path.exists() else "nothing there"
        raise UsageError(f"{path}: expected an audio file, found {found}")
    try:
        with _open(path) as sound:
            rate = sound.samplerate
            if rate != SAMPLE_RATE and not resample:
                raise UsageError(
                    f"{path}: expected {SAMPLE_RATE} Hz, found {rate} Hz; convert with --resample"
                )
            if not _RATES[0] <= rate <= _RATES[1]:
                raise UsageError(
                    f"{path}: expected {_RATES[0]} to {_RATES[1]} Hz, found {rate} Hz; is it audio?"
                )
            if sound.channels > 2:
                raise UsageError(
                    f"{path}: expected one or two channels, found {sound.channels}; mix them first"
                )
            signal_A = _read(path, sound, *_stretch(path, sound, start, duration))
    except OSError as error:
        raise UsageError(f"{path}: cannot read the audio file ({error.strerror})") from None
    # soundfile raises TypeError for a name that ends in .raw, which tells neither rate nor width.
    except (soundfile.LibsndfileError, TypeError) as error:
        reason = getattr(error, "error_string", "headerless samples").strip(" .")
        raise UsageError(f"{path}: cannot read as audio ({reason}){_likely_cause(path)}") from None
    if rate != SAMPLE_RATE:
        import scipy.signal  # a second

        common = math.gcd(rate, SAMPLE_RATE)
        signal_A = scipy.signal.resample_poly(signal_A, SAMPLE_RATE // common, rate // common)
    return np.rint(signal_A * 32768.0).clip(-32768, 32767).astype(np.int16)


def _open(path: Path) -> soundfile.SoundFile:
    if path.suffix.lower() == ".m4a":
        return soundfile.SoundFile(io.BytesIO(_decode_m4a(path, path.stat().st_mtime_ns)))
    _check_header(path)
    return soundfile.SoundFile(path)


@functools.lru_cache(maxsize=1)  # A corpus reads the many stretches of a file one after the other.
def _decode_m4a(path: Path, changed: int) -> bytes:
    """Return the file as AU, a format whose header need not know the length.

    Args:
        path: the file.
        changed: when, in nanoseconds, so that a file that was replaced is read again.
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
        # The first line says most: "[mov,mp4 @ 0x5634] moov atom not found".
        reason = done.stderr.decode(errors="replace").partition("\n")[0].rpartition("] ")[2]
        raise UsageError(
            f"{path}: ffmpeg cannot read it ({reason or 'no reason given'}); fetch it again"
        )
    return done.stdout


def _check_header(path: Path) -> None:
    """Refuse what libsndfile must not see: some of its decoders are known to be unsafe."""
    size = path.stat().st_size
    if size == 0:
        raise UsageError(f"{path}: expected an audio file, found an empty one")
    with open(path, "rb") as file:
        start = file.read(12)
        if start[:4] == b"RIFF" and start[8:] == b"WAVE":
            return _check_wav(path, file, size)
        if start[:3] == b"ID3" and len(start) >= 10:  # libsndfile takes what follows for any format
            file.seek(10 + functools.reduce(lambda n, byte: n << 7 | byte & 0x7F, start[6:10], 0))
            start = file.read(12)
    mp3 = start[:1] == b"\xff" and start[1:2] >= b"\xe0"
    aiff = start[:4] == b"FORM" and start[8:] == b"AIFF"
    if not mp3 and not aiff and start[:4] not in (b"fLaC", b"OggS", b"NIST"):
        raise UsageError(
            f"{path}: cannot read as audio (it is no WAV, FLAC, Ogg, MP3, SPHERE or AIFF file)"
            f"{_likely_cause(path)}"
        )


def _check_wav(path: Path, file: io.BufferedReader, size: int) -> None:
    """Refuse a WAV that is not one of plain samples, or holds fewer than its header says."""
    codec = None
    for _ in range(_MOST_CHUNKS):
        head = file.read(8)
        if len(head) < 8:
            break
        name, length = struct.unpack("<4sI", head)
        next_chunk = file.tell() + length + length % 2
        if name == b"fmt " and codec is None:
            codec = _codec(file.read(min(length, 40)))
            if codec not in _PLAIN:
                raise UsageError(
                    f"{path}: expected PCM or float samples, found"
                    f" {_ADPCM.get(codec, f'codec {codec:#06x}')}; convert the file"
                )
        elif name == b"fmt ":
            break
        elif name == b"data" and codec is not None:
            held = size - file.tell()
            if length > held or (length == 0 and held > 0):
                raise UsageError(
                    f"{path}: the header promises {length} bytes of samples, found {held};"
                    " the file was cut short or never finished: fetch or convert it again"
                )
            return
        file.seek(next_chunk)
    raise UsageError(f"{path}: cannot read as audio (its header is not that of a WAV file)")


def _codec(form: bytes) -> int:
    """Return what a WAV's samples are; an extensible header tells it as the start of a GUID."""
    codec = int.from_bytes(form[:2], "little")
    return int.from_bytes(form[24:26], "little") if codec == _EXTENSIBLE else codec


def _stretch(
    path: Path, sound: soundfile.SoundFile, start: float, duration: float | None
) -> tuple[int, int]:
    """Return the first sample of the stretch and the number of samples."""
    rate, length = sound.samplerate, sound.frames / sound.samplerate
    end = length if duration is None else start + duration
    # Written so that NaN fails every one of them.
    if not (0 <= start <= length and start <= end <= length + _TOLERANCE):
        raise UsageError(
            f"{path}: expected a stretch of its {length:.2f} s, found {start:.2f} s to {end:.2f} s;"
            " correct start and duration"
        )
    first, last = round(start * rate), min(round(end * rate), sound.frames)
    if (last - first) * SAMPLE_RATE < WINDOW * rate:
        raise TooShortError(
            f"{path}: expected at least 0.025 s of audio, found {(last - first) / rate:.4f} s"
        )
    if last - first > MAX_SECONDS * rate:
        raise UsageError(
            f"{path}: expected at most {MAX_SECONDS:.0f} s of audio, found"
            f" {(last - first) / rate:.0f} s; give start and duration"
        )
    return first, last - first


def _read(
    path: Path, sound: soundfile.SoundFile, first: int, count: int
) -> Float32[np.ndarray, " A"]:
    sound.seek(first)
    # float32 holds 16-bit samples exactly, so that one path serves every encoding.
    channels = sound.read(count, dtype="float32", always_2d=True)
    if len(channels) < count:
        raise UsageError(
            f"{path}: the header promises {sound.frames} samples, found {first + len(channels)};"
            " the file was cut short: fetch it again"
        )
    finite = np.isfinite(channels).all(axis=1)
    if not finite.all():
        at = (first + int(finite.argmin())) / sound.samplerate
        raise UsageError(f"{path}: expected finite samples, found NaN or infinity at {at:.3f} s")
    # Of two channels one may be empty; a mean with it would halve the other.
    used = np.maximum(channels.max(axis=0), -channels.min(axis=0)) >= 0.5 / 32768
    return channels[:, used].mean(axis=1) if used.any() else channels[:, 0]


def _likely_cause(path: Path) -> str:
    with open(path, "rb") as file:
        start = file.read(64).lstrip()
    return "; it begins like HTML: a failed download?" if start.startswith(b"<") else ""
