"""Rows of several tasks side by side; oracle: loops over devices and rows."""

import jax
import numpy as np
import pytest
from support.train_toy import TASKS, batch

from taskaware.devices.sharding import make_mesh, parts_in_use
from taskaware.models.joining import RowOrder, join, part, row_order


@pytest.mark.parametrize("parts", [1, 2, 4])
@pytest.mark.parametrize("rows", [(4, 8, 4), (8,), (4, 12)])
def test_each_part_has_its_rows_of_every_array_one_array_after_the_other(rows, parts):
    arrays = [np.arange(n * 3).reshape(n, 3) + 100 * i for i, n in enumerate(rows)]
    expected = []
    for device in range(parts):
        for x in arrays:
            held = len(x) // parts
            expected += [x[row] for row in range(device * held, (device + 1) * held)]
    joined = join(arrays, parts)
    np.testing.assert_array_equal(joined, expected)
    for found, x in zip(part(joined, rows, parts), arrays, strict=True):
        np.testing.assert_array_equal(found, x)


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_positions_are_where_rows_stand_if_tasks_follow_one_another(parts):
    order = RowOrder(("st", "asr", "mt"), (4, 8, 4), parts)
    whole = np.random.default_rng(0).normal(size=16)
    joined = join(np.split(whole, [4, 12]), parts)
    np.testing.assert_array_equal(joined, whole[order.positions()])
    assert {name: len(x) for name, x in order.part(joined).items()} == {"st": 4, "asr": 8, "mt": 4}


def test_tasks_of_speech_come_first_and_each_kind_in_the_model_s_order():
    given = batch(rows=2)
    given["en-de"] = given["mt"]
    for names in (("mt", "st", "en-de", "asr"), ("asr", "en-de", "mt", "st")):
        order = row_order({name: given[name] for name in names}, ("en-de", *TASKS))
        assert order == RowOrder(("st", "asr", "en-de", "mt"), (2, 2, 2, 2), 1)


def test_arrays_of_several_widths_are_padded_to_the_widest():
    order = RowOrder(("a", "b"), (1, 2), 1)
    found = order.join([np.array([[1, 2, 3]]), np.array([[4], [5]])])
    assert found.tolist() == [[1, 2, 3], [4, 0, 0], [5, 0, 0]]


@pytest.mark.parametrize("shape", [(8, 1, 1), (2, 4, 1), (2, 2, 2)])
def test_rows_have_as_many_parts_as_devices_split_them_and_one_where_they_cannot(shape):
    assert parts_in_use(8, 16) == 1
    with jax.set_mesh(make_mesh(*shape)):
        assert parts_in_use(8, 16) == shape[0] * shape[1]
        assert parts_in_use(8, 15) == 1
        order = row_order({"mt": batch(rows=8)["mt"], "st": batch(rows=3)["st"]}, TASKS)
    assert order.parts == 1
