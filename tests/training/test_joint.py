import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from support import train_toy as toy_run
from support.train_toy import model

from taskaware.dims import Tokens
from taskaware.modulation.tcn import derangement
from taskaware.nn.losses import smoothed_cross_entropy
from taskaware.training.joint import descend, joint_loss
from taskaware.training.objective import Objective
from taskaware.training.state import initial_state

TASK_OF_ROWS = np.repeat(np.arange(3), 8)
"""Of a toy batch on one device."""
KEYS = tuple(jax.random.split(jax.random.key(0)))


@nnx.jit
def embedding(m, b):
    return m.task_vector(m.embed(b), m.task_of_rows(b))


def losses(m, b, vector_BZ, smoothing):
    """Of each target, where the model is told a task by this embedding."""
    scores = nnx.jit(lambda m: m(m.embed(b), vector_BZ).logits_BTV)(m)
    return np.asarray(smoothed_cross_entropy(scores, toy_run.targets(b), smoothing))


@pytest.mark.parametrize(
    "conditioning",
    ["explicit", *(pytest.param(c, marks=pytest.mark.long) for c in ("vanilla", "implicit"))],
)
def test_a_strategy_compiles_once_learns_repeats_and_keeps_dtypes(conditioning):
    step, start = toy_run.setup(conditioning)
    toy_run.assert_contract(step, start, [toy_run.batch(number) for number in range(2)])


def test_the_loss_is_the_mean_over_all_target_tokens_and_splits_by_task():
    m, b = model("explicit", dropout=0.0), toy_run.batch()
    loss, metrics = jax.jit(lambda b: joint_loss(m, b, *KEYS, Objective(0.1)))(b)
    each = losses(m, b, embedding(m, b), 0.1)
    valid, task = np.asarray(toy_run.targets(b) != 0), TASK_OF_ROWS
    assert float(loss) == pytest.approx(each[valid].mean(), rel=1e-5)
    for index in range(3):
        rows = task == index
        assert float(metrics["loss_N"][index]) == pytest.approx(
            each[rows][valid[rows]].sum(), rel=1e-5
        )
        assert int(metrics["tokens_N"][index]) == valid[rows].sum()
    frames = sum(int(b[name].source.length_B.sum()) for name in ("st", "asr"))
    assert int(metrics["frames"]) == frames


def test_rows_that_do_not_count_are_not_judged():
    m, b = model("vanilla", dropout=0.0), toy_run.batch()
    counts = np.random.default_rng(1).integers(0, 2, 24).astype(bool)
    some = {
        name: b[name]._replace(counts_B=counts[8 * n : 8 * n + 8])
        for n, name in enumerate(toy_run.TASKS)
    }
    loss, metrics = jax.jit(lambda b: joint_loss(m, b, *KEYS, Objective(0.1)))(some)
    valid = np.asarray(toy_run.targets(b) != 0) & counts[:, None]
    each = losses(m, b, None, 0.1)
    assert float(loss) == pytest.approx(each[valid].mean(), rel=1e-5)
    assert metrics["tokens_N"].tolist() == [valid[TASK_OF_ROWS == n].sum() for n in range(3)]
    lengths = np.concatenate([b[name].source.length_B for name in ("st", "asr")])
    assert int(metrics["frames"]) == lengths[counts[:16]].sum()


def test_tasks_may_come_in_any_order_and_only_some_of_them():
    m, b = model("implicit", dropout=0.0), toy_run.batch()

    def in_order(names):
        """The loss's program where the batch is a dict of that order, as JAX's own never is."""
        how = Objective(0.1)
        return jax.make_jaxpr(lambda b: joint_loss(m, {n: b[n] for n in names}, *KEYS, how))(b)

    assert str(in_order(("mt", "st", "asr"))) == str(in_order(("asr", "st", "mt")))
    some = jax.jit(lambda b: joint_loss(m, b, *KEYS, Objective(0.1))[1]["loss_N"])
    assert (some({"mt": b["mt"], "asr": b["asr"]}) > 0).tolist() == [False, True, True]


