"""Shared models: what comes back is what was given, and hostile files are one line."""

import dataclasses
import hashlib
import json
import pickle
import shutil
import socket
import struct
import subprocess
import sys

import jax
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import load_file, save_file
from support.command_line import ENGLISH, GERMAN, ROOT, get_ready, refused, taskaware

from taskaware.config import Decoding, ModelConfig, Task, TCNConfig
from taskaware.data.passes import evaluation_batches
from taskaware.data.tokenizer import Tokenizer, train_tokenizer
from taskaware.errors import RunError, UsageError
from taskaware.models.building import build_for
from taskaware.pretrained.model import FILES, Pretrained, digest, from_pretrained, vector_width
from taskaware.pretrained.vectors import TaskVector, TaskVectors
from taskaware.runs.checkpoints import restore
from taskaware.runs.folder import Run
from taskaware.search.model import make_search

TASKS = (
    Task(name="st", source="speech", target="translation", metric="bleu", data=("/home/me/x",)),
    Task(name="mt", source="text", target="translation", metric="bleu"),
)
MODEL = ModelConfig(
    d_model=8,
    num_heads=2,
    d_ff=8,
    encoder_layers=1,
    decoder_layers=2,
    cnn_channels=(2,),
    tcn=TCNConfig(width=8, d_ff=8, num_heads=2),
)


