"""The tool that causes faults on purpose finds what it is to find; the long runs are made by hand."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from selfdeconv_tools.faults.cycles import MOST_MB, Held, start_and_stop


def test_starts_and_stops_leave_nothing() -> None:
    summary, problems = start_and_stop(4, seed=1)
    assert problems == []
    assert summary.startswith("cycles: 4 starts and stops; memory ")


def test_what_is_held_more_than_before_is_named(tmp_path: Path) -> None:
    before = Held.now(tmp_path)
    assert before.grown(before) == []
    (tmp_path / "left.part").touch()
    with (tmp_path / "open").open("w"):
        after = Held.now(tmp_path)
    assert [one.split()[0] for one in after.grown(before)] == ["handles", "files"]
    grown = replace(before, megabytes=before.megabytes + MOST_MB + 1)
    assert grown.grown(before)[0].startswith("memory ")


@pytest.mark.skipif(sys.platform == "win32", reason="forks")
def test_a_command_that_is_killed_at_three_moments_goes_on() -> None:
    command = [sys.executable, "-m", "selfdeconv_tools.faults", "--kills", "3"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    assert "killed 3" in done.stdout
    assert "broken 0" in done.stdout
