"""Numbers of the command line that are checked before the work begins."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TypeVar

Number = TypeVar("Number", int, float)


def above_zero(kind: Callable[[str], Number]) -> Callable[[str], Number]:
    """Return a type for `argparse` that refuses 0, negative numbers and NaN.

    Examples
    --------
    >>> parser = argparse.ArgumentParser(exit_on_error=False)
    >>> _ = parser.add_argument("--steps", type=above_zero(int))
    >>> parser.parse_args(["--steps", "3"]).steps
    3
    >>> parser.parse_args(["--steps", "0"])
    Traceback (most recent call last):
    argparse.ArgumentError: argument --steps: must be above 0, got 0
    """

    def number(text: str) -> Number:
        found = kind(text)
        if not found > 0:
            raise argparse.ArgumentTypeError(f"must be above 0, got {text}")
        return found

    # In the message about a text that is no number.
    number.__name__ = "number" if kind is float else "whole number"
    return number
