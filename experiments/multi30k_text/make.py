"""Turn Multi30k's gzipped parallel text into a manifest of text-only rows.

python experiments/multi30k_text/make.py MULTI30K data/multi30k.tsv
taskaware prepare manifest data/multi30k.tsv --out data/multi30k
taskaware vocab --data data/multi30k --size 6000 --out data/multi30k.model
"""

import gzip
import sys
from pathlib import Path

SPLITS = {"train": "train", "validation": "val", "test": "test_2016_flickr"}
HEADER = (
    "id audio start duration speaker source_text target_text source_language target_language split"
).split()


def main(multi30k: Path, out: Path) -> None:
    """Write every English-German pair, each split under its name."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with open(out, "w", encoding="utf-8") as table:
        table.write("\t".join(HEADER) + "\n")
        for split, name in SPLITS.items():
            english, german = (_lines(multi30k / f"{name}.{lang}.gz") for lang in ("en", "de"))
            for number, pair in enumerate(zip(english, german, strict=True)):
                row = (f"{name}.{number}", "", "", "", "", *pair, "en", "de", split)
                table.write("\t".join(row) + "\n")


def _lines(path: Path) -> list[str]:
    text = gzip.decompress(path.read_bytes()).decode("utf-8")
    return [" ".join(line.split()) for line in text.removesuffix("\n").split("\n")]


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python experiments/multi30k_text/make.py MULTI30K OUT.tsv")
    main(Path(sys.argv[1]), Path(sys.argv[2]))
