"""Common Voice, sentences that volunteers read aloud; and CoVoST 2, translations of them.

A language of a release is a folder with one table a split and all audio in clips/, MP3 of 32 or
48 kHz. The tables are separated by tabs. Releases 4 and 5 quote a sentence with quotation marks in
it as CSV does, later ones do not: where those at its ends enclose only doubled ones, the quoting is
undone; else a quotation mark, and always a backslash, is part of the sentence. The columns have
changed with the releases; always there are

==========  =====================================================================================
client_id   the speaker
path        the audio's bare file name; the first releases left .mp3 away
sentence    cased and punctuated
==========  =====================================================================================

and the others (votes, age, gender, accent or accents, variant, locale, segment) may be missing,
at the end of a row too. validated.tsv has all that others have approved, those to test on too;
train.tsv is what is meant to train on, each sentence once.

CoVoST 2 has a table of its own, covost_v2.en_de.tsv, with the columns path, translation and split.
It belongs to release 4 of Common Voice: a path without its row in validated.tsv is left out and
counted. As in its authors' own script, the split train_covost is joined to train, while
dev_covost and test_covost are left out, and so is what its authors have marked by the translation
REMOVE. English to others and others to English look alike.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from taskaware.data.corpora.base import LeftOut, Splits, Unreadable
from taskaware.data.corpora.missing import present, require
from taskaware.data.corpora.segments import Segment, as_splits
from taskaware.data.corpora.tables import (
    AudioFolder,
    Header,
    Line,
    fields,
    header,
    kept,
    lines,
    unless_empty,
    unquoted,
)
from taskaware.errors import UsageError

_SPLITS = {"train": "train", "validation": "dev", "test": "test"}
_CLIP = ("client_id", "path", "sentence")


@dataclass(frozen=True)
class CommonVoice:
    """Common Voice: sentences read by volunteers, with these as transcripts, for ASR."""

    data_dir: Path
    """The folder of a release, which holds one folder a language."""
    language: str = "en"
    """As the folder is named."""

    name = "common_voice"
    paper = "232,958 examples, 1,469 hours (Table 5; LibriSpeech has the same count there)"
    page = """
        Common Voice (Ardila et al. 2020) is got from https://commonvoice.mozilla.org/datasets or
        the Mozilla Data Collective, under CC0. Unpacked, it looks so:

          DATA_DIR/en/train.tsv, dev.tsv, test.tsv, validated.tsv
          DATA_DIR/en/clips/common_voice_en_17779714.mp3
        """

    def splits(self, *, strict: bool) -> Splits:
        """Return what reads it; errors name file and line."""
        root = self.data_dir / self.language
        tables = {split: root / f"{name}.tsv" for split, name in _SPLITS.items()}
        tables = present(self.page, tables)
        require(self.page, root / "clips")
        clips = AudioFolder.of(root / "clips")

        def read(table: Path) -> Iterator[Segment | LeftOut | Unreadable]:
            columns, rows = _table(table, _CLIP)

            def segment(line: Line) -> Segment | LeftOut:
                id, said = _clip(line, columns)
                audio = clips.file(line, id, ".mp3")
                return unless_empty(
                    Segment(line.where, id, audio, 0.0, None, *said, "", self.language, "")
                )

            return kept(rows, segment)

        found = {split: [*read(table)] for split, table in tables.items()}
        return as_splits(found, self.name, strict=strict, resample=True)


@dataclass(frozen=True)
class CoVoST2:
    """CoVoST 2: the sentences of Common Voice with translations, for ST, ASR and MT."""

    data_dir: Path
    """The folder of Common Voice's release 4, with CoVoST's table beside the language's folder."""
    source_language: str = "en"
    """As Common Voice's folder is named."""
    target_language: str = "de"
    """As in the name of CoVoST's table."""

    name = "covost2"
    page = """
        CoVoST 2 (Wang et al. 2020) is got from https://github.com/facebookresearch/covost, whose
        table of licenses gives CC0 for the data; its audio is Common Voice 4 (2019-12-10), from
        https://commonvoice.mozilla.org/datasets, under CC0. Unpacked, they look so:

          DATA_DIR/en/validated.tsv
          DATA_DIR/en/clips/common_voice_en_17779714.mp3
          DATA_DIR/covost_v2.en_de.tsv
        """

    def splits(self, *, strict: bool) -> Splits:
        """Return what reads it; errors name file and line."""
        root = self.data_dir / self.source_language
        pair = f"{self.source_language}_{self.target_language}"
        table, validated = self.data_dir / f"covost_v2.{pair}.tsv", root / "validated.tsv"
        require(self.page, table, validated, root / "clips")
        said: dict[str, _Said] = {}
        found: dict[str, list[Segment | LeftOut | Unreadable]] = {split: [] for split in _SPLITS}
        found["train"] += _read_said(validated, said)
        clips = AudioFolder.of(root / "clips")
        columns, rows = _table(table, ("path", "translation", "split"))
        for line in rows:
            try:
                split, item = self._segment(line, fields(line, columns), said, clips)
            except UsageError as error:
                # Of its own split nothing is known.
                split, item = "train", Unreadable("row", str(error))
            found[split].append(item)
        there = {split: items for split, items in found.items() if items}
        return as_splits(there, self.name, strict=strict, resample=True)

    def _segment(
        self, line: Line, row: list[str], said: Mapping[str, "_Said"], clips: AudioFolder
    ) -> tuple[str, Segment | LeftOut]:
        """Return a segment, and the split that it belongs to."""
        path, translation, part = row[0].removesuffix(".mp3"), row[1].strip(), row[2].strip()
        splits = {name: split for split, name in _SPLITS.items()}
        split = splits.get(part.removesuffix("_covost"))
        if split is None:
            raise line.error(f"expected split train, dev or test, found {part!r}")
        if part.endswith("_covost") and split != "train":
            return split, LeftOut(f"split {part}", line.where)
        if '""' in translation[1:-1]:  # else quotes around it are text: this table has no quoting
            translation = unquoted(translation)
        if translation == "REMOVE":
            return split, LeftOut("marked REMOVE", line.where)
        if path not in said:
            return split, LeftOut("not in validated.tsv", line.where)
        languages = self.source_language, self.target_language
        audio = clips.file(line, path, ".mp3")
        return split, unless_empty(
            Segment(line.where, path, audio, 0.0, None, *said[path], translation, *languages)
        )


class _Said(NamedTuple):
    speaker: str
    sentence: str


def _read_said(validated: Path, said: dict[str, _Said]) -> list[Segment | LeftOut | Unreadable]:
    """Fill in who says what in each clip, and return what cannot be read."""
    columns, rows = _table(validated, _CLIP)

    def add(line: Line) -> None:
        id, clip = _clip(line, columns)
        said[id] = clip

    return [*kept(rows, add)]


def _clip(line: Line, columns: Header) -> tuple[str, _Said]:
    """Return a clip's id, and who says what in it."""
    speaker, path, sentence = fields(line, columns)
    return path.removesuffix(".mp3"), _Said(sys.intern(speaker), unquoted(sentence.strip()))


def _table(file: Path, wanted: Sequence[str]) -> tuple[Header, Iterator[Line]]:
    """Return the wanted columns of a table, and its rows without empty lines."""
    rows = lines(file)
    columns = header(next(rows, Line(file, 1, b"")), wanted)
    return columns, (line for line in rows if line.content.strip())
