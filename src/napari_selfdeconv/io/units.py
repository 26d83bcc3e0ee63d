"""Lengths and times as files write them."""

from __future__ import annotations

import math
import re
from typing import Any

_UM_PER_UNIT = {
    **dict.fromkeys(("um", "micron", "microns", "micrometer", "micrometers", "micrometre", "micrometres"), 1.0),
    **dict.fromkeys(("nm", "nanometer", "nanometers", "nanometre", "nanometres"), 1e-3),
    **dict.fromkeys(("mm", "millimeter", "millimeters", "millimetre", "millimetres"), 1e3),
    **dict.fromkeys(("cm", "centimeter", "centimeters", "centimetre", "centimetres"), 1e4),
    **dict.fromkeys(("m", "meter", "meters", "metre", "metres"), 1e6),
    **dict.fromkeys(("inch", "in", "inches"), 25_400.0),
    **dict.fromkeys(("a", "å", "angstrom"), 1e-4),
    "pm": 1e-6,
}
_S_PER_UNIT = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("ms", "msec", "millisecond", "milliseconds"), 1e-3),
    **dict.fromkeys(("us", "usec", "microsecond", "microseconds"), 1e-6),
    **dict.fromkeys(("ns", "nanosecond", "nanoseconds"), 1e-9),
    **dict.fromkeys(("min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86_400.0),
}
# ImageJ writes the micro sign as six ASCII characters; Unicode has two of them. Read in a wrong encoding it
# becomes one or more other characters, none of which is a letter of another unit ("Âµm", "¬µm", "?m").
_MICRO = re.compile(r"(\\u00b5|\?|[^\x00-\x7f])+(?=[ms]$)")


def micrometres(size: float, unit: str) -> float | None:
    """Return a length in micrometres, None unless it is positive, finite and in a known unit of length.

    Examples
    --------
    >>> micrometres(65, "nm"), micrometres(1, "pixel"), micrometres(0.1, "Âµm")
    (0.065, None, 0.1)
    """
    return _in_unit(size, unit, _UM_PER_UNIT)


def seconds(time: float, unit: str) -> float | None:
    """Return a time in seconds, None unless it is positive, finite and in a known unit of time."""
    return _in_unit(time, unit, _S_PER_UNIT)


def number(text: Any) -> float:
    """Return what a file states as a number; NaN for anything else."""
    try:
        return float(text)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _in_unit(size: float, unit: str, factors: dict[str, float]) -> float | None:
    factor = factors.get(_MICRO.sub("u", unit.strip().lower()))
    if factor is None or not math.isfinite(size) or size <= 0:
        return None
    # 65 * 1e-3 is slightly more than 0.065; the user should see 0.065.
    return float(f"{size * factor:.12g}") if factor != 1 else size
