"""Write the stored results into the tables of docs/ and into the docstring of every row's file.

    python experiments/tables.py            after reproduce.py
    python experiments/tables.py --check    fails where something is out of date

A number stands in ``experiments/results/`` once, and nowhere is it written by hand.
"""

import json
import re
import statistics
import sys
import textwrap
from pathlib import Path
from typing import Any

from reproduce import HERE, RESULTS, TABLES

from taskaware.evaluation.metrics.by_name import metric
from taskaware.evaluation.results import Result
from taskaware.files.strict_json import from_json

PAGES = [HERE.parent / "docs" / name for name in ("results.md", "speed.md")]
WIDTH = 100


def main(check: bool) -> None:
    """Bring every file up to date, or tell which are not."""
    stale = []
    for path, text in files().items():
        if path.read_text(encoding="utf-8") != text:
            stale.append(str(path))
            if not check:
                path.write_text(text, encoding="utf-8")
    if stale:
        print("out of date:" if check else "written:", ", ".join(stale))
    if check and stale:
        sys.exit(1)


def files() -> dict[Path, str]:
    """Return every file with results in it, as it should be."""
    texts = {}
    blocks = {"benchmarks": benchmarks(), "scaling": scaling()}
    for table, rows in TABLES.items():
        stored = {row: results(f"{table}/{row}") for row in rows}
        blocks[table] = markdown(
            {row: outcomes for row, outcomes in stored.items() if outcomes}, table
        )
        for row, outcomes in stored.items():
            path = HERE / table / f"{row}.py"
            code = path.read_text(encoding="utf-8")
            texts[path] = re.sub(r'\nObtained: .*?\n"""', obtained(outcomes), code, flags=re.DOTALL)
    return texts | filled({page: page.read_text(encoding="utf-8") for page in PAGES}, blocks)


def results(row: str) -> list[dict[str, Any]]:
    """Return a row's stored results, one per seed."""
    stored = []
    for path in sorted(RESULTS.glob(f"{row}.[0-9].json")):
        outcome = json.loads(path.read_text(encoding="utf-8"))
        runs = from_json(dict[str, Result], json.dumps(outcome["results"]), str(path))
        stored.append(outcome | {"results": runs})
    return stored


def scores(outcomes: list[dict[str, Any]]) -> dict[str, str]:
    """Return a row's score in every column, as mean ± standard deviation over its seeds.

    Where a row has several runs, each gives the score of the task that it is named after.
    """
    measured = [
        (task, name)
        for run in outcomes[0]["results"].values()
        for task, by_metric in run.scores.items()
        for name in by_metric
    ]
    columns = {}
    for task, name in dict.fromkeys(measured):
        values = [_run(result, task).scores[task][name].value for result in outcomes]
        columns[f"{task.upper().replace('_', ' ')} {metric(name).title}"] = _spread(values)
    confused = [_confusion(result) for result in outcomes]
    if all(value is not None for value in confused):
        columns["confusion %"] = _spread(confused)
    return columns


def obtained(outcomes: list[dict[str, Any]]) -> str:
    """Return the end of a row's docstring."""
    if not outcomes:
        return '\nObtained: not yet.\n"""'
    numbers = ", ".join(f"{name} {value}" for name, value in scores(outcomes).items())
    if marks := silhouettes(outcomes):
        numbers += f"; {marks}"
    seeds = (
        f"mean ± standard deviation of {len(outcomes)} seeds" if len(outcomes) > 1 else "one seed"
    )
    last = outcomes[-1]
    text = f"Obtained: {numbers}; {seeds}, {seconds(outcomes)} s each on {last['machine']}, "
    text += f"{last['date']}."
    return "\n" + textwrap.fill(text, WIDTH, break_long_words=False) + '\n"""'


def markdown(stored: dict[str, list[dict[str, Any]]], table: str) -> str:
    """Return a table of rows; those without a result are left out."""
    if not stored:
        return "\nNot run yet.\n\n"
    columns = list(dict.fromkeys(name for outcomes in stored.values() for name in scores(outcomes)))
    if any(silhouettes(outcomes) for outcomes in stored.values()):
        columns.append("silhouettes")
    costs = modulation_costs() if table == "modulation" else {}
    if costs:
        columns += ["parameters", "of the tasks", "step / none"]
    header = ["row", *columns, "paper", "seeds", "seconds"]
    lines = [header]
    for row, outcomes in stored.items():
        code = (HERE / table / f"{row}.py").read_text(encoding="utf-8")
        paper = re.search(r"\nPaper[^:]*: (.*?)\.\n(?:Obtained|\n)", code, re.DOTALL)
        values = (
            scores(outcomes) | {"silhouettes": silhouettes(outcomes) or "–"} | costs.get(row, {})
        )
        cells = [values.get(column, "–") for column in columns]
        published = " ".join(paper[1].split()) if paper else "–"
        lines.append([f"`{row}`", *cells, published, str(len(outcomes)), str(seconds(outcomes))])
    return _table(lines)


