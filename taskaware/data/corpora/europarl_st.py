"""Europarl-ST, release 1.1: speeches in the European Parliament with translations.

For each pair of languages there is a folder per split with files of equally many lines:

=============  ==================================================================================
segments.lst   "NAME START END": a speech's audio, without suffix, and seconds
segments.en    what is said, cased and punctuated
segments.de    its translation
=============  ==================================================================================

Two more have a line per speech instead of per segment: speeches.lst, with NAME first, and
speakers.lst, its speaker. Files with .tok in their names are tokenized copies. The split
train-noisy, which the paper did not use, is not read.

The audio, one file per speech, serves all pairs of its source language. It is M4A of 44.1 kHz,
which ffmpeg decodes here; copies as WAV or FLAC beside it, or in its place, are preferred. Some
files are stereo with one empty channel.
"""

from dataclasses import dataclass
from pathlib import Path

from taskaware.data.corpora.base import LeftOut, Splits
from taskaware.data.corpora.missing import present, require
from taskaware.data.corpora.segments import Entry, Segment, as_splits
from taskaware.data.corpora.tables import (
    AudioFolder,
    Line,
    lines,
    read_each,
    require_aligned,
    stretch,
    unless_empty,
)


@dataclass(frozen=True)
class EuroparlST:
    """Europarl-ST, release 1.1: parliament speeches with translations, for ST, ASR and MT."""

    data_dir: Path
    """The folder v1.1."""
    source_language: str = "en"
    """Language of the speeches: de, en, es, fr, it, nl, pl, pt or ro."""
    target_language: str = "de"
    """Language of the translations, another one of these."""

    name = "europarl_st"
    paper = "32,628 examples, 89 hours (Table 5)"
    page = """
        Download Europarl-ST (Iranzo-Sánchez et al. 2020; license CC BY-NC 4.0) from
        https://www.mllp.upv.es/europarl-st/ as v1.1.tar.gz. Expected layout:

          DATA_DIR/en/audios/en.20081119.13.3-141.m4a, or .wav, or .flac
          DATA_DIR/en/de/train/segments.lst
          DATA_DIR/en/de/train/segments.en
          DATA_DIR/en/de/train/segments.de
          DATA_DIR/en/de/train/speeches.lst, speakers.lst
          DATA_DIR/en/de/dev/… and test/… likewise
        """

    def splits(self, *, strict: bool) -> Splits:
        """Return shards that read the corpus; errors name file and line."""
        source = self.data_dir / self.source_language
        require(self.page, source / "audios")
        audio = AudioFolder.of(source / "audios")
        names = {"train": "train", "validation": "dev", "test": "test"}
        root = source / self.target_language
        folders = present(self.page, {split: root / name for split, name in names.items()})
        entries = {split: self._speeches(folder, audio) for split, folder in folders.items()}
        return as_splits(entries, self.name, strict=strict, resample=True)

    def _speeches(self, folder: Path, audio: AudioFolder) -> list[Entry]:
        languages = self.source_language, self.target_language
        files = [folder / f"segments.{end}" for end in ("lst", *languages)]
        require(self.page, *files)
        # The list says how many lines there must be, so returns in a single line are white space.
        columns = [[*lines(file, lone_returns=file != files[0])] for file in files]
        require_aligned(dict(zip(files, map(len, columns), strict=True)))
        speakers = _speakers(folder)

        def segment(row: tuple[Line, ...]) -> Segment | LeftOut:
            line, source, target = row
            words = line.text().split()
            if len(words) != 3:
                raise line.error(f"expected NAME START END, found {len(words)} fields")
            name, start, end = words
            return unless_empty(
                Segment(
                    line.where,
                    f"{name}_{line.number}",
                    audio.file(line, name, ".wav", ".flac", ".m4a"),
                    *stretch(line, start, end),
                    speakers.get(name, ""),
                    source.text(),
                    target.text(),
                    *languages,
                )
            )

        return [*read_each(zip(*columns, strict=True), segment)]


def _speakers(folder: Path) -> dict[str, str]:
    """Return the speaker of each speech, if the folder lists speakers."""
    files = folder / "speeches.lst", folder / "speakers.lst"
    if not all(file.exists() for file in files):
        return {}
    speeches, speakers = ([line.text().strip() for line in lines(file)] for file in files)
    require_aligned(dict(zip(files, (len(speeches), len(speakers)), strict=True)))
    return {
        speech.partition(" ")[0]: speaker
        for speech, speaker in zip(speeches, speakers, strict=True)
    }
