"""Two computations timed alternately, so that other load on the machine affects both."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from statistics import median
from typing import Any

# A measurement lasts at least this long: shorter calls are repeated within it, as timeit does.
_LEAST_S = 0.2
# A pair slower than this share of what a figure may take is repeated less often, but never less than this.
_MOST_S = 180.0
_LEAST_PAIRS = 3

Call = Callable[[], Any]
Around = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True)
class Timing:
    """Seconds a call of ours and of the baseline, pair by pair; ``baseline_s`` is empty without a baseline."""

    ours_s: tuple[float, ...]
    baseline_s: tuple[float, ...] = ()

    @property
    def ratios(self) -> list[float]:
        """How many times faster ours was than the baseline measured right after it.

        Examples
        --------
        >>> Timing((1.0, 2.0), (3.0, 4.0)).ratios
        [3.0, 2.0]
        """
        return [b / a for a, b in zip(self.ours_s, self.baseline_s, strict=False)]

    @property
    def ours_median_s(self) -> float:
        return median(self.ours_s)

    @property
    def baseline_median_s(self) -> float | None:
        return median(self.baseline_s) if self.baseline_s else None


def alternate(
    ours: Call,
    baseline: Call | None,
    repeats: int,
    clock: Callable[[], float] = time.perf_counter,
    around: Around | None = None,
) -> tuple[Timing, Any, Any]:
    """Time ``ours`` and ``baseline`` in turn, after two calls of each that do not count.

    Parameters
    ----------
    ours, baseline : called again and again; each returns when its work is done, also on an accelerator.
    repeats : pairs to measure; fewer, but at least 3, where that many would take more than three minutes.
    clock : returns seconds.
    around : what ``ours`` runs in, as it does in the middle of a long run. It is entered again for every
        measurement, which the baseline must not see, and a call of either side that does not count comes first.

    Returns
    -------
    The timing, and what the first uncounted calls returned (None without a baseline).
    """
    sides = [ours] if baseline is None else [ours, baseline]
    results, calls, pair_s = [], [], 0.0
    for side in sides:
        results.append(side())
        # The first call loads and compiles; how long a call takes the second one says.
        start = clock()
        side()
        seconds = clock() - start
        calls.append(max(1, math.ceil(_LEAST_S / max(seconds, 1e-6))))
        pair_s += calls[-1] * seconds
    pairs = min(repeats, max(_LEAST_PAIRS, int(_MOST_S / max(pair_s, 1e-6))))
    seconds_of: list[list[float]] = [[] for _ in sides]
    for _ in range(pairs):
        for side, count, found in zip(sides, calls, seconds_of, strict=True):
            with around() if around is not None and side is ours else nullcontext():
                if around is not None:
                    side()
                start = clock()
                for _ in range(count):
                    side()
                found.append((clock() - start) / count)
    timing = Timing(*(tuple(found) for found in seconds_of))
    return timing, results[0], results[1] if baseline is not None else None
