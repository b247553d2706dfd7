"""Which values of a parametrization the default suite tries."""

import pytest


def only(values, *tried):
    """All values, of which those besides ``tried``, on the same way, are run by -m variants."""
    assert set(tried) <= set(values)
    rest = pytest.mark.variants
    return [v if v in tried else pytest.param(*several(v), marks=rest) for v in values]


def several(value):
    """What a test takes at once."""
    return value if isinstance(value, tuple) else (value,)
