"""Read safetensors files from untrusted sources: exactly the tensors that are expected."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import ml_dtypes  # noqa: F401  # of jax; NumPy, and so safetensors, knows bfloat16 by it
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from taskaware.errors import UsageError
from taskaware.files.strict_json import load_object

_WEIGHTS = "model.safetensors"
_INDEX = f"{_WEIGHTS}.index.json"


def to_bytes(tensors: Mapping[str, np.ndarray]) -> bytes:
    """Return a safetensors file's content; equal tensors give equal bytes."""
    # safetensors 0.8.0 writes memory without regard to strides: a transposed array, wrongly.
    return save({name: np.asarray(value, order="C") for name, value in tensors.items()})


def tensor_names(path: Path) -> list[str]:
    """Return the names of a file's tensors; another format is a UsageError."""
    try:
        with safe_open(path, framework="numpy") as file:
            return [*file.keys()]
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from None


def tensor_files(folder: Path) -> dict[str, Path]:
    """Return which file of a folder holds each tensor, by the tensor's name.

    As ``transformers`` does it: ``model.safetensors`` if there is one, otherwise the shards
    that ``model.safetensors.index.json`` names.

    Raises:
        UsageError: there is neither; the index names a file elsewhere, or other tensors than the
            shards have.
    """
    weights, index = folder / _WEIGHTS, folder / _INDEX
    if not weights.exists() and not index.exists():
        raise UsageError(
            f"{folder}: expected {_WEIGHTS} or {_INDEX}, found neither; weights of another format "
            "are saved anew with save_pretrained of transformers"
        )
    if weights.exists():
        return dict.fromkeys(tensor_names(weights), weights)
    weight_map = load_object(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise UsageError(
            f"{index}: expected a weight_map of tensors to files, found {weight_map!r}"
        )
    for file in weight_map.values():
        if not isinstance(file, str) or not re.fullmatch(r"[\w.-]+\.safetensors", file):
            raise UsageError(f"{index}: expected files of its own folder, found {file!r}")
    shards = [folder / file for file in sorted({*weight_map.values()})]
    files = {name: shard for shard in shards for name in tensor_names(shard)}
    for name in sorted(weight_map.keys() | files.keys()):
        expected, holder = weight_map.get(name), files.get(name, folder / "no file").name
        if holder != expected:
            raise UsageError(
                f"{index}: expected tensor {name[:200]!r} in {expected or 'no file'}, found it in "
                f"{holder}; fetch the shards anew"
            )
    return files


def read_tensors(
    files: Mapping[str, Path],
    shapes: Mapping[str, tuple[int, ...]],
    where: Path,
    *,
    dtypes: Sequence[str] = ("F32",),
) -> dict[str, np.ndarray]:
    """Return tensors as float32, after checking their names, shapes and dtypes.

    Args:
        files: which file holds each tensor, by name, of ``tensor_files``.
        shapes: of every tensor that must be there, by name.
        where: the file or folder, for messages.
        dtypes: in which tensors may be stored, by safetensors' names.

    Raises:
        UsageError: a file is not safetensors; a tensor is missing, unexpected, of another shape or
            dtype, or not finite.
    """
    for name in sorted(shapes.keys() ^ files.keys()):
        what = "unexpected" if name in files else "missing"
        raise UsageError(f"{where}: {what} tensor {name[:200]!r} for the model of config.json")
    values = {}
    for path in sorted({*files.values()}):
        try:
            with safe_open(path, framework="numpy") as file:
                for name in (name for name in shapes if files[name] == path):
                    entry = file.get_slice(name)
                    stored = tuple(entry.get_shape()), entry.get_dtype()
                    if stored[0] != shapes[name] or stored[1] not in dtypes:
                        raise UsageError(
                            f"{path}: tensor {name!r}: expected "
                            f"{(shapes[name], '/'.join(dtypes))}, found {stored}"
                        )
                    values[name] = file.get_tensor(name).astype(np.float32)
                    if not np.isfinite(values[name]).all():
                        raise UsageError(
                            f"{path}: tensor {name!r}: expected finite numbers, found others"
                        )
        except (SafetensorError, OSError) as error:
            raise _damaged(path, error) from None
    return values


def _damaged(path: Path, error: Exception) -> UsageError:
    return UsageError(f"{path}: not a safetensors file, or damaged ({error})")
