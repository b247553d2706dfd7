"""A strict room: no silent rank promotion, warnings are errors, eight devices, a compile cache."""

import gc
import os

os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", os.path.expanduser("~/.cache/taskaware/tests"))
# Operations outside of jit compile too, each in no time, but there are thousands of them.
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import signal
import sys
from pathlib import Path

import jax
import pytest
from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))  # for tests/reference
# A shell's background job ignores interrupts, and so would every process that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Tests compile more than they compute: XLA need not make their programs fast.
cheap = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
if jax.__version_info__ < (0, 11):  # a later XLA has no other emitters
    cheap += " --xla_cpu_use_fusion_emitters=false --xla_llvm_force_inline_before_split=false"
# A program of LLVM in one piece: there are no processors left to compile its parts.
cheap += " --xla_cpu_parallel_codegen_split_count=1 --xla_force_host_platform_device_count=8"
given = os.environ.get("XLA_FLAGS", "")
if cheap not in given:  # as what a process of xdist is given
    # What a shell asks for, as --xla_cpu_max_isa=AVX2, stands last and so wins.
    os.environ["XLA_FLAGS"] = f"{cheap} {given}".strip()
jax.config.update("jax_numpy_rank_promotion", "raise")
settings.register_profile("default", deadline=None, derandomize=True, max_examples=60)
settings.register_profile("long", deadline=None, max_examples=3000)


def is_long(config: pytest.Config) -> bool:
    return config.option.markexpr == "long"


def pytest_configure(config):
    settings.load_profile("long" if is_long(config) else "default")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """What is tried with some examples in the default suite is tried with many in the long one.

    The many quick tests of data come last, so that no process is left alone with a slow one.
    """
    items.sort(key=lambda item: item.path.is_relative_to(Path(__file__).parent / "data"))
    for item in items:
        if is_long(config) and getattr(
            getattr(item, "function", None), "is_hypothesis_test", False
        ):
            item.add_marker("long")


def pytest_collection_finish(session):
    """What has been imported stays, and need not be looked through for garbage every time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data beside the repository, where there is any."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs real recordings in ../shared/data")
    return folder
