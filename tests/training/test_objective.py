"""What every head keeps, whatever the conditioning: a mixed batch is its tasks one by one."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from support import mixed_heads
from support.mixed_heads import NAMES, TASKS, batch, counting, model

from taskaware.config import Experiment, FiLMConfig
from taskaware.config.heads import CTCConfig, LabelConfig
from taskaware.dims import Speech
from taskaware.training.joint import joint_loss, joint_sums
from taskaware.training.objective import Objective, objective_of

KEYS = tuple(jax.random.split(jax.random.key(0)))
SHARES = tuple(task.ctc_weight for task in TASKS)
HOW = Objective(0.1, None, SHARES, (0.7,) * len(TASKS), 100)
HEADS = {
    "intent": "intent", "meant": "intent", "asr": "decoder", "mt": "decoder", "speller": "ctc",
    "slots": "slots", "phones": "phones", "vad": "vad", "age": "age", "who": "who",
}  # fmt: skip
"""Of each task."""


def film(**changes):
    return {"film": FiLMConfig(**({"init": "lecun"} | changes))}


LOWER = {"heads": (CTCConfig(name="phones", layer=1), LabelConfig(name="intent", layer=2))}
VARIANTS = {
    "vanilla, post-norm, lower layers": ("vanilla", {"norm": "post", **LOWER}),
    "implicit, on both": ("implicit", film(sharing="per_block")),
    "explicit, on heads": ("explicit", film(stacks="heads")),
}
LONG = {
    "tokens": ("tokens", {}),
    "vanilla": ("vanilla", {}),
    "explicit, on both, offsets": ("explicit", film(sharing="per_block_offset")),
    "explicit, on the encoder": ("explicit", film(stacks="encoder")),
    "explicit, adapters": ("explicit", film(kind="adapter", sharing="per_stack")),
    "explicit, as input": ("explicit", {"injection": "input"}),
    "implicit, as input": ("implicit", {"injection": "input"}),
    "implicit, on heads, post-norm": ("implicit", {"norm": "post", **film(stacks="heads")}),
    "implicit, lower layers": ("implicit", LOWER),
    "implicit, a loop": ("implicit", {"scan": True, "remat": "full", **LOWER}),
    "bfloat16": ("explicit", {"dtype": "bfloat16"}),
}


class Made(NamedTuple):
    params: nnx.State
    mixed: object
    """(parameters, batch) → ((loss, metrics), gradient)."""
    alone: object
    """Parameters → of each task the sums and metrics of a batch of it alone."""


@functools.cache
def made(name):
    """A model's losses, to be compiled once for all that is asked of it."""
    conditioning, changes = (VARIANTS | LONG)[name]
    graphdef, params = nnx.split(model(conditioning, **changes))

    def sums(params, b):
        return joint_sums(nnx.merge(graphdef, params), b, KEYS[0], None, HOW)

    def loss(params, b):
        total, metrics = sums(params, b)
        return total.loss, metrics

    def alone(params):
        return {task: sums(params, {task: rows}) for task, rows in batch().items()}

    return Made(params, jax.jit(jax.value_and_grad(loss, has_aux=True)), jax.jit(alone))


every = pytest.mark.parametrize(
    "name", [*VARIANTS, *(pytest.param(n, marks=pytest.mark.long) for n in LONG)]
)


@every
def test_the_loss_of_a_mixed_batch_is_the_sum_of_the_heads_means_over_their_tasks_alone(name):
    params, mixed, alone = made(name)
    (found, metrics), _ = mixed(params, batch())
    by_task = alone(params)
    weighted_G, judged_G = (sum(np.asarray(s[i]) for s, _ in by_task.values()) for i in range(2))
    assert (judged_G > 0).all() and len(judged_G) == 8
    rtol = 2e-2 if name == "bfloat16" else 1e-4
    np.testing.assert_allclose(found, (weighted_G / judged_G).sum(), rtol=rtol)
    for place, task in enumerate(NAMES):
        for measure in ("loss_N", "tokens_N"):
            expected = np.asarray(by_task[task][1][measure])
            assert np.flatnonzero(expected).tolist() == [place]  # its own, and no other's
            np.testing.assert_allclose(metrics[measure][place], expected[place], rtol=rtol)


@every
def test_a_task_s_loss_has_no_gradient_at_the_heads_of_others(name):
    params, mixed, _ = made(name)
    for task in ("asr", "phones", "meant", "vad", "age", "who", "slots"):
        (_, metrics), gradient = mixed(params, counting(batch(), [task]))
        reached = {
            head
            for head, part in gradient["heads"].items()
            if any(np.asarray(leaf).any() for leaf in jax.tree.leaves(part))
        }
        assert reached == {HEADS[task], *(["ctc"] if task == "asr" else [])}
        assert np.flatnonzero(metrics["loss_N"]).tolist() == [NAMES.index(task)]
        encoder = jax.tree.leaves(gradient["encoder"][0])
        assert all(np.asarray(leaf).any() for leaf in encoder if leaf.ndim == 2)


@every
def test_rows_that_do_not_count_change_nothing(name):
    """What stands in them is another example; without it, every loss and gradient is the same."""
    params, mixed, _ = made(name)
    judged = [task for task in NAMES if task not in ("phones", "meant")]
    one, other = (counting(batch(seed=seed), judged) for seed in (0, 1))
    some = {task: (one if task in judged else other)[task] for task in NAMES}
    (a, b) = mixed(params, one), mixed(params, some)
    assert "intent" in judged  # of the same head as one that does not count
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        if x.shape:  # frames, of all rows that count, are the same too
            np.testing.assert_allclose(x, y, atol=1e-6, rtol=1e-5)
    np.testing.assert_allclose(a[0][0], b[0][0], rtol=1e-6)


