"""Checks of single values. Each returns the value as a plain Python object, or raises ConfigError."""

from __future__ import annotations

import math
import numbers

import numpy as np

from napari_selfdeconv.errors import ConfigError

# Characters of a value in a message.
_SHOWN = 80


def check_number(
    name: str, value: object, low: float, high: float, *, open_low: bool = False, hint: str = ""
) -> float:
    """Return ``value`` as a plain number; ConfigError unless it is finite and from ``low`` to ``high``.

    Parameters
    ----------
    name : how the value is called in the message.
    value : a Python or NumPy number; True and False are not numbers.
    low, high : the range; infinite where there is no limit.
    open_low : whether ``low`` itself is refused.
    hint : text at the end of the message.

    Examples
    --------
    >>> check_number("share", 2, 0, 1, open_low=True)
    Traceback (most recent call last):
        ...
    napari_selfdeconv.errors.ConfigError: share must be a number above 0 and at most 1, got 2
    """
    try:
        number = float(value) if isinstance(value, numbers.Real) and not _is_flag(value) else math.nan
    except OverflowError:  # A whole number beyond all floats.
        number = math.inf
    if not (math.isfinite(number) and (low < number if open_low else low <= number) and number <= high):
        raise ConfigError(f"{name} must be {number_words(low, high, open_low)}, got {shown(value)}{hint}")
    return int(value) if isinstance(value, numbers.Integral) else number


def check_whole(name: str, value: object, low: int, high: int) -> int:
    """Return ``value`` as an int; ConfigError unless it is a whole number from ``low`` to ``high``."""
    number = int(value) if isinstance(value, numbers.Integral) and not _is_flag(value) else None
    if number is None or not low <= number <= high:
        raise ConfigError(f"{name} must be a whole number from {low} to {high}, got {shown(value)}")
    return number


def check_flag(name: str, value: object) -> bool:
    """Return ``value`` as a bool; ConfigError unless it is True or False."""
    if not _is_flag(value):
        raise ConfigError(f"{name} must be True or False, got {shown(value)}")
    return bool(value)


def _is_flag(value: object) -> bool:
    return isinstance(value, (bool, np.bool_))


def check_voxel(name: str, value: object, ndim: int) -> tuple[float, ...]:
    """Return a voxel size as floats; ConfigError unless it has ``ndim`` numbers above 0 and at most 1000 um.

    Examples
    --------
    >>> check_voxel("voxel_um", np.array([0.3, 0.1, 0.1]), 3)
    (0.3, 0.1, 0.1)
    """
    try:
        sizes: tuple[object, ...] = tuple(value)  # type: ignore[arg-type]
    except TypeError:
        raise ConfigError(f"{name} must have {ndim} entries, one an axis, got {shown(value)}") from None
    if len(sizes) != ndim:
        raise ConfigError(f"{name} must have {ndim} entries, one an axis, got {shown(sizes)}")
    return tuple(
        float(check_number(f"{name} (d{axis})", size, 0.0, 1000.0, open_low=True, hint=" (in micrometres)"))
        for axis, size in zip("zyx"[-ndim:], sizes, strict=True)
    )


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> str:
    """Return ``value`` as a str; ConfigError unless it is one of ``choices``."""
    if not isinstance(value, str) or value not in choices:
        raise ConfigError(f"{name} must be one of {', '.join(choices)}, got {shown(value)}")
    return str(value)


def number_words(low: float, high: float, open_low: bool = False) -> str:
    """Say a range in words.

    Examples
    --------
    >>> number_words(0, 20), number_words(0, 1, open_low=True), number_words(0, math.inf, open_low=True)
    ('a number from 0 to 20', 'a number above 0 and at most 1', 'a number above 0')
    """
    if math.isinf(low) and math.isinf(high):
        return "a finite number"
    if math.isinf(high):
        return f"a number above {low:g}" if open_low else f"a number of at least {low:g}"
    return f"a number above {low:g} and at most {high:g}" if open_low else f"a number from {low:g} to {high:g}"


def shown(value: object) -> str:
    """Return a value as a message shows it: NumPy scalars as plain numbers, long values cut.

    Examples
    --------
    >>> shown(np.float64(0.5)), len(shown("a" * 1_000_000))
    ('0.5', 83)
    """
    try:
        return cut(repr(value.item() if isinstance(value, np.generic) else value))
    except (RecursionError, ValueError):  # Nested too deep, or a whole number of thousands of digits.
        return f"a {type(value).__name__}"


def cut(text: str) -> str:
    """Return a text in one line that a message can hold."""
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."
