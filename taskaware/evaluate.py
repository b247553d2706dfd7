"""Scores of decoded text: BLEU with its signature, WER with its normalizer, task confusion.

A score is only as good as the lists it was given: nested references score 100 BLEU, a list one
line too short scores higher than the full one, an empty list scores a perfect WER. So every
function here refuses what cannot be compared line by line, and none of them mends it.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from taskaware.errors import UsageError

NORMALIZER = "lower|strip-punctuation|v1"
"""Name and version of ``normalize_transcript``; its rules never change under the same version."""

# What keyboards, typesetters and recognizers write where an apostrophe is meant.
_APOSTROPHES = "'\u2018\u2019\u201b\u02bc\u00b4`\u2032\uff07"
_LONE_APOSTROPHE = re.compile(r"(?<!\w)'|'(?!\w)")


class _Characters(dict[int, str]):
    """What each character of a transcript becomes; filled as characters are met."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        category = unicodedata.category(character)
        if character in _APOSTROPHES:
            character = "'"
        elif category.startswith("P"):
            character = " "
        elif category == "Cf":  # soft hyphens, zero-width spaces, byte order marks: invisible
            character = ""
        return self.setdefault(code, character)


_TRANSCRIPT = _Characters()

# A SentencePiece word start, or a BPE continuation mark, that should have been joined.
_PIECE = re.compile(r"▁|@@(?=\s|$)")


class Score(NamedTuple):
    """A score and how it was computed; the two are stored and printed together."""

    value: float
    signature: str
    """BLEU: sacrebleu's own; WER: the normalizer's name and version."""


def bleu(hypotheses: Sequence[str], references: Sequence[str]) -> Score:
    """Score translations: cased corpus BLEU over detokenized text, tokenizer 13a.

    n-grams are counted over the whole corpus; the mean of sentence scores is another number.
    Quotation marks count as written: curly and straight ones differ.

    Args:
        hypotheses: what the model wrote, one detokenized string a segment.
        references: what it should have written, one string a segment, in the same order.

    Returns:
        BLEU in percent and sacrebleu's signature.

    Raises:
        UsageError: lists that cannot be compared line by line (empty, unequal, nested, undecoded
            pieces, empty references).

    Source:
        Paper §3.2 (detokenized cased BLEU); Post 2018, "A Call for Clarity in Reporting BLEU
        Scores", which the signature answers.

    Example:
        >>> round(bleu(["the cat sat on"], ["the cat sat on the mat"]).value, 2)
        60.65
    """
    hypotheses, references = _pairs("BLEU", hypotheses, references, _nfc)
    from sacrebleu.metrics.bleu import BLEU

    metric = BLEU(tokenize="13a")
    value = metric.corpus_score(hypotheses, [references]).score
    return Score(float(value), str(metric.get_signature()))


def wer(hypotheses: Sequence[str], references: Sequence[str]) -> Score:
    """Score transcripts: pooled word error rate, after ``normalize_transcript`` on both sides.

    WER = 100 · (substitutions + deletions + insertions) / reference words, each summed over the
    corpus; it exceeds 100 when many words are inserted.

    Args:
        hypotheses: what the model wrote, one string an utterance; may be empty strings.
        references: what was said, one string an utterance, in the same order.

    Returns:
        WER in percent and the normalizer's name and version.

    Raises:
        UsageError: as for ``bleu``; a reference of punctuation alone counts as empty.

    Source:
        Paper §3.2 (WER; its normalization is not stated).

    Example:
        >>> wer(["Hello,  World"], ["hello world."])
        Score(value=0.0, signature='lower|strip-punctuation|v1')
    """
    hypotheses, references = _pairs("WER", hypotheses, references, normalize_transcript)
    import jiwer

    return Score(100.0 * float(jiwer.process_words(references, hypotheses).wer), NORMALIZER)


def normalize_transcript(text: str) -> str:
    """Reduce a transcript to the words that were said.

    NFC; lower case; a space for all that Unicode counts as punctuation (%, & and @ too), but for
    apostrophes inside words, whose many forms become one; invisible characters vanish; any run
    of spaces, no-break ones too, is one space.

    Example:
        >>> normalize_transcript("“Don’t—he said—go, it’s 5 €!”")
        "don't he said go it's 5 €"
    """
    plain = _nfc(_nfc(text).lower().translate(_TRANSCRIPT))
    return " ".join(_LONE_APOSTROPHE.sub(" ", plain).split())


