"""Tensors in files: written as the numbers that they are, and found in shards of one folder."""

import json
import shutil

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load, save_file

from taskaware.errors import UsageError
from taskaware.files.tensors import read_tensors, tensor_files, to_bytes

NUMBERS = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
LAYOUTS = {
    "row-major": lambda x: x,
    "column-major": np.asfortranarray,
    "transposed": lambda x: np.ascontiguousarray(x.transpose(2, 0, 1)).transpose(1, 2, 0),
    "strided": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "reversed": lambda x: np.ascontiguousarray(x[::-1])[::-1],
    "broadcast": lambda x: np.broadcast_to(x[:1, :1, :1], x.shape),
    "big-endian": lambda x: x.astype(">f4"),
    "big-endian and column-major": lambda x: np.asfortranarray(x.astype(">f4")),
    "of no dimension": lambda x: np.asarray(x[0, 0, 1]),
    "empty": lambda x: x[:, :0],
}


@pytest.mark.parametrize("lay_out", LAYOUTS.values(), ids=LAYOUTS)
def test_arrays_are_written_as_their_numbers_however_they_lie(lay_out):
    array = lay_out(NUMBERS)
    content = to_bytes({"x": array, "y": NUMBERS})
    stored = load(content)
    assert stored["x"].shape == array.shape
    np.testing.assert_array_equal(stored["x"], array)
    np.testing.assert_array_equal(stored["y"], NUMBERS)
    assert content == to_bytes(
        {"x": np.array(array.tolist(), np.float32).reshape(array.shape), "y": NUMBERS}
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_what_is_stored_in_fewer_bits_is_read_into_float32(dtype, tmp_path):
    stored = (NUMBERS / 7).astype(dtype)
    (tmp_path / "model.safetensors").write_bytes(to_bytes({"x": stored}))
    files = tensor_files(tmp_path)
    values = read_tensors(files, {"x": (2, 3, 4)}, tmp_path, dtypes=("F32", "F16", "BF16"))
    assert values["x"].dtype == np.float32
    np.testing.assert_array_equal(values["x"], stored.astype(np.float32))


@pytest.fixture
def sharded(tmp_path):
    """Two tensors in a file each, and an index that says so."""
    folder = tmp_path / "model"
    folder.mkdir()
    for shard, name in (("a.safetensors", "x"), ("b.safetensors", "y")):
        save_file({name: NUMBERS}, folder / shard)
    index(folder, {"x": "a.safetensors", "y": "b.safetensors"})
    return folder


def index(folder, weight_map):
    content = {"metadata": {"total_size": 192}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(content))


def test_shards_are_found_by_their_index_unless_there_is_one_file(sharded):
    files = tensor_files(sharded)
    assert files == {"x": sharded / "a.safetensors", "y": sharded / "b.safetensors"}
    values = read_tensors(files, {"x": (2, 3, 4), "y": (2, 3, 4)}, sharded)
    np.testing.assert_array_equal(values["y"], NUMBERS)
    save_file({"z": NUMBERS}, sharded / "model.safetensors")
    assert [*tensor_files(sharded)] == ["z"]


def test_a_folder_without_weights_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"or model\.safetensors\.index\.json, found neither"):
        tensor_files(tmp_path)


@pytest.mark.parametrize(
    ("weight_map", "message"),
    [
        ({"x": "../a.safetensors"}, r"files of its own folder, found '\.\./a\.safetensors'"),
        ({"x": "/etc/a.safetensors"}, "files of its own folder, found '/etc/a"),
        ({"x": "sub/a.safetensors"}, "files of its own folder"),
        ({"x": "a.safetensors\0"}, "files of its own folder"),
        ({"x": "model.pickle"}, "files of its own folder, found 'model.pickle'"),
        ({"x": 3}, "files of its own folder, found 3"),
        ({"x": "c.safetensors"}, r"c\.safetensors: not a safetensors file, or damaged"),
        (
            {"x": "b.safetensors", "y": "a.safetensors"},
            "tensor 'x' in b.safetensors, found it in a",
        ),
        ({"x": "a.safetensors", "z": "b.safetensors"}, "tensor 'y' in no file, found it in b"),
        (
            {"x": "a.safetensors", "y": "a.safetensors"},
            "tensor 'y' in a.safetensors, found it in no",
        ),
        ({}, "expected a weight_map of tensors to files"),
        ([], "expected a weight_map of tensors to files"),
    ],
)
def test_an_index_that_cannot_be_trusted_is_refused_in_one_line(sharded, weight_map, message):
    shutil.copy(sharded / "a.safetensors", sharded.parent)
    index(sharded, weight_map)
    with pytest.raises(UsageError, match=message) as refusal:
        tensor_files(sharded)
    assert "\n" not in str(refusal.value) and str(refusal.value).startswith(str(sharded))


@pytest.mark.parametrize("content", [b"[" * 10**5, b"[]", b"\xff", b" " * 2**24 + b"{}"])
def test_an_index_that_is_none_is_refused_in_one_line(sharded, content):
    (sharded / "model.safetensors.index.json").write_bytes(content)
    with pytest.raises(UsageError, match=r"index\.json: ") as refusal:
        tensor_files(sharded)
    assert "\n" not in str(refusal.value)
