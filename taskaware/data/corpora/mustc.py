"""MuST-C and the IWSLT speech translation data: English TED talks with translations.

Both list their segments in the same three files of equally many lines:

===========  ====================================================================================
STEM.yaml    a YAML list, an entry a segment, on a line of its own in all releases
STEM.en      what is said, cased and punctuated; "(Laughter)" and "(Applause)" are part of it
STEM.de      its translation; some are empty in the IWSLT data
===========  ====================================================================================

An entry is ``- {duration: 3.500000, offset: 16.080000, speaker_id: spk.767, wav: ted_767.wav}``:
seconds, a speaker, and one of the 16 kHz files of whole talks. Release 2 of MuST-C has two more
keys, ``rW`` and ``uW``, in between, so keys are found by name and not by place. YAML would read
some values as numbers, dates or booleans; here all are text until a number is needed.

Segments are numbered within each talk by their offset, from 0, as ted_767_0: these are the ids
of fairseq, and an empty line does not shift them. Some segments are shorter than a frame; they
are left out.
"""

import collections
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import yaml

from taskaware.data.corpora.base import LeftOut, Splits, Unreadable
from taskaware.data.corpora.missing import present, require
from taskaware.data.corpora.segments import Segment, as_splits
from taskaware.data.corpora.tables import (
    AudioFolder,
    Line,
    kept,
    lines,
    require_aligned,
    seconds,
    unless_empty,
)
from taskaware.errors import UsageError

_KEYS = ("wav", "offset", "duration", "speaker_id")

_OTHER_BREAKS = re.compile("[\r\x85\u2028\u2029]")
"""They end a line for YAML, and would shift the line numbers of its errors."""


@dataclass(frozen=True)
class MuSTC:
    """MuST-C, release 1 or 2: TED talks with translations, for ST, ASR and MT.

    Of train, dev (validation), tst-COMMON (test) and tst-HE those are prepared that are there.
    """

    data_dir: Path
    """The folder that holds en-de."""
    target_language: str = "de"
    """Of the translations, as in en-de."""

    name = "mustc"
    paper = "ST 229,703 and ASR 229,702 examples, 400 hours (Tables 5 and 7)"
    page = """
        MuST-C (Di Gangi et al. 2019; Cattoni et al. 2021) is got from https://mt.fbk.eu/must-c/
        after accepting its license, CC BY-NC-ND 4.0. Unpacked, it looks so:

          DATA_DIR/en-de/data/train/wav/ted_1.wav
          DATA_DIR/en-de/data/train/txt/train.yaml
          DATA_DIR/en-de/data/train/txt/train.en
          DATA_DIR/en-de/data/train/txt/train.de
          DATA_DIR/en-de/data/dev/…, tst-COMMON/… and tst-HE/… likewise
        """

    def splits(self, *, strict: bool) -> Splits:
        """Return what reads it; errors name file and line."""
        root = self.data_dir / f"en-{self.target_language}" / "data"
        names = {"train": "train", "validation": "dev", "test": "tst-COMMON", "tst_HE": "tst-HE"}
        there = present(self.page, {split: root / name for split, name in names.items()})
        found = {
            split: _talks(
                self.page, folder / "txt" / folder.name, folder / "wav", self.target_language
            )
            for split, folder in there.items()
        }
        return as_splits(found, self.name, strict=strict)


@dataclass(frozen=True)
class IWSLT:
    """The TED data of the IWSLT speech translation tasks of 2018 and 2019, English to German.

    Each test set that is there, such as tst2014, is a split of that name. The paper used this
    corpus "filtered", it does not say how; here only pairs with an empty side are left out.
    """

    data_dir: Path
    """The folder that holds wav and parallel."""
    validation: str = "dev2010"
    """The set to validate on."""

    name = "iwslt"
    paper = "145,372 examples, 220 hours, after a filter (Table 5)"
    page = """
        The IWSLT speech translation TED corpus (Niehues et al. 2018), 273 hours, is got as
        iwslt-corpus.zip from the pages of the offline task at https://iwslt.org/, under
        CC BY-NC-ND 4.0 as the talks. Unpacked, it looks so:

          DATA_DIR/wav/ted_1.wav
          DATA_DIR/parallel/train.yaml
          DATA_DIR/parallel/train.en
          DATA_DIR/parallel/train.de
          DATA_DIR/parallel/dev2010.…, tst2010.… and further test sets likewise
        """

    def splits(self, *, strict: bool) -> Splits:
        """Return what reads it; errors name file and line."""
        texts = self.data_dir / "parallel"
        require(self.page, texts)
        stems = sorted(path.stem for path in texts.glob("[!.]*.yaml"))
        splits = {"validation" if stem == self.validation else stem: stem for stem in stems}
        if not splits:
            require(self.page, texts / "train.yaml")
        found = {
            split: _talks(self.page, texts / stem, self.data_dir / "wav", "de")
            for split, stem in splits.items()
        }
        return as_splits(found, self.name, strict=strict)


