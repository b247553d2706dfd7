"""From a run to somebody else."""

import json
import shutil
import subprocess
import sys

import jax
import numpy as np
from flax import nnx
from support.command_line import ROOT, refused, taskaware

from taskaware.data.passes import evaluation_batches
from taskaware.pretrained.model import FILES, from_pretrained
from taskaware.pretrained.vectors import TaskVectors
from taskaware.runs.checkpoints import restore
from taskaware.runs.folder import Run
from taskaware.search.model import make_search

STRANGER = """
import sys
TRAINING = {training!r}
class OnlyTheExtra:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in TRAINING:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, OnlyTheExtra())
import numpy as np
from taskaware import from_pretrained
import taskaware.pretrained
seen = []
sys.addaudithook(lambda event, args: seen.append(event))
model = from_pretrained({folder!r})
assert not {{"pickle.find_class", "socket.connect", "subprocess.Popen", "os.system"}} & set(seen)
assert "open" in seen
samples = np.load({samples!r}, allow_pickle=False)
print(*model([samples[name] for name in samples.files], task="st"), sep="\\n")
"""
# Flax itself needs orbax, optax, rich, etils and PyYAML.
TRAINING = (
    *("grain", "tensorflow_datasets", "array_record", "sacrebleu", "jiwer", "rapidfuzz", "tyro"),
    *("sklearn", "matplotlib", "tensorboardX", "soundfile", "huggingface_hub", "torch"),
)


def test_who_has_only_the_extra_hub_gets_the_same_text(story, tmp_path):
    run, out, _ = story
    opened = Run.open(run)
    examples = opened.examples("test", only="st")[0]
    model, _ = restore(opened)
    ((chosen, rows),) = evaluation_batches(examples, size=4, buckets=1)
    vector_Z = TaskVectors.load(run / "task_vectors.json").named("st").array
    vector_BZ = np.tile(vector_Z, (len(chosen), 1))
    search = make_search(model, opened.experiment.decoding, split=False)
    tokens = search(rows.source, vector_BZ)
    expected = [opened.tokenizer.decode(row) for row in np.asarray(tokens)[:, 0].tolist()]
    corpus = examples._place[0][0]._corpus
    samples = {str(i): corpus.audio("test", int(row)) for i, row in enumerate(chosen)}
    np.savez(tmp_path / "samples.npz", **samples)
    code = STRANGER.format(
        training=TRAINING, folder=str(out), samples=str(tmp_path / "samples.npz")
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == expected
    assert any(expected)


def test_sharing_says_what_it_has_written(story):
    _, out, outcome = story
    assert outcome == (0, f"{out}: {', '.join(sorted(FILES))}\n", "")


def test_a_shared_model_says_nothing_of_the_machine_that_it_comes_from(story):
    run, out, _ = story
    for name in FILES:
        assert str(run.parent).encode() not in (out / name).read_bytes()


def test_the_card_tells_data_scores_signatures_and_limits(story):
    run, out, _ = story
    card = (out / "README.md").read_text()
    (row,) = json.loads((run / "results.json").read_text())
    st, asr = row["scores"]["st"]["bleu"], row["scores"]["asr"]["wer"]
    assert f"| test | st | BLEU | {st['value']:.1f} | {row['confusion']['st']:.1f} |" in card
    assert f"| test | asr | WER | {asr['value']:.1f} |" in card
    assert f"BLEU: `{st['signature']}`" in card and f"WER: `{asr['signature']}`" in card
    assert f"{row['parameters']:,} parameters" in card
    assert "| st | speech, en | translation, de | 8 of table (0.0 h) |" in card
    assert "checkpoint of batch 200;" in card and "longer than 30 s" in card
    config = json.loads((out / "config.json").read_text())
    assert (config["max_seconds"], config["max_tokens"]) == (30, 256)


def test_scores_of_another_checkpoint_are_not_put_on_the_card(story, tmp_path):
    run = shutil.copytree(story[0], tmp_path / "run")
    row = json.loads((run / "results.json").read_text())
    row[0]["checkpoints"] = {name: [2] for name in row[0]["checkpoints"]}
    (run / "results.json").write_text(json.dumps(row))
    assert taskaware("share", run, tmp_path / "out").code == 0
    assert "None: `taskaware evaluate` has not been run" in (tmp_path / "out/README.md").read_text()


def test_a_task_shared_alone_writes_the_same_without_a_vector(story, tmp_path):
    run, out, _ = story
    said = taskaware("share", run, tmp_path / "st", "--task", "st")
    assert said.code == 0, said.err
    assert "task_vectors.json" not in said.out
    alone, whole = from_pretrained(tmp_path / "st"), from_pretrained(out)
    examples = Run.open(run).examples("test", only="st")[0]
    corpus = examples._place[0][0]._corpus
    samples = [corpus.audio("test", i) for i in range(4)]
    written = whole(samples, task="st")
    assert any(written)
    assert alone(samples, task="st") == written
    assert [task.name for task in alone.tasks] == ["st"]
    assert "one of st, asr, mt and folded into the weights" in alone.card
    assert "| asr |" not in alone.card
    shapes = [sum(x.size for x in jax.tree.leaves(nnx.state(m.model))) for m in (alone, whole)]
    assert f"{shapes[0]:,} parameters" in alone.card
    assert shapes[0] < shapes[1]  # no TCN


def test_a_folder_that_is_no_run_cannot_be_shared(tmp_path):
    assert "no experiment.json" in refused(taskaware("share", tmp_path, tmp_path / "out"))
