import io
import subprocess
import sys

import pytest
from support.command_line import ROOT, fresh, get_ready, refused, taskaware, write_manifest

from taskaware import cli
from taskaware.commands import training
from taskaware.config import Experiment
from taskaware.config.file import load_experiment
from taskaware.errors import RunError, UsageError


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    return get_ready(tmp_path_factory.mktemp("given"))


# Words that are not understood.


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["trian"], "unknown command 'trian'; expected one of"),
        (["quickstrat"], "did you mean 'quickstart'?"),
        (["prepare", "toyy", "--out", "x"], "unknown corpus 'toyy'; expected one of toy, manifest"),
        (["prepare", "manifset"], "did you mean 'manifest'?"),
        (["train", "nowhere.py", "--out", "x"], "nowhere.py: no such experiment file"),
        (["train", "nowhere.json", "--out", "x"], "nowhere.json: cannot read the configuration"),
        (["vocab", "--data", "nowhere", "--out", "x"], "nowhere: expected a folder written by"),
        (["prepare", "manifest", "nowhere.tsv", "--out", "x"], "nowhere.tsv: cannot read the"),
    ],
)
def test_a_word_that_is_not_understood_is_one_line(argv, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message in refused(taskaware(*argv))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        ([], "{quickstart, prepare, check, vocab, fit, train, add-task, evaluate, decode, embed,"),
        (["prepare"], "{toy, manifest, parallel, folder, mustc, iwslt, tedlium, librispeech,"),
        (["vocab", "--data", "x", "--outt", "y"], "--out"),
        (["prepare", "toy", "--out", "x", "--trian", "3"], "--train INT"),
        (["evaluate", "x", "--splitt", "test"], "--split STR"),
        (["prepare", "toy", "--out", "x", "--target-language", "fr"], "('de', 'ro', 'tr')"),
        (["prepare", "toy"], "--out PATH"),
    ],
)
def test_an_option_that_is_not_understood_is_named_with_what_was_expected(argv, named):
    outcome = taskaware(*argv)
    assert outcome.code == 2
    assert not outcome.out
    assert named in " ".join(outcome.err.split())
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--stepz", 3], "--steps INT"),
        (["--model.d-modle", 3], "--model.d-model INT"),
        (["--steps", "many"], "Error parsing --steps"),
        (["--steps", 0], "steps: expected positive, or 0 where start_from is set, found 0"),
        (
            ["--model.d-model", 17],
            "d_model: expected a multiple of num_heads, found 17",
        ),
        (["--model.norm", "pra"], "'pra' for argument '--model.norm'. Expected one of"),
    ],
)
def test_a_choice_that_is_not_understood_is_named_before_anything_is_written(
    given, tmp_path, options, named
):
    outcome = taskaware("train", given.experiment, "--out", tmp_path / "run", *options)
    assert outcome.code == 2
    assert named in " ".join(outcome.err.split())
    assert "Traceback" not in outcome.err
    assert not (tmp_path / "run").exists()


# Experiments written in Python.


def write_experiment(folder, text):
    path = folder / "experiment.py"
    path.write_text(text)
    return path


TASK = "Task(name='a', source='text', target='translation', metric='bleu')"
WHOLE = f"""
from taskaware.config import Experiment, ModelConfig, Task

experiment = Experiment(tasks=({TASK},), tokenizer='t')
"""


def test_an_experiment_may_be_python(tmp_path):
    found = load_experiment(write_experiment(tmp_path, WHOLE))
    assert (found.tasks[0].name, found.tokenizer, found.steps) == ("a", "t", 600_000)


def test_experiments_in_two_folders_each_import_what_lies_beside_them(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "base.py").write_text(WHOLE.replace("'t'", repr(name)))
        write_experiment(tmp_path / name, "from base import experiment")
    path_before = list(sys.path)
    for name in ("one", "two"):
        assert load_experiment(tmp_path / name / "experiment.py").tokenizer == name
    assert sys.path == path_before
    assert "base" not in sys.modules


@pytest.mark.parametrize(
    ("text", "line", "named"),
    [
        ("x = 1", None, "expected it to define experiment = Experiment(...)"),
        ("experiment = 3", None, "expected it to define experiment = Experiment(...)"),
        (WHOLE.replace(f"({TASK},)", "()"), None, "Experiment.tasks: expected one or more"),
        (WHOLE.replace("tokenizer='t'", "tokenizer='t', stepz=3"), 4, "stepz"),
        (WHOLE.replace("Model", "Modle"), 2, "Modle"),
        ("\n\nimport bsae", 3, "bsae"),
        ("\nx = (", 2, "was never closed"),
        ("\n1 / 0", 2, "division by zero"),
    ],
)
def test_a_mistake_in_an_experiment_is_one_line_that_names_the_file(tmp_path, text, line, named):
    path = write_experiment(tmp_path, text)
    message = refused(taskaware("train", path, "--out", tmp_path / "run"))
    assert message.startswith(f"{path}:{line}: " if line else f"{path}: ")
    assert named in message
    assert "pip install" not in message


