"""Checks of a configuration's fields, each an error of one line."""

import math
from typing import Any

from taskaware.errors import UsageError


def _require_positive(config: Any, *names: str) -> None:
    for name in names:
        _require(0 < getattr(config, name) < math.inf, config, name, "positive")


def _require_positive_if_given(config: Any, *names: str) -> None:
    _require_positive(config, *(name for name in names if getattr(config, name) is not None))


def _require_not_negative(config: Any, *names: str) -> None:
    for name in names:
        _require(0 <= getattr(config, name) < math.inf, config, name, "0 or more")


def _require(ok: bool, config: Any, name: str, expected: str) -> None:
    if not ok:
        raise UsageError(
            f"{type(config).__name__}.{name}: expected {expected}, found {getattr(config, name)!r}"
        )
