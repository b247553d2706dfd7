"""Normalization before scoring: visible text, or spoken words and characters."""

import re
import unicodedata

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

# Scripts without spaces between words: Thai, Lao, Tibetan, Burmese, Khmer, kana and Chinese.
_UNSPACED = (
    "\u0e00-\u109f\u1780-\u17ff\u2e80-\u312f\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
_CHARACTER = re.compile(f"[{_UNSPACED}]")
_SPACE_BESIDE = re.compile(f"(?<=[{_UNSPACED}]) | (?=[{_UNSPACED}])")


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


def normalize_characters(text: str) -> str:
    """Return a normalized transcript whose characters are to be counted."""
    return _SPACE_BESIDE.sub("", normalize_transcript(text))


def visible(text: str) -> str:
    """Return a text in form NFC; nothing, if all of it is spaces and invisible characters."""
    seen = any(not c.isspace() and unicodedata.category(c) != "Cf" for c in text)
    return _nfc(text) if seen else ""


def words_of(text: str) -> list[str]:
    """Return a text's words; of a script without spaces, its characters."""
    return _CHARACTER.sub(r" \g<0> ", normalize_transcript(text)).split()


def mostly_unspaced(text: str, spaces: int = 0) -> bool:
    """Return whether most of a text, ``spaces`` not counted, is of scripts without spaces."""
    return 2 * len(_CHARACTER.findall(text)) > len(text) - spaces


def spaced(text: str) -> str:
    """Return a text in form NFC with one space between words, case and punctuation kept."""
    return " ".join(visible(text).split())


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)
