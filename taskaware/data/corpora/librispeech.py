"""LibriSpeech: English books read aloud, with transcripts.

Each chapter by a reader is a folder of short audio files, 16 kHz, and one table of their
transcripts: READER-CHAPTER.trans.txt, with one line per utterance: its id, one space, and its words
in capitals, with apostrophes as the only punctuation::

    1737-146161-0000 KNIT TWO TOGETHER KNIT THREE MAKE ONE

The audio is ID.flac; copies in another format in the same tree are read too.
"""

import functools
from dataclasses import dataclass
from pathlib import Path

from taskaware.data.corpora.base import LeftOut, Splits, Unreadable
from taskaware.data.corpora.missing import require
from taskaware.data.corpora.segments import Entry, Segment, as_splits
from taskaware.data.corpora.tables import AudioFolder, Line, lines, read_each, unless_empty

_SUFFIXES = (".flac", ".opus", ".ogg", ".wav")


@dataclass(frozen=True)
class LibriSpeech:
    """LibriSpeech, or its small relative Mini LibriSpeech: books read aloud, for ASR.

    Of the folders that are not for training, dev-clean… becomes the split validation, test-clean…
    test, and others become splits of their names, such as dev_other.
    """

    data_dir: Path
    """The folder LibriSpeech."""
    subsets: tuple[str, ...] = ()
    """Folders to train on, such as train-clean-100; none: all whose names begin with train."""
    lowercase: bool = True
    """Whether transcripts are lower-cased, as in the other corpora."""

    name = "librispeech"
    paper = "232,958 examples, 982 hours (Table 5, which has that count for Common Voice too)"
    page = """
        Download LibriSpeech (Panayotov et al. 2015; license CC BY 4.0) from
        https://www.openslr.org/12/, or Mini LibriSpeech from https://www.openslr.org/31/.
        Expected layout:

          DATA_DIR/train-clean-100/103/1240/103-1240-0000.flac
          DATA_DIR/train-clean-100/103/1240/103-1240.trans.txt
          DATA_DIR/dev-clean/…, test-clean/… and others likewise
        """

    def splits(self, *, strict: bool) -> Splits:
        """Return shards that read the corpus; errors name file and line."""
        require(self.page, self.data_dir, *(self.data_dir / name for name in self.subsets))
        entries: dict[str, list[Entry]] = {}
        for name in sorted(AudioFolder.of(self.data_dir).names):
            tables = sorted((self.data_dir / name).glob("*/*/[!.]*.trans.txt"))
            split = self._split(name)
            if tables and split:
                entries.setdefault(split, []).extend(
                    entry for table in tables for entry in self._chapter(table)
                )
            elif name in self.subsets:
                require(self.page, self.data_dir / name / "READER/CHAPTER/READER-CHAPTER.trans.txt")
        if not entries:
            require(self.page, self.data_dir / "train-clean-100")
        return as_splits(entries, self.name, strict=strict)

    def _split(self, name: str) -> str:
        """Return the split that a folder belongs to, or ""."""
        if name in self.subsets:
            return "train"
        if name.startswith("train"):
            return "" if self.subsets else "train"
        for start, split in {"dev-clean": "validation", "test-clean": "test"}.items():
            if name.startswith(start):
                return split
        return name.replace("-", "_")

    def _chapter(self, table: Path) -> list[Entry]:
        audio = AudioFolder.of(table.parent)
        read = functools.partial(self._segment, audio=audio)
        rows = [*lines(table)]
        ids = {line.content.partition(b" ")[0] for line in rows}
        return [*read_each(rows, read)] + [
            Unreadable("row", f"{table}: expected a line on the audio file {name}, found none")
            for name in sorted(audio.names)
            if name.endswith(_SUFFIXES) and Path(name).stem.encode() not in ids
        ]

    def _segment(self, line: Line, audio: AudioFolder) -> Segment | LeftOut:
        id, _, words = line.text().strip().partition(" ")
        chapter = line.file.name.removesuffix(".trans.txt")
        if not id.startswith(f"{chapter}-"):
            raise line.error(f"expected an id of chapter {chapter}, found {id!r}")
        return unless_empty(
            Segment(
                line.where,
                id,
                audio.file(line, id, *_SUFFIXES),
                0.0,
                None,
                id.partition("-")[0],
                words.lower() if self.lowercase else words,
                "",
                "en",
                "",
            )
        )
