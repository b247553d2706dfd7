import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference.alignments import label_probabilities, log_softmax

from taskaware.nn.losses import ctc_labels, ctc_loss, needed_positions

B, S, V = 4, 5, 6
LOGITS = 2 * jax.random.normal(jax.random.key(0), (B, S, V))
MASK = jnp.arange(S)[None] < jnp.array([5, 3, 4, 1])[:, None]
LABEL = jnp.array([[2, 3, 2], [4, 4, 0], [5, 0, 0], [3, 0, 0]], jnp.int32)


def one(logits, labels):
    """Loss and judgement of a single row without padding."""
    logits = jnp.asarray(logits, jnp.float32)[None]
    label_BT = jnp.array([labels], jnp.int32)
    loss_B, judged_B = ctc_loss(logits, jnp.ones(logits.shape[:2], bool), label_BT)
    return float(loss_B[0]), bool(judged_B[0])


def total(logits, mask, labels):
    return ctc_loss(logits, mask, labels)[0].sum()


@pytest.mark.parametrize(
    ("positions", "labels", "probability"), [(2, [1], 3 / 4), (3, [1, 1], 1 / 8), (1, [1], 1 / 2)]
)
def test_the_blank_and_one_label_at_even_odds(positions, labels, probability):
    """ "a" in two positions: aa, a-, -a of four paths. "aa" in three: a-a of eight."""
    loss, judged = one(np.zeros((positions, 2)), labels)
    assert judged
    assert loss == pytest.approx(-np.log(probability), abs=1e-6)


def test_the_loss_is_that_of_all_alignments_one_by_one():
    loss_B, judged_B = ctc_loss(LOGITS, MASK, LABEL)
    assert judged_B.all()
    for row in range(B):
        valid = log_softmax(LOGITS[row])[np.asarray(MASK[row])]
        labels = tuple(int(token) for token in LABEL[row] if token)
        assert float(loss_B[row]) == pytest.approx(
            -np.log(label_probabilities(valid)[labels]), 1e-5
        )


def test_the_gradient_is_that_of_finite_differences_of_the_definition():
    row, labels, step = np.asarray(LOGITS[2, :3], np.float64), (5, 2), 1e-5
    expected = np.zeros_like(row)
    for place in np.ndindex(row.shape):
        ends = []
        for sign in (1, -1):
            moved = row.copy()
            moved[place] += sign * step
            ends.append(-np.log(label_probabilities(log_softmax(moved))[labels]))
        expected[place] = (ends[0] - ends[1]) / (2 * step)
    label_BT = jnp.array([labels], jnp.int32)
    found = jax.grad(total)(LOGITS[2:3, :3], jnp.ones((1, 3), bool), label_BT)[0]
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.peers
def test_loss_and_gradient_equal_torch():
    torch = pytest.importorskip("torch", reason="needs the extra peers")
    keys = jax.random.split(jax.random.key(1), 2)
    logits = 3 * jax.random.normal(keys[0], (3, 40, 50))
    label_BT = jax.random.randint(keys[1], (3, 9), 2, 6)  # of few kinds: repeats
    label_BT = jnp.where(jnp.arange(9)[None] < jnp.array([9, 4, 1])[:, None], label_BT, 0)
    mask = jnp.arange(40)[None] < jnp.array([40, 25, 7])[:, None]
    peer = torch.tensor(np.asarray(logits, np.float64), requires_grad=True)
    expected = torch.nn.functional.ctc_loss(
        peer.log_softmax(-1).transpose(0, 1),
        torch.tensor(np.asarray(label_BT)),
        torch.tensor([40, 25, 7]),
        torch.tensor([9, 4, 1]),
        reduction="none",
    )
    expected.sum().backward()
    loss_B, judged_B = ctc_loss(logits, mask, label_BT)
    assert judged_B.all()
    np.testing.assert_allclose(loss_B, expected.detach().numpy(), rtol=1e-5)
    np.testing.assert_allclose(jax.grad(total)(logits, mask, label_BT), peer.grad, atol=1e-5)