def test_every_experiment_of_the_repository_can_be_read():
    paths = [p for p in (ROOT / "experiments").rglob("*.py") if "\nexperiment = " in p.read_text()]
    assert paths
    for path in paths:
        assert isinstance(load_experiment(path), Experiment)


# Manifests.


def broken(folder, name, content):
    table = write_manifest(folder)
    (folder / name).write_bytes(content)
    return table


def test_a_broken_audio_file_is_one_line_and_nothing_is_half_written(tmp_path):
    table = broken(tmp_path, "9.wav", b"<html>not found</html>")
    (tmp_path / "out").mkdir()
    message = refused(taskaware("prepare", "manifest", table, "--out", tmp_path / "out" / "c"))
    assert message.startswith(f"{table}:11: {tmp_path / '9.wav'}: ")
    assert not list((tmp_path / "out").iterdir())


def test_a_cut_audio_file_is_one_line_and_nothing_is_half_written(tmp_path):
    table = write_manifest(tmp_path)
    whole = (tmp_path / "3.wav").read_bytes()
    table = broken(tmp_path, "3.wav", whole[:-1000])
    (tmp_path / "out").mkdir()
    prepare = ["prepare", "manifest", table, "--out", tmp_path / "out" / "c", "--workers", 1]
    message = refused(taskaware(*prepare))
    assert message.startswith(f"{table}:5: {tmp_path / '3.wav'}: the header promises")
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("out", ["taken", "file", "file/corpus"])
def test_a_place_that_cannot_be_a_corpus_is_refused(given, tmp_path, out):
    (tmp_path / "file").touch()
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "precious").touch()
    table = given.folder / "table.tsv"
    message = refused(taskaware("prepare", "manifest", table, "--out", tmp_path / out))
    assert message.startswith(f"{tmp_path / out}: ")
    assert {path.name for path in tmp_path.rglob("*")} == {"file", "taken", "precious"}


def test_what_is_left_out_is_read_but_no_example(tmp_path):
    table = write_manifest(tmp_path)
    lines = [line for line in table.read_text().splitlines() if "validation" not in line]
    table.write_text("\n".join(lines).replace(".wav", ".none") + "\n")
    argv = ["prepare", "manifest", table, "--out", tmp_path / "out", "--skip-bad"]
    outcome = taskaware(*argv)
    assert "expected examples in split" in refused(outcome)
    assert "100/100  %  12 read" in outcome.out
    assert "examples" not in outcome.out


@pytest.mark.parametrize("encoding", ["ascii", "iso-8859-1"])
def test_what_a_stream_s_encoding_lacks_is_written_otherwise_and_nothing_fails(
    tmp_path, encoding, monkeypatch
):
    texts = {"train.en": "good day\n", "train.de": "guten Tag\n"}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    out = tmp_path / "\u011f"
    argv = ["prepare", "parallel", tmp_path, "--languages", "en", "de", "--train", "train"]
    stream = io.TextIOWrapper(io.BytesIO(), encoding)
    for name, value in {
        "argv": ["taskaware", *map(str, argv), "--out", str(out)],
        "stdout": stream,
        "stderr": io.StringIO(),
        "unraisablehook": sys.unraisablehook,  # which a command sets
    }.items():
        monkeypatch.setattr(sys, name, value)
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert (end.value.code, sys.stderr.getvalue()) == (0, "")
    shown = stream.buffer.getvalue().decode(encoding)
    (row,) = [line for line in shown.splitlines() if line.startswith("| train")]
    assert row.split("|")[-2].strip() == "-"  # where other streams have an en dash
    assert shown.endswith("\\u011f: ready\n")
    assert (out / "dataset_info.json").is_file()


@pytest.mark.parametrize("size", [-1, 0, 5, 9999])
def test_a_vocabulary_that_the_text_does_not_support_is_refused(given, tmp_path, size):
    argv = ["vocab", "--data", given.folder / "corpus", "--out", tmp_path / "v", "--size", size]
    assert "vocabulary" in refused(taskaware(*argv))
    assert not list(tmp_path.iterdir())


# Exit codes and tracebacks.


