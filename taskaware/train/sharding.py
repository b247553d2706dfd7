"""Where arrays lie: rows over the data axis, large parameters over the model axis."""

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

from taskaware.errors import UsageError

_LARGE = 2**14
"""Parameters of fewer numbers are copied to every device: splitting them saves nothing."""


def make_mesh(data: int, model: int) -> Mesh:
    """Return a mesh of data × model devices; data = -1 takes all that model leaves."""
    devices = jax.device_count()
    if data == -1:
        data = max(1, devices // model)
    if data * model > devices:
        raise UsageError(
            f"mesh: expected at most {devices} devices ({jax.default_backend()}), found "
            f"mesh_data {data} × mesh_model {model}; lower them"
        )
    return jax.make_mesh(
        (data, model),
        ("data", "model"),
        axis_types=(AxisType.Auto,) * 2,
        devices=jax.devices()[: data * model],
    )


def state_sharding(mesh: Mesh, tree: PyTree) -> PyTree:
    """Return how each array of a training state is split.

    A large array is split over the model axis along its longest dimension that divides; XLA
    inserts the communication. All others are copied to every device.
    """
    parts = mesh.shape["model"]

    def spec(leaf) -> NamedSharding:
        if parts > 1 and leaf.size >= _LARGE:
            for axis in np.argsort([-size for size in leaf.shape], kind="stable"):
                if leaf.shape[axis] % parts == 0:
                    axes: list[str | None] = [None] * leaf.ndim
                    axes[axis] = "model"
                    return NamedSharding(mesh, PartitionSpec(*axes))
        return NamedSharding(mesh, PartitionSpec())

    return jax.tree.map(spec, tree)


def place_batch(mesh: Mesh, batch: PyTree) -> PyTree:
    """Send a batch of this process's rows to its devices, rows split over the data axis."""
    sharding = NamedSharding(mesh, PartitionSpec("data"))
    if jax.process_count() == 1:
        return jax.device_put(batch, sharding)
    return jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharding, x), batch)
