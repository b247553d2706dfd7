"""Hostile files, each signed with digests that agree, but where the digest is what is wrong."""

import json
import pickle
import shutil
import struct

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from support.command_line import ENGLISH, GERMAN
from support.shared_model import sign

from taskaware.data.tokenizer import train_tokenizer
from taskaware.errors import UsageError
from taskaware.pretrained.model import from_pretrained


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


BIAS = "heads.decoder.blocks.0.feed_forward.up.bias"


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
