"""A model with fewer tasks gives what the whole one gives, and has no parameters to spare."""

import dataclasses

import jax
import numpy as np
import pytest
from flax import nnx
from support.mixed_heads import CONFIG, INVENTORIES, NAMES, batch, model, tasks_named

from taskaware.models.subset import keep_tasks, kept_columns
from taskaware.training.joint import joint_loss
from taskaware.training.objective import Objective

KEPT = ("asr", "mt", "intent")  # in an order of their own
KEYS = jax.random.split(jax.random.key(0))
SHARINGS = ("all_blocks", "per_stack", "per_block", "per_block_offset")
WAYS = [
    ("vanilla", {}),
    ("tokens", {}),
    ("explicit", {"injection": "input"}),
    *(
        (way, {"film": dataclasses.replace(CONFIG.film, sharing=sharing)})
        for way in ("explicit", "implicit")
        for sharing in SHARINGS
    ),
]


@pytest.mark.parametrize(("conditioning", "changes"), WAYS)
def test_the_kept_tasks_have_their_losses_and_vectors_and_the_others_no_parameters(
    conditioning, changes
):
    whole = model(conditioning, **changes)
    if whole.modulator is not None and whole.modulator.sharing == "per_block_offset":
        offset = whole.modulator.offset_LZ
        offset[...] = jax.random.normal(jax.random.key(1), offset.shape)
    tasks = [task for name in KEPT for task in tasks_named(name)]
    smaller = keep_tasks(whole, tasks, INVENTORIES)
    assert smaller.tasks == KEPT
    assert set(smaller.heads) == {"decoder", "ctc", "intent"}

    rows = batch(names=KEPT)
    vectors, losses = {}, {}
    for name, net in (("whole", whole), ("smaller", smaller)):
        embedded = net.embed(rows)
        vectors[name] = net.task_vector(embedded, net.task_of_rows(rows))
        loss_N = joint_loss(net, rows, KEYS[0], None, Objective())[1]["loss_N"]
        losses[name] = [loss_N[net.tasks.index(task)] for task in KEPT]
    np.testing.assert_allclose(losses["whole"], losses["smaller"], rtol=1e-5)
    if conditioning != "vanilla":
        order = [net.order(rows).names for net in (whole, smaller)]
        row_of = {name: 2 * order[0].index(name) for name in KEPT}
        kept = np.concatenate([np.arange(row_of[n], row_of[n] + 2) for n in order[1]])
        columns = kept_columns(whole, smaller)
        expected = np.asarray(vectors["whole"])[kept][:, columns]
        np.testing.assert_allclose(vectors["smaller"], expected, rtol=1e-5, atol=1e-6)

    sizes = [sum(x.size for x in jax.tree.leaves(nnx.state(net))) for net in (whole, smaller)]
    assert sizes[1] < sizes[0]
    assert set(NAMES) > set(KEPT)
