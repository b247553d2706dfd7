"""Where arrays lie: their axes by name, and the axes of the mesh that split them.

A mesh has three axes. Rows of a batch are split over ``data`` and ``fsdp``. Over ``fsdp`` each
device also holds a part of every weight and gathers the rest of a layer before it computes it; over
``tensor`` it never holds more than its part of a layer, and activations are exchanged instead. XLA
inserts all communication, following the shardings that arrays are annotated with.
"""

import math
import re
from collections.abc import Sequence

import jax
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, PyTree

from taskaware.errors import UsageError

MESH = ("data", "fsdp", "tensor")

SPLIT_OVER = {
    "batch": ("data", "fsdp"),
    "data rows": ("data",),
    "vocabulary": ("tensor", "fsdp"),  # so that no device ever holds all of the embedding
    "model": ("fsdp",),
    "heads": ("tensor",),
    "hidden": ("tensor",),
}
"""The axes of the mesh that split each named axis, as many of them as divide it."""

PARAMETERS = {
    r"table_VD": ("vocabulary", None),
    r"(query|key|value) kernel": ("model", "heads"),
    r"(query|key|value) bias": ("heads",),
    r"out kernel": ("heads", "model"),
    r"up kernel": ("model", "hidden"),
    r"up bias": ("hidden",),
    r"(down|project) kernel": ("hidden", "model"),
    r"scores kernel": (None, "vocabulary"),
    r"scores bias": ("vocabulary",),
    r"finer kernel": ("model", None),
}
"""The axes of parameters by the end of their path."""

REPLICATED = (
    r"convolutions \d+ kernel",  # small, and their work is split by rows
    r"tcn kernel_NZ",  # each row of a batch looks up a row
    r"tcn head kernel",
    r"modulator offset_LZ",
)
"""Parameters that are copied to every device however large they are, by the end of their path. A
new one of 2^14 numbers or more has its place here or above: in neither, it would be copied unseen.
"""

_LARGE = 2**14
"""Parameters of fewer numbers are copied to every device: splitting them saves nothing."""


def make_mesh(data: int | None = 1, fsdp: int = 1, tensor: int = 1) -> Mesh:
    """Return a mesh of data × fsdp × tensor devices; data None takes all that the others leave."""
    devices = jax.device_count()
    if data is None:
        data = max(1, devices // (fsdp * tensor))
    shape = (data, fsdp, tensor)
    if math.prod(shape) > devices:
        raise UsageError(
            f"mesh: expected at most {devices} devices ({jax.default_backend()}), found mesh_data "
            f"{data} × mesh_fsdp {fsdp} × mesh_tensor {tensor}; lower them"
        )
    return jax.make_mesh(
        shape,
        MESH,
        axis_types=(AxisType.Auto,) * 3,
        devices=jax.devices()[: math.prod(shape)],
    )


def row_parts(mesh: Mesh) -> int:
    """Return over how many devices a batch's rows are split."""
    return math.prod(mesh.shape[axis] for axis in SPLIT_OVER["batch"])


def parts_in_use(*rows: int) -> int:
    """Return over how many devices rows are split on the mesh in use, if there is one.

    Args:
        rows: numbers of rows; where not all of them can be split evenly, none are.
    """
    shape = jax.sharding.get_abstract_mesh().shape
    parts = math.prod(shape.get(axis, 1) for axis in SPLIT_OVER["batch"])
    return 1 if any(count % parts for count in rows) else parts


def state_sharding(mesh: Mesh, tree: PyTree) -> PyTree:
    """Return how each array of a training state is split, the optimizer's like their parameters."""

    def where(path, leaf) -> NamedSharding:
        words = " ".join(str(getattr(key, "key", getattr(key, "name", ""))) for key in path)
        for ending, axes in PARAMETERS.items():
            if leaf.size >= _LARGE and re.search(rf"\b{ending}( value)?$", words.strip()):
                return NamedSharding(mesh, _spec(mesh.shape, leaf.shape, axes))
        return on_every_device(mesh)

    return jax.tree_util.tree_map_with_path(where, tree)


def on_every_device(mesh: Mesh) -> NamedSharding:
    """Return the sharding of arrays that every device has a copy of."""
    return NamedSharding(mesh, PartitionSpec())


def local_rows(mesh: Mesh) -> tuple[int, int, int]:
    """Return which parts of a batch's rows this process's devices hold: (start, end, parts)."""
    devices = mesh.devices.reshape(row_parts(mesh), -1)
    processes = [{device.process_index for device in row} for row in devices]
    local = [i for i, those in enumerate(processes) if jax.process_index() in those]
    return local[0], local[-1] + 1, len(devices)


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Return how the arrays of a batch are split: by rows."""
    return NamedSharding(mesh, PartitionSpec(SPLIT_OVER["batch"]))


def place_batch(mesh: Mesh, batch: PyTree) -> PyTree:
    """Put a batch on the devices, split by rows; each process puts the parts of its devices."""
    sharding = batch_sharding(mesh)
    if jax.process_count() == 1:
        return jax.device_put(batch, sharding)
    return jax.tree.map(
        lambda x: jax.make_array_from_callback(x.shape, sharding, lambda index: x[index]), batch
    )


def constrain(x: Array, *axes: str | None) -> Array:
    """Return x, annotated with how its axes are split on the mesh in use, if there is one."""
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty:
        return x
    return lax.with_sharding_constraint(x, _spec(mesh.shape, x.shape, axes))


def _spec(mesh: dict[str, int], shape: Sequence[int], axes: Sequence[str | None]) -> PartitionSpec:
    """Return the axes of the mesh that split an array's axes, as many as divide them evenly."""
    spec = []
    for size, axis in zip(shape, axes, strict=True):
        parts = [name for name in SPLIT_OVER.get(axis or "", ()) if mesh.get(name, 1) > 1]
        while parts and size % math.prod(mesh[name] for name in parts):
            parts.pop()
        spec.append(tuple(parts) or None)
    return PartitionSpec(*spec)
