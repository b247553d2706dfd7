"""A corpus that is not where it was said to be: one page on what is missing and where it is got."""

import textwrap
from collections.abc import Mapping
from pathlib import Path

from taskaware.errors import UsageError


def require(page: str, *paths: Path) -> None:
    """Make sure that files and folders of a corpus are there.

    Args:
        page: where the corpus is got, its license and its tree, for whoever does not have it.
        paths: what must exist.

    Raises:
        UsageError: some do not; this message alone has several lines.
    """
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise UsageError(
            f"expected {', '.join(missing)}, found nothing there",
            f"\n\n{textwrap.dedent(page).strip()}",
        )


def present(page: str, places: Mapping[str, Path]) -> dict[str, Path]:
    """Return the splits whose files or folders are there, as not everybody has all of them.

    Raises:
        UsageError: there is none.
    """
    there = {split: path for split, path in places.items() if path.exists()}
    if not there:
        require(page, *places.values())
    return there
