"""What this process may use of the machine, and how it sets up JAX."""

import contextlib
import ctypes
import os
from pathlib import Path


def cpu_count() -> int:
    """Return how many cores this process may use, which a cluster may limit."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_mappings() -> tuple[int, int] | None:
    """Return how many memory mappings this process has, and how many Linux grants it.

    None on other systems.
    """
    try:
        limit = int(Path("/proc/sys/vm/max_map_count").read_text())
        with Path("/proc/self/maps").open("rb") as maps:
            return sum(1 for _ in maps), limit
    except OSError:
        return None


def return_freed_memory() -> None:
    """Return freed memory to the system, where the C library (glibc) can."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def set_up_jax() -> None:
    """Configure JAX and Orbax for a process that runs one command.

    Compiled programs are cached between commands, unless the user has chosen otherwise.
    """
    import jax

    with contextlib.suppress(ImportError):  # it comes with Orbax
        import absl.logging

        absl.logging.get_absl_logger().setLevel(
            "CRITICAL"
        )  # Orbax logs every step, and errors twice

    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "taskaware" / "xla"
        jax.config.update("jax_compilation_cache_dir", str(cache))
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        # A start compiles some large programs and hundreds of small ones.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
