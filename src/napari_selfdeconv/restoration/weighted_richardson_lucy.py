"""Richardson-Lucy with weights and background on any forward operator, accelerated if wanted."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_selfdeconv.events import Tick
from napari_selfdeconv.physics.blur import bare
from napari_selfdeconv.physics.camera import NO_BACKGROUND, Background
from napari_selfdeconv.physics.pixel_weights import PixelWeights
from napari_selfdeconv.restoration.forward_operator import ForwardOperator
from napari_selfdeconv.restoration.gradient import compute_curvature
from napari_selfdeconv.stop_token import StopToken

# A voxel that the image sees this much less than the best seen one of its grid changes more slowly.
_LEAST_SEEN = 1e-3
# A grid that hardly any light comes from divides by this share of what the best seen voxel has: rounding errors of
# the transforms must not become light there.
_TINY = 1e-4
# Extrapolation never takes more than this share of a voxel's light.
_LEAST_KEPT = 1e-3
_LEAST_DIVISOR = 0.1
# The blurred estimate divides; below this share of the mean that is a division by zero.
_FLOOR = 1e-6
Each = Callable[[int, Tensor], bool]


def iterate_weighted_richardson_lucy(
    image: NDArray[Any],
    operator: ForwardOperator,
    iterations: Sequence[int],
    *,
    device: torch.device,
    stop: StopToken,
    weights: PixelWeights | None = None,
    background: Background = NO_BACKGROUND,
    accelerated: bool = True,
    tv: float = 0.0,
    tv_smooth: float = 0.0,
    floor: float | None = None,
    each: Each | None = None,
    start: Tensor | None = None,
) -> Generator[Tick, None, dict[int, Tensor]]:
    """Run Richardson-Lucy up to the largest count and keep the estimate at each of ``iterations``.

    One iteration is ``f <- f A^T(w (x - s) / (A f + b)) / A^T w``.

    Parameters
    ----------
    image : 2D or 3D; x. Noise may take x - s below 0, and it is used so.
    operator : A, with what lies beyond the border.
    iterations : counts, each >= 1.
    stop : when set, the counts reached so far are returned, or the current one if none was reached.
    weights : w; None is 1 everywhere. A saturated pixel has its weight as long as the model has less light there
        than was recorded, and then weight 0.
    background : s is its ``subtracted``, b its ``level`` and its field.
    accelerated : step from an extrapolated estimate (Nesterov). 35 of these are about 200 plain iterations.
    tv : weight of the total variation (Dey et al. 2006), 0 to 0.1.
    tv_smooth : gradients shorter than this share of the estimate are not divided by their length.
    floor : the blurred estimate is taken to be at least that: it divides. None is a millionth of the mean light.
    each : as in `iterate_richardson_lucy`.
    start : estimate to begin with, above 0 and on ``device``; None is the mean light everywhere. It is changed.

    Returns
    -------
    dict from count to float32 tensor, (1, 1, *estimate), in the image's own units and in the computer's memory.

    Notes
    -----
    Beside image, weights and operator this holds three arrays as large as the estimate, two without acceleration,
    and one as large as the image.
    """
    with torch.inference_mode():
        observed = torch.as_tensor(np.asarray(image, np.float32), device=device)[None, None]
        weighted = None if weights is None else torch.as_tensor(weights.values, device=device)[None, None]
        sight = observed.new_empty((1, 1, *operator.estimate_shape))
        operator.adjoint_into(torch.ones_like(observed) if weighted is None else weighted.to(observed), sight)
        mean = _mean_light(observed, weighted) - background.mean
        least = max(mean, _FLOOR * float(observed.abs().max()))
        f = operator.clear(torch.full_like(sight, least)) if start is None else start
        y = f.clone() if accelerated else f
        ratio = torch.empty_like(observed)
        saturated = None
        if weights is not None and weights.at_least is not None:
            saturated = torch.as_tensor(weights.at_least, device=device)[None, None]
    floor = _FLOOR * least if floor is None else floor
    run = _Run(operator, observed, weighted, saturated, sight, f, y, background, floor, tv, tv_smooth)
    counts, last_count = set(iterations), max(iterations)
    results: dict[int, Tensor] = {}
    for n in range(1, last_count + 1):
        with torch.inference_mode():
            run.step(ratio, (n - 1) / (n + 2) if accelerated else 0.0)
        if n in counts:
            results[n] = f.to("cpu", copy=n < last_count)
        yield Tick(n, last_count)
        if stop.stopped or (each is not None and each(n, f)):
            break
    return results or {n: f.to("cpu")}


class _Grid(NamedTuple):
    voxels: int
    least: float


class _Run:
    """The state of a run; `step` changes the estimate ``f`` and the point ``y`` from which the next step goes."""

    def __init__(
        self,
        operator: ForwardOperator,
        observed: Tensor,
        weights: Tensor | None,
        saturated: Tensor | None,
        sight: Tensor,
        f: Tensor,
        y: Tensor,
        background: Background,
        floor: float,
        tv: float,
        tv_smooth: float,
    ) -> None:
        self._operator, self._estimate, self._from = operator, f, y
        self._observed = bare(observed)
        self._all_weights, self._all_sight = weights, sight
        self._saturated = None
        if saturated is not None and weights is not None:
            self._given, self._saturated = bare(weights), bare(saturated)
            self._all_weights = weights.to(observed, copy=True)
        self._weights = None if self._all_weights is None else bare(self._all_weights)
        self._sight, self._f, self._y = bare(sight), bare(f), bare(y)
        self._grids = [
            _Grid(part.numel(), max(_LEAST_SEEN * float(part.max()), _TINY * float(sight.max())))
            for part in operator.grids(sight)
        ]
        self._background, self._floor, self._tv = background, floor, tv
        self._tv_smooth = tv_smooth
        self._level: Any = background.level
        if background.field is not None:
            field = torch.as_tensor(background.field + np.float32(background.level), device=observed.device)
            self._level = bare(field.expand_as(observed))
        # What is done to every voxel is done to a part of the volume while that is in the processor's cache.
        self._xp: Any = np if isinstance(self._f, np.ndarray) else torch

    def step(self, ratio: Tensor, ahead: float) -> None:
        xp, f, y, divisor = self._xp, self._f, self._y, self._divisor()
        changed: list[bool] = []

        def divide(part: Any, where: slice) -> None:
            xp.clip(part, 0.0, None, out=part)
            part += self._level if isinstance(self._level, float) else self._level[where]
            xp.clip(part, self._floor, None, out=part)
            xp.divide(self._observed[where] - self._background.subtracted, part, out=part)
            if self._saturated is not None and self._weights is not None:
                brighter = self._saturated[where] & (part < 1)
                now = xp.where(brighter, 0.0, self._given[where])
                changed.append(bool((now != self._weights[where]).any()))
                self._weights[where] = now
            if self._weights is not None:
                part *= self._weights[where]

        def update(part: Any, where: slice) -> None:
            sight = self._sight[where]
            least = xp.clip(sight, self._least(where), None)
            xp.clip(part, 0.0, None, out=part)
            # A voxel that is hardly seen keeps the share of its light that the image does not determine.
            part += least - xp.clip(sight, 0.0, None)
            part /= least
            if divisor is not None:
                part /= divisor[where]
            part *= y[where]
            if y is not f:
                y[where] = xp.maximum(part + ahead * (part - f[where]), _LEAST_KEPT * part)

        self._operator.blur_into(self._from, ratio, then=divide)
        if any(changed) and self._all_weights is not None:
            self._operator.adjoint_into(self._all_weights, self._all_sight)
        self._operator.adjoint_into(ratio, self._estimate, then=update)

    def _least(self, where: slice) -> float:
        """Return the floor of the grid in which a part of the estimate lies."""
        first = where.start or 0
        for grid in self._grids:
            if first < grid.voxels:
                return grid.least
            first -= grid.voxels
        raise AssertionError(f"{where} lies outside the estimate")

    def _divisor(self) -> Any:
        if not self._tv:
            return None
        divisor = torch.ones_like(self._from)
        curvature = compute_curvature(self._operator.fine(self._from), self._tv_smooth)
        self._operator.fine(divisor).copy_((1 - self._tv * curvature).clamp(min=_LEAST_DIVISOR))
        return bare(divisor)


def _mean_light(observed: Tensor, weights: Tensor | None) -> float:
    if weights is None:
        return float(observed.mean(dtype=torch.float64))
    return float((observed * weights).sum(dtype=torch.float64) / weights.sum(dtype=torch.float64))