def modulation_costs() -> dict[str, dict[str, str]]:
    """Return the size of each kind of modulation, and how long its step takes beside none."""
    path = RESULTS / "benchmarks" / "modulation.json"
    ratios = json.loads(path.read_text(encoding="utf-8"))["ratio"] if path.exists() else {}
    costs = {}
    for row in TABLES["modulation"]:
        for outcome in results(f"modulation/{row}"):
            run = outcome["results"][""]
            costs[row] = {
                "parameters": f"{run.parameters:,}",
                "of the tasks": f"{run.tcn_parameters:,}",
                "step / none": f"{ratios[row]:.2f}" if row in ratios else "–",
            }
    return costs


def benchmarks() -> str:
    """Return the table of measurements beside other packages."""
    lines = [["work", "size", "ours", "other's", "ours / other's", "goal", "share of products"]]
    for path in (RESULTS / "benchmarks" / f"{name}.json" for name in ("training", "decoding")):
        if not path.exists():
            return "\nNot measured yet.\n\n"
        for entry in json.loads(path.read_text(encoding="utf-8"))["measured"]:
            unit, cells = entry["unit"], [entry[key] for key in ("own", "peer")]
            cells = [f"{value:g} {unit}" if value else "–" for value in cells]
            ratio = f"{entry['ratio']:.2f}" if entry["ratio"] else "–"
            goal = f"{entry['goal']:g}" + ("" if entry["ratio"] else f" {unit}")
            share = f"{entry['share']:.0%}" if "share" in entry else "–"
            work = entry["work"] if path.stem == "training" else f"decoding, {entry['work']}"
            lines.append([work, entry["size"], *cells, ratio, goal, share])
    return _table(lines)


def silhouettes(outcomes: list[dict[str, Any]]) -> str:
    """Return how well task vectors lie apart, where they were drawn."""
    marks = outcomes[0].get("silhouettes")
    if not marks:
        return ""
    parts = [f"by task {marks['task']:.2f}"]
    parts += [f"{task} by corpus {v:.2f}" for task, v in marks["corpus_within_task"].items()]
    return "silhouette " + ", ".join(parts)


def seconds(outcomes: list[dict[str, Any]]) -> int:
    """Return how long training took, all runs of a row together, on average over its seeds."""
    return round(
        statistics.mean(sum(run.seconds for run in r["results"].values()) for r in outcomes)
    )


def scaling() -> str:
    """Return the table of how a step is predicted to scale over devices."""
    lines = json.loads((RESULTS / "benchmarks" / "scaling.json").read_text("utf-8"))["foretold"]
    return _table([[*lines[0]], *([str(value) for value in line.values()] for line in lines)])


def filled(pages: dict[Path, str], blocks: dict[str, str]) -> dict[Path, str]:
    """Return pages with each block between the marks of its name, which one page has."""
    for name, block in blocks.items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        (page,) = [page for page, text in pages.items() if pattern.search(text)]
        pages[page] = pattern.sub(lambda m, block=block: m[1] + block + m[2], pages[page])
    return pages


def _table(lines: list[list[str]]) -> str:
    """Return a table in Markdown, its header first."""
    ruled = [lines[0], ["---"] * len(lines[0]), *lines[1:]]
    return "\n" + "".join(f"| {' | '.join(line)} |\n" for line in ruled) + "\n"


def _run(result: dict[str, Any], task: str) -> Result:
    return result["results"].get(task) or result["results"][""]


def _confusion(result: dict[str, Any]) -> float | None:
    runs = result["results"]
    if "" in runs:
        return runs[""].mean_confusion
    shares = [run.confusion[task] for task, run in runs.items()]
    return None if None in shares else statistics.mean(shares)


def _spread(values: list[float | None]) -> str:
    numbers = [value for value in values if value is not None]
    if len(numbers) < len(values):
        return "–"
    mean = f"{statistics.mean(numbers):.1f}"
    return mean if len(numbers) == 1 else f"{mean} ± {statistics.stdev(numbers):.1f}"


if __name__ == "__main__":
    main(check="--check" in sys.argv[1:])
