"""Measures of invented and of lost structure, for one result on a scene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates, maximum_filter

from napari_selfdeconv.benchmark.trust_scenes import DISTANCES, RAYLEIGH, Scene
from napari_selfdeconv.physics.blur import Blur, convolved

# Peaks nearer than this to each other are one, and a peak this near to a point is that point, pixels.
_NEAR = 2
# A peak counts above this many standard deviations of the noise: half of a point that is just visible.
_VISIBLE = 2.5
# The residual is not looked at so near to the border, where methods differ in what they assume, pixels.
_BORDER = 16


@dataclass(frozen=True, kw_only=True)
class Figures:
    """The measures of a result. A measure that a scene does not have is None.

    Attributes
    ----------
    misfit : root mean square of the image minus the reblurred result, in standard deviations of the noise.
    outside : share of the light that lies outside the true support.
    false_peaks : peaks that are no object: above half of the faintest true one, or, in a scene without objects,
        above 2.5 standard deviations of the noise.
    missed : points without a peak.
    contrast : for each of `DISTANCES`, how far the light between two points falls below theirs, 0 to 1.
    grain : standard deviation of the result where there is nothing, in standard deviations of the noise.
    """

    misfit: float
    outside: float | None
    false_peaks: int
    missed: int | None
    contrast: tuple[float, ...] | None
    grain: float


def measure_figures(scene: Scene, result: NDArray[np.float32]) -> Figures:
    """Return the figures of a result that has the background of the image.

    Examples
    --------
    >>> from napari_selfdeconv.benchmark.trust_scenes import make_scene
    >>> scene = make_scene("points", size=96)
    >>> figures = measure_figures(scene, scene.empty)
    >>> figures.false_peaks, figures.missed, figures.grain
    (0, 25, 0.0)
    """
    light = (result - scene.empty).astype(np.float64)
    empty = ~scene.support
    # The border is left out of the residual, but not of the measures of the result.
    inner = tuple(slice(min(_BORDER, n // 4), -min(_BORDER, n // 4)) for n in result.shape)
    residual = (scene.image - convolved(Blur(scene.psf), np.ascontiguousarray(result, np.float32)))[inner]
    threshold = _threshold(scene, light)
    false_peaks, missed = _count_peaks(scene, light, threshold)
    outside = None
    if scene.support.any():
        positive = np.maximum(light, 0)
        outside = float(positive[empty].sum() / max(positive.sum(), 1e-30))
    return Figures(
        misfit=float(np.sqrt(np.mean(residual.astype(np.float64) ** 2))) / scene.noise,
        outside=outside,
        false_peaks=false_peaks,
        missed=missed if len(scene.points) else None,
        contrast=_contrasts(scene, light) if scene.pairs else None,
        grain=float(light[empty].std()) / scene.noise,
    )


def _threshold(scene: Scene, light: NDArray[np.float64]) -> float:
    """Return half of the height that the faintest object has in this result, or the least that is visible."""
    least = _VISIBLE * scene.noise
    if len(scene.points):
        heights = _sampled(maximum_filter(light, size=2 * _NEAR + 1), scene.points, order=0)
        # A method that lost the faintest point must not be judged by what is left of it.
        gain = float(np.median(heights / scene.brightness))
        return max(least, 0.5 * gain * float(scene.brightness.min()))
    if scene.support.any():
        return max(least, 0.5 * float(np.quantile(light[scene.support], 0.875)))
    return least


def _count_peaks(scene: Scene, light: NDArray[np.float64], threshold: float) -> tuple[int, int]:
    """Return how many peaks are no object, and how many points have no peak."""
    peaks = np.argwhere((light >= threshold) & (light == maximum_filter(light, size=2 * _NEAR + 1)))
    if not len(scene.points):
        return int(np.count_nonzero(~scene.support[tuple(peaks.T)])), 0
    if not len(peaks):
        return 0, len(scene.points)
    distance = np.linalg.norm(peaks[:, None] - scene.points[None], axis=2)
    near = 0.5 * RAYLEIGH + 0.5
    found = distance.min(axis=0) <= near
    true = np.unique(distance.argmin(axis=0)[found])
    return len(peaks) - len(true), int(np.count_nonzero(~found))


def _contrasts(scene: Scene, light: NDArray[np.float64]) -> tuple[float, ...]:
    found: dict[float, list[float]] = {distance: [] for distance in DISTANCES}
    for distance, first, second in scene.pairs:
        along = np.linspace(-0.5, 1.5, 41)
        profile = _sampled(light, first + along[:, None] * (second - first))
        valley = profile[15:26].min()
        heights = profile[:21].max(), profile[20:].max()
        found[distance].append(max(0.0, 1 - max(0.0, valley) / max(float(np.mean(heights)), 1e-30)))
    return tuple(float(np.mean(values)) for values in found.values())


def _sampled(light: NDArray[np.float64], places: NDArray[Any], order: int = 1) -> NDArray[np.float64]:
    values: NDArray[np.float64] = map_coordinates(light, places.T, order=order, mode="nearest")
    return values
