"""Segments of time and marked slots as text: read, written, refused."""

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskaware.errors import UsageError
from taskaware.files.segments import (
    Segment,
    Slot,
    format_segments,
    format_slots,
    marked_slots,
    parse_segments,
    parse_slots,
)


def one_line(call: Callable[[], object]) -> str:
    with pytest.raises(UsageError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    return message


# Segments


def test_segments_are_read_and_written():
    text = "speech 0.31 1.1, speech 1.52 2.04"
    segments = (Segment("speech", 0.31, 1.1), Segment("speech", 1.52, 2.04))
    assert parse_segments(text) == segments
    assert format_segments(segments) == text
    assert parse_segments("") == parse_segments(" ") == ()
    assert format_segments([]) == ""


def test_spaces_do_not_matter_and_equal_times_may_touch():
    segments = parse_segments(" a  0 1,a 1\t2 ,\tb 1 2.500 ")
    assert segments == (Segment("a", 0, 1), Segment("a", 1, 2), Segment("b", 1, 2.5))


def test_segments_are_written_in_order_at_three_decimals():
    segments = [
        Segment("ß;:", 100.0, 1234.5678),
        Segment("b", 0.0004, 10.0),
        Segment("a", 0.0, 10.0),
    ]
    assert format_segments(segments) == "a 0 10, b 0 10, ß;: 100 1234.568"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("speech", "LABEL START END in seconds with at most 3 decimals, joined by ', ', found"),
        ("speech 0 1 noise 1 2", "found 'speech 0 1 noise 1 2'"),
        ("speech 0 1, ", "found ''"),
        ("speech 0.1234 1", "at most 3 decimals"),
        ("speech -1 1", "found 'speech -1 1'"),
        ("speech 0 1e3", "found 'speech 0 1e3'"),
        ("speech 0 nan", "found 'speech 0 nan'"),
        ("speech 0 ٣", "found 'speech 0 ٣'"),
        ("speech 0 1234567890", "found"),
        ("0 1", "found '0 1'"),
        ("speech 1 1", "END after START, in seconds, found 'speech 1.0 1.0'"),
        ("speech 2 1", "END after START"),
        ("a 1 2, b 0.5 1", "in order of START, found 'b 0.5 1.0'"),
        ("a 0 2, b 0 1, a 1.999 3", "no segment that overlaps another of its label"),
    ],
)
def test_what_is_no_segments_is_refused(text, names):
    message = one_line(lambda: parse_segments(text, "row 3"))
    assert message.startswith("row 3: expected ") and names in message


@pytest.mark.parametrize(
    "segments",
    [
        [Segment("two words", 0, 1)],
        [Segment("a 0 1, b", 1, 2)],
        [Segment("", 0, 1)],
        [Segment("a", 0, math.nan)],
        [Segment("a", 0, math.inf)],
        [Segment("a", -0.1, 1)],
        [Segment("a", 0.0001, 0.0002)],
        [Segment("a", 0, 2), Segment("a", 1, 3)],
    ],
)
def test_segments_that_could_not_be_read_again_are_not_written(segments):
    assert one_line(lambda: format_segments(segments)).startswith("segments: expected ")


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 9999), st.integers(1, 500)), max_size=6
    )
)
def test_what_is_written_is_read_again(pieces):
    ends = dict.fromkeys("abc", 0)
    segments = []
    for label, gap, length in pieces:
        start = ends[label] + gap
        ends[label] = start + length
        segments.append(Segment(label, start / 1000, ends[label] / 1000))
    expected = sorted(segments, key=lambda one: (one.start, one.end, one.label))
    assert [*parse_segments(format_segments(segments))] == expected


@pytest.mark.parametrize(("start", "end"), [(0, 0.02), (0.005, 0.014), (0.006, 0.015), (0.29, 1)])
def test_a_segment_has_the_frames_whose_center_lies_in_it(start, end):
    milliseconds = range(round(1000 * start), round(1000 * end))
    expected = [k for k in range(200) if 10 * k + 5 in milliseconds]
    assert [*Segment("a", start, end).frames] == expected


# Slots


def test_slots_are_read_and_written():
    text = "B-who anna E-who sleeps B-when at 9:30; or so E-when"
    pieces = [Slot("who", "anna"), "sleeps", Slot("when", "at 9:30; or so")]
    assert parse_slots(text) == (pieces[0], pieces[2])
    assert format_slots(pieces) == text
    assert parse_slots("no slot here") == ()


def test_a_name_may_begin_with_another_and_come_twice():
    text = "B-who a E-who B-whole b E-whole B-who c E-who"
    assert parse_slots(text) == (Slot("who", "a"), Slot("whole", "b"), Slot("who", "c"))


@pytest.mark.parametrize(
    "text",
    [
        "B-who anna",
        "anna E-who",
        "B-who anna E-what",
        "B-who E-who",
        "B-a x B-b y E-b E-a",
        "B-a x B-b y E-a z E-b",
        "E-who anna B-who",
        "B-who anna E-who on an E-bike",
    ],
)
def test_badly_marked_slots_are_refused(text):
    message = one_line(lambda: parse_slots(text, "row 3"))
    assert message.startswith("row 3: expected each slot as B-NAME, its value and E-NAME")
    assert text in message


@pytest.mark.parametrize(
    ("text", "slots"),
    [
        ("B-a x B-b y E-b", [("b", "y")]),
        ("B-a x B-a y E-a", [("a", "y")]),
        ("B-a x E-a y E-a", [("a", "x")]),
        ("B-what an E-mail E-what", [("what", "an E-mail")]),
        ("B-a x B-b y E-a z E-b", [("a", "x B-b y")]),
        ("B-a E-a", []),
        ("E-a x B-a", []),
        ("B- x E-", []),
        ("", []),
    ],
)
def test_of_a_bad_output_the_slots_count_that_end(text, slots):
    assert [*marked_slots(text)] == slots


@pytest.mark.parametrize(
    "pieces",
    [
        [Slot("two words", "x")],
        [Slot("who", "")],
        [Slot("who", "x  y")],
        [Slot("who", "x E-who y")],
        ["B-who x E-who"],
        ["B-who"],
    ],
)
def test_slots_that_could_not_be_read_again_are_not_written(pieces):
    assert one_line(lambda: format_slots(pieces)).startswith("slots: expected ")
