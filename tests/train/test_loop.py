import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import train_toy as toy_run

from taskaware.errors import RunError
from taskaware.train import loop


def run(step=None, *, total=7, log_every=3, save_every=2, start=0, **options):
    told, saved = [], []
    known_step, state = toy_run.setup("explicit")
    state = state._replace(step=jnp.int32(start))
    final = loop.train(
        state,
        jax.jit(step or known_step),
        itertools.cycle([toy_run.batch()]),
        tasks=["st", "asr", "mt"],
        total=total,
        log_every=log_every,
        save_every=save_every,
        report=told.append,
        save=lambda state: saved.append(int(state.step)),
        **options,
    )
    return final, told, saved


def test_it_reports_every_so_often_and_at_the_end_and_saves_likewise():
    final, told, saved = run()
    assert int(final.step) == 7
    assert [progress.step for progress in told] == [3, 6, 7]
    assert saved == [2, 4, 6, 7]


def test_it_goes_on_from_the_state_s_step():
    final, told, saved = run(start=4)
    assert int(final.step) == 7
    assert [progress.step for progress in told] == [6, 7]
    assert saved == [6, 7]


def test_nothing_is_left_to_do_after_the_last_step():
    final, told, saved = run(start=7)
    assert (int(final.step), told, saved) == (7, [], [])


def test_a_report_averages_the_steps_since_the_last():
    step, state = toy_run.setup("explicit")
    losses = []
    for _ in range(3):
        state, metrics = step(state, toy_run.batch())
        losses.append(np.asarray(metrics["loss_N"]) / np.asarray(metrics["tokens_N"]))
    _, told, _ = run(total=3)
    expected = dict(zip(["st", "asr", "mt"], np.mean(losses, 0), strict=True))
    assert told[0].loss == pytest.approx(expected, rel=1e-4)
    tokens = int((toy_run.batch().target_BT != 0).sum())
    assert told[0].tokens_per_second * told[0].seconds == pytest.approx(3 * tokens, rel=0.05)


def test_evaluators_are_asked_every_so_often_and_their_scores_told():
    scores = []
    run(
        total=5,
        evaluate_every=2,
        evaluators=[lambda state: iter([("step", float(state.step))])],
        report_scores=lambda step, found: scores.append((step, found)),
    )
    assert scores == [(2, {"step": 2.0}), (4, {"step": 4.0})]


def test_a_gradient_that_is_not_finite_stops_the_run_before_it_is_saved():
    step, _ = toy_run.setup("explicit")

    def broken(state, batch):
        state, metrics = step(state, batch)
        return state, metrics | {"gradient_norm": jnp.float32(jnp.nan)}

    saved = []
    with pytest.raises(RunError, match="step 3: the gradient is not finite"):
        _, _, saved = run(broken, save_every=3)
    assert saved == []
