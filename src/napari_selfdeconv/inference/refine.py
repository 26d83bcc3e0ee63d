"""The refinement of a network's result by Richardson-Lucy, while held-out pixels are predicted better.

After a short run, the residual x - g(f(x)) of an image with little noise still holds structure. A few iterations
of Richardson-Lucy that begin with f(x) recover it. If the residual is only noise, the held-out pixels are not
predicted better, and f(x) is unchanged.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_selfdeconv.arrays.chunks import chunks, rewrite
from napari_selfdeconv.events import Tick
from napari_selfdeconv.inference.light import Light
from napari_selfdeconv.inference.refine_stack import refine_stack
from napari_selfdeconv.inference.refinement_choice import (
    COUNTS,
    NOTHING,
    Case,
    Refinement,
    best_refinement,
    fits_noise,
)
from napari_selfdeconv.inference.refinement_steps import RefineBoundary, RefinementSteps, Sides, least_light
from napari_selfdeconv.inference.tv_weight import tv_weight
from napari_selfdeconv.physics.blur import Blur, convolved
from napari_selfdeconv.physics.pixel_weights import PixelWeights
from napari_selfdeconv.restoration.far_light import FarLight

_MOST_VOXELS = 1_500_000
# A chunk is read with this many widths of the PSF of its neighbours. Light from further away changed a voxel by
# 0.008 % of the range (root mean square), and two of 28,000 by 0.6 and 1.1 %, where rounding decides.
_WIDTHS = 3

Array = NDArray[np.float32]


def refinement_reach(psf_shape: Sequence[int], iterations: int = COUNTS[-1]) -> tuple[int, ...]:
    """Return how many voxels around a tile are read to refine it, on each axis.

    One width of the PSF leaves an error of 2e-4 of the result's range for up to five iterations, and two widths
    leave 3e-4 for 300 (PSFs of 9 to 65 pixels).

    Examples
    --------
    >>> refinement_reach((33, 33)), refinement_reach((33, 33), 5), refinement_reach((33, 33), 0)
    ((66, 66), (33, 33), (0, 0))
    """
    widths = 0 if iterations == 0 else 1 if iterations <= 5 else 2
    return tuple(widths * width for width in psf_shape)


class Refiner:
    """Refines results. The number of iterations is chosen on the first image and kept.

    It is kept so that all frames of a series are equally sharp.

    Parameters
    ----------
    device : where to compute.
    chosen : the choice of an earlier refiner; None chooses on the first image.

    Attributes
    ----------
    chosen : how it refines; None before the first image.
    iterations : number of Richardson-Lucy iterations; None before the first image, 0 where nothing helped.
    noise_is_shared : whether iterations would have fitted noise that neighbouring pixels share, so there are none.
    expected : what the last refined stack gives as its image, with background and far light; None before.
    """

    def __init__(self, device: torch.device, chosen: Refinement | None = None) -> None:
        self._device = device
        self.chosen = chosen
        self.noise_is_shared = False
        self.expected: Array | None = None

    @property
    def iterations(self) -> int | None:
        return None if self.chosen is None else self.chosen.iterations

    def choose(
        self,
        result: Array,
        image: NDArray[Any],
        psf: NDArray[Any],
        boundary: RefineBoundary,
        weights: PixelWeights | None = None,
    ) -> Generator[Tick, None, Light | None]:
        """Choose for how long to refine, unless that is chosen; yield a `Tick` an iteration, which may end early.

        Parameters are those of a call, for which the `Light` is returned; it is None if nothing had to be chosen.
        """
        if self.chosen is not None:
            return None
        blur, middle = _blur(psf, boundary), _middle(result.shape)
        looked_at, expected = image[middle].astype(np.float32), convolved(blur, result[middle])
        pixels = None if weights is None else weights.cut(middle)
        light = Light.of(looked_at, expected, None if pixels is None else pixels.measured)
        observed = light.seen(looked_at, expected)
        tv = tv_weight(looked_at, None if pixels is None else pixels.measured)
        if pixels is None:
            pixels = PixelWeights(np.ones(observed.shape, bool))
        steps = RefinementSteps(blur, boundary, self._device)
        case = Case(result=result[middle], expected=expected, observed=observed, weights=pixels, steps=steps)
        chosen = yield from best_refinement(case, tv)
        self.noise_is_shared = chosen.iterations > 0 and fits_noise(case, chosen)
        self.chosen = NOTHING if self.noise_is_shared else chosen
        return light

    def light(
        self,
        result: Array,
        image: NDArray[Any],
        psf: NDArray[Any],
        boundary: RefineBoundary,
        weights: PixelWeights | None = None,
    ) -> Light:
        """Measure noise, outliers, black and mean of ``image`` in its middle; parameters as in a call."""
        middle = _middle(result.shape)
        expected = convolved(_blur(psf, boundary), result[middle])
        measured = None if weights is None else weights.measured[middle]
        return Light.of(image[middle].astype(np.float32), expected, measured)

    def __call__(
        self,
        result: Array,
        image: NDArray[Any],
        psf: NDArray[Any],
        boundary: RefineBoundary,
        light: Light | None = None,
        weights: PixelWeights | None = None,
        goes_on: Sides | None = None,
    ) -> Generator[Tick, None, None]:
        """Refine ``result`` in place, or leave it unchanged if held-out pixels are not predicted better.

        A `Tick` is yielded for every iteration. Chooses first where nothing is chosen yet.

        Parameters
        ----------
        result : f(x), deconvolved; float32, 2D or 3D.
        image : x, the same shape and units, in which no light is 0 or a camera's offset.
        psf : PSF of g.
        boundary : border of g, or "open".
        light : light of the image that ``image`` is a tile of; None measures ``image`` itself.
        weights : how much each pixel of ``image`` counts: any weight above 0 is 1. None if all are measurements.
        goes_on : for each axis, whether the image goes on before and after ``image``, which is a tile of it. There
            the border is not open. None if it is the whole image.

        Examples
        --------
        >>> random = np.random.default_rng(0)
        >>> noise, refiner = random.normal(5, 1, (64, 64)).astype(np.float32), Refiner(torch.device("cpu"))
        >>> result = np.full_like(noise, 5)
        >>> for done, total in refiner(result, noise, np.ones((3, 3)) / 9, "reflect"):
        ...     pass
        >>> refiner.iterations, float(result.min())
        (0, 5.0)
        """
        measured = yield from self.choose(result, image, psf, boundary, weights)
        assert self.chosen is not None
        count, black, tv = self.chosen
        if count == 0:
            return
        blur = _blur(psf, boundary)
        light = light or measured or self.light(result, image, psf, boundary, weights)
        if (least := least_light(light.mean, black)) <= 0:
            return  # an image without light above black: nothing can be put back
        steps = RefinementSteps(blur, boundary, self._device)
        margin = _WIDTHS * blur.psf.shape[0]
        total = count * len(list(chunks(result.shape, margin)))
        sides = [(False, False)] * result.ndim if goes_on is None else list(goes_on)
        done = 0

        def refined(wide: slice) -> Generator[Tick, None, Array]:
            nonlocal done
            observed = light.seen(image[wide].astype(np.float32), convolved(blur, result[wide]))
            pixels = None if weights is None else weights.cut((wide,))
            first = (sides[0][0] or wide.start > 0, sides[0][1] or wide.stop < result.shape[0])
            run = steps.iterate(result[wide], observed, black, least, tv, pixels, [first, *sides[1:]])
            for _ in range(count):
                operator, estimate = next(run)
                done += 1
                yield Tick(done, total)
            made: Array = (operator.crop(estimate)[0, 0] + black).cpu().numpy()
            return made

        yield from rewrite(result, margin, refined)

    def refine_stack(
        self, result: Array, image: Array, psf: Array, far: FarLight, weights: PixelWeights | None = None
    ) -> Generator[Tick, None, None]:
        """Refine the result of a widefield stack in place with its whole PSF; see `refine_stack.refine_stack`."""
        measured = None if weights is None else weights.measured
        tv = tv_weight(image, measured) if self.chosen is None else self.chosen.tv
        count, self.expected = yield from refine_stack(
            result, image, psf, far, self._device, weights, self.iterations, tv
        )
        self.chosen = Refinement(count, tv=tv)


def _blur(psf: NDArray[Any], boundary: RefineBoundary) -> Blur:
    """Return g, which continues a result as its mirror image where its light outside is not known."""
    return Blur(psf, boundary="reflect" if boundary == "open" else boundary)


def _middle(shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Return where the middle lies, as much of it as the choice needs."""
    size = list(shape)
    while np.prod(size, dtype=float) > _MOST_VOXELS:
        size[int(np.argmax(size))] -= max(1, max(size) // 16)
    return tuple(slice((n - m) // 2, (n - m) // 2 + m) for n, m in zip(shape, size, strict=True))