def test_each_row_is_modulated_by_the_embedding_of_another_row_of_its_task():
    m, b = model("implicit", dropout=0.0), toy_run.batch()
    m.tcn.head.kernel[...] = jax.random.normal(KEYS[0], m.tcn.head.kernel.shape)
    loss, _ = jax.jit(lambda b: joint_loss(m, b, *KEYS, Objective(0.0)))(b)
    donor = np.asarray(derangement(KEYS[0], jnp.array(TASK_OF_ROWS)))
    assert (donor != np.arange(24)).all()
    own = embedding(m, b)
    valid = np.asarray(toy_run.targets(b) != 0)

    def mean(vector_BZ):
        return float(losses(m, b, vector_BZ, 0.0)[valid].mean())

    assert float(loss) == pytest.approx(mean(own[donor]), rel=1e-5)
    assert abs(float(loss) - mean(own)) > 1e-4


def with_keys(m, b):
    """What is told of a loss by each of three pairs of keys."""
    of = jax.jit(
        lambda b, shuffled, dropped: joint_loss(m, b, shuffled, dropped, Objective(0.0))[1]
    )
    return [of(b, *jax.random.split(jax.random.key(seed))) for seed in range(3)]


def first_task(b, rows, real):
    """Those rows of the first task; what stands behind the first ``real`` only fills the batch."""
    chosen = jax.tree.map(lambda leaf: leaf[rows], b["st"])
    target = Tokens(chosen.target.tokens_BT.at[real:].set(0))
    return {"st": chosen._replace(target=target, counts_B=jnp.arange(len(rows)) < real)}


def test_rows_that_only_fill_a_batch_give_no_row_their_embedding():
    """As validation fills its last batch: copies of a row that have no target."""
    m, b = model("implicit", dropout=0.0), jax.tree.map(jnp.asarray, toy_run.batch())
    m.tcn.head.kernel[...] = jax.random.normal(KEYS[0], m.tcn.head.kernel.shape)
    real = 5
    filled = first_task(b, np.array([*range(real), *[real - 1] * 11]), real)
    found = [metrics["loss_N"][0] for metrics in with_keys(m, filled)]

    # Without any filling: the loss of each real row under the embedding of each.
    alone = first_task(b, np.arange(real), real)
    vector_BZ, valid = embedding(m, alone), np.asarray(toy_run.targets(alone) != 0)
    by_donor = [
        np.where(valid, losses(m, alone, vector_BZ[np.full(real, donor)], 0.0), 0).sum(1)
        for donor in range(real)
    ]
    possible = [
        sum(by_donor[donor][row] for row, donor in enumerate(donors))
        for donors in itertools.permutations(range(real))
        if all(donor != row for row, donor in enumerate(donors))
    ]
    for loss in found:
        assert min(abs(float(loss) / total - 1) for total in possible) < 1e-5


def test_a_row_that_does_not_count_gives_its_embedding_to_the_one_beside_it():
    """As validation gives company to an example that is alone in its length class."""
    m, b = model("implicit", dropout=0.0), toy_run.batch()
    m.tcn.head.kernel[...] = jax.random.normal(KEYS[0], m.tcn.head.kernel.shape)
    pair = jax.tree.map(lambda leaf: leaf[:2], b["st"])
    given = {"st": pair._replace(counts_B=jnp.array([True, False]))}
    vector_BZ, valid = embedding(m, given), np.asarray(pair.target.tokens_BT != 0)[0]
    other, own = (
        losses(m, given, vector_BZ[rows], 0.0)[0][valid].sum()
        for rows in (jnp.array([1, 0]), jnp.array([0, 1]))
    )
    assert abs(other - own) > 1e-3
    for metrics in with_keys(m, given):
        assert float(metrics["loss_N"][0]) == pytest.approx(other, rel=1e-5)
        assert int(metrics["tokens_N"][0]) == valid.sum()


