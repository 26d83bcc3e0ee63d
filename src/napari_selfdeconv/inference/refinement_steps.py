"""Iterations of Richardson-Lucy that begin with a network's result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_selfdeconv.config.training import Boundary
from napari_selfdeconv.physics.blur import Blur
from napari_selfdeconv.physics.pixel_weights import PixelWeights
from napari_selfdeconv.restoration.forward_operator import BlurOperator, ForwardOperator
from napari_selfdeconv.restoration.open_operator import OpenOperator
from napari_selfdeconv.restoration.richardson_lucy import step_richardson_lucy
from napari_selfdeconv.restoration.weighted_richardson_lucy import iterate_weighted_richardson_lucy
from napari_selfdeconv.stop_token import StopToken

#: More iterations are never made.
MOST_ITERATIONS = 300
# Richardson-Lucy multiplies and cannot leave 0, so no voxel begins below this share of the mean light.
_LEAST = 0.1

Array = NDArray[np.float32]
#: "open": light from outside the image is part of the estimate. Else how the image continues.
RefineBoundary = Boundary | Literal["open"]
#: For each axis two answers: for the side before, and for the side after.
Sides = Sequence[tuple[bool, bool]]


@dataclass(frozen=True, eq=False)
class RefinementSteps:
    """Richardson-Lucy with one PSF and border, on one device.

    Attributes
    ----------
    blur : g. Where its border is open it continues a result as its mirror image.
    boundary : border of the iterations.
    device : where to compute.
    """

    blur: Blur
    boundary: RefineBoundary
    device: torch.device

    def iterate(
        self,
        start: Array,
        observed: Array,
        black: float,
        least: float,
        tv: float,
        weights: PixelWeights | None = None,
        goes_on: Sides = (),
    ) -> Iterator[tuple[ForwardOperator, Tensor]]:
        """Yield the operator and the estimate above ``black`` after every iteration; the estimate is changed."""
        begin = (self._tensor(start) - black).clamp_(min=least)
        # Below that length of the gradients the step would be too long for flat places: it would overshoot, and
        # rounding errors would grow from iteration to iteration until a tile differs from the whole image.
        options: dict[str, Any] = dict(floor=1e-3 * least, tv=tv, tv_smooth=4 * observed.ndim * tv)
        if self.boundary == "open":
            yield from self._iterate_open(begin, observed - np.float32(black), weights, goes_on, options)
            return
        operator, light = BlurOperator(self.blur, observed.shape), self._tensor(observed) - black
        ratio = torch.empty_like(light)
        if weights is not None:
            options["unseen"] = self._mask(weights.values == 0)
            options["at_least"] = None if weights.at_least is None else self._mask(weights.at_least)
        while True:
            step_richardson_lucy(begin, light, operator, ratio, **options)
            yield operator, begin

    def _iterate_open(
        self,
        begin: Tensor,
        light: Array,
        weights: PixelWeights | None,
        goes_on: Sides,
        options: dict[str, Any],
    ) -> Iterator[tuple[ForwardOperator, Tensor]]:
        """Iterate with light from outside the image, which begins as the mirror image of the result."""
        operator = OpenOperator(self.blur.psf.astype(np.float32), light.shape, two_grids=False)
        estimate = operator.mirrored(begin)
        run = iterate_weighted_richardson_lucy(
            light,
            operator,
            (MOST_ITERATIONS,),
            device=self.device,
            stop=StopToken(),
            weights=weights,
            accelerated=False,
            start=estimate,
            **options,
        )
        for _ in run:
            operator.mirror(estimate, goes_on)
            yield operator, estimate

    def _mask(self, pixels: NDArray[np.bool_]) -> Tensor:
        return torch.tensor(pixels, device=self.device)[None, None]

    def _tensor(self, array: Array) -> Tensor:
        return torch.tensor(array, dtype=torch.float32, device=self.device)[None, None]


def least_light(mean: float, black: float) -> float:
    """Return the least light above ``black`` that a voxel begins with."""
    return _LEAST * (mean - black)


def blurred(operator: ForwardOperator, estimate: Tensor) -> Array:
    """Return what an estimate gives as the image."""
    with torch.inference_mode():
        out: Array = operator.forward(estimate)[0, 0].cpu().numpy()
    return out
