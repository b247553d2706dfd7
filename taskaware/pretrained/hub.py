"""The Hugging Face hub, where the extra ``hub`` is there."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from taskaware.errors import UsageError


def from_hub(repo_id: str, files: Sequence[str], download: bool, revision: str | None) -> Path:
    """Return the folder of a repository's files, downloaded or cached; none is a UsageError."""
    if repo_id.count("/") != 1 or not all(map(str.strip, repo_id.split("/"))):
        raise UsageError(f"{repo_id}: neither a folder nor owner/name on the Hugging Face hub")
    hub = the_hub(f"{repo_id}: no such folder; the hub")
    try:
        return Path(
            hub.snapshot_download(
                repo_id,
                revision=revision,
                allow_patterns=[*files],
                local_files_only=not download,
            )
        )
    except Exception as error:  # the network's, the hub's and Python's own
        reason = " ".join(str(error).split())
        advice = "" if download else "; it has not been downloaded yet: download=True"
        raise UsageError(
            f"{repo_id}: no such folder, nor found on the hub{advice} ({reason})"
        ) from None


def the_hub(where: str = "the hub") -> Any:
    """Return the library ``huggingface_hub``, or raise UsageError where it is missing."""
    try:
        import huggingface_hub

        return huggingface_hub
    except ModuleNotFoundError:
        raise UsageError(
            f'{where}: huggingface_hub is missing; pip install "taskaware[hub]"'
        ) from None
