"""Each head's answer beside what its outputs say, and as text."""

import functools

import jax
import numpy as np
import pytest
from flax import nnx
from support.mixed_heads import INVENTORIES, NAMES, TASKS, batch, model

from taskaware.config import Decoding, Task
from taskaware.config.wiring import Inventory
from taskaware.data.tokenizer import Tokenizer, train_tokenizer
from taskaware.dims import EOS, PAD
from taskaware.search.answers import as_text, ctc_weight
from taskaware.search.model import make_search


@functools.cache
def outputs(task):
    """What a task's head makes of its rows, with the mask where it gives one."""
    m, rows = model("vanilla"), batch(rows=3)[task]
    head = m.head_of(task)

    @nnx.jit
    def of(m, source):
        memory = m.encode(*m.embed_source(source), None)
        return m.heads[head].outputs(m.read_by(head, memory), m.condition(head, None))

    return jax.tree.map(np.asarray, of(m, rows.source))


@functools.cache
def answers(task, beams=1, weight=0.0, length=None):
    m, rows = model("vanilla"), batch(rows=3)[task]
    decoding = Decoding(beam_size=beams, extra_length=2)
    search = make_search(m, decoding, head=m.head_of(task), ctc_weight=weight, split=False)
    return np.asarray(search(rows.source, None, max_length=length))


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    path = tmp_path_factory.mktemp("words") / "tokenizer.model"
    train_tokenizer(["so it is"], 15, path)
    return Tokenizer.load(path)


@pytest.mark.parametrize(("beams", "count"), [(1, 1), (2, 2), (8, 3)])
def test_labels_come_in_the_order_of_their_logits_as_many_as_there_are_beams(beams, count):
    order_BN = np.argsort(-outputs("intent"), axis=1)
    np.testing.assert_array_equal(answers("intent", beams), order_BN[:, :count] + 1)


def test_each_position_has_the_tag_of_the_largest_logit():
    expected_BS = outputs("slots").argmax(-1) + 1
    np.testing.assert_array_equal(answers("slots", 4), expected_BS[:, None])


def test_a_label_holds_in_the_frames_where_it_is_likelier_than_not():
    found, logits_BAN = answers("vad"), outputs("vad")
    np.testing.assert_array_equal(found, 1 / (1 + np.exp(-logits_BAN[:, None])) > 0.5)
    assert found.dtype == bool and 0 < found.mean() < 1


def test_a_number_is_what_the_head_says():
    np.testing.assert_allclose(answers("age"), outputs("age")[:, None], rtol=1e-5)


@pytest.mark.parametrize("task", ["phones", "speller"])
def test_a_beam_of_one_reads_ctc_s_best_path(task):
    log_p_BSV, mask_BS = outputs(task)
    found = answers(task, length=12)
    assert found.shape == (3, 1, 12)
    for row in range(3):
        log_p_SV = log_p_BSV[row][mask_BS[row]].copy()
        log_p_SV[:, EOS] = -np.inf  # an end is no label
        path = log_p_SV.argmax(-1)
        merged = [k for i, k in enumerate(path) if i == 0 or k != path[i - 1]]
        labels = [k for k in merged if k != PAD][:12]
        assert [k for k in found[row, 0].tolist() if k > 1] == labels


@pytest.mark.parametrize("beams", [1, 3])
def test_a_joint_search_in_which_ctc_has_next_to_no_say_is_the_decoder_s(beams):
    alone, joint = (answers("asr", beams, weight, 6) for weight in (0.0, 1e-9))
    np.testing.assert_array_equal(alone, joint)


def test_a_joint_search_in_which_ctc_decides_is_another():
    alone, joint = (answers("asr", 3, weight, 6) for weight in (0.0, 0.99))
    assert (alone != joint).any()


@pytest.mark.parametrize(
    ("trained", "asked", "expected"),
    [(0.25, None, 0.25), (0.25, 0.0, 0.0), (0.25, 0.5, 0.5), (0.0, 0.5, 0.0), (0.0, None, 0.0)],
)
def test_a_search_may_weigh_ctc_anew_where_it_was_trained(trained, asked, expected):
    task = Task(name="a", source="speech", target="transcript", ctc_weight=trained)
    assert ctc_weight(task, Decoding(ctc_weight=asked)) == expected


def text(answer, task, tokenizer, **about):
    one = TASKS[NAMES.index(task)]
    return as_text(np.asarray(answer), one, tokenizer, INVENTORIES.get(one.column), **about)


def test_answers_as_text(tokenizer):
    assert text(3, "intent", tokenizer) == "tell"
    assert text([1, 2, 3, 1], "slots", tokenizer, starts=[0, 2]) == "B-who O"
    assert text([3, 3, 7, 1, 0, 2], "phones", tokenizer) == "a a u"  # neither end nor unknown
    assert text([], "phones", tokenizer) == ""
    assert text(-1.5, "age", tokenizer) == "12"
    assert text(np.float32(1 / 3), "age", tokenizer) == "34"
    holds_AN = np.zeros((40, 2), bool)
    holds_AN[3:7, 1] = holds_AN[0:2, 0] = holds_AN[9:, 0] = True
    said = "noise 0 0.02, speech 0.03 0.07, noise 0.09 0.12"
    assert text(holds_AN, "vad", tokenizer, frames=12) == said  # padding holds nothing
    assert text(~holds_AN[:0], "vad", tokenizer, frames=0) == ""
    assert text(tokenizer.encode("so it is"), "mt", tokenizer) == "so it is"


def test_a_number_keeps_six_digits_whatever_its_scale(tokenizer):
    task = Task(name="a", source="text", target="number", column="c")
    small = Inventory(mean=1e-4, deviation=1e-5)
    assert as_text(np.float32(2.0), task, tokenizer, small) == "0.00012"
