"""What the rows of Table 3 share at full scale: MuST-C v1 En-De, TED-LIUM 3 and WMT En-De.

Every setting is Table 8's, for multi modality; most are the library's defaults and so not
repeated here. The paper's 16 examples per task are read as 16 per device on its 8 devices.

The corpora have to be fetched by hand, into ``data/downloads``; ``taskaware prepare CORPUS`` says
from where. WMT is that of 2014: its parallel corpora, newstest2013 to validate on and newstest2014
to test on, as text (docs/corpora.md has the command of sacrebleu that writes the test sets).

One corpus per task is what Table 7 lists: 229,703, 286,263 and 4,592,289 examples. The paper
trained the rows of Table 3 on more (``experiments/table5/``), so its numbers need not be reached
with these. What is there, what is missing, and what a row's model takes:

    taskaware train experiments/mustc/joint_implicit.py --out runs/mustc/joint_implicit --dry-run
"""

from dataclasses import replace

from taskaware.config import Batching, Experiment, ModelConfig, Task

data = {
    "data/mustc/en-de": (
        "taskaware prepare mustc data/downloads/MuST-C --target-language de --out {out}"
    ),
    "data/tedlium3": "taskaware prepare tedlium data/downloads/TEDLIUM_release-3 --out {out}",
    "data/wmt": (
        "taskaware prepare parallel data/downloads/wmt --languages en de --out {out} "
        "--train europarl-v7.de-en commoncrawl.de-en news-commentary-v9.de-en "
        "--validation newstest2013 --test newstest2014"
    ),
    "data/mustc.model": (
        "taskaware vocab --data data/mustc/en-de data/tedlium3 data/wmt --size 32000 --out {out}"
    ),
}
"""What rows need, and the command that makes each."""

MUSTC, TEDLIUM, WMT = [(folder,) for folder in [*data][:3]]

base = Experiment(
    tasks=(
        Task(name="st", source="speech", target="translation", metric="bleu", data=MUSTC),
        Task(name="asr", source="speech", target="transcript", metric="wer", data=TEDLIUM),
        Task(name="mt", source="text", target="translation", metric="bleu", data=WMT),
    ),
    tokenizer="data/mustc.model",
    model=ModelConfig(scan=True),  # 24 blocks would take long to compile one by one
    batching=Batching(size=8 * 16, buckets=32, edges="least_padding"),
    keep=5,  # to choose from, as the paper does
)


def conditioned(experiment: Experiment, conditioning: str, **model) -> Experiment:
    """Return the experiment with another way to tell the model its task."""
    changed = replace(experiment.model, conditioning=conditioning, **model)
    return replace(experiment, model=changed)


vanilla = conditioned(base, "vanilla")


def finetuned(row: str, experiment: Experiment) -> dict[str, Experiment]:
    """Return three runs of 10k steps that go on from a row's model, one per task.

    The paper states no other schedule for them, so Table 8's begins anew.
    """
    common = replace(experiment, strategy="joint", start_from=f"runs/mustc/{row}", steps=10_000)
    return {task.name: replace(common, train_on=(task.name,)) for task in common.tasks}
