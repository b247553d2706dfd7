"""A model's answers: from the encoder's output to arrays, and from arrays to text.

Every array has axes B and W first: of each row the best answers, the best first. Only heads of
tokens and labels give more than one.
"""

from collections.abc import Sequence
from typing import assert_never

import numpy as np
from jax import lax
from jaxtyping import Array, Float

from taskaware.config import Decoding, Task
from taskaware.config.wiring import FIRST_SYMBOL, Inventory
from taskaware.data.tokenizer import Tokenizer
from taskaware.dims import FRAMES_PER_SECOND
from taskaware.files.segments import Segment, format_segments
from taskaware.models.heads.ctc import CTC
from taskaware.models.heads.decoder import Decoder
from taskaware.models.heads.pooled import LabelHead, NumberHead
from taskaware.models.heads.positions import FrameHead, TagHead
from taskaware.models.seq2seq import Memory, Seq2Seq
from taskaware.search.beam import beam_search
from taskaware.search.ctc import ctc_beam_search, ctc_greedy_search, joint_scores, prefix_scores
from taskaware.search.greedy import greedy_search


def answer(
    model: Seq2Seq,
    head: str,
    memory: Memory,
    vector_BZ: Float[Array, "B Z"] | None,
    config: Decoding,
    max_length: int | None = None,
    ctc_weight: float = 0.0,
) -> Array:
    """Return a head's answers for encoded rows.

    Args:
        model: with that head.
        head: its name.
        memory: of ``model.encode``.
        vector_BZ: each row's task vector.
        config: beam, length penalty, lengths.
        max_length: T, of tokens; by default the positions and ``extra_length`` more.
        ctc_weight: μ of joint CTC/attention; 0 for the decoder alone.

    Returns:
        Tokens (B, W, T); labels (B, W), the k-th as k; tags (B, 1, S); which labels hold in each
        frame (B, 1, A, N); or scaled numbers (B, 1).
    """
    encoded, condition = model.read_by(head, memory), model.condition(head, vector_BZ)
    rows, positions = encoded.mask_BS.shape
    length = max_length or positions + config.extra_length
    beams = config.beam_size
    match made := model.heads[head]:
        case Decoder():
            start = model.start_decoding(memory, vector_BZ, beams, length, head)
            if ctc_weight:
                reads, by = model.read_by("ctc", memory), model.condition("ctc", vector_BZ)
                ctc = model.heads["ctc"]
                assert isinstance(ctc, CTC)
                log_p_BSV, mask_BS = ctc.outputs(reads, by)
                votes = prefix_scores(log_p_BSV, mask_BS, beams)
                start = joint_scores(start, votes, ctc_weight)
            joint = bool(ctc_weight)
            if beams == 1:
                return greedy_search(*start, rows, length, normalized=joint).tokens_BT[:, None]
            n_best = beam_search(
                *start,
                rows,
                length,
                beam_size=beams,
                alpha=config.length_penalty,
                normalized=joint,
            )
            return n_best.tokens_BWT
        case CTC():
            log_p_BSV, mask_BS = made.outputs(encoded, condition)
            length = max_length or log_p_BSV.shape[1] + 1
            if beams == 1:
                return ctc_greedy_search(log_p_BSV, mask_BS, length).tokens_BT[:, None]
            return ctc_beam_search(log_p_BSV, mask_BS, length, beam_size=beams).tokens_BWT
        case LabelHead():
            logits_BN = made.outputs(encoded, condition)
            return lax.top_k(logits_BN, min(beams, logits_BN.shape[1]))[1] + 1
        case TagHead():
            return made.outputs(encoded, condition).argmax(-1)[:, None] + 1
        case FrameHead():
            return (made.outputs(encoded, condition) > 0)[:, None]
        case NumberHead():
            return made.outputs(encoded, condition)[:, None]
        case _:
            assert_never(made)


def ctc_weight(task: Task, config: Decoding) -> float:
    """Return the share of CTC in the scores of a task's search; 0 if it was trained without."""
    if not task.ctc_weight or config.ctc_weight is None:
        return task.ctc_weight
    return config.ctc_weight


def as_text(
    answer_: np.ndarray | np.generic,
    task: Task,
    tokenizer: Tokenizer,
    inventory: Inventory | None,
    *,
    starts: Sequence[int] = (),
    frames: int = 0,
) -> str:
    """Return one answer of one row as text.

    Args:
        answer_: of ``answer``, without its first two axes.
        task: whose answer it is.
        tokenizer: the model's.
        inventory: of the task's head; None where it writes tokens of the vocabulary.
        starts: of tags, where each word's tokens begin.
        frames: of labelled frames, how many the recording has.
    """
    found = np.asarray(answer_)
    if inventory is None:
        return tokenizer.decode(found.tolist())
    values = inventory.values
    match task.target:
        case "label":
            return values[int(found) - 1]
        case "tags":
            return " ".join(values[found[start] - 1] for start in starts)
        case "symbols":
            written = [token for token in found.tolist() if token >= FIRST_SYMBOL]
            return " ".join(values[token - FIRST_SYMBOL] for token in written)
        case "frames":
            return format_segments(_segments(found[:frames], values))
        case "number":
            return f"{float(found) * inventory.deviation + inventory.mean:.6g}"
        case "transcript" | "translation" | "text":
            raise AssertionError(f"{task.name}: an inventory for texts")


def _segments(holds_AN: np.ndarray, values: Sequence[str]) -> list[Segment]:
    """Return the runs of frames in which each label holds."""
    segments = []
    for label, holds_A in zip(values, holds_AN.T, strict=True):
        edges = np.flatnonzero(np.diff(holds_A.astype(np.int8), prepend=0, append=0))
        for start, end in edges.reshape(-1, 2).tolist():
            segments.append(Segment(label, start / FRAMES_PER_SECOND, end / FRAMES_PER_SECOND))
    return segments
