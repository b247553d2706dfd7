"""MuST-C and the IWSLT speech translation data: English TED talks with translations.

Both list their segments in the same three files of equally many lines:

===========  ====================================================================================
STEM.yaml    a YAML list, one entry per segment, each on its own line in all releases
STEM.en      the transcript, cased and punctuated, "(Laughter)" and "(Applause)" included
STEM.de      its translation; some are empty in the IWSLT data
===========  ====================================================================================

An entry is ``- {duration: 3.500000, offset: 16.080000, speaker_id: spk.767, wav: ted_767.wav}``:
seconds, a speaker, and one of the 16 kHz files of whole talks. Release 2 of MuST-C has two more
keys, ``rW`` and ``uW``, in between, so keys are found by name, not by position. YAML would convert
some values to numbers, dates or booleans; here all stay text until a number is needed.

Segments are numbered within each talk by their offset, from 0, as ted_767_0: these are fairseq's
ids, and an empty line does not shift them. Segments shorter than a frame are left out.
"""

import collections
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import yaml

from taskaware.data.corpora.base import Splits, Unreadable
from taskaware.data.corpora.missing import present, require
from taskaware.data.corpora.segments import Entry, Segment, as_splits
from taskaware.data.corpora.tables import (
    AudioFolder,
    Line,
    lines,
    read_each,
    require_aligned,
    seconds,
    unless_empty,
)
from taskaware.errors import UsageError

_KEYS = ("wav", "offset", "duration", "speaker_id")

_OTHER_BREAKS = re.compile("[\r\x85\u2028\u2029]")
"""They end a line in YAML, and would shift the line numbers of its errors."""


@dataclass(frozen=True)
class MuSTC:
    """MuST-C, release 1 or 2: TED talks with translations, for ST, ASR and MT.

    Those of train, dev (validation), tst-COMMON (test) and tst-HE that exist are prepared.
    """

    data_dir: Path
    """The folder that holds en-de."""
    target_language: str = "de"
    """Language of the translations, as in en-de."""

    name = "mustc"
    paper = "ST 229,703 and ASR 229,702 examples, 400 hours (Tables 5 and 7)"
    page = """
        Download MuST-C (Di Gangi et al. 2019; Cattoni et al. 2021) from https://mt.fbk.eu/must-c/
        after accepting its license, CC BY-NC-ND 4.0. Expected layout:

          DATA_DIR/en-de/data/train/wav/ted_1.wav
          DATA_DIR/en-de/data/train/txt/train.yaml
          DATA_DIR/en-de/data/train/txt/train.en
          DATA_DIR/en-de/data/train/txt/train.de
          DATA_DIR/en-de/data/dev/…, tst-COMMON/… and tst-HE/… likewise
        """

    def splits(self, *, strict: bool) -> Splits:
        """Return shards that read the corpus; errors name file and line."""
        root = self.data_dir / f"en-{self.target_language}" / "data"
        names = {"train": "train", "validation": "dev", "test": "tst-COMMON", "tst_HE": "tst-HE"}
        folders = present(self.page, {split: root / name for split, name in names.items()})
        entries = {
            split: _talks(
                self.page, folder / "txt" / folder.name, folder / "wav", self.target_language
            )
            for split, folder in folders.items()
        }
        return as_splits(entries, self.name, strict=strict)


@dataclass(frozen=True)
class IWSLT:
    """The TED data of the IWSLT speech translation tasks of 2018 and 2019, English to German.

    Each existing test set, such as tst2014, is a split of that name. The paper used this corpus
    "filtered" and does not say how; here only pairs with an empty side are left out.
    """

    data_dir: Path
    """The folder that holds wav and parallel."""
    validation: str = "dev2010"
    """The set to validate on."""

    name = "iwslt"
    paper = "145,372 examples, 220 hours, after a filter (Table 5)"
    page = """
        Download the IWSLT speech translation TED corpus (Niehues et al. 2018; 273 hours; license
        CC BY-NC-ND 4.0, as the talks) as iwslt-corpus.zip from the pages of the offline task at
        https://iwslt.org/. Expected layout:

          DATA_DIR/wav/ted_1.wav
          DATA_DIR/parallel/train.yaml
          DATA_DIR/parallel/train.en
          DATA_DIR/parallel/train.de
          DATA_DIR/parallel/dev2010.…, tst2010.… and further test sets likewise
        """

    def splits(self, *, strict: bool) -> Splits:
        """Return shards that read the corpus; errors name file and line."""
        texts = self.data_dir / "parallel"
        require(self.page, texts)
        stems = sorted(path.stem for path in texts.glob("[!.]*.yaml"))
        splits = {"validation" if stem == self.validation else stem: stem for stem in stems}
        if not splits:
            require(self.page, texts / "train.yaml")
        entries = {
            split: _talks(self.page, texts / stem, self.data_dir / "wav", "de")
            for split, stem in splits.items()
        }
        return as_splits(entries, self.name, strict=strict)


