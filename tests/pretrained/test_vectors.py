"""Task vectors as files: exact, named after their model, mixed, and warned of when far off."""

import dataclasses
import hashlib
import resource
import shutil

import numpy as np
import pytest
from support.command_line import refused, taskaware

from taskaware.errors import UsageError
from taskaware.pretrained.model import from_pretrained
from taskaware.pretrained.vectors import Nearest, TaskVector, TaskVectors
from taskaware.runs.checkpoints import restore
from taskaware.runs.folder import Run
from taskaware.runs.inference import decode_tasks, example_vectors, task_vectors


def vectors(**named):
    return TaskVectors(
        model="m",
        vectors=tuple(TaskVector(name=name, vector=numbers) for name, numbers in named.items()),
    )


KNOWN = vectors(st=(0.0, 0.0), asr=(3.0, 4.0), mt=(0.0, 20.0))


def test_a_file_gives_back_every_bit(tmp_path):
    numbers = np.random.default_rng(0).normal(size=(2, 500)).astype(np.float32)
    numbers[0, :3] = [np.finfo(np.float32).tiny, 1e-45, -0.0]
    given = vectors(**{name: tuple(row.tolist()) for name, row in zip("ab", numbers, strict=True)})
    given.save(tmp_path / "v.json")
    found = TaskVectors.load(tmp_path / "v.json")
    assert found == given
    assert found.array.dtype == np.float32
    assert found.array.tobytes() == numbers.tobytes()


