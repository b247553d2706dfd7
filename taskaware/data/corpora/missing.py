"""Report files of a corpus that are missing, with one page on where to download it."""

import textwrap
from collections.abc import Mapping
from pathlib import Path

from taskaware.errors import UsageError


def require(page: str, *paths: Path) -> None:
    """Check that files and folders of a corpus exist.

    Args:
        page: where to download the corpus, its license and its layout, for users without it.
        paths: what must exist.

    Raises:
        UsageError: some do not; only this message has several lines.
    """
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise UsageError(
            f"expected {', '.join(missing)}, found nothing there",
            f"\n\n{textwrap.dedent(page).strip()}",
        )


def present(page: str, paths: Mapping[str, Path]) -> dict[str, Path]:
    """Return the splits whose files or folders exist, as not everybody has all of them.

    Raises:
        UsageError: there is none.
    """
    existing = {split: path for split, path in paths.items() if path.exists()}
    if not existing:
        require(page, *paths.values())
    return existing
