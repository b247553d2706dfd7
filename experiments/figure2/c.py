"""Figure 2c: t-SNE of implicit task vectors, several corpora per task.

    python experiments/reproduce.py figure2/c --corpora FOLDER

ST hears the embedded corpus and spoken digits, ASR those and LibriSpeech, MT reads the embedded
corpus, digits and stsb. Digits are real recordings (``experiments/digits/``), LibriSpeech's
utterances real speech, stsb's sentences real text.

Paper: within each task's cluster one sub-cluster per corpus; no number.
Obtained: ST BLEU 34.7, ASR WER 64.4, MT BLEU 14.2, confusion % 0.6; silhouette by task 0.61, st by
corpus 0.34, asr by corpus 0.21, mt by corpus 0.39; one seed, 570 s each on 2 CPU cores, 2026-11-21.
"""

from dataclasses import replace
from pathlib import Path

from taskaware.config import Batching
from taskaware.config.file import definitions

table = definitions(Path(__file__).parents[1] / "table3" / "base.py")
data = table["data"] | {
    "data/digits-audio": "python experiments/digits/make.py {corpora}/fsdd {out}",
    "data/digits": (
        "taskaware prepare manifest data/digits-audio/manifest.tsv --resample --out {out}"
    ),
    "data/librispeech.tsv": (
        "python experiments/figure2/librispeech.py {corpora}/librispeech_12s {out}"
    ),
    "data/librispeech": (
        "taskaware prepare manifest data/librispeech.tsv --out {out} "
        "--audio-root {corpora}/librispeech_12s/LibriSpeech"
    ),
    "data/sts_de": (
        "taskaware prepare parallel {corpora}/sts_de_ro_tr --languages en de ro tr --out {out} "
        "--train sts.train.en-de-ro-tr --test sts.dev.en-de-ro-tr"
    ),
    "data/several.model": (
        "taskaware vocab --data data/toy/data data/digits data/librispeech data/sts_de "
        "--size 4000 --out {out}"
    ),
}
"""What it needs, and the command that makes it."""

base = table["base"]
st, asr, mt = base.tasks
experiment = replace(
    base,
    tasks=(
        replace(st, data=(*st.data, "data/digits")),
        replace(asr, data=(*asr.data, "data/digits", "data/librispeech")),
        replace(mt, data=(*mt.data, "data/digits", "data/sts_de")),
    ),
    tokenizer="data/several.model",
    model=replace(base.model, conditioning="implicit"),
    batching=Batching(size=16, buckets=3, max_seconds=12.0, max_tokens=80),
    steps=1200,
)
selection = "newest"
draw = True
