"""How many cases the suite generates each time: docs/trust.md promises so many."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from selfdeconv_tools.cases import ASKED, USUAL, cases

TESTS = Path(__file__).parent


def test_the_suite_generates_as_many_cases_as_promised() -> None:
    counts: list[int] = []
    for path in TESTS.rglob("test_*.py"):
        text = path.read_text("utf-8")
        named = re.search(r"^(\w+) = cases\((\d+)\)", text, re.MULTILINE)
        counts += [int(count) for count in re.findall(r"^ *@cases\((\d+)\)", text, re.MULTILINE)]
        if named is not None:
            counts += [int(named[2])] * len(re.findall(rf"^@{named[1]}$", text, re.MULTILINE))
    assert sum(counts) >= USUAL


def test_more_cases_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def marks() -> int:
        from hypothesis import given
        from hypothesis import strategies as st

        @cases(10)
        @given(st.integers())
        def test(number: int) -> None:
            del number

        assert [mark.name for mark in test.pytestmark] == ["cases"]
        most: int = test._hypothesis_internal_use_settings.max_examples
        return most

    assert marks() == 10
    monkeypatch.setenv(ASKED, "50000")
    assert marks() == 72
