"""A number that gives no work is refused in a sentence, before any work."""

from __future__ import annotations

import sys
from importlib import import_module

import pytest


@pytest.mark.parametrize(
    ("module", "words", "said"),
    [
        ("pretraining.__main__", ("--minutes", "0"), "argument --minutes: must be above 0, got 0"),
        ("pretraining.__main__", ("--minutes", "nan"), "argument --minutes: must be above 0, got nan"),
        ("pretraining.__main__", ("--steps", "0"), "argument --steps: must be above 0, got 0"),
        ("pretraining.__main__", ("--steps=-5",), "argument --steps: must be above 0, got -5"),
        ("pretraining.__main__", ("--steps", "few"), "argument --steps: invalid whole number value: 'few'"),
        ("pretraining.__main__", ("--patches", "0"), "argument --patches: must be above 0, got 0"),
        (
            "paper_curve",
            ("--method", "paper", "--volume", "8", "8", "8", "--every", "0"),
            "--every: must be above 0",
        ),
        ("fit_intervals", ("collect", "--kind", "2d", "--trained-every", "0"), "--trained-every: must be above 0"),
    ],
)
def test_a_number_that_gives_no_work_is_refused(
    module: str,
    words: tuple[str, ...],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", [module, *words, "--out", "none"])
    with pytest.raises(SystemExit) as ended:
        import_module(f"selfdeconv_tools.{module}").main()
    assert ended.value.code == 2
    assert said in capsys.readouterr().err.splitlines()[-1]