def test_a_row_s_loss_does_not_depend_on_its_own_embedding():
    """What shuffling is for: the TCN sees targets, and must not pass them on to their own row."""
    m, b = model("implicit", dropout=0.0), toy_run.batch()
    donor, target_BT = derangement(KEYS[0], jnp.array(TASK_OF_ROWS)), toy_run.targets(b)

    # A gradient a row: jaxlib 0.10.2 compiles some Jacobians wrongly for CPUs (jax-ml/jax#39103).
    @jax.jit
    @jax.grad
    def of_row(vector_BZ, row):
        output = m(m.embed(b), vector_BZ[donor])
        each = smoothed_cross_entropy(output.logits_BTV, target_BT, 0.1)
        return jnp.where(target_BT != 0, each, 0).sum(1)[row]

    own = embedding(m, b)
    reach = np.array([np.abs(of_row(own, row)).max(-1) > 0 for row in range(24)])
    np.testing.assert_array_equal(reach, np.eye(24, dtype=bool)[np.asarray(donor)])


def test_a_step_s_randomness_depends_on_its_number_and_the_key_alone():
    step, state = toy_run.setup("vanilla")
    again = state._replace(step=jnp.int32(1))
    first, second, repeated = (
        step(s, toy_run.batch())[1]["gradient_norm"] for s in (state, again, state)
    )
    assert first == repeated
    assert first != second


@pytest.mark.parametrize(
    "conditioning", ["explicit", pytest.param("implicit", marks=pytest.mark.long)]
)
def test_frozen_by_name_the_tcn_stays_bit_identical(conditioning):
    """TCNParam lets an optimizer leave the task side alone."""
    import optax

    from taskaware import TCNParam
    from taskaware.training.joint import joint_step

    m = model(conditioning)
    params = nnx.state(m)
    labels = jax.tree.map(
        lambda v: "tcn" if isinstance(v, TCNParam) else "base",
        params,
        is_leaf=lambda v: isinstance(v, nnx.Variable),
    )
    labels = jax.tree.map(
        lambda label, v: jax.tree.map(lambda _: label, v),
        labels,
        params,
        is_leaf=lambda v: isinstance(v, str | nnx.Variable),
    )
    optimizer = optax.partition({"tcn": optax.set_to_zero(), "base": optax.sgd(0.1)}, labels)
    step = jax.jit(joint_step(nnx.graphdef(m), optimizer, Objective(0.1)))
    state, _ = step(initial_state(params, optimizer, 0), toy_run.batch())
    before, after = (nnx.filter_state(p, TCNParam) for p in (params, state.params))
    assert all(map(np.array_equal, jax.tree.leaves(before), jax.tree.leaves(after)))
    changed = [
        not np.array_equal(a, b)
        for a, b in zip(jax.tree.leaves(params), jax.tree.leaves(state.params), strict=True)
    ]
    assert any(changed)


# Losses and gradients that are not finite.


@pytest.mark.parametrize(
    ("x", "y", "what"),
    [(jnp.nan, 1.0, "loss and gradient"), (1.0, jnp.inf, "loss alone"), (1e30, 0.0, "gradient")],
)
def test_a_loss_or_gradient_that_is_not_finite_changes_nothing(x, y, what):
    import optax

    def loss(params, batch, key, number):
        x, y = batch
        return (params["w"] * x).sum() + y, {}

    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.1))
    step = jax.jit(descend(loss, optimizer))
    start = initial_state(nnx.State({"w": jnp.ones(3)}), optimizer, 0)
    state, metrics = step(start, (1.0, 1.0))
    assert not metrics["skipped"]
    assert (state.params["w"] != start.params["w"]).all()
    after, metrics = step(state, (x, y))
    assert metrics["skipped"], what
    assert int(after.step) == 2
    for a, b in zip(
        *(jax.tree.leaves((s.params, s.opt_state)) for s in (state, after)), strict=True
    ):
        assert (a == b).all()
    again, metrics = step(after, (1.0, 1.0))
    assert not metrics["skipped"]
    assert (again.params["w"] != after.params["w"]).all()
