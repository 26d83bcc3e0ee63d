"""The refinement of a network's result by Richardson-Lucy, while held-out pixels are predicted better.

After a short run, the residual x - g(f(x)) of an image with little noise still holds structure. A few iterations
of Richardson-Lucy that begin with f(x) recover it. If the residual is only noise, the held-out pixels are not
predicted better, and f(x) is unchanged.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_selfdeconv.arrays.chunks import chunks, rewrite
from napari_selfdeconv.config.training import Boundary
from napari_selfdeconv.events import Tick
from napari_selfdeconv.holdout.held_out import (
    CHECKED,
    CHECKED_PERCENT,
    choose_held_out,
    surely_less,
    with_neighbours,
)
from napari_selfdeconv.inference.light import Light
from napari_selfdeconv.inference.refine_stack import refine_stack
from napari_selfdeconv.inference.tv_weight import TV, tv_weight
from napari_selfdeconv.physics.blur import Blur, convolved
from napari_selfdeconv.physics.pixel_weights import PixelWeights
from napari_selfdeconv.restoration.far_light import FarLight
from napari_selfdeconv.restoration.forward_operator import BlurOperator, ForwardOperator
from napari_selfdeconv.restoration.open_operator import OpenOperator
from napari_selfdeconv.restoration.richardson_lucy import step_richardson_lucy
from napari_selfdeconv.restoration.weighted_richardson_lucy import iterate_weighted_richardson_lucy
from napari_selfdeconv.stop_token import StopToken

#: Iterations that are compared; the next is tried only if the one before it helped.
COUNTS = (1, 2, 3, 5, 8, 12, 20, 30, 50, 80, 120, 200, 300)
_HELD_OUT_PERCENT = 4.0
# With fewer held-out pixels than this the choice is not reliable.
_FEWEST = 8
_MOST_VOXELS = 1_500_000
# Richardson-Lucy multiplies and cannot leave 0, so no voxel begins below this share of the mean light.
_LEAST = 0.1
# The background level is 0 unless this quantile of g(f(x)) lies outside this part of its range. Then the quantile
# is tried as well; small negative values are overshoot.
_DARKEST, _NEAR_ZERO = 1e-3, (-0.1, 0.02)
# A chunk is read with this many widths of the PSF of its neighbours. Light from further away changed a voxel by
# 0.008 % of the range (root mean square), and two of 28,000 by 0.6 and 1.1 %, where rounding decides.
_WIDTHS = 3

Array = NDArray[np.float32]
#: "open": light from outside the image is part of the estimate. Else how the image continues.
RefineBoundary = Boundary | Literal["open"]
#: For each axis two answers: for the side before, and for the side after.
Sides = Sequence[tuple[bool, bool]]


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


_NOTHING = Refinement(0)


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
        self.chosen = yield from self._compared(result[middle], expected, observed, blur, boundary, pixels, tv)
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
        if (least := _least(light.mean, black)) <= 0:
            return  # an image without light above black: nothing can be put back
        margin = _WIDTHS * blur.psf.shape[0]
        total = count * len(list(chunks(result.shape, margin)))
        sides = [(False, False)] * result.ndim if goes_on is None else list(goes_on)
        done = 0

        def refined(wide: slice) -> Generator[Tick, None, Array]:
            nonlocal done
            observed = light.seen(image[wide].astype(np.float32), convolved(blur, result[wide]))
            pixels = None if weights is None else weights.cut((wide,))
            first = (sides[0][0] or wide.start > 0, sides[0][1] or wide.stop < result.shape[0])
            run = self._iterate(
                result[wide], observed, blur, boundary, black, least, tv, pixels, [first, *sides[1:]]
            )
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

    def _iterate(
        self,
        start: Array,
        observed: Array,
        blur: Blur,
        boundary: RefineBoundary,
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
        if boundary == "open":
            yield from self._iterate_open(begin, observed - np.float32(black), blur, weights, goes_on, options)
            return
        operator, light = BlurOperator(blur, observed.shape), self._tensor(observed) - black
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
        blur: Blur,
        weights: PixelWeights | None,
        goes_on: Sides,
        options: dict[str, Any],
    ) -> Iterator[tuple[ForwardOperator, Tensor]]:
        """Iterate with light from outside the image, which begins as the mirror image of the result."""
        operator = OpenOperator(blur.psf.astype(np.float32), light.shape, two_grids=False)
        estimate = operator.mirrored(begin)
        run = iterate_weighted_richardson_lucy(
            light,
            operator,
            (COUNTS[-1],),
            device=self._device,
            stop=StopToken(),
            weights=weights,
            accelerated=False,
            start=estimate,
            **options,
        )
        for _ in run:
            operator.mirror(estimate, goes_on)
            yield operator, estimate

    def _compared(
        self,
        result: Array,
        expected: Array,
        observed: Array,
        blur: Blur,
        boundary: RefineBoundary,
        weights: PixelWeights | None,
        tv: float,
    ) -> Generator[Tick, None, Refinement]:
        """Return the iterations and the background level with the best prediction of held-out pixels."""
        if weights is None:
            weights = PixelWeights(np.ones(observed.shape, bool))
        pixels = choose_held_out(observed, _HELD_OUT_PERCENT, 0, weights.measured) & weights.measured
        if np.count_nonzero(pixels) < _FEWEST:
            return _NOTHING
        left = weights.without(pixels)
        recorded = observed[pixels].astype(np.float64)
        untouched = (expected[pixels] - recorded) ** 2
        best, chosen = untouched, _NOTHING
        blacks = _blacks(expected)
        for tried, black in enumerate(blacks):
            if (least := _least(float(observed.mean(dtype=np.float64)), black)) <= 0:
                continue
            run = self._iterate(result, observed, blur, boundary, black, least, tv, left)
            error: NDArray[np.float64] | None = None
            for n, (operator, estimate) in zip(range(1, COUNTS[-1] + 1), run, strict=False):
                yield Tick(tried * COUNTS[-1] + n, len(blacks) * COUNTS[-1])
                if n not in COUNTS:
                    continue
                predicted = _blurred(operator, estimate)[pixels].astype(np.float64) + black
                now = (predicted - recorded) ** 2
                if error is not None and now.mean() >= error.mean():
                    break
                error, count = now, n
            if error is not None and surely_less(error, untouched) and error.mean() < best.mean():
                best, chosen = error, Refinement(count, black, tv)
        if chosen.iterations and self._fits_noise(result, expected, observed, blur, boundary, weights, chosen):
            self.noise_is_shared = True
            return _NOTHING
        return chosen

    def _fits_noise(
        self,
        result: Array,
        expected: Array,
        observed: Array,
        blur: Blur,
        boundary: RefineBoundary,
        weights: PixelWeights,
        chosen: Refinement,
    ) -> bool:
        """Return whether pixels held out with their neighbours are surely predicted worse than before."""
        pixels = choose_held_out(observed, CHECKED_PERCENT, 1, weights.measured) & weights.measured
        if np.count_nonzero(pixels) < _FEWEST:
            return False
        least = _least(float(observed.mean(dtype=np.float64)), chosen.black)
        left = weights.without(with_neighbours(pixels))
        run = self._iterate(result, observed, blur, boundary, chosen.black, least, chosen.tv, left)
        for _ in range(min(chosen.iterations, CHECKED)):
            operator, estimate = next(run)
        recorded = observed[pixels].astype(np.float64)
        predicted = _blurred(operator, estimate)[pixels].astype(np.float64) + chosen.black
        return surely_less((expected[pixels] - recorded) ** 2, (predicted - recorded) ** 2)

    def _mask(self, pixels: NDArray[np.bool_]) -> Tensor:
        return torch.tensor(pixels, device=self._device)[None, None]

    def _tensor(self, array: Array) -> Tensor:
        return torch.tensor(array, dtype=torch.float32, device=self._device)[None, None]


def _least(mean: float, black: float) -> float:
    return _LEAST * (mean - black)


def _blur(psf: NDArray[Any], boundary: RefineBoundary) -> Blur:
    """Return g, which continues a result as its mirror image where its light outside is not known."""
    return Blur(psf, boundary="reflect" if boundary == "open" else boundary)


def _blurred(operator: ForwardOperator, estimate: Tensor) -> Array:
    with torch.inference_mode():
        out: Array = operator.forward(estimate)[0, 0].cpu().numpy()
    return out


def _blacks(expected: Array) -> tuple[float, ...]:
    """Return what may be black: no light, and the darkest of g(f(x)) where that is something else."""
    low, high = np.quantile(expected, (_DARKEST, 1 - _DARKEST))
    below, above = _NEAR_ZERO
    return (0.0,) if below * (high - low) <= low <= above * (high - low) else (0.0, float(low))


def _middle(shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Return where the middle lies, as much of it as the choice needs."""
    size = list(shape)
    while np.prod(size, dtype=float) > _MOST_VOXELS:
        size[int(np.argmax(size))] -= max(1, max(size) // 16)
    return tuple(slice((n - m) // 2, (n - m) // 2 + m) for n, m in zip(shape, size, strict=True))
