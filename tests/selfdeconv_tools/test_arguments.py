"""A number that gives no work is refused in a sentence, before any work."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "words", "said"),
    [
        ("pretraining", ("--minutes", "0"), "argument --minutes: must be above 0, got 0"),
        ("pretraining", ("--minutes", "nan"), "argument --minutes: must be above 0, got nan"),
        ("pretraining", ("--steps", "0"), "argument --steps: must be above 0, got 0"),
        ("pretraining", ("--steps=-5",), "argument --steps: must be above 0, got -5"),
        ("pretraining", ("--steps", "few"), "argument --steps: invalid whole number value: 'few'"),
        ("pretraining", ("--patches", "0"), "argument --patches: must be above 0, got 0"),
        (
            "paper_curve",
            ("--method", "paper", "--volume", "8", "8", "8", "--every", "0"),
            "--every: must be above 0",
        ),
        ("fit_intervals", ("collect", "--kind", "2d", "--trained-every", "0"), "--trained-every: must be above 0"),
    ],
)
def test_a_number_that_gives_no_work_is_refused(module: str, words: tuple[str, ...], said: str) -> None:
    command = [sys.executable, "-m", f"selfdeconv_tools.{module}", *words, "--out", "none"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 2
    assert run.stderr.count("\n") < 20
    assert said in run.stderr.splitlines()[-1]
