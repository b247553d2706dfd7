"""How much of a model's output belongs to another of its tasks."""

from collections.abc import Sequence

from taskaware.errors import UsageError
from taskaware.evaluation.metrics.base import require_texts
from taskaware.evaluation.metrics.normalizers import spaced, words_of


def confusion(
    hypotheses: Sequence[str],
    references: Sequence[str],
    others: Sequence[Sequence[str]],
    labels: bool = False,
) -> float | None:
    """Return how often the model did another task than it was asked to, in percent.

    An output is confused when another task's reference for the same input holds more of its
    words, in order, than its own reference does (longest common subsequence of words under
    ``normalize_transcript``; each character is a word where a script has no spaces). Such counts,
    unlike an edit rate, do not depend on the references' lengths: an output that is merely bad, or
    shares with both references only a name, ties, and a tie is not confusion.

    A label is confused when it is another task's reference for the same input and not its own.

    Args:
        hypotheses: what the model wrote, one string per segment.
        references: what its task asked for, in the same order.
        others: for each segment what the other tasks ask for the same input; an empty tuple
            where no other task has a reference. One that says the same as the segment's own
            reference, or nothing, is ignored.
        labels: whether all are labels: one word each, in which case and punctuation count.

    Returns:
        Confused outputs in percent of the segments that have something to be confused with; None
        if there are none. One whose own reference holds no words is left out.

    Raises:
        UsageError: lists that are not of equal length, or not of strings.

    Source:
        Paper Table 1 shows such outputs and gives no measure; this one is the project's own.

    Example:
        >>> confusion(["das ist gut"], ["this is good"], [("das ist gut",)])
        100.0
        >>> confusion(["Anna", "on"], ["on", "on"], [("Anna",), ("Ben",)], labels=True)
        50.0
    """
    require_texts("confusion: hypotheses", hypotheses)
    require_texts("confusion: references", references)
    count = len(others) if isinstance(others, list | tuple) else f"one {type(others).__name__}"
    if not len(hypotheses) == len(references) == count:
        raise UsageError(
            f"confusion: expected a reference and a tuple of other tasks' references for each of "
            f"{len(hypotheses)} outputs, found {count} tuples and {len(references)} references"
        )
    from rapidfuzz.distance import LCSseq  # jiwer's own dependency

    words_in = _whole if labels else words_of
    confused = comparable = 0
    for i, texts in enumerate(others):
        require_texts(f"confusion: other references of segment {i}", texts)
    for hypothesis, reference, texts in zip(hypotheses, references, others, strict=True):
        expected = words_in(reference)
        rivals = [rival for rival in map(words_in, texts) if rival and rival != expected]
        if expected and rivals:
            words = words_in(hypothesis)
            comparable += 1
            hits = max(LCSseq.similarity(words, rival) for rival in rivals)
            confused += hits > LCSseq.similarity(words, expected)
    return 100.0 * confused / comparable if comparable else None


def _whole(label: str) -> list[str]:
    return [label] if (label := spaced(label)) else []


def vocabulary(texts: Sequence[str]) -> frozenset[str]:
    """Collect the words of one language's texts, as ``confusion`` counts them."""
    require_texts("vocabulary: texts", texts)
    return frozenset(word for text in texts for word in words_of(text))


def other_language_share(
    hypotheses: Sequence[str], own_words: frozenset[str], other_words: frozenset[str]
) -> float | None:
    """Return how much of the output is in the language of another task, in percent of words.

    Args:
        hypotheses: what the model wrote.
        own_words: ``vocabulary`` of texts in the language that was asked for.
        other_words: of texts in the other task's language.

    Returns:
        Words that only the other language has, in percent of all words written; 0 when nothing
        was written, None when there are no such words.

    Example:
        >>> english, german = vocabulary(["go to the man"]), vocabulary(["geh zu dem man"])
        >>> other_language_share(["go zu the man"], english, german)
        25.0
    """
    require_texts("language share: hypotheses", hypotheses)
    foreign = other_words - own_words
    if not foreign:
        return None
    words = [word for text in hypotheses for word in words_of(text)]
    return 100.0 * sum(word in foreign for word in words) / max(len(words), 1)
