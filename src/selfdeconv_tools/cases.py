"""Generated cases of the tests: a few of each in every run of the suite, many more with `make cases N=50000`."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

#: What all tests of `cases` add up to, at least, in every run of the suite.
USUAL = 6900
#: The environment variable that asks for more.
ASKED = "SELFDECONV_CASES"


def cases(count: int) -> Callable[[Any], Any]:
    """Return a decorator for a test below ``@given``: its number of cases in every run of the suite.

    With the environment variable ``SELFDECONV_CASES`` it grows in proportion.
    """
    share = int(os.environ.get(ASKED) or USUAL) / USUAL
    limits = settings(
        max_examples=max(1, round(share * count)),
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )

    def mark(test: Any) -> Any:
        return pytest.mark.cases(limits(test))

    return mark