def test_adding_tasks_with_heads_changes_no_other_loss():
    few = ("asr", "mt", "vad")
    whole, part = model("vanilla"), model("vanilla", few)
    flat = dict(nnx.to_flat_state(nnx.state(whole)))
    paths = [path for path, _ in nnx.to_flat_state(nnx.state(part))]
    shared = nnx.from_flat_state([(path, flat[path]) for path in paths])
    graphdef = nnx.graphdef(part)
    how = Objective(0.1, None, tuple(t.ctc_weight for t in mixed_heads.tasks_named(*few)))
    b = {name: batch()[name] for name in few}
    expected = jax.jit(
        lambda params: joint_loss(nnx.merge(graphdef, params), b, KEYS[0], None, how)
    )(shared)
    graphdef, params = nnx.split(whole)
    found = jax.jit(lambda params: joint_loss(nnx.merge(graphdef, params), b, KEYS[0], None, HOW))(
        params
    )
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-6)
    places = [NAMES.index(task.name) for task in mixed_heads.tasks_named(*few)]
    np.testing.assert_allclose(found[1]["loss_N"][np.array(places)], expected[1]["loss_N"], 1e-6)


def test_weights_and_the_share_of_ctc_are_factors_of_the_parts():
    """(1 - w) of the decoder's mean per token and w of CTC's, each times the task's weight."""
    graphdef, params = nnx.split(model("vanilla"))
    rows = batch()["asr"]
    weights = tuple(1.0 + n for n in range(len(NAMES)))

    @jax.jit
    def losses(params):
        m = nnx.merge(graphdef, params)

        def of(names, how):
            return joint_loss(m, {name: rows for name in names}, KEYS[0], None, how)[0]

        plain = Objective(0.1)
        attention, ctc = of(["asr"], plain), of(["speller"], plain)
        joint = Objective(0.1, weights, SHARES)
        return attention, ctc, of(["asr"], joint), of(["asr", "speller"], joint)

    attention, ctc, joint, both = map(float, losses(params))
    w, weight, other = 0.25, weights[NAMES.index("asr")], weights[NAMES.index("speller")]
    assert joint == pytest.approx(weight * ((1 - w) * attention + w * ctc), rel=1e-5)
    # Of the head that two tasks share, one mean over the tokens of both.
    shared = (weight * w * ctc + other * ctc) / 2
    assert both == pytest.approx(weight * (1 - w) * attention + shared, rel=1e-5)
    assert abs(attention - ctc) > 0.1


@pytest.mark.parametrize("progress", [0.05, 1.0])
def test_of_an_adversarial_task_the_encoder_s_gradient_is_reversed_and_the_head_s_is_not(progress):
    m = model("vanilla")
    rows = {name: batch()[name] for name in ("who",)}

    def gradient(m):
        graphdef, params = nnx.split(m)

        def loss(params, progress):
            merged = nnx.merge(graphdef, params)
            return joint_loss(merged, rows, KEYS[0], None, HOW, progress)[0]

        return jax.jit(jax.value_and_grad(loss))(params, progress)

    found_loss, found = gradient(m)
    m.wiring = m.wiring._replace(adversarial=())
    expected_loss, expected = gradient(m)
    assert float(found_loss) == float(expected_loss)
    rate = 0.7 * (2 / (1 + np.exp(-10 * progress)) - 1)
    for part in ("encoder", "speech", "heads"):
        factor = 1 if part == "heads" else -rate
        pairs = zip(jax.tree.leaves(found[part]), jax.tree.leaves(expected[part]), strict=True)
        for a, b in pairs:
            np.testing.assert_allclose(a, factor * np.asarray(b), rtol=1e-4, atol=1e-7)
    assert np.abs(expected["heads"]["who"]["scores"]["kernel"][...]).max() > 1e-3


def test_an_experiment_s_objective_is_its_tasks_numbers():
    experiment = Experiment(tasks=TASKS, tokenizer="t", model=mixed_heads.CONFIG)
    found = objective_of(experiment, 100)
    assert found == Objective(0.1, None, SHARES, (1.0,) * len(TASKS), 100)
    assert [float(found.progress(jnp.int32(n))) for n in (0, 50, 100)] == [0, 0.5, 1]
    plain = Experiment(tasks=TASKS[2:3], tokenizer="t")
    assert objective_of(plain, 100) == Objective(0.1)


def test_told_the_task_in_the_heads_alone_the_encoder_says_the_same_for_all_tasks():
    b = batch()
    source = b["asr"].source
    assert isinstance(source, Speech)
    for stacks in ("heads", "both"):
        graphdef, params = nnx.split(model("explicit", **film(stacks=stacks)))

        @jax.jit
        def outputs(params, task, graphdef=graphdef):
            m = nnx.merge(graphdef, params)
            x_BSD, mask_BS = m.embed_source(source)
            vector_BZ = m.task_vector(m.embed(b), jnp.full(2 * len(NAMES), task))[:2]
            memory = m.encode(x_BSD, mask_BS, vector_BZ)
            label = m.heads["intent"].outputs(
                m.read_by("intent", memory), m.condition("intent", vector_BZ)
            )
            return memory.memory_BSD, label

        first, second = (outputs(params, task) for task in (0, 1))
        assert np.array_equal(first[0], second[0]) == (stacks == "heads")
        assert not np.allclose(first[1], second[1], atol=1e-3)
