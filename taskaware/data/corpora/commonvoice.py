"""Common Voice, sentences that volunteers read aloud; and CoVoST 2, translations of them.

A language of a release is a folder with one table per split and all audio in clips/, MP3 of 32 or
48 kHz. Columns are separated by tabs. Releases 4 and 5 quote a sentence with quotation marks as CSV
does, later ones do not: if the marks at its ends enclose only doubled ones, the quoting is undone;
otherwise quotation marks, and always backslashes, are part of the sentence. The columns differ
between releases; all have

==========  =====================================================================================
client_id   the speaker
path        the audio's bare file name; without .mp3 in the first releases
sentence    cased and punctuated
==========  =====================================================================================

and the others (votes, age, gender, accent or accents, variant, locale, segment) may be missing,
also at the end of a row. validated.tsv has all clips that others have approved, those of test
included; train.tsv is meant for training, each sentence once.

CoVoST 2 has a table of its own, covost_v2.en_de.tsv, with the columns path, translation and split.
It belongs to release 4 of Common Voice: a path without a row in validated.tsv is left out and
counted. As in its authors' script, the split train_covost is joined to train, while dev_covost and
test_covost are left out, and so are rows that its authors have marked by the translation REMOVE.
English to others and others to English have the same format.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from taskaware.data.corpora.base import LeftOut, Splits, Unreadable
from taskaware.data.corpora.missing import present, require
from taskaware.data.corpora.segments import Entry, Segment, as_splits
from taskaware.data.corpora.tables import (
    AudioFolder,
    Header,
    Line,
    fields,
    header,
    lines,
    read_each,
    unless_empty,
    unquoted,
)
from taskaware.errors import UsageError

_SPLITS = {"train": "train", "validation": "dev", "test": "test"}
_COLUMNS = ("client_id", "path", "sentence")


@dataclass(frozen=True)
class CommonVoice:
    """Common Voice: sentences read aloud by volunteers, for ASR."""

    data_dir: Path
    """The folder of a release, which holds one folder per language."""
    language: str = "en"
    """As the folder is named."""

    name = "common_voice"
    paper = "232,958 examples, 1,469 hours (Table 5; LibriSpeech has the same count there)"
    page = """
        Download Common Voice (Ardila et al. 2020; license CC0) from
        https://commonvoice.mozilla.org/datasets or the Mozilla Data Collective. Expected layout:

          DATA_DIR/en/train.tsv, dev.tsv, test.tsv, validated.tsv
          DATA_DIR/en/clips/common_voice_en_17779714.mp3
        """

    def splits(self, *, strict: bool) -> Splits:
        """Return shards that read the corpus; errors name file and line."""
        root = self.data_dir / self.language
        tables = {split: root / f"{name}.tsv" for split, name in _SPLITS.items()}
        tables = present(self.page, tables)
        require(self.page, root / "clips")
        audio = AudioFolder.of(root / "clips")

        def read(table: Path) -> Iterator[Entry]:
            columns, rows = _table(table, _COLUMNS)

            def segment(line: Line) -> Segment | LeftOut:
                id, clip = _clip(line, columns)
                file = audio.file(line, id, ".mp3")
                return unless_empty(
                    Segment(line.where, id, file, 0.0, None, *clip, "", self.language, "")
                )

            return read_each(rows, segment)

        entries = {split: [*read(table)] for split, table in tables.items()}
        return as_splits(entries, self.name, strict=strict, resample=True)


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
        Download CoVoST 2 (Wang et al. 2020; its table of licenses gives CC0 for the data) from
        https://github.com/facebookresearch/covost, and its audio, Common Voice 4 (2019-12-10;
        license CC0), from https://commonvoice.mozilla.org/datasets. Expected layout:

          DATA_DIR/en/validated.tsv
          DATA_DIR/en/clips/common_voice_en_17779714.mp3
          DATA_DIR/covost_v2.en_de.tsv
        """

    def splits(self, *, strict: bool) -> Splits:
        """Return shards that read the corpus; errors name file and line."""
        root = self.data_dir / self.source_language
        pair = f"{self.source_language}_{self.target_language}"
        table, validated = self.data_dir / f"covost_v2.{pair}.tsv", root / "validated.tsv"
        require(self.page, table, validated, root / "clips")
        clips: dict[str, _Clip] = {}
        entries: dict[str, list[Entry]] = {split: [] for split in _SPLITS}
        entries["train"] += _read_clips(validated, clips)
        audio = AudioFolder.of(root / "clips")
        columns, rows = _table(table, ("path", "translation", "split"))
        for line in rows:
            try:
                split, entry = self._segment(line, fields(line, columns), clips, audio)
            except UsageError as error:
                # The split that it belongs to is not known.
                split, entry = "train", Unreadable("row", str(error))
            entries[split].append(entry)
        nonempty = {split: some for split, some in entries.items() if some}
        return as_splits(nonempty, self.name, strict=strict, resample=True)

    def _segment(
        self, line: Line, row: list[str], clips: Mapping[str, "_Clip"], audio: AudioFolder
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
        if path not in clips:
            return split, LeftOut("not in validated.tsv", line.where)
        languages = self.source_language, self.target_language
        file = audio.file(line, path, ".mp3")
        return split, unless_empty(
            Segment(line.where, path, file, 0.0, None, *clips[path], translation, *languages)
        )


class _Clip(NamedTuple):
    speaker: str
    sentence: str


def _read_clips(validated: Path, clips: dict[str, _Clip]) -> list[Entry]:
    """Add the clips of a table by their ids, and return what cannot be read."""
    columns, rows = _table(validated, _COLUMNS)

    def add(line: Line) -> None:
        id, clip = _clip(line, columns)
        clips[id] = clip

    return [*read_each(rows, add)]


def _clip(line: Line, columns: Header) -> tuple[str, _Clip]:
    """Return a clip's id, its speaker and its sentence."""
    speaker, path, sentence = fields(line, columns)
    return path.removesuffix(".mp3"), _Clip(sys.intern(speaker), unquoted(sentence.strip()))


def _table(file: Path, names: Sequence[str]) -> tuple[Header, Iterator[Line]]:
    """Return where the named columns of a table are, and its rows without empty lines."""
    rows = lines(file)
    columns = header(next(rows, Line(file, 1, b"")), names)
    return columns, (line for line in rows if line.content.strip())
