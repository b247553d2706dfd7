"""A shared model comes back as what was given, from a folder and from the hub's cache."""

import dataclasses
import hashlib
import json
import shutil
import socket
import struct

import jax
import numpy as np
import pytest
from flax import nnx
from support.shared_model import TASKS, random_model

from taskaware.errors import RunError, UsageError
from taskaware.pretrained.model import FILES, digest, from_pretrained

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
    kernel = model.decoder().blocks[1].feed_forward.down.kernel[...]
    entry = header["heads.decoder.blocks.1.feed_forward.down.kernel"]
    assert (entry["dtype"], entry["shape"]) == ("F32", [8, 8])
    begin, end = entry["data_offsets"]
    assert numbers[begin:end] == np.asarray(kernel).tobytes()
    assert len(header) == len(jax.tree.leaves(nnx.state(model)))


def test_a_model_is_named_by_its_weights(shared, tmp_path):
    file = hashlib.sha256((shared / "model.safetensors").read_bytes()).hexdigest()
    model = random_model(tmp_path).model
    assert digest(model) == file == json.loads((shared / "task_vectors.json").read_text())["model"]
    bias = model.decoder().blocks[0].feed_forward.up.bias
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