def random_model(folder, **changes):
    """A model that has learned nothing, with everything that a learned one has."""
    words = [" ".join(ENGLISH[i:] + GERMAN[:i]) for i in range(6)]
    train_tokenizer(words, 40, folder / "words.model")
    tokenizer = Tokenizer.load(folder / "words.model")
    config = dataclasses.replace(MODEL, **changes)
    model = build_for(TASKS, config, tokenizer.size, seed=3)
    vectors = None
    if config.conditioning != "vanilla":
        random = np.random.default_rng(0)
        vectors = TaskVectors(
            model=digest(model),
            vectors=tuple(
                TaskVector(
                    name=task.name,
                    vector=tuple(
                        random.normal(size=vector_width(model)).astype(np.float32).tolist()
                    ),
                    examples=("u1", "u2"),
                )
                for task in TASKS
            ),
        )
    return Pretrained(
        model, TASKS, tokenizer, vectors, Decoding(beam_size=1, extra_length=2), "# A card\n"
    )


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A folder that nobody may change."""
    folder = tmp_path_factory.mktemp("shared")
    random_model(folder).save_pretrained(folder / "model")
    return folder / "model"


@pytest.fixture
def hostile(shared, tmp_path):
    """A copy of it to do harm to."""
    return shutil.copytree(shared, tmp_path / "model")


def sign(folder):
    """Make the digests agree, as who means harm would."""
    config = json.loads((folder / "config.json").read_text())
    for name, file in (
        ("weights", "model.safetensors"),
        ("tokenizer", "tokenizer.model"),
        ("task_vectors", "task_vectors.json"),
    ):
        config[f"{name}_sha256"] = hashlib.sha256((folder / file).read_bytes()).hexdigest()
    (folder / "config.json").write_text(json.dumps(config))


# What comes back.


@pytest.mark.parametrize("conditioning", ["vanilla", "explicit", "implicit", "tokens"])
def test_a_model_comes_back_bit_for_bit(conditioning, tmp_path):
    given = random_model(tmp_path, conditioning=conditioning)
    given.save_pretrained(tmp_path / "model")
    found = from_pretrained(tmp_path / "model")
    assert nnx.graphdef(found.model) == nnx.graphdef(given.model)
    for a, b in zip(*(jax.tree.leaves(nnx.state(m.model)) for m in (found, given)), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    assert found.tokenizer.sha256 == given.tokenizer.sha256
    assert (found.vectors, found.decoding, found.card) == (
        given.vectors,
        given.decoding,
        "# A card\n",
    )
    assert found.tasks == (dataclasses.replace(TASKS[0], data=()), TASKS[1])
    assert ((tmp_path / "model" / "task_vectors.json").exists()) == (conditioning != "vanilla")


def test_the_weights_are_plain_safetensors_under_the_parameters_paths(shared, tmp_path):
    # The format's own words: 8 bytes of header length, JSON, then the numbers.
    content = (shared / "model.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header, numbers = json.loads(content[8 : 8 + length]), content[8 + length :]
    model = random_model(tmp_path).model
    kernel = model.decoder[1].feed_forward.down.kernel[...]
    entry = header["decoder.1.feed_forward.down.kernel"]
    assert (entry["dtype"], entry["shape"]) == ("F32", [8, 8])
    begin, end = entry["data_offsets"]
    assert numbers[begin:end] == np.asarray(kernel).tobytes()
    assert len(header) == len(jax.tree.leaves(nnx.state(model)))


def test_a_model_is_named_by_its_weights(shared, tmp_path):
    file = hashlib.sha256((shared / "model.safetensors").read_bytes()).hexdigest()
    model = random_model(tmp_path).model
    assert digest(model) == file == json.loads((shared / "task_vectors.json").read_text())["model"]
    bias = model.decoder[0].feed_forward.up.bias
    bias[...] = bias[...].at[0].add(1e-6)
    assert digest(model) != file


def test_sharing_again_replaces_a_model_and_nothing_else(tmp_path):
    random_model(tmp_path).save_pretrained(tmp_path / "model")
    random_model(tmp_path, conditioning="vanilla").save_pretrained(tmp_path / "model")
    assert from_pretrained(tmp_path / "model").vectors is None
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(UsageError, match=r"mine: not empty and not a shared model"):
        random_model(tmp_path).save_pretrained(tmp_path / "mine")


def test_an_input_of_the_wrong_kind_is_named(shared):
    model = from_pretrained(shared)
    with pytest.raises(
        UsageError, match="task 'st': expected one or more speech inputs, found str"
    ):
        model(["zero"], task="st")
    with pytest.raises(UsageError, match="task 'mt': expected one or more text inputs, found none"):
        model([], task="mt")
    with pytest.raises(UsageError, match="did you mean 'mt'"):
        model(["zero"], task="mtt")


def test_another_vector_changes_what_is_written(shared):
    model = from_pretrained(shared)
    words = ["zero one two"]
    own = model(words, task="mt")
    assert model(words, task="mt", vector=model.vectors.named("mt")) == own
    assert model(words, task="mt", vector=model.vectors.named("st")) != own


# Hostile files. Each is signed with digests that agree, but where the digest is what is wrong.


def weights(change):
    def harm(folder):
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors")
        sign(folder)

    return harm


def replaced(file, content):
    def harm(folder):
        (folder / file).write_bytes(content)
        sign(folder)

    return harm


def edited(file, change):
    def harm(folder):
        value = json.loads((folder / file).read_text())
        change(value)
        (folder / file).write_text(json.dumps(value))
        if file != "config.json":
            sign(folder)

    return harm


def flipped(file):
    def harm(folder):
        content = bytearray((folder / file).read_bytes())
        content[-2] ^= 1
        (folder / file).write_bytes(content)

    return harm


class Bomb:
    def __reduce__(self):
        return exec, ("raise SystemExit('boom')",)


BIAS = "decoder.0.feed_forward.up.bias"


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (
            flipped("model.safetensors"),
            r"model.safetensors: expected SHA-256 \w{64}, found \w{64};",
        ),
        (flipped("tokenizer.model"), r"tokenizer.model: expected SHA-256"),
        (flipped("task_vectors.json"), r"task_vectors.json: expected SHA-256"),
        (lambda f: (f / "model.safetensors").unlink(), "safetensors: cannot be read"),
        (lambda f: (f / "task_vectors.json").unlink(), "task_vectors.json: cannot be read"),
        (lambda f: (f / "config.json").unlink(), "config.json: cannot read the configuration"),
        (edited("config.json", lambda c: c.update(format=2)), "format 1, found 2; install a newer"),
        (edited("config.json", lambda c: c.update(format="1")), "expected format 1, found '1'"),
        (edited("config.json", lambda c: c.pop("format")), "expected format 1, found None"),
        (edited("task_vectors.json", lambda v: v.update(format=2)), "format 1, found 2; install"),
        (edited("config.json", lambda c: c.update({"../x": 1})), r"unknown key '\.\./x'"),
        (edited("config.json", lambda c: c["tasks"][0].update(name="../../x")), "expected a word"),
        (edited("config.json", lambda c: c.update(tasks=[])), "expected one or more distinct"),
        (edited("config.json", lambda c: c.update(tasks=2 * c["tasks"])), "distinct names"),
        (
            edited("config.json", lambda c: c["model"].update(d_ff=16)),
            r"expected \(\(16, 8\), 'F32'",
        ),
        (edited("config.json", lambda c: c["model"].update(norm="post")), "unexpected tensor"),
        (edited("config.json", lambda c: c["model"].update(decoder_layers=3)), "missing tensor"),
        (edited("config.json", lambda c: c["model"].update(decoder_layers=10**9)), "10+ layers in"),
        (edited("config.json", lambda c: c["model"].update(d_model=2**62)), "not the weights of"),
        (edited("config.json", lambda c: c["model"].update(mels=40)), "unknown key 'mels'"),
        (edited("config.json", lambda c: c.update(max_tokens=0)), "max_tokens: expected positive"),
        (edited("config.json", lambda c: c["model"].update(d_ff=2**40)), "'[^']+': expected"),
        (edited("config.json", lambda c: c["model"].update(conditioning="vanilla")), "unless cond"),
        (
            edited("config.json", lambda c: c.update(task_vectors_sha256=None)),
            "unless conditioning",
        ),
        (
            lambda f: (f / "config.json").write_text(" " * 2**24 + "{}"),
            "more than 16,777,216 bytes",
        ),
        (lambda f: (f / "config.json").write_text("[" * 100_000), "config.json: not valid JSON"),
        (weights(lambda t: t.update({"../../etc": t[BIAS]})), r"unexpected tensor '\.\./\.\./etc'"),
        (weights(lambda t: t.pop(BIAS)), f"missing tensor '{BIAS}'"),
        (
            weights(lambda t: t.update({BIAS: t[BIAS][:-1]})),
            rf"'{BIAS}': expected \(\(8,\), 'F32'\)",
        ),
        (
            weights(lambda t: t.update({BIAS: t[BIAS].astype(np.float64)})),
            r"found \(\(8,\), 'F64'\)",
        ),
        (
            weights(lambda t: t.update({BIAS: t[BIAS].astype(np.float16)})),
            r"found \(\(8,\), 'F16'\)",
        ),
        (weights(lambda t: t[BIAS].__setitem__(3, np.nan)), f"'{BIAS}': expected finite numbers"),
        (replaced("model.safetensors", pickle.dumps(Bomb())), "not a safetensors file, or damaged"),
        (replaced("model.safetensors", struct.pack("<Q", 2**62) + b"{}"), "not a safetensors file"),
        (replaced("model.safetensors", b""), "not a safetensors file"),
        (replaced("tokenizer.model", pickle.dumps(Bomb())), "expected a SentencePiece model"),
        (replaced("task_vectors.json", pickle.dumps(Bomb())), "task_vectors.json: "),
        (edited("task_vectors.json", lambda v: v.update(model="0" * 64)), "of another model"),
        (edited("task_vectors.json", lambda v: v["vectors"].pop()), "found those of st"),
        (edited("task_vectors.json", lambda v: v.update(vectors=[])), "one or more of one width"),
        (
            edited("task_vectors.json", lambda v: v["vectors"][0]["vector"].pop()),
            "st of 15, mt of 16",
        ),
        (
            edited("task_vectors.json", lambda v: [one["vector"].pop() for one in v["vectors"]]),
            "expected vectors of 16 numbers, found 15",
        ),
        (
            edited("task_vectors.json", lambda v: v["vectors"][1]["vector"].append(float("nan"))),
            "task vector 'mt': expected finite numbers",
        ),
    ],
)
def test_what_cannot_be_trusted_is_refused_in_one_line(hostile, harm, message):
    harm(hostile)
    with pytest.raises(UsageError, match=message) as refusal:
        from_pretrained(hostile)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 700
    assert str(refusal.value).startswith(str(hostile))


def test_another_vocabulary_does_not_fit_the_weights(hostile, tmp_path):
    train_tokenizer([*ENGLISH, *GERMAN], 30, tmp_path / "other.model")
    shutil.copy(tmp_path / "other.model", hostile / "tokenizer.model")
    sign(hostile)
    with pytest.raises(UsageError, match=r"'embedding.table_VD': expected \(\(30, 8\), 'F32'\)"):
        from_pretrained(hostile)


# From a run to somebody else.


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """A trained and evaluated run, and what sharing it said."""
    given = get_ready(tmp_path_factory.mktemp("given"))
    run, out = given.folder / "run", given.folder / "shared"
    train = ["train", given.experiment, "--out", run, "--decoding.beam-size", 1]
    train += ["--model.norm", "post"]  # so that a task can be folded
    train += ["--optimizer.warmup-steps", 50]
    train += ["--steps", 200, "--save-every", 200, "--log-every", 200]  # then it writes words
    for argv in (train, ["evaluate", run]):
        outcome = taskaware(*argv)
        assert outcome.code == 0, outcome.err
    return run, out, taskaware("share", run, out)


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


# The hub, as far as it can be seen from here: its client's cache, and what would be uploaded.


@pytest.fixture
def cache(monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))

    def no_network(*args, **kwargs):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    return tmp_path / "cache"


def test_a_downloaded_model_is_found_by_its_id_without_a_network(cache, shared):
    commit, model = "0123456789" * 4, cache / "models--me--digits"
    shutil.copytree(shared, model / "snapshots" / commit)
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text(commit)
    assert from_pretrained("me/digits").card == "# A card\n"
    assert from_pretrained("me/digits", revision=commit).card == "# A card\n"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "me/nothing",
            "me/nothing: no such folder, nor found on the hub; it has not been downloaded",
        ),
        ("nowhere", "nowhere: neither a folder nor owner/name"),
        ("../up/there", "../up/there: neither a folder nor owner/name"),
        ("../there", "../there: no such folder, nor found"),
    ],
)
def test_what_is_not_there_is_named_without_a_network(cache, name, message):
    with pytest.raises(UsageError, match=message) as refusal:
        from_pretrained(name)
    assert "\n" not in str(refusal.value)


def test_all_that_is_uploaded_is_a_shared_model(cache, shared, monkeypatch, tmp_path):
    import huggingface_hub

    calls = []

    def upload_folder(*, repo_id, folder_path, allow_patterns):
        shutil.copytree(folder_path, tmp_path / "uploaded")
        calls.append((repo_id, sorted(allow_patterns)))
        return "https://hub/commit"

    monkeypatch.setattr(huggingface_hub, "create_repo", lambda *a, **k: calls.append((a, k)))
    monkeypatch.setattr(huggingface_hub, "upload_folder", upload_folder)
    assert from_pretrained(shared).push_to_hub("me/digits") == "https://hub/commit"
    assert calls == [
        (("me/digits",), {"private": True, "exist_ok": True}),
        ("me/digits", sorted(FILES)),
    ]
    for name in FILES:
        assert (tmp_path / "uploaded" / name).read_bytes() == (shared / name).read_bytes()


def test_a_hub_that_refuses_is_one_line(cache, shared):
    with pytest.raises(RunError, match="me/digits: cannot be uploaded") as refusal:
        from_pretrained(shared).push_to_hub("me/digits")
    assert "\n" not in str(refusal.value)