@pytest.mark.parametrize(("positions", "fits"), [(0, False), (2, False), (3, True)])
def test_labels_that_do_not_fit_cost_nothing_and_move_nothing(positions, fits):
    """Two equal labels need a blank between them, so three positions."""
    mask = MASK.at[1].set(jnp.arange(S) < positions)
    loss_B, judged_B = ctc_loss(LOGITS, mask, LABEL)
    gradient = jax.grad(total)(LOGITS, mask, LABEL)
    assert judged_B.tolist() == [True, fits, True, True]
    assert (float(loss_B[1]) > 0) == fits
    assert bool((gradient[1] != 0).any()) == fits
    others = jnp.array([0, 2, 3])
    np.testing.assert_array_equal(loss_B[others], ctc_loss(LOGITS, MASK, LABEL)[0][others])
    before = jax.grad(total)(LOGITS, MASK, LABEL)[others]
    np.testing.assert_array_equal(gradient[others], before)
    assert bool((gradient[0] != 0).all())


def test_a_row_without_labels_is_not_judged():
    loss_B, judged_B = ctc_loss(LOGITS, MASK, LABEL.at[2].set(0))
    assert (float(loss_B[2]), judged_B.tolist()) == (0.0, [True, True, False, True])


def test_padded_positions_and_padded_labels_change_nothing():
    loss_B, _ = ctc_loss(LOGITS, MASK, LABEL)
    more = jnp.pad(LOGITS, ((0, 0), (0, 3), (0, 0)), constant_values=7.0)
    more = jnp.where(jnp.pad(MASK, ((0, 0), (0, 3)))[..., None], more, 9.0)
    wide, _ = ctc_loss(more, jnp.pad(MASK, ((0, 0), (0, 3))), jnp.pad(LABEL, ((0, 0), (0, 2))))
    np.testing.assert_allclose(wide, loss_B, rtol=1e-6)


def test_masked_positions_may_stand_anywhere():
    valid = jnp.array([[True, False, True, True, False]])
    expected = one(LOGITS[0][valid[0]], [2, 2])[0]
    found, _ = ctc_loss(LOGITS[:1], valid, jnp.array([[2, 2]], jnp.int32))
    assert float(found[0]) == pytest.approx(expected, abs=1e-5)


def test_scores_in_bfloat16_give_the_loss_of_the_same_numbers_in_float32():
    half = LOGITS.astype(jnp.bfloat16)
    loss_B, _ = ctc_loss(half, MASK, LABEL)
    assert loss_B.dtype == jnp.float32
    expected, _ = ctc_loss(half.astype(jnp.float32), MASK, LABEL)
    np.testing.assert_allclose(loss_B, expected, rtol=1e-6)
    assert jax.grad(total)(half, MASK, LABEL).dtype == jnp.bfloat16


@pytest.mark.parametrize("labels", [[2], [2] + [3, 2] * 199 + [3]], ids=["one", "all positions"])
def test_a_loss_of_more_than_100_000_is_exact_too(labels):
    """Labels 300 below a third token: one of 400 positions, and all of them."""
    logits = np.zeros((400, 5))
    logits[:, 4] = 300.0
    ways = 400 * 401 / 2 if len(labels) == 1 else 1  # first and last position of one label
    assert one(logits, labels) == (pytest.approx(400 * 300 - np.log(ways), rel=1e-6), True)
    steep = np.full((400, 5), -1e9)
    steep[:, 0] = 0.0  # the blank, for which there is no room where all positions are needed
    steep[:, 2:4] = -300.0
    expected = 300 - np.log(400) if len(labels) == 1 else 400 * 300
    assert one(steep, labels) == (pytest.approx(expected, rel=1e-6), True)


def test_no_array_of_labels_by_vocabulary_is_made():
    program = str(
        jax.make_jaxpr(jax.grad(total))(
            jnp.zeros((2, 9, 777)), MASK[:2, :1].repeat(9, 1), LABEL[:2]
        )
    )
    assert "[2,9,777]" in program
    assert "[2,3,777]" not in program


def test_labels_are_the_tokens_without_their_end():
    tokens = jnp.array([[5, 5, 1, 0], [1, 0, 0, 0], [2, 3, 4, 5]], jnp.int32)
    assert ctc_labels(tokens).tolist() == [[5, 5, 0, 0], [0, 0, 0, 0], [2, 3, 4, 5]]


def test_needed_positions_are_labels_and_a_blank_between_equal_ones():
    tokens = np.array(
        [[5, 5, 5, 1, 0, 0], [2, 3, 2, 3, 1, 0], [1, 0, 0, 0, 0, 0], [4, 4, 2, 4, 4, 1]]
    )
    found = needed_positions(tokens)
    assert isinstance(found, np.ndarray)
    assert found.tolist() == [5, 4, 0, 7]
    assert needed_positions(tokens[0]) == 5