def failing(monkeypatch, error):
    """Let ``taskaware env`` fail."""

    def env():
        raise error

    monkeypatch.setattr(training, "env", env)


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (UsageError("a.tsv:3: bad"), 2, "a.tsv:3: bad"),
        (RunError("the disk is full"), 1, "the disk is full"),
        (
            KeyboardInterrupt(),
            130,
            "interrupted; run the same command again: it goes on from what was saved",
        ),
        (ZeroDivisionError("a\n b"), 1, "ZeroDivisionError: a b; --debug shows where"),
        (ZeroDivisionError(), 1, "ZeroDivisionError: no message; --debug shows where"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_kind_of_error_is_one_line_and_an_exit_code(monkeypatch, error, code, message):
    failing(monkeypatch, error)
    assert refused(taskaware("env"), code=code) == message


@pytest.mark.parametrize("argv", [["env", "--debug"], ["--debug", "env"]])
@pytest.mark.parametrize(
    ("error", "code"), [(UsageError("bad"), 2), (RunError("bad"), 1), (KeyError("bad"), 1)]
)
def test_a_traceback_is_shown_where_it_is_asked_for(monkeypatch, argv, error, code):
    failing(monkeypatch, error)
    outcome = taskaware(*argv)
    assert outcome.code == code
    assert outcome.err.startswith("Traceback (most recent call last):\n")
    assert ", in env\n" in outcome.err
    assert outcome.err.splitlines()[-1].startswith("taskaware: ")


def test_a_closed_stdout_is_no_failure(monkeypatch):
    def env():
        print("done")

    monkeypatch.setattr(training, "env", env)
    monkeypatch.setattr(sys, "stdout", None)
    assert cli.run(["env"]) == 0


def test_help_is_a_success():
    outcome = taskaware("--help")
    assert (outcome.code, outcome.err) == (0, "")
    for command in "quickstart prepare vocab train evaluate decode embed env".split():
        assert command in outcome.out


def test_the_help_of_an_experiment_lists_every_field_with_its_value(given):
    outcome = taskaware("train", given.experiment, "--help")
    assert (outcome.code, outcome.err) == (0, "")
    listed = " ".join(outcome.out.split())
    assert "--model.d-model INT" in listed
    assert "--optimizer.warmup-steps INT" in listed
    assert "(default: 600000)" not in listed  # but the experiment's 4


def test_the_process_ends_with_the_exit_code(tmp_path):
    assert fresh("--help").code == 0
    wrong = fresh("trian")
    assert wrong.code == 2
    assert "did you mean 'train'?" in wrong.err
    interrupted = "import signal\nsignal.raise_signal(signal.SIGINT)"
    path = write_experiment(tmp_path, interrupted)
    stopped = fresh("train", path, "--out", tmp_path / "run")
    assert stopped.code == 130
    assert (
        stopped.err
        == "taskaware: interrupted; run the same command again: it goes on from what was saved\n"
    )


@pytest.mark.parametrize("argv", [["--help"], ["train", "--help"], ["prepare", "toy", "--help"]])
def test_help_needs_nothing_heavy(argv):
    outcome = fresh(*argv)
    assert outcome.code == 0
    shown, _, modules = outcome.out.partition("MODULES ")
    assert shown.startswith("usage: taskaware")
    heavy = {"jax", "flax", "tensorflow_datasets", "grain", "sentencepiece", "torch"}
    assert not heavy & set(modules.split())
    # The options of a corpus are the fields of its class, which stands beside what reads it.
    assert "numpy" not in modules.split() or argv[0] == "prepare"


def test_a_reader_that_stops_reading_is_no_failure():
    code = "import sys; from taskaware import cli; cli.main()"
    words = [sys.executable, "-c", code, "--help"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(words, cwd=ROOT, **pipes) as process:
        process.stdout.close()
        assert process.stderr.read() == b""


BLOCK = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {module!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Block())
"""


@pytest.mark.parametrize(
    ("module", "argv", "extra"),
    [
        ("tyro", ["--help"], "train"),
        ("tensorflow_datasets", ["prepare", "manifest", "table.tsv", "--out", "{out}"], "train"),
        # What is imported where it is first needed can be missing in this process too.
        ("apache_beam", ["prepare", "toy", "--out", "{out}", "--beam", "runner=X"], "beam"),
        ("espeakng_loader", ["prepare", "toy", "--out", "{out}", "--workers", "1"], "synth"),
    ],
)
def test_a_missing_extra_is_named_with_the_command_that_installs_it(
    module, argv, extra, tmp_path, monkeypatch
):
    argv = [word.format(out=tmp_path / "new" / "corpus") for word in argv]
    if extra == "train":
        outcome = fresh(*argv, before=BLOCK.format(module=module))
    else:
        for name in [name for name in sys.modules if name.partition(".")[0] == module]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, module, None)
        outcome = taskaware(*argv)
    message = refused(outcome)
    assert f'pip install "taskaware[{extra}]"' in message
    assert module in message.replace("-", "_")
    assert not list(tmp_path.rglob("*corpus*"))
