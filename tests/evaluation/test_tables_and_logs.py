import json
import resource

import pytest

from taskaware.runs.console import say
from taskaware.runs.log import RunLog


def lines(folder):
    return [
        json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()
    ]


def test_a_line_is_printed_as_it_is(capsys):
    line = "table.tsv:100: a[b]/c.wav: expected 16000 Hz :warning: [bold]"
    say(line)
    assert capsys.readouterr().out == f"{line}\n"


def test_a_run_that_goes_on_drops_the_lines_after_its_step_and_half_a_line(tmp_path):
    told = "".join(json.dumps({"step": step}) + "\n" for step in range(1, 6))
    (tmp_path / "metrics.jsonl").write_text(told + '{"step"')
    with RunLog(tmp_path, "run", 3, 5):
        assert lines(tmp_path) == [1, 2, 3]


def test_a_run_that_cannot_go_on_for_a_full_disk_keeps_every_line(tmp_path):
    told = "".join(json.dumps({"step": step, "text": "x" * 90}) + "\n" for step in range(1, 101))
    (tmp_path / "metrics.jsonl").write_text(told)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            RunLog(tmp_path, "run", 90, 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (tmp_path / "metrics.jsonl").read_text() == told
    assert [entry.name for entry in tmp_path.iterdir()] == ["metrics.jsonl"]