class _Mapping(NamedTuple):
    line: Line
    wav: str
    offset: float
    duration: float
    speaker: str


def _talks(page: str, stem: Path, wav: Path, target_language: str) -> list[Entry]:
    """Return the entries of a split, from the three files that begin with ``stem``."""
    files = [stem.with_name(f"{stem.name}.{end}") for end in ("yaml", "en", target_language)]
    require(page, *files, wav)
    mappings = [*_mappings(files[0])]
    # The number of lines is known, so carriage returns in a single line are white space.
    sources, targets = ([*lines(file, lone_returns=True)] for file in files[1:])
    require_aligned(dict(zip(files, map(len, (mappings, sources, targets)), strict=True)))
    ranks, audio = _ranks(mappings), AudioFolder.of(wav)

    def segment(row: tuple[int, Line, Line]) -> Entry:
        i, source, target = row
        mapping = mappings[i]
        if isinstance(mapping, Unreadable):
            return mapping
        return unless_empty(
            Segment(
                mapping.line.where,
                f"{Path(mapping.wav).stem}_{ranks[i]}",
                audio.file(mapping.line, mapping.wav),
                mapping.offset,
                mapping.duration,
                mapping.speaker,
                source.text(),
                target.text(),
                "en",
                target_language,
            )
        )

    return [*read_each(zip(range(len(mappings)), sources, targets, strict=True), segment)]


def _ranks(mappings: Sequence[_Mapping | Unreadable]) -> dict[int, int]:
    """Return the rank of each mapping within its talk, in order of offset."""
    talks: dict[str, list[tuple[float, int]]] = collections.defaultdict(list)
    for i, mapping in enumerate(mappings):
        if isinstance(mapping, _Mapping):
            talks[mapping.wav].append((mapping.offset, i))
    return {i: rank for talk in talks.values() for rank, (_, i) in enumerate(sorted(talk))}


def _mappings(file: Path) -> Iterator[_Mapping | Unreadable]:
    for line, pairs in _pairs([*lines(file)]):
        try:
            yield _mapping(line, pairs)
        except UsageError as error:
            yield Unreadable("row", str(error))


def _mapping(line: Line, pairs: Sequence[tuple[str, str]]) -> _Mapping:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [key for key, _ in pairs]
        twice = next(key for key in names if names.count(key) > 1)
        raise line.error(f"expected each key once, found {twice!r} twice")
    # A decimal comma makes a key of what follows it: {offset: 0,25}.
    odd = [key for key in values if not key.isidentifier()]
    if odd:
        raise line.error(f"expected keys that are names, such as offset, found {odd[0]!r}")
    missing = [key for key in _KEYS if key not in values]
    if missing:
        raise line.error(f"expected the keys {', '.join(_KEYS)}, found no {', no '.join(missing)}")
    offset, duration = (seconds(line, key, values[key]) for key in ("offset", "duration"))
    return _Mapping(line, values["wav"], offset, duration, values["speaker_id"])


def _pairs(table: Sequence[Line]) -> Iterator[tuple[Line, list[tuple[str, str]]]]:
    """Yield the keys and values of each mapping, with the line on which it begins.

    The YAML is read as a stream of events: building its tree takes ten times as long and more
    memory than most machines have, and deep nesting would overflow the stack.
    """
    if not table:
        return
    text = "\n".join(_OTHER_BREAKS.sub(" ", line.text()) for line in table)
    depth, scalars, at = 0, [], table[0]
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            # At the end of the text a mark is beyond the last line.
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
        raise _located(error, text, table) from None


def _located(error: yaml.YAMLError, text: str, table: Sequence[Line]) -> UsageError:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        number, what = error.problem_mark.line, error.problem
    else:  # a character that YAML forbids, and its position in bytes
        before = text.encode()[: getattr(error, "position", 0)]
        number, what = before.count(b"\n"), getattr(error, "reason", error)
    line = table[min(number, len(table) - 1)]
    return line.error(f"expected YAML, {what}; was the file cut, or changed?")
