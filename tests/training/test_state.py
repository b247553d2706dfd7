import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from taskaware.training.state import average


class Parameters(nnx.Module):
    """A matrix, and numbers of another dtype one level below."""

    def __init__(self, matrix, numbers, dtype=jnp.float32):
        self.matrix = nnx.Param(jnp.asarray(matrix, jnp.float32))
        self.inner = nnx.Dict(numbers=nnx.Param(jnp.asarray(numbers, dtype)))


def states(matrices, numbers, dtype=jnp.float32):
    pairs = zip(matrices, numbers, strict=True)
    return [nnx.state(Parameters(*pair, dtype)) for pair in pairs]


@pytest.mark.parametrize("count", [2, 3, 7])
def test_an_average_is_the_arithmetic_mean_of_each_number(count):
    random = np.random.default_rng(count)
    matrices = random.normal(size=(count, 4, 5)).astype(np.float32)
    numbers = 1e6 * random.normal(size=(count, 3)).astype(np.float32)  # which may cancel
    found = average(iter(states(matrices, numbers)))  # read one by one
    for leaf, values in (
        (found["matrix"], matrices),
        (found["inner"]["numbers"], numbers),
    ):
        assert isinstance(leaf, nnx.Param)
        assert leaf[...].dtype == jnp.float32
        expected = np.mean(values, axis=0, dtype=np.float64)
        size = np.abs(values).max()
        np.testing.assert_allclose(leaf[...] / size, expected / size, rtol=0, atol=1e-6)


def test_bfloat16_is_averaged_in_float32_and_stays_bfloat16():
    """In bfloat16, 256 + 1 is 256: four small numbers beside a large one would be lost."""
    numbers = np.array([[256, -256.0], *[[1, 3]] * 4])
    found = average(states(np.ones((5, 1, 1)), numbers, jnp.bfloat16))
    leaf = found["inner"]["numbers"][...]
    assert leaf.dtype == jnp.bfloat16
    assert found["matrix"][...].dtype == jnp.float32
    rounded = numbers.mean(axis=0).astype(jnp.bfloat16)  # 52 and -48.75, which bfloat16 has
    np.testing.assert_array_equal(np.asarray(leaf), rounded)
    assert leaf.tolist() == [52, -48.75]


def test_the_average_of_one_is_that_one_bit_for_bit():
    random = np.random.default_rng(0)
    (one,) = states(random.normal(size=(1, 4, 5)), random.normal(size=(1, 3)), jnp.bfloat16)
    found = average([one])
    assert found["matrix"][...].dtype == jnp.float32
    assert found["inner"]["numbers"][...].dtype == jnp.bfloat16
    np.testing.assert_array_equal(found["matrix"][...], one["matrix"][...])
    np.testing.assert_array_equal(
        np.asarray(found["inner"]["numbers"][...]), np.asarray(one["inner"]["numbers"][...])
    )
