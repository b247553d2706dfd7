"""Outputs that are more than plain text, written as text: segments of time, and marked slots.

``speech 0.31 1.1, speech 1.52 2.04``
    LABEL START END in seconds, joined by commas: at most 3 decimals, in order of START, none
    overlapping another of the same label. Time that no segment covers has no label.
``B-who anna E-who sleeps``
    B-NAME and E-NAME, words of their own, stand before and after the value of a slot.
"""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from taskaware.dims import FRAMES_PER_SECOND
from taskaware.errors import UsageError

_SECONDS = r"([0-9]{1,9}(?:\.[0-9]{1,3})?)"
_SEGMENT = re.compile(rf"(\S+)\s+{_SECONDS}\s+{_SECONDS}")
_LABEL = re.compile(r"[^\s,]+")
_MARKER = re.compile(r"([BE])-(.+)")
_HOP = 1000 // FRAMES_PER_SECOND


class Segment(NamedTuple):
    """A stretch of time and what it holds."""

    label: str
    """A word without commas."""
    start: float
    """In seconds."""
    end: float

    @property
    def milliseconds(self) -> range:
        """The milliseconds from its start to its end."""
        return range(round(1000 * self.start), round(1000 * self.end))

    @property
    def frames(self) -> range:
        """The frames of 10 ms whose center lies in it; frame k is from 10 k to 10 (k + 1) ms.

        Example:
            >>> Segment("speech", 0.31, 1.1).frames
            range(31, 110)
        """
        time = self.milliseconds
        return range((time.start + _HOP // 2 - 1) // _HOP, (time.stop + _HOP // 2 - 1) // _HOP)


class Slot(NamedTuple):
    """A named piece of a text."""

    name: str
    value: str


def parse_segments(text: str, where: str = "segments") -> tuple[Segment, ...]:
    """Read segments; the empty text has none.

    Args:
        text: as in this module's first lines.
        where: what an error names as the place.

    Raises:
        UsageError: text of another form, END not after START, segments that are out of order, or
            that overlap another of the same label.

    Example:
        >>> parse_segments("speech 0.31 1.1, noise 0.5 2")
        (Segment(label='speech', start=0.31, end=1.1), Segment(label='noise', start=0.5, end=2.0))
    """
    segments = []
    for part in text.split(",") if text.strip() else ():
        match = _SEGMENT.fullmatch(part.strip())
        if match is None:
            raise UsageError(
                f"{where}: expected segments LABEL START END in seconds with at most 3 decimals, "
                f"joined by ', ', found {part.strip()!r}"
            )
        segments.append(Segment(match[1], float(match[2]), float(match[3])))
    _require_order(segments, where)
    return tuple(segments)


def format_segments(segments: Iterable[Segment], where: str = "segments") -> str:
    """Write segments, in any order, as ``parse_segments`` reads them.

    Raises:
        UsageError: what could not be read again: a label that is not one word without commas, no
            time left when seconds are rounded to 3 decimals, or an overlap within a label.

    Example:
        >>> format_segments([Segment("speech", 1.52, 2.04), Segment("speech", 0.31, 1.1)])
        'speech 0.31 1.1, speech 1.52 2.04'
    """
    rounded = [Segment(label, round(start, 3), round(end, 3)) for label, start, end in segments]
    rounded.sort(key=lambda segment: (segment.start, segment.end, segment.label))
    _require_order(rounded, where)
    return ", ".join(f"{label} {_decimal(start)} {_decimal(end)}" for label, start, end in rounded)


def parse_slots(text: str, where: str = "slots") -> tuple[Slot, ...]:
    """Read the slots of a text, in their order.

    Raises:
        UsageError: a marker without its partner, a slot in another, or one without a value.

    Example:
        >>> parse_slots("B-who anna E-who sleeps B-when at 9:30 E-when")
        (Slot(name='who', value='anna'), Slot(name='when', value='at 9:30'))
    """
    slots = marked_slots(text)
    if len(markers(text)) != 2 * len(slots):
        raise UsageError(
            f"{where}: expected each slot as B-NAME, its value and E-NAME, none inside another and "
            f"no other word that begins with B- or E-, found {text!r}"
        )
    return slots


def markers(text: str) -> list[str]:
    """Return the words of a text that look like a slot's B-NAME or E-NAME."""
    return [word for word in text.split() if _MARKER.fullmatch(word)]


def marked_slots(text: str) -> tuple[Slot, ...]:
    """Return the slots that a model's output has, whatever else it holds.

    A slot ends at the first E-NAME after the last B-NAME. Markers without a partner, and those
    around another slot, are words.

    Example:
        >>> marked_slots("B-who anna sees B-whom ben E-whom an E-bike")
        (Slot(name='whom', value='ben'),)
    """
    words = text.split()
    slots: list[Slot] = []
    begun: dict[str, int] = {}
    for i, word in enumerate(words):
        match = _MARKER.fullmatch(word)
        if match and match[1] == "B":
            begun[match[2]] = i + 1
        elif match and begun.get(match[2], i) < i:
            slots.append(Slot(match[2], " ".join(words[begun[match[2]] : i])))
            begun.clear()
    return tuple(slots)


def format_slots(pieces: Iterable[str | Slot], where: str = "slots") -> str:
    """Write words and slots, in their order, as ``parse_slots`` reads them.

    Raises:
        UsageError: what could not be read again, such as a slot without a value.

    Example:
        >>> format_slots([Slot("who", "anna"), "sleeps"])
        'B-who anna E-who sleeps'
    """
    pieces = [*pieces]
    slots = [piece for piece in pieces if isinstance(piece, Slot)]
    text = " ".join(
        f"B-{piece.name} {piece.value} E-{piece.name}" if isinstance(piece, Slot) else piece
        for piece in pieces
    )
    if [*parse_slots(text, where)] != slots:
        raise UsageError(
            f"{where}: expected names of one word and values with one space between words, found "
            f"{slots}"
        )
    return text


def _require_order(segments: Sequence[Segment], where: str) -> None:
    before = 0.0
    ends: dict[str, float] = {}
    for label, start, end in segments:
        if not _LABEL.fullmatch(label):
            expected = "a label of one word without commas"
        elif not 0 <= start < end < 1e9:
            expected = "END after START, in seconds"
        elif start < before:
            expected = "segments in order of START"
        elif start < ends.get(label, 0.0):
            expected = "no segment that overlaps another of its label"
        else:
            before, ends[label] = start, end
            continue
        raise UsageError(f"{where}: expected {expected}, found {f'{label} {start} {end}'!r}")


def _decimal(seconds: float) -> str:
    return f"{seconds:.3f}".rstrip("0").rstrip(".")
