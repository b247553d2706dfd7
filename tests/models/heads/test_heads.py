"""Each head beside loops over its equations, on random outputs of an encoder."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from reference.alignments import label_probabilities, log_softmax
from support.mixed_heads import CONFIG

from taskaware.config import Task
from taskaware.config.heads import (
    CTCConfig,
    FramesConfig,
    LabelConfig,
    NumberConfig,
    TagsConfig,
)
from taskaware.config.wiring import Inventory
from taskaware.dims import FrameLabels, Label, Number, Tags, Text, Tokens
from taskaware.models.building import build_for
from taskaware.models.heads import Condition, Encoded, build_head

B, S, D, N = 3, 4, CONFIG.d_model, 4
STRIDE = CONFIG.stride
LENGTH = (4, 2, 3)
"""Valid positions of each row."""
NONE = Condition()
KINDS = {
    "label, mean": LabelConfig(name="h"),
    "label, attention": LabelConfig(name="h", pooling="attention"),
    "number, mean": NumberConfig(name="h"),
    "number, attention": NumberConfig(name="h", pooling="attention"),
    "tags": TagsConfig(name="h"),
    "frames": FramesConfig(name="h"),
    "ctc": CTCConfig(name="h"),
    "ctc, twice the rate": CTCConfig(name="h", rate=2),
}


def made(kind, **changes):
    config = dataclasses.replace(CONFIG, **changes)
    head = build_head(KINDS[kind], config, N, rngs=nnx.Rngs(0))
    random = np.random.default_rng(1)
    drawn = jax.tree.map(
        lambda x: jnp.asarray(random.normal(size=x.shape), jnp.float32), nnx.state(head)
    )
    nnx.update(head, drawn)  # biases too
    return head


def memory(beyond=0.0, more=0):
    """An encoder's output; what stands beyond a row's length differs from call to call."""
    random = np.random.default_rng(2)
    memory_BSD = random.normal(size=(B, S, D)).astype(np.float32)
    memory_BSD = np.pad(memory_BSD, ((0, 0), (0, more), (0, 0)))
    mask_BS = np.arange(S + more)[None] < np.array(LENGTH)[:, None]
    memory_BSD[~mask_BS] = beyond
    return Encoded(jnp.asarray(memory_BSD), jnp.asarray(mask_BS))


def target(kind, width=S):
    """Of the last row there is none."""
    random = np.random.default_rng(3)
    match KINDS[kind]:
        case LabelConfig():
            return Label(np.array([2, 4, 0], np.int32))
        case NumberConfig():
            return Number(np.array([0.5, 0.0, np.nan], np.float32))
        case TagsConfig():
            tags = np.array([[1, 0, 4, 2], [3, 2, 0, 0], [0] * 4], np.int32)
            return Tags(np.pad(tags, ((0, 0), (0, width - S))))
        case FramesConfig():
            holds = random.integers(0, 2, (B, STRIDE * width - 3, N)) > 0
            return FrameLabels(holds, np.array([28, 13, 0], np.int32))
        case _:
            return Tokens(np.array([[3, 3, 1], [2, 1, 0], [0, 0, 0]], np.int32))


def affine(head, name, x):
    layer = getattr(head, name) if name != "weigh" else head.pool.weigh
    return x @ np.asarray(layer.kernel[...]) + np.asarray(layer.bias[...])


def pooled(head, encoded):
    out = np.zeros((B, D))
    for row, length in enumerate(LENGTH):
        x_SD = np.asarray(encoded.memory_BSD)[row, :length]
        weight_S = np.full(length, 1 / length)
        if head.pool.weigh is not None:
            score_S = affine(head, "weigh", x_SD)[:, 0]
            weight_S = np.exp(score_S) / np.exp(score_S).sum()
        for weight, x_D in zip(weight_S, x_SD, strict=True):
            out[row] += weight * x_D
    return out


def ctc_logits(head, encoded):
    x_BSD = np.asarray(encoded.memory_BSD)
    if head.finer is None:
        return affine(head, "scores", x_BSD)
    each = []
    for position in range(x_BSD.shape[1]):
        wide = np.maximum(affine(head, "finer", x_BSD[:, position]), 0)
        each += [wide[:, :D], wide[:, D:]]
    return affine(head, "scores", np.stack(each, axis=1))


def expected_loss(kind, head, encoded, wanted):
    """Of each row, with how much is judged in it."""
    loss, judged = np.zeros(B), np.zeros(B)
    for row in range(2):
        match wanted:
            case Label():
                log_p_N = log_softmax(affine(head, "scores", pooled(head, encoded)))[row]
                loss[row], judged[row] = -log_p_N[wanted.label_B[row] - 1], 1
            case Number():
                error = affine(head, "scores", pooled(head, encoded))[row, 0] - wanted.number_B[row]
                loss[row], judged[row] = error * error / 2, 1
            case Tags():
                log_p_SN = log_softmax(affine(head, "scores", np.asarray(encoded.memory_BSD)[row]))
                for position, tag in enumerate(wanted.label_BS[row]):
                    if tag:
                        loss[row] -= log_p_SN[position, tag - 1]
                        judged[row] += 1
            case FrameLabels():
                for frame in range(wanted.length_B[row]):
                    x_D = np.asarray(encoded.memory_BSD)[row, frame // STRIDE]
                    logits = affine(head, "scores", x_D).reshape(STRIDE, N)[frame % STRIDE]
                    for logit, holds in zip(logits, wanted.holds_BAN[row, frame], strict=True):
                        loss[row] += np.log1p(np.exp(-logit if holds else logit))
                    judged[row] += 1
            case Tokens():
                steps = LENGTH[row] * KINDS[kind].rate
                log_p_SV = log_softmax(ctc_logits(head, encoded))[row, :steps]
                label = tuple(token for token in wanted.tokens_BT[row].tolist() if token > 1)
                loss[row] = -np.log(label_probabilities(log_p_SV)[label])
                judged[row] = len(label)
    return loss, judged


@pytest.mark.parametrize("kind", KINDS)
def test_a_loss_is_its_equation_summed_over_what_is_judged(kind):
    head, encoded, wanted = made(kind), memory(), target(kind)
    found = head.loss(encoded, wanted, NONE)
    loss, judged = expected_loss(kind, head, encoded, wanted)
    np.testing.assert_allclose(found.loss_B, loss, rtol=1e-4)
    np.testing.assert_array_equal(found.judged_B, judged)
    assert float(found.loss_B[2]) == 0  # has no target


@pytest.mark.parametrize("kind", KINDS)
def test_what_stands_beyond_a_row_s_length_and_appended_padding_change_nothing(kind):
    head = made(kind)
    before = head.loss(memory(), target(kind), NONE)
    other = head.loss(memory(beyond=7.0), target(kind), NONE)
    longer = head.loss(memory(beyond=-3.0, more=4), target(kind, S + 4), NONE)
    if isinstance(target(kind), FrameLabels):  # drawn for another width, so what holds differs
        wanted, wide = target(kind), target(kind, S + 4)
        holds = np.array(wide.holds_BAN)
        holds[:, : wanted.holds_BAN.shape[1]] = wanted.holds_BAN
        longer = head.loss(memory(-3.0, 4), FrameLabels(holds, wanted.length_B), NONE)
    for found in (other, longer):
        np.testing.assert_allclose(found.loss_B, before.loss_B, rtol=1e-5)
        np.testing.assert_array_equal(found.judged_B, before.judged_B)


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_that_is_not_judged_has_a_gradient_of_exactly_zero(kind):
    head, encoded = made(kind), memory()
    graphdef, params = nnx.split(head)

    def loss(params, memory_BSD):
        rows = nnx.merge(graphdef, params)
        return rows.loss(Encoded(memory_BSD, encoded.mask_BS), target(kind), NONE).loss_B

    pull = jax.vjp(loss, params, encoded.memory_BSD)[1]
    of_last = pull(jnp.array([0.0, 0.0, 1.0]))
    assert all(not np.asarray(leaf).any() for leaf in jax.tree.leaves(of_last))
    of_first = pull(jnp.array([1.0, 0.0, 0.0]))
    assert all(np.asarray(leaf).any() for leaf in jax.tree.leaves(of_first))
    assert not np.asarray(of_first[1])[1:].any()


@pytest.mark.parametrize("column", ["items", "values", "key", "a.b", "two words", "1"])
def test_a_column_may_be_named_as_it_likes(column):
    task = Task(name="t", source="text", target="label", column=column)
    inventories = {column: Inventory(values=("a", "b"))}
    net = build_for([task], dataclasses.replace(CONFIG, heads=()), 7, inventories, seed=0)
    source = Text(jnp.array([[3, 1]]))
    memory = net.encode(*net.embed_source(source), jnp.zeros((1, net.modulator.vector_width)))
    head = net.with_transposed_kernels().heads[column]
    assert head.outputs(net.read_by(column, memory), NONE).shape == (1, 2)


def test_a_row_without_a_valid_position_is_finite_with_a_finite_gradient():
    for kind in ("label, mean", "label, attention", "number, attention"):
        head, encoded = made(kind), memory()
        nobody = encoded.mask_BS.at[0].set(False)

        def loss(memory_BSD, head=head, kind=kind, nobody=nobody):
            return head.loss(Encoded(memory_BSD, nobody), target(kind), NONE).loss_B.sum()

        value, slope = jax.value_and_grad(loss)(encoded.memory_BSD)
        assert np.isfinite(value) and np.isfinite(slope).all()
        assert not np.asarray(slope)[0].any()


def test_ctc_of_labels_that_do_not_fit_is_not_judged():
    head, encoded = made("ctc"), memory()
    wanted = Tokens(np.array([[3, 3, 2, 1], [3, 3, 1, 0], [2, 3, 2, 1]], np.int32))
    found = head.loss(encoded, wanted, NONE)  # 4 of 4 positions needed, 3 of 2, 3 of 3
    assert found.judged_B.tolist() == [3, 0, 3]
    assert float(found.loss_B[1]) == 0
    finer = made("ctc, twice the rate").loss(encoded, wanted, NONE)
    assert finer.judged_B.tolist() == [3, 2, 3]


@pytest.mark.parametrize("kind", ["ctc", "ctc, twice the rate"])
def test_ctc_gives_log_probabilities_at_its_rate(kind):
    head, encoded = made(kind), memory()
    found = head.outputs(encoded, NONE)
    rate = KINDS[kind].rate
    np.testing.assert_allclose(
        found.memory_BSD, log_softmax(ctc_logits(head, encoded)), atol=1e-4, rtol=1e-4
    )
    assert found.mask_BS.sum(1).tolist() == [rate * length for length in LENGTH]
    assert found.mask_BS.shape == (B, rate * S)


def test_frames_are_scored_stride_at_a_position():
    head, encoded = made("frames"), memory()
    found = np.asarray(head.outputs(encoded, NONE))
    assert found.shape == (B, STRIDE * S, N)
    for frame in (0, STRIDE - 1, STRIDE, 2 * STRIDE + 3):
        x_D = np.asarray(encoded.memory_BSD)[0, frame // STRIDE]
        expected = affine(head, "scores", x_D).reshape(STRIDE, N)[frame % STRIDE]
        np.testing.assert_allclose(found[0, frame], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_target_as_vectors_is_what_the_output_layer_has_for_it(kind):
    head, wanted = made(kind), target(kind)
    found = head.vectors(wanted)
    kernel_DN = np.asarray(head.scores.kernel[...]) * D**0.5
    some = found.mask_BT
    match wanted:
        case Label():
            expected = [[kernel_DN[:, 1]], [kernel_DN[:, 3]], [np.zeros(D)]]
            judged = [[True], [True], [False]]
        case Number():
            expected = [[0.5 * kernel_DN[:, 0]], [np.zeros(D)], [np.zeros(D)]]
            judged = [[True], [True], [False]]  # zero is a number
        case Tags():
            expected = [
                [kernel_DN[:, tag - 1] if tag else np.zeros(D) for tag in row]
                for row in wanted.label_BS
            ]
            judged = wanted.label_BS > 0
        case FrameLabels():
            expected, judged = np.zeros((B, S, D)), np.zeros((B, S), bool)
            for row, length in enumerate(wanted.length_B):
                for position in range(-(-length // STRIDE)):
                    judged[row, position] = True
                    for offset in range(STRIDE):
                        frame = position * STRIDE + offset
                        for label in range(N):
                            if (
                                frame < wanted.holds_BAN.shape[1]
                                and (wanted.holds_BAN[row, frame, label])
                            ):
                                column = kernel_DN[:, offset * N + label]
                                expected[row, position] += column / STRIDE
        case Tokens():
            expected = [
                [kernel_DN[:, token] if token else np.zeros(D) for token in row]
                for row in wanted.tokens_BT
            ]
            judged = wanted.tokens_BT > 0
    np.testing.assert_array_equal(some, judged)
    np.testing.assert_allclose(found.y_BTD, np.array(expected), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_in_a_model_of_bfloat16_a_head_s_loss_is_in_float32(kind):
    """Labels, tags, frames and numbers are scored in float32, CTC as the model's other products."""
    narrow, whole, encoded = made(kind, dtype="bfloat16"), made(kind), memory()
    found, exact = (head.loss(encoded, target(kind), NONE).loss_B for head in (narrow, whole))
    assert found.dtype == jnp.float32
    if "ctc" in kind:
        assert (found[:2] != exact[:2]).any()
        np.testing.assert_allclose(found, exact, rtol=0.1)
        logits = narrow.logits(encoded, NONE)
        assert logits.dtype == jnp.float32
        assert (logits != logits.astype(jnp.bfloat16)).any()  # its sums are not rounded
    else:
        np.testing.assert_array_equal(found, exact)
