"""How long a network's result is refined: chosen by pixels that are held out.

A choice by pixels held out alone would take noise that neighbours share for structure: it predicts them. So the
choice is checked with pixels that are held out with their neighbours.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.events import Tick
from napari_selfdeconv.holdout.held_out import hold_out_measured, surely_less, with_neighbours
from napari_selfdeconv.inference.refinement_steps import MOST_ITERATIONS, RefinementSteps, blurred, least_light
from napari_selfdeconv.inference.tv_weight import TV
from napari_selfdeconv.physics.pixel_weights import PixelWeights

#: Iterations that are compared; the next is tried only if the one before it helped.
COUNTS = (1, 2, 3, 5, 8, 12, 20, 30, 50, 80, 120, 200, MOST_ITERATIONS)
_HELD_OUT_PERCENT = 4.0
# The check holds out as many pixels, and is made after as many of the iterations: later ones bring back details
# that are as small as a pixel and its neighbours, which nothing else predicts.
_CHECKED_PERCENT, _CHECKED = 1.0, 12
# The background level is 0 unless this quantile of g(f(x)) lies outside this part of its range. Then the quantile
# is tried as well; small negative values are overshoot.
_DARKEST, _NEAR_ZERO = 1e-3, (-0.1, 0.02)

Array = NDArray[np.float32]


class Refinement(NamedTuple):
    """How results are refined.

    Attributes
    ----------
    iterations : of Richardson-Lucy; 0 where nothing helped.
    black : background level that they begin above.
    tv : weight of the total variation (`tv_weight`). Without it 50 iterations added noise to smooth places, which
        held-out pixels do not show.
    """

    iterations: int
    black: float = 0.0
    tv: float = TV


NOTHING = Refinement(0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """A result to be refined, and what it is compared with.

    Attributes
    ----------
    result, expected : f(x) and g(f(x)), float32.
    observed : the image, as large, without outliers and clipping bias (`Light.seen`).
    weights : how much each pixel of ``observed`` counts.
    steps : the iterations.
    """

    result: Array
    expected: Array
    observed: Array
    weights: PixelWeights
    steps: RefinementSteps

    def hold_out(self, percent: float, seed: int) -> NDArray[np.bool_] | None:
        """Return measured pixels to hold out; None if they are too few to choose by."""
        return hold_out_measured(self.observed, percent, seed, self.weights.measured)

    def errors(self, predicted: Array, pixels: NDArray[np.bool_], black: float = 0.0) -> NDArray[np.float64]:
        """Return the squared errors of a prediction above ``black`` at these pixels."""
        squares: NDArray[np.float64] = (
            predicted[pixels].astype(np.float64) + black - self.observed[pixels].astype(np.float64)
        ) ** 2
        return squares

    def least(self, black: float) -> float:
        """Return the least light above ``black`` that a voxel begins with."""
        return least_light(float(self.observed.mean(dtype=np.float64)), black)


def best_refinement(case: Case, tv: float) -> Generator[Tick, None, Refinement]:
    """Return the iterations and the background level with the best prediction of held-out pixels."""
    pixels = case.hold_out(_HELD_OUT_PERCENT, 0)
    if pixels is None:
        return NOTHING
    left = case.weights.without(pixels)
    untouched = case.errors(case.expected, pixels)
    best, chosen = untouched, NOTHING
    blacks = _blacks(case.expected)
    for tried, black in enumerate(blacks):
        if (least := case.least(black)) <= 0:
            continue
        run = case.steps.iterate(case.result, case.observed, black, least, tv, left)
        error: NDArray[np.float64] | None = None
        for n, (operator, estimate) in zip(range(1, COUNTS[-1] + 1), run, strict=False):
            yield Tick(tried * COUNTS[-1] + n, len(blacks) * COUNTS[-1])
            if n not in COUNTS:
                continue
            now = case.errors(blurred(operator, estimate), pixels, black)
            if error is not None and now.mean() >= error.mean():
                break
            error, count = now, n
        if error is not None and surely_less(error, untouched) and error.mean() < best.mean():
            best, chosen = error, Refinement(count, black, tv)
    return chosen


def fits_noise(case: Case, chosen: Refinement) -> bool:
    """Return whether pixels held out with their neighbours are surely predicted worse than before."""
    pixels = case.hold_out(_CHECKED_PERCENT, 1)
    if pixels is None:
        return False
    left = case.weights.without(with_neighbours(pixels))
    least = case.least(chosen.black)
    run = case.steps.iterate(case.result, case.observed, chosen.black, least, chosen.tv, left)
    for _ in range(min(chosen.iterations, _CHECKED)):
        operator, estimate = next(run)
    after = case.errors(blurred(operator, estimate), pixels, chosen.black)
    return surely_less(case.errors(case.expected, pixels), after)


def _blacks(expected: Array) -> tuple[float, ...]:
    """Return what may be black: no light, and the darkest of g(f(x)) where that is something else."""
    low, high = np.quantile(expected, (_DARKEST, 1 - _DARKEST))
    below, above = _NEAR_ZERO
    return (0.0,) if below * (high - low) <= low <= above * (high - low) else (0.0, float(low))
