"""Joint learning with the implicit TCN on all corpora of Table 5, and on what is made of them.

    taskaware train experiments/table5/joint_implicit.py --out runs/table5/joint_implicit
    taskaware evaluate runs/table5/joint_implicit --select single

§6.1.1 makes ST data in two ways, here each one command. Changed speech: speed, tempo and echo.
Translations by two models, which the paper took from others; here they are ``direct`` MT of Table 3
with two seeds, each giving the best or the two best of its beam:

    taskaware train experiments/mustc/direct.py:mt --out runs/mustc/teacher.0
    taskaware train experiments/mustc/direct.py:mt --seed 1 --out runs/mustc/teacher.1

=============  ============  ================================================================
corpus         examples of ST  in all, with the original
=============  ============  ================================================================
IWSLT 2019     145,372       x 5: four translations, each with speech changed in its own way
Europarl-ST    32,628        x 3: two changed copies of the speech
TED-LIUM 3     -             2 translations of each of its 286,263 transcripts
MuST-C         229,703       x 4: three changed copies of the speech
=============  ============  ================================================================

Paper: Table 3, row 7, was trained on these: ST 28.64 BLEU, ASR 11.61 WER, MT 23.35 BLEU.
Hardware: the paper's 8 × V100 for 600k steps; it states no hours. Some 7,700 hours of
speech are stored, the made ones included, at 115 MB an hour: 0.9 TB.
Obtained: nothing yet: it needs the corpora and 8 accelerators.
"""

from dataclasses import replace
from pathlib import Path

from taskaware.config.file import definitions

table3 = definitions(Path(__file__).parents[1] / "mustc" / "base.py")
DOWNLOADS = "data/downloads"
TEACHERS = "--teachers runs/mustc/teacher.0:mt runs/mustc/teacher.1:mt"
data = table3["data"] | {
    "data/opensubtitles": (
        f"taskaware prepare parallel {DOWNLOADS}/opensubtitles --languages en de "
        "--train OpenSubtitles.de-en --out {out}"
    ),
    "data/librispeech": f"taskaware prepare librispeech {DOWNLOADS}/LibriSpeech --out {{out}}",
    "data/common_voice": (
        f"taskaware prepare common_voice {DOWNLOADS}/cv-corpus --language en --out {{out}}"
    ),
    "data/iwslt": f"taskaware prepare iwslt {DOWNLOADS}/iwslt-corpus --out {{out}}",
    "data/europarl_st": (
        f"taskaware prepare europarl_st {DOWNLOADS}/v1.1 --source-language en "
        "--target-language de --out {out}"
    ),
    "data/iwslt_translated": f"taskaware pseudo-label data/iwslt {TEACHERS} --top 2 --out {{out}}",
    "data/iwslt_synthetic": (
        "taskaware prepare augmented data/iwslt_translated --copies 1 --out {out}"
    ),
    "data/europarl_st_changed": (
        "taskaware prepare augmented data/europarl_st --copies 2 --out {out}"
    ),
    "data/tedlium3_translated": (
        f"taskaware pseudo-label data/tedlium3 {TEACHERS} --top 1 --out {{out}}"
    ),
    "data/mustc_changed": ("taskaware prepare augmented data/mustc/en-de --copies 3 --out {out}"),
}
"""What it needs, and the command that makes it."""

_st, _asr, _mt = table3["base"].tasks
_made = ("iwslt_synthetic", "europarl_st_changed", "tedlium3_translated", "mustc_changed")
experiment = replace(
    table3["conditioned"](table3["base"], "implicit"),
    tasks=(
        replace(
            _st,
            data=(
                *_st.data,
                "data/iwslt",
                "data/europarl_st",
                *(f"data/{name}" for name in _made),
            ),
        ),
        replace(
            _asr,
            data=(
                *_asr.data,
                "data/librispeech",
                "data/iwslt",
                *_st.data,
                "data/common_voice",
            ),
        ),
        replace(_mt, data=(*_mt.data, "data/opensubtitles")),
    ),
)
