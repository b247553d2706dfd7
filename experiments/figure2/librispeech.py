"""List the utterances of a LibriSpeech folder as a manifest: the last 8 speakers are for testing.

    python experiments/figure2/librispeech.py FOLDER OUT.tsv

Transcripts are written in lower case: the capitals of the corpus are no property of speech.
"""

import sys
from pathlib import Path

HEADER = (
    "id audio start duration speaker source_text target_text source_language target_language split"
).split()


def main(folder: Path, out: Path) -> None:
    """Write one row an utterance that is there."""
    root = folder / "LibriSpeech"
    speakers = sorted({path.name for path in root.glob("*/*")}, key=int)
    rows = [HEADER]
    for transcripts in sorted(root.glob("*/*/*/*.trans.txt")):
        speaker = transcripts.parts[-3]
        split = "test" if speaker in speakers[-8:] else "train"
        for line in transcripts.read_text(encoding="utf-8").splitlines():
            name, text = line.split(" ", 1)
            for audio in sorted(transcripts.parent.glob(f"{name}.*")):
                path = audio.relative_to(root).as_posix()
                rows.append([name, path, "", "", speaker, text.lower(), "", "en", "", split])
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python experiments/figure2/librispeech.py FOLDER OUT.tsv")
    main(Path(sys.argv[1]), Path(sys.argv[2]))
