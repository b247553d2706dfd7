"""A folder of recordings, each with a text file of the same name, without any table.

=============  ==================================================================================
NAME.wav       a recording of one utterance; .flac, .ogg, .opus, .mp3 and .m4a too
NAME.txt       its transcript; lines are joined
NAME.de.txt    its translation, if there are translations
=============  ==================================================================================

If some sub-folders are named train, validation (or dev) or test, all in them makes up that split;
further ones with recordings, such as test_noisy, are splits of their names. Otherwise all is train,
sub-folders of any depth included. The id is the path within the split's folder, without suffix.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from taskaware.data.corpora.base import LeftOut, Splits, Unreadable
from taskaware.data.corpora.missing import require
from taskaware.data.corpora.segments import Entry, Segment, as_splits
from taskaware.data.corpora.tables import AudioFolder, lines, read_each, unless_empty
from taskaware.errors import UsageError

_SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".m4a")
_SPLITS = {"train": "train", "validation": "validation", "dev": "validation", "test": "test"}
_NOT_UTF_8 = re.compile("[\\udc80-\\udcff]")
"""What replaces bytes that are not UTF-8 in a name."""


@dataclass(frozen=True)
class Folder:
    """Recordings and texts side by side, as NAME.wav and NAME.txt; translations as NAME.de.txt."""

    data_dir: Path
    """The folder of recordings and texts."""
    source_language: str = "en"
    """Language of the recordings."""
    target_language: str = ""
    """Language of the translations, as in NAME.de.txt; empty: there are none."""
    resample: bool = False
    """Whether audio of another rate than 16 kHz is converted instead of refused."""

    name = "folder"
    page = """
        Any recordings with their transcripts, side by side:

          DATA_DIR/NAME.wav, or .flac, .ogg, .opus, .mp3, .m4a
          DATA_DIR/NAME.txt
          DATA_DIR/NAME.de.txt     with --target-language de
        or
          DATA_DIR/train/…, validation/… and test/…, with such files in each
        """

    def splits(self, *, strict: bool) -> Splits:
        """Return shards that read the corpus; errors name the file."""
        require(self.page, self.data_dir)
        entries: dict[str, list[Entry]] = {}
        names = sorted(AudioFolder.of(self.data_dir).names)
        folders = [name for name in names if (self.data_dir / name).is_dir() and name[0] != "."]
        if _SPLITS.keys().isdisjoint(folders):
            entries["train"] = [*self._recordings(self.data_dir)]
        else:
            _require_none_outside(self.data_dir, names)
            for name in folders:
                if some := [*self._recordings(self.data_dir / name)]:
                    entries.setdefault(_SPLITS.get(name, name), []).extend(some)
        if not any(entries.values()):
            require(self.page, self.data_dir / "NAME.wav")
        return as_splits(entries, self.name, strict=strict, resample=self.resample)

    def _recordings(self, folder: Path) -> Iterator[Entry]:
        """Yield the entries of a split, none if it has no recordings."""
        # Hidden files belong to other programs, such as ._NAME.wav of macOS.
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        files = [path for path in paths if "/." not in f"/{path.relative_to(folder).as_posix()}"]
        for path in (path for path in files if _NOT_UTF_8.search(str(path))):
            where = ascii(str(path))
            yield Unreadable(
                "name", f"{where}: expected a name in UTF-8, found other bytes; rename it"
            )
        files = [path for path in files if not _NOT_UTF_8.search(str(path))]
        audio = [path for path in files if path.suffix.lower() in _SUFFIXES]
        composed = {_composed(path): path for path in files} | {str(path): path for path in files}
        texts = {path: self._texts(path, composed) for path in audio}
        yield from read_each(audio, lambda path: self._segment(folder, path, texts[path]))
        used = {text for some in texts.values() for text in some}
        for path in files if audio else ():
            if path.suffix == ".txt" and path not in used:
                yield LeftOut("text without a recording", str(path))

    def _segment(self, folder: Path, path: Path, texts: Sequence[Path]) -> Segment | LeftOut:
        source, target = [*(_content(path, text) for text in texts), ""][:2]
        return unless_empty(
            Segment(
                str(path),
                path.relative_to(folder).with_suffix("").as_posix(),
                str(path),
                0.0,
                None,
                "",
                source,
                target,
                self.source_language,
                self.target_language,
            )
        )

    def _texts(self, audio: Path, files: Mapping[str, Path]) -> list[Path]:
        """Return the files of a recording's texts, in whichever of Unicode's forms."""
        ends = [".txt", f".{self.target_language}.txt"] if self.target_language else [".txt"]
        beside = [audio.with_name(audio.stem + end) for end in ends]
        return [files.get(str(path)) or files.get(_composed(path), path) for path in beside]


def _composed(path: Path) -> str:
    return unicodedata.normalize("NFC", str(path))


def _content(audio: Path, text: Path) -> str:
    if not text.exists():
        raise UsageError(f"{audio}: expected its text in {text.name} beside it, found none")
    return " ".join(line.text() for line in lines(text, lone_returns=True))


def _require_none_outside(root: Path, names: Sequence[str]) -> None:
    for name in names:
        if name.lower().endswith(_SUFFIXES):
            raise UsageError(
                f"{root / name}: expected it in the folder of a split, found it beside; move it"
            )
