"""What the machine lets this process use."""

import os


def cpu_count() -> int:
    """Return how many cores this process may use, which a cluster may have limited."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