class _Entry(NamedTuple):
    line: Line
    wav: str
    offset: float
    duration: float
    speaker: str


def _talks(
    page: str, stem: Path, wav: Path, target_language: str
) -> list[Segment | LeftOut | Unreadable]:
    """Read a split: the three files that begin with ``stem``."""
    files = [stem.with_name(f"{stem.name}.{end}") for end in ("yaml", "en", target_language)]
    require(page, *files, wav)
    entries = [*_entries(files[0])]
    # How many lines there must be is known, so a carriage return in the only one is white space.
    sources, targets = ([*lines(file, lone_returns=True)] for file in files[1:])
    require_aligned(dict(zip(files, map(len, (entries, sources, targets)), strict=True)))
    ranks, audio = _ranks(entries), AudioFolder.of(wav)

    def segment(row: tuple[int, Line, Line]) -> Segment | LeftOut | Unreadable:
        i, source, target = row
        entry = entries[i]
        if isinstance(entry, Unreadable):
            return entry
        return unless_empty(
            Segment(
                entry.line.where,
                f"{Path(entry.wav).stem}_{ranks[i]}",
                audio.file(entry.line, entry.wav),
                entry.offset,
                entry.duration,
                entry.speaker,
                source.text(),
                target.text(),
                "en",
                target_language,
            )
        )

    return [*kept(zip(range(len(entries)), sources, targets, strict=True), segment)]


def _ranks(entries: Sequence[_Entry | Unreadable]) -> dict[int, int]:
    """Return the place of each entry among those of its talk, in order of offset."""
    talks: dict[str, list[tuple[float, int]]] = collections.defaultdict(list)
    for i, entry in enumerate(entries):
        if isinstance(entry, _Entry):
            talks[entry.wav].append((entry.offset, i))
    return {i: rank for talk in talks.values() for rank, (_, i) in enumerate(sorted(talk))}


def _entries(file: Path) -> Iterator[_Entry | Unreadable]:
    for line, pairs in _mappings([*lines(file)]):
        try:
            yield _entry(line, pairs)
        except UsageError as error:
            yield Unreadable("row", str(error))


def _entry(line: Line, pairs: Sequence[tuple[str, str]]) -> _Entry:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [key for key, _ in pairs]
        twice = next(key for key in names if names.count(key) > 1)
        raise line.error(f"expected each key once, found {twice!r} twice")
    # A decimal comma makes a key of what follows it: {offset: 0,25}.
    odd = [key for key in found if not key.isidentifier()]
    if odd:
        raise line.error(f"expected keys that are names, such as offset, found {odd[0]!r}")
    missing = [key for key in _KEYS if key not in found]
    if missing:
        raise line.error(f"expected the keys {', '.join(_KEYS)}, found no {', no '.join(missing)}")
    offset, duration = (seconds(line, key, found[key]) for key in ("offset", "duration"))
    return _Entry(line, found["wav"], offset, duration, found["speaker_id"])


def _mappings(table: Sequence[Line]) -> Iterator[tuple[Line, list[tuple[str, str]]]]:
    """Yield the keys and values of each entry, with the line on which it begins.

    The YAML is taken as a stream of events: to build its tree takes ten times as long and more
    memory than most have, and deep brackets would overflow the stack.
    """
    if not table:
        return
    text = "\n".join(_OTHER_BREAKS.sub(" ", line.text()) for line in table)
    depth, scalars, at = 0, [], table[0]
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            # At the end of the text a mark lies beyond the last line.
            line = table[min(event.start_mark.line, len(table) - 1)]
            match event:
                case yaml.SequenceStartEvent() if depth == 0:
                    depth = 1
                case yaml.MappingStartEvent() if depth == 1:
                    depth, scalars, at = 2, [], line
                case yaml.ScalarEvent(value=value) if depth == 2:
                    scalars.append(value)
                case yaml.MappingEndEvent():
                    depth = 1
                    yield at, [*zip(scalars[::2], scalars[1::2], strict=True)]
                case yaml.SequenceEndEvent():
                    depth = 0
                case yaml.NodeEvent():  # also an alias, which stands for another node
                    raise line.error(
                        "expected a list of entries {key: value, …} and nothing deeper, found"
                        f" {type(event).__name__.removesuffix('Event').lower()}"
                    )
    except yaml.YAMLError as error:
        raise _named(error, text, table) from None


def _named(error: yaml.YAMLError, text: str, table: Sequence[Line]) -> UsageError:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        number, what = error.problem_mark.line, error.problem
    else:  # a character that YAML forbids, and its place in bytes
        place = text.encode()[: getattr(error, "position", 0)]
        number, what = place.count(b"\n"), getattr(error, "reason", error)
    line = table[min(number, len(table) - 1)]
    return line.error(f"expected YAML, {what}; was the file cut, or changed?")