def confusion(
    hypotheses: Sequence[str], references: Sequence[str], others: Sequence[Sequence[str]]
) -> float:
    """Tell how often the model did another task than it was asked to.

    An output is confused when another task's reference for the same input holds more of its
    words, in order, than its own reference does (longest common subsequence of words under
    ``normalize_transcript``). Such counts, unlike an edit rate, do not depend on the references'
    lengths: an output that is merely bad, or shares with both references only a name, ties, and
    a tie is not confusion. A half-and-half output is confused when more words are the other's.

    Args:
        hypotheses: what the model wrote, one string a segment.
        references: what its task asked for, in the same order.
        others: for each segment what the other tasks ask for the same input; an empty tuple
            where no other task has a reference. One that says the same as the segment's own
            reference is ignored.

    Returns:
        Confused outputs in percent of the segments that have something to be confused with.

    Raises:
        UsageError: as for ``wer``, and when no segment has anything to be confused with.

    Source:
        Paper Table 1 shows such outputs and gives no measure; this one is the project's own.

    Example:
        >>> confusion(["das ist gut"], ["this is good"], [("das ist gut",)])
        100.0
    """
    own = _pairs("confusion", hypotheses, references, normalize_transcript)
    found = len(others) if isinstance(others, list | tuple) else f"one {type(others).__name__}"
    if found != len(hypotheses):
        raise UsageError(
            f"confusion: expected a list with other tasks' references for each of "
            f"{len(hypotheses)} outputs, an empty tuple where there are none; found {found}"
        )
    from rapidfuzz.distance import LCSseq  # jiwer's own dependency

    confused = comparable = 0
    for i, (hypothesis, reference, texts) in enumerate(zip(*own, others, strict=True)):
        _check_texts(f"confusion: other references of segment {i}", texts)
        rivals = {normalize_transcript(text) for text in texts} - {reference}
        words = hypothesis.split()
        hits = [LCSseq.similarity(words, rival.split()) for rival in rivals]
        comparable += bool(rivals)
        confused += max(hits, default=0) > LCSseq.similarity(words, reference.split())
    if not comparable:
        raise UsageError(
            "confusion: no segment has another task's reference that differs from its own; "
            "evaluate on inputs that two or more tasks share"
        )
    return 100.0 * confused / comparable


def vocabulary(texts: Sequence[str]) -> frozenset[str]:
    """Collect the words of one language's texts, as ``normalize_transcript`` leaves them."""
    _check_texts("vocabulary: texts", texts)
    return frozenset(word for text in texts for word in normalize_transcript(text).split())


def other_language_share(
    hypotheses: Sequence[str], own_words: frozenset[str], other_words: frozenset[str]
) -> float:
    """Tell how much of the output is in the language of another task, mixed outputs included.

    Args:
        hypotheses: what the model wrote, one string a segment.
        own_words: ``vocabulary`` of texts in the language that was asked for.
        other_words: ``vocabulary`` of texts in the other task's language.

    Returns:
        Words that only the other language has, in percent of all words written; 0 when nothing
        was written.

    Raises:
        UsageError: no outputs, or no word that only the other language has.

    Example:
        >>> english, german = vocabulary(["go to the man"]), vocabulary(["geh zu dem man"])
        >>> other_language_share(["go zu the man"], english, german)
        25.0
    """
    _check_texts("language share: hypotheses", hypotheses)
    foreign = other_words - own_words
    if not hypotheses or not foreign:
        raise UsageError(
            f"language share: expected outputs and words that only the other language has, found "
            f"{len(hypotheses)} outputs and {len(foreign)} such words"
        )
    words = [word for text in hypotheses for word in normalize_transcript(text).split()]
    return 100.0 * sum(word in foreign for word in words) / max(len(words), 1)


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _pairs(
    metric: str, hypotheses: Any, references: Any, normalize: Callable[[str], str]
) -> tuple[list[str], list[str]]:
    """Return both sides normalized, or refuse them; the one gate of all scores."""
    _check_texts(f"{metric}: hypotheses", hypotheses)
    _check_texts(f"{metric}: references", references)
    if len(hypotheses) != len(references) or not references:
        raise UsageError(
            f"{metric}: expected one reference a hypothesis and at least one of each, found "
            f"{len(hypotheses)} hypotheses and {len(references)} references"
        )
    normalized = [normalize(text) for text in references]
    empty = [i for i, text in enumerate(normalized) if not text.strip()]
    if empty:
        raise UsageError(
            f"{metric}: {len(empty)} of {len(references)} references are empty, the first at "
            f"index {empty[0]}: {references[empty[0]]!r}; leave those segments out on both sides"
        )
    return [normalize(text) for text in hypotheses], normalized


def _check_texts(name: str, texts: Any) -> None:
    """Refuse all but a list or tuple of decoded strings; ``name`` says whose they are."""
    if not isinstance(texts, list | tuple):
        raise UsageError(f"{name}: expected a list of strings, found one {type(texts).__name__}")
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise UsageError(
                f"{name}: expected one string a segment, found a {type(text).__name__} at index {i}"
            )
        if _PIECE.search(text):
            raise UsageError(
                f"{name}: expected decoded text, found subword pieces at index {i}: "
                f"{text[:40]!r}; decode with the tokenizer first"
            )
