"""Tensors of a safetensors file that nobody vouches for: exactly those that are expected."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from taskaware.errors import UsageError


def to_bytes(tensors: Mapping[str, np.ndarray]) -> bytes:
    """Return tensors as the content of a file; the same ones give the same bytes."""
    return save({**tensors})


def tensor_names(path: Path) -> list[str]:
    """Return the names that a file has; one that is not safetensors is a UsageError."""
    try:
        with safe_open(path, framework="numpy") as file:
            return [*file.keys()]
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from None


def read_tensors(
    path: Path,
    shapes: Mapping[str, tuple[int, ...]],
    *,
    dtypes: Sequence[str] = ("F32",),
    ignored: Sequence[str] = (),
) -> dict[str, np.ndarray]:
    """Return a file's tensors as float32, after all but their values has been compared.

    Args:
        path: of the file.
        shapes: of every tensor that must be there, by name.
        dtypes: in which it may be stored, as safetensors calls them.
        ignored: names that may be there and are left alone.

    Raises:
        UsageError: it is no such file; a tensor is missing, unexpected, of another shape or dtype,
            or not finite.
    """
    names, values = {*tensor_names(path)} - {*ignored}, {}
    for name in sorted(shapes.keys() ^ names):
        what = "unexpected" if name in names else "missing"
        raise UsageError(f"{path}: {what} tensor {name[:200]!r} for the model of config.json")
    try:
        with safe_open(path, framework="numpy") as file:
            for name, shape in shapes.items():
                entry = file.get_slice(name)
                found = (tuple(entry.get_shape()), entry.get_dtype())
                if found[0] != shape or found[1] not in dtypes:
                    raise UsageError(
                        f"{path}: tensor {name!r}: expected {(shape, '/'.join(dtypes))}, "
                        f"found {found}"
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
