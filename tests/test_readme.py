"""The README's Python runs as it stands, from the first block to the last."""

import re
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_the_readmes_python_runs():
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert any("FiLM(" in block for block in blocks) and any("graft(" in block for block in blocks)
    names = {}
    for block in blocks:
        exec(compile(block, README.name, "exec"), names)
        assert names["y"].shape == (2, 5, 8)
