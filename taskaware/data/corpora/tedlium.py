r"""TED-LIUM, release 3: English TED talks with transcripts.

Each talk has one table in NIST's STM format and one audio file, NIST SPHERE of 16 kHz, 16 bits and
one channel. A line of an STM lists a segment, its fields separated by spaces::

    911Mothers_2010W 1 911Mothers_2010W 14.95 16.19 <NA> <unk> because of
    AlGore_2009 1 inter_segment_gap 5.00 8.00 <o,,unknown> ignore_time_segment_in_scoring

talk, channel, speaker, start and end in seconds, a label, the transcript. Other STM files have no
label. Lines that begin with ``;;`` are comments. Segments of the speaker ``inter_segment_gap``, or
with the transcript ``ignore_time_segment_in_scoring``, are not speech; they are left out and
counted (591 and 1,469, the sizes that other readers give for dev and test, include them).

Transcripts are in lower case without punctuation. ``<unk>`` marks words that were not understood,
and is kept. The release writes clitics as words of their own, "don 't", "it 's"; they are joined to
the word before, as is usual in English. Segments may overlap.
"""

import functools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from taskaware.data.corpora.base import LeftOut, Splits
from taskaware.data.corpora.missing import present, require
from taskaware.data.corpora.segments import Entry, Segment, as_splits
from taskaware.data.corpora.tables import AudioFolder, Line, lines, read_each, stretch, unless_empty

_LABEL = re.compile(r"<NA>|<[^<>\s]*,[^<>\s]*>")
"""Not ``<unk>``, which may begin the transcript where there is no label."""
_CLITIC = re.compile(r" (?='(?:s|t|re|ve|ll|d|m)(?: |$))")


@dataclass(frozen=True)
class TEDLIUM:
    """TED-LIUM, release 3: TED talks with transcripts, for ASR."""

    data_dir: Path
    """The folder TEDLIUM_release-3."""
    division: Literal["legacy", "speaker-adaptation"] = "legacy"
    """How talks are divided into train, dev and test; legacy is as in release 2 and in nearly all
    publications."""

    name = "tedlium"
    paper = "286,263 examples, 452 hours (Tables 5 and 7; perhaps 268,263 with digits exchanged)"
    page = """
        Download TED-LIUM, release 3 (Hernandez et al. 2018; license CC BY-NC-ND 3.0), from
        https://www.openslr.org/51/ as TEDLIUM_release-3.tgz. Expected layout:

          DATA_DIR/legacy/train/stm/911Mothers_2010W.stm
          DATA_DIR/legacy/train/sph/911Mothers_2010W.sph
          DATA_DIR/legacy/dev/… and test/… likewise
          DATA_DIR/speaker-adaptation/… likewise
        """

    def splits(self, *, strict: bool) -> Splits:
        """Return shards that read the corpus; errors name file and line."""
        root = self.data_dir / self.division
        names = {"train": "train", "validation": "dev", "test": "test"}
        folders = present(self.page, {split: root / name for split, name in names.items()})
        entries = {split: _talks(self.page, folder) for split, folder in folders.items()}
        return as_splits(entries, self.name, strict=strict)


def _talks(page: str, folder: Path) -> list[Entry]:
    require(page, folder / "stm", folder / "sph")
    audio = AudioFolder.of(folder / "sph")
    tables = sorted((folder / "stm").glob("[!.]*.stm"))
    if not tables:
        require(page, folder / "stm" / "TALK.stm")
    read = functools.partial(_segment, audio=audio)
    return [entry for table in tables for entry in read_each(lines(table), read)]


def _segment(line: Line, audio: AudioFolder) -> Segment | LeftOut | None:
    text = line.text()
    words = text.split()
    if not words or text.startswith(";;"):
        return None
    if len(words) < 5:
        raise line.error(
            "expected talk, channel, speaker, start and end before the transcript, found"
            f" {len(words)} fields"
        )
    talk, channel, speaker, *times = words[:5]
    tokens = words[6:] if _LABEL.fullmatch(" ".join(words[5:6])) else words[5:]
    if speaker == "inter_segment_gap" or tokens == ["ignore_time_segment_in_scoring"]:
        return LeftOut("not speech, by its label", line.where)
    if channel not in ("1", "A"):
        raise line.error(f"expected channel 1, as the audio has one, found {channel!r}")
    start, duration = stretch(line, *times)
    transcript = "" if {*tokens} == {"<unk>"} else _CLITIC.sub("", " ".join(tokens))
    return unless_empty(
        Segment(
            line.where,
            f"{talk}-{line.number:04}",
            audio.file(line, talk, ".sph"),
            start,
            duration,
            speaker,
            transcript,
            "",
            "en",
            "",
        )
    )
