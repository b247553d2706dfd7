"""From a trained run to a row of the results table, with the texts that it was scored on."""

from taskaware.data.targets import output_text
from taskaware.data.tasks import TaskExamples, serves_output
from taskaware.evaluation.metrics.task_confusion import confusion, other_language_share, vocabulary
from taskaware.evaluation.outputs import _decode, _write_lines, scores
from taskaware.evaluation.results import Result, Selection, store_result
from taskaware.evaluation.selection import choose
from taskaware.modulation.affine import TCNParam
from taskaware.runs.checkpoints import (
    training_seconds,
)
from taskaware.runs.console import say
from taskaware.runs.folder import Run
from taskaware.runs.inference import (
    tell_long,
)
from taskaware.training.state import count_parameters


def evaluate(run: Run, split: str = "test", selection: Selection = "newest") -> Result:
    """Decode every task of a split, write hypotheses and references, then score them.

    Tasks without an example in the split are named and left out.

    An example whose reference holds nothing to score is left out of the score and counted in
    ``left_out``; a score, confusion or language share without any such example is None.

    Returns:
        One row of the results table, as it stands in ``results.json`` of the run folder.
    """
    examples = run.examples(split, absent=say)
    steps = zip(run.experiment.tasks, choose(run, selection), strict=True)
    by_task = {task.name: of_task for task, of_task in steps}
    chosen = [by_task[one.task.name] for one in examples]
    tell_long(examples, say)
    decoded, params = _decode(run, examples, chosen)
    for task, hypotheses in zip(examples, decoded, strict=True):
        _write_lines(run.folder / f"{split}.{task.task.name}.hyp.txt", hypotheses)
        _write_lines(run.folder / f"{split}.{task.task.name}.ref.txt", task.references())
    scored = scores(examples, decoded)
    mixed: dict[str, float | None] = {}
    foreign: dict[str, float | None] = {}
    for task, hypotheses in zip(examples, decoded, strict=True):
        name = task.task.name
        if count := max(measured.left_out for measured in scored[name].values()):
            say(f"{name}: {count} of {len(hypotheses)} references hold nothing to score, left out")
        others = other_references(task, examples)
        labels = task.task.target == "label"
        mixed[name] = confusion(hypotheses, task.references(), others, labels=labels)
        texts = any(others) and not labels
        foreign[name] = _foreign_share(hypotheses, task, examples) if texts else None
    result = Result(
        conditioning=run.experiment.model.conditioning,
        strategy=run.experiment.strategy,
        split=split,
        selection=selection,
        checkpoints={task.task.name: steps for task, steps in zip(examples, chosen, strict=True)},
        scores=scored,
        confusion=mixed,
        other_language_words=foreign,
        train_steps=max(map(max, chosen)) // run.experiment.optimizer.accumulate,
        seconds=training_seconds(run),
        parameters=count_parameters(params),
        tcn_parameters=count_parameters(params, TCNParam),
        seed=run.experiment.seed,
        decoding=run.experiment.decoding,
    )
    store_result(run.folder, result)
    return result


def other_references(task: TaskExamples, tasks: list[TaskExamples]) -> list[tuple[str, ...]]:
    """Return, for each example, the references that tasks of another kind have for the same input.

    Texts are confused with texts, and labels with labels, where the answer is written by a decoder;
    a head of its own cannot give another task's answer. Another kind is another output language,
    another target (a transcript where this is a translation) or another column. What this
    task, or another of its kind, has as a reference for that input is right and left out. Inputs
    are the same if their source texts are: the other reference may stand in another row.
    """

    def kind(of: TaskExamples) -> tuple[str, str, str]:
        return of.task.target, of.task.column, of.task.output_language

    def group(of: TaskExamples) -> str | None:
        if of.task.is_text:
            return "text"
        return "label" if of.task.target == "label" and of.inventory is None else None

    tasks = [other for other in tasks if group(task) == group(other) is not None]
    right: dict[str, dict[str, None]] = {}  # a dict keeps their order, each once
    wrong: dict[str, dict[str, None]] = {}
    for other in tasks:
        outputs = right if kind(other) == kind(task) else wrong
        for row in {id(row): row for row in (*task.rows, *other.rows)}.values():
            if row.source_text and serves_output(row, other.task):
                outputs.setdefault(row.source_text, {})[output_text(row, other.task)] = None
    return [
        tuple(text for text in wrong.get(source, ()) if text not in right.get(source, ()))
        for source in (row.source_text for row in task.rows)
    ]


def _foreign_share(
    hypotheses: list[str], task: TaskExamples, tasks: list[TaskExamples]
) -> float | None:
    language = task.task.output_language
    texts = {True: [], False: []}
    for other in tasks:
        if other.task.is_text:
            texts[other.task.output_language == language] += other.references()
    return other_language_share(hypotheses, vocabulary(texts[True]), vocabulary(texts[False]))