def test_a_file_that_cannot_be_written_whole_leaves_the_old_one(tmp_path):
    path = tmp_path / "v.json"
    KNOWN.save(path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(UsageError, match=r"v\.json: cannot be written"):
            vectors(long=(0.5,) * 9999).save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert TaskVectors.load(path) == KNOWN


def test_a_mixture_is_the_weighted_sum():
    mixed = KNOWN.mix({"asr": 0.75, "mt": 0.25})
    assert mixed.vector == (0.75 * 3, 0.75 * 4 + 0.25 * 20)
    assert mixed.name == "0.75 asr + 0.25 mt"
    assert KNOWN.mix({"st": 1.0}).vector == (0.0, 0.0)
    with pytest.raises(UsageError, match=r"sum is 1, found 1\.5"):
        KNOWN.mix({"st": 1.0, "asr": 0.5})
    with pytest.raises(UsageError, match="unknown task vector 'sr'"):
        KNOWN.mix({"sr": 1.0})


@pytest.mark.parametrize(
    ("vector", "expected"),
    [
        ((3.0, 0.0), Nearest("st", 3.0, False)),
        ((0.0, -5.0), Nearest("st", 5.0, False)),  # as far as from st to asr
        ((0.0, -5.1), Nearest("st", 5.1, True)),
        ((0.0, 36.0), Nearest("mt", 16.0, False)),  # mt's neighbor asr is at √(3² + 16²)
        ((0.0, 37.0), Nearest("mt", 17.0, True)),
    ],
)
def test_the_nearest_task_is_known_and_what_is_far_from_it_too(vector, expected):
    found = KNOWN.nearest(TaskVector(name="x", vector=vector))
    assert found == expected._replace(distance=pytest.approx(expected.distance))
    assert (KNOWN.why_doubted(TaskVector(name="x", vector=vector)) is not None) == expected.far


def test_one_task_alone_has_nothing_to_be_far_by():
    assert not vectors(st=(0.0,)).nearest(TaskVector(name="x", vector=(1e9,))).far


def test_vectors_that_cannot_be_are_refused():
    with pytest.raises(UsageError, match="expected 2 numbers, found 3"):
        KNOWN.nearest(TaskVector(name="x", vector=(0.0, 0.0, 0.0)))
    with pytest.raises(UsageError, match="finite"):
        TaskVector(name="x", vector=(float("inf"),))
    with pytest.raises(UsageError, match="different names, found a of 1, b of 2"):
        vectors(a=(0.0,), b=(0.0, 1.0))


# From a run.


@pytest.fixture(scope="module")
def run(story, tmp_path_factory):
    """A copy of the trained run, which tests write vectors to, beside the shared model."""
    folder = tmp_path_factory.mktemp("vectors")
    shutil.copytree(story[1], folder / "shared")
    return shutil.copytree(story[0], folder / "run")


def test_vectors_as_long_as_adapters_of_every_block_come_back(tmp_path):
    wide = np.random.default_rng(0).standard_normal((2, 450_000)).astype(np.float32)
    vectors = [TaskVector(name=f"t{i}", vector=tuple(row.tolist())) for i, row in enumerate(wide)]
    TaskVectors(model="m", vectors=tuple(vectors)).save(tmp_path / "v.json")
    assert (tmp_path / "v.json").stat().st_size > 2**24
    assert np.array_equal(TaskVectors.load(tmp_path / "v.json").array, wide)


def test_embed_stores_the_mean_over_examples_that_it_names(run, tmp_path):
    out = tmp_path / "vectors.json"
    said = taskaware("embed", run, "--examples", 3, "--seed", 5, "--out", out)
    assert said.out.startswith(f"{out}: st, asr, mt, 32 numbers each\n")
    found, (model, _) = TaskVectors.load(out), restore(Run.open(run))
    for task, vector in zip(Run.open(run).examples("train"), found.vectors, strict=True):
        ids = [row.id for row in task.rows]
        assert len(set(vector.examples)) == 3 and vector.seed == 5
        each = [example_vectors(model, task, [ids.index(id)])[0] for id in vector.examples]
        np.testing.assert_allclose(vector.array, np.mean(each, axis=0), atol=1e-5)
    weights = (run.with_name("shared") / "model.safetensors").read_bytes()
    assert found.model == hashlib.sha256(weights).hexdigest()
    taskaware("embed", run, "--examples", 3, "--seed", 6, "--out", tmp_path / "others.json")
    others = TaskVectors.load(tmp_path / "others.json")
    assert [v.examples for v in others.vectors] != [v.examples for v in found.vectors]


def test_embed_stores_by_default_what_decoding_uses(run):
    before = (run / "task_vectors.json").read_bytes()
    assert taskaware("embed", run).code == 0
    assert (run / "task_vectors.json").read_bytes() == before
    found, opened = TaskVectors.load(run / "task_vectors.json"), Run.open(run)
    counts = [opened.experiment.decoding.examples] * 3
    assert found == task_vectors(restore(opened)[0], opened.examples("train"), counts, 0)
    assert found == from_pretrained(run.with_name("shared")).vectors


def test_a_vector_decides_what_is_decoded(run, tmp_path):
    taskaware("embed", run)
    every, own = run / "task_vectors.json", taskaware("decode", run, "--task", "st")
    assert taskaware("decode", run, "--task", "st", "--vectors", every) == own
    found, opened = TaskVectors.load(every), Run.open(run)
    examples, decoding = opened.examples("test", only="st"), opened.experiment.decoding
    model, _ = restore(opened)
    st_Z, _, mt_Z = found.array.astype(np.float64)  # in float32 such large parts would cancel
    for weight in (5000.0, -5000.0, 50_000.0, -50_000.0):  # one of them changes what is written
        mixed = found.mix({"st": 1 - weight, "mt": weight})
        np.testing.assert_allclose(mixed.array, weight * mt_Z + (1 - weight) * st_Z, rtol=1e-6)
        one = TaskVectors(model="", vectors=(dataclasses.replace(mixed, name="st"),))
        written = decode_tasks(model, {0: examples[0]}, opened.tokenizer, one, decoding)[0]
        if written != own.out.splitlines():
            break
    TaskVectors(model=found.model, vectors=(mixed,)).save(tmp_path / "mixed.json")
    said = taskaware("decode", run, "--task", "st", "--vectors", tmp_path / "mixed.json")
    assert said.out.splitlines() == written != own.out.splitlines()


def test_a_vector_far_from_all_tasks_is_warned_of_and_used(run, tmp_path):
    taskaware("embed", run)
    found = TaskVectors.load(run / "task_vectors.json")
    far = TaskVector(name="far", vector=tuple((100 * found.vectors[0].array).tolist()))
    TaskVectors(model=found.model, vectors=(far,)).save(tmp_path / "far.json")
    said = taskaware("decode", run, "--task", "st", "--vectors", tmp_path / "far.json")
    assert said.code == 0 and said.out.count("\n") == 4
    assert said.err.startswith(f"{tmp_path / 'far.json'}: warning: task vector 'far' is far from")
    assert said.err.count("\n") == 1
    with pytest.warns(UserWarning, match="task vector 'far' is far from every known task"):
        from_pretrained(run.with_name("shared"))(["zero"], task="mt", vector=far)


def test_a_vector_of_another_model_is_refused(run, tmp_path):
    TaskVectors(model="0" * 64, vectors=(TaskVector(name="st", vector=(0.0,) * 32),)).save(
        tmp_path / "other.json"
    )
    message = refused(
        taskaware("decode", run, "--task", "st", "--vectors", tmp_path / "other.json")
    )
    assert "other.json: task vectors of another model" in message
    (tmp_path / "no.json").write_text("{}")
    message = refused(taskaware("decode", run, "--task", "st", "--vectors", tmp_path / "no.json"))
    assert (
        message
        == f"{tmp_path / 'no.json'}: expected format 1, found None; expected a file of taskaware"
    )
