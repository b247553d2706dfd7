"""What the rows of Table 2 share: one English source into three languages, as text.

``toy`` is the embedded corpus in German, Romanian and Turkish, the same English sentences for all.
``sts`` has 9,942 real sentences with all three translations, ``multi30k`` 29,000 with German,
French and Czech ones; both need their files, see ``reproduce.py --corpora``. Scores are of the mean
of the last five checkpoints.
"""

from dataclasses import replace

from taskaware.config import Batching, Decoding, Experiment, OptimizerConfig, Task, small_model

NAMES = {"de": "German", "ro": "Romanian", "tr": "Turkish", "fr": "French", "cs": "Czech"}


def prefix(language: str) -> str:
    """Return what tells the task by text (Raffel et al. 2019), as the paper words it."""
    return f"translate from English to {NAMES[language]}"


def _vocabulary(folders: str, languages: str, size: int) -> str:
    texts = " ".join(f"'{prefix(language)}'" for language in languages.split())
    return f"taskaware vocab --data {folders} --size {size} --out {{out}} --also {texts}"


def _toy(language: str) -> str:
    sizes = "--train 6000 --validation 100 --test 400"
    return f"taskaware prepare toy --out {{out}} {sizes} --target-language {language} --sound none"


data = {f"data/toy_{language}": _toy(language) for language in ("de", "ro", "tr")} | {
    "data/toy_text.model": _vocabulary("data/toy_de data/toy_ro data/toy_tr", "de ro tr", 1200),
    "data/sts": (
        "taskaware prepare parallel {corpora}/sts_de_ro_tr --languages en de ro tr --out {out} "
        "--train sts.train.en-de-ro-tr --test sts.dev.en-de-ro-tr"
    ),
    "data/sts.model": _vocabulary("data/sts", "de ro tr", 8000),
    "data/multi30k_all": (
        "taskaware prepare parallel {corpora}/multi30k --languages en de fr cs --out {out} "
        "--train train --validation val --test test_2016_flickr"
    ),
    "data/multi30k_all.model": _vocabulary("data/multi30k_all", "de fr cs", 8000),
}
"""What rows need, and the command that makes each."""


def _experiment(folders: dict[str, str], tokenizer: str, steps: int, size: int) -> Experiment:
    tasks = (
        Task(
            name=f"en_{language}",
            source="text",
            target="translation",
            metric="bleu",
            target_language=language,
            data=(folder,),
        )
        for language, folder in folders.items()
    )
    return Experiment(
        tasks=tuple(tasks),
        tokenizer=tokenizer,
        model=replace(small_model(), conditioning="vanilla"),
        batching=Batching(size=size, buckets=2, max_tokens=60),
        optimizer=OptimizerConfig(learning_rate=0.6, warmup_steps=300),
        decoding=Decoding(beam_size=4, extra_length=20),
        steps=steps,
        log_every=100,
        save_every=50,
        keep=5,
    )


toy = _experiment(
    {language: f"data/toy_{language}" for language in ("de", "ro", "tr")},
    "data/toy_text.model",
    steps=1200,
    size=16,
)
sts = _experiment(dict.fromkeys(("de", "ro", "tr"), "data/sts"), "data/sts.model", 600, size=32)
multi30k = _experiment(
    dict.fromkeys(("de", "fr", "cs"), "data/multi30k_all"), "data/multi30k_all.model", 600, size=32
)


def implicit(experiment: Experiment) -> Experiment:
    """Return an experiment whose model has the implicit TCN."""
    return replace(experiment, model=replace(experiment.model, conditioning="implicit"))


def prefixed(experiment: Experiment) -> Experiment:
    """Return an experiment whose source texts name the task (the paper's OHV)."""
    tasks = (replace(task, prefix=prefix(task.target_language)) for task in experiment.tasks)
    return replace(experiment, tasks=tuple(tasks))
