import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import train_toy as toy_run

from taskaware.errors import RunError
from taskaware.training import loop


class Listener:
    """Remembers what it is told; evaluates and stops as it is told to."""

    def __init__(self, scores, stopped):
        self.told, self.saved = [], []
        self.report, self.stopped, self.scores = self.told.append, stopped, scores

    def save(self, state, scores):
        self.saved.append((int(state.step), scores))


def run(
    step=None,
    *,
    total=7,
    start=0,
    batches=None,
    scores=lambda state: {},
    stopped=lambda: False,
    listener=None,
    **schedule,
):
    usual_step, state = toy_run.setup()
    listener = listener or Listener(scores, stopped)
    schedule = {"log_every": 3, "save_every": 2, "max_skipped": 3} | schedule
    final = loop.train(
        state._replace(step=jnp.int32(start)),
        step or usual_step,
        itertools.cycle([toy_run.batch()]) if batches is None else iter(batches),
        listener,
        loop.Schedule(total, **schedule),
        tasks=["st", "asr", "mt"],
    )
    return final, listener.told, [step for step, _ in listener.saved]


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
    step, state = toy_run.setup()
    losses = []
    for _ in range(3):
        state, metrics = step(state, toy_run.batch())
        losses.append(np.asarray(metrics["loss_N"]) / np.asarray(metrics["tokens_N"]))
    _, told, _ = run(total=3)
    expected = dict(zip(["st", "asr", "mt"], np.mean(losses, 0), strict=True))
    assert told[0].loss == pytest.approx(expected, rel=1e-4)
    targets = [rows.target.tokens_BT for rows in toy_run.batch().values()]
    tokens = sum(int((tokens_BT != 0).sum()) for tokens_BT in targets)
    assert told[0].tokens_per_second * told[0].seconds == pytest.approx(3 * tokens, rel=0.05)


def test_a_state_is_scored_every_so_often_and_saved_with_its_scores():
    saved = []

    def scores(state):
        return {"step": float(state.step)}

    listened = Listener(scores, lambda: False)
    listened.save = lambda state, scores: saved.append((int(state.step), scores))
    run(total=5, evaluate_every=2, save_every=4, listener=listened)
    assert saved == [(4, {"step": 4.0}), (5, {})]


# Asked to stop.


def test_told_to_stop_it_finishes_the_step_reports_and_saves_it():
    asked = iter([False, False, False, True])
    final, told, saved = run(stopped=lambda: next(asked))
    assert int(final.step) == 4
    assert [progress.step for progress in told] == [3, 4]
    assert saved == [2, 4]


def test_told_to_stop_while_it_evaluates_it_saves_no_half_scores():
    asked = []

    def scores(state):
        asked.append(True)
        return {"half": 0.0}

    listener = Listener(scores, lambda: bool(asked))
    final, _, _ = run(evaluate_every=3, listener=listener)
    assert (int(final.step), listener.saved) == (3, [(2, {}), (3, {})])


# Batches whose loss or gradient is not finite.


def batches(bad):
    """Seven batches, of which some have a frame that is not a number."""
    good = toy_run.batch()
    speech = good["st"].source
    speech = speech._replace(frames_BAC=speech.frames_BAC.at[0, 0, 0].set(jnp.nan))
    worse = good | {"st": good["st"]._replace(source=speech)}
    return [worse if number in bad else good for number in range(1, 8)]


def test_bad_batches_are_skipped_counted_and_left_out_of_the_averages():
    final, told, saved = run(batches=batches({2, 3, 5}))
    assert [progress.skipped for progress in told] == [2, 1, 0]
    assert all(np.isfinite(list(progress.loss.values())).all() for progress in told)
    assert all(np.isfinite(progress.gradient_norm) for progress in told)
    assert saved == [2, 4, 6, 7]
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(final.params))


def test_a_skipped_batch_changes_nothing_but_the_number_of_the_step():
    step, state = toy_run.setup()
    state, _ = step(state, toy_run.batch())
    bad, metrics = step(state, batches({1})[0])
    assert bool(metrics["skipped"])
    assert int(bad.step) == int(state.step) + 1
    for a, b in zip(*(jax.tree.leaves(s[1:3]) for s in (state, bad)), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("log_every", [1, 2, 7])
def test_too_many_in_a_row_end_the_run_and_are_named(log_every):
    with pytest.raises(RunError, match=r"^batches 4 to 6: 3 in a row whose loss or gradient") as e:
        run(batches=batches({2, 4, 5, 6, 7}), log_every=log_every)
    assert "\n" not in str(e.value)


def test_fewer_in_a_row_do_not():
    _, told, _ = run(batches=batches({1, 2, 4, 5, 7}), log_every=2)
    assert [progress.skipped for progress in told] == [2, 1, 1, 1]
    assert np.isnan(told[0].gradient_norm)  # of a stretch without a good step
