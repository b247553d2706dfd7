"""Text with marked slots, such as "B-who the child E-who is sleeping", and what follows from it."""

import re

_MARKS = re.compile(r"B-\w+ | E-\w+")


def mark(slot: str, text: str) -> str:
    """Return a text between the marks of a slot; without a slot, as it is."""
    return f"B-{slot} {text} E-{slot}" if slot else text


def unmarked(text: str) -> str:
    """Return a text without its marks."""
    return _MARKS.sub("", text)


def tags(text: str) -> str:
    """Return a BIO tag for each word of a marked text, separated by spaces.

    Example:
        >>> tags("B-who the child E-who is sleeping")
        'B-who I-who O O'
    """
    bio, slot, inside = [], "", False
    for word in text.split():
        edge, _, name = word.partition("-")
        if name and edge in ("B", "E"):
            slot, inside = name if edge == "B" else "", False
        else:
            bio.append(f"{'I' if inside else 'B'}-{slot}" if slot else "O")
            inside = bool(slot)
    return " ".join(bio)
