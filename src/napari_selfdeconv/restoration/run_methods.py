"""Runs classical methods: settings that are not given are chosen, and counts of one method share a run."""

from __future__ import annotations

import statistics
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.events import Event, report_progress
from napari_selfdeconv.holdout.choose import HeldOutError, choose_regularisation
from napari_selfdeconv.physics.blur import Blur
from napari_selfdeconv.physics.camera import Background, Known, estimate_background
from napari_selfdeconv.physics.pixel_weights import PixelWeights
from napari_selfdeconv.restoration.choose_iterations import choose_iterations
from napari_selfdeconv.restoration.forward_operator import BlurOperator, ForwardOperator
from napari_selfdeconv.restoration.method_inputs import Border, Each, MethodInputs
from napari_selfdeconv.restoration.methods import METHODS, Classical
from napari_selfdeconv.restoration.open_operator import OpenOperator
from napari_selfdeconv.restoration.replace_outliers import replace_outliers
from napari_selfdeconv.stop_token import StopToken

# A held-out error that is larger by at most this share does not justify more iterations or less regularisation.
_SHARE = 0.01
# More pixels are measured if a share decides, because the least error must be known well.
_MOST_PIXELS = 100_000
# An image with fewer held-out pixels chooses this often, each time with others, and takes the median. One choice
# from 370 pixels gave 8 to 78 iterations for the same image.
_FEW_PIXELS, _CHOICES = 10_000, 3


@dataclass(frozen=True)
class Recorded:
    """The recorded image, and where to compute.

    Attributes
    ----------
    image : finite float32, 2D or 3D.
    psf : unit sum, as many axes.
    device, stop : as elsewhere.
    weights : how much each pixel counts; None is 1 everywhere. Pixels of weight 0 hold any finite value.
    """

    image: NDArray[np.float32]
    psf: NDArray[Any]
    device: torch.device
    stop: StopToken
    weights: PixelWeights | None = None
    _operators: dict[Border, ForwardOperator] = field(default_factory=dict)

    def operator(self, border: Border) -> ForwardOperator:
        """Return the forward operator with a rule at the border; the same one every time."""
        if border not in self._operators:
            # One at a time: that of a large PSF takes several times the memory of the image.
            self._operators.clear()
            self._operators[border] = (
                OpenOperator(self.psf, self.image.shape)
                if border == "open"
                else BlurOperator(Blur(self.psf, boundary=border), self.image.shape)
            )
        return self._operators[border]


@dataclass(frozen=True)
class Solved:
    """One result: the requested and the chosen settings, the image, and the background if it is modelled.

    ``image`` is the light above the background. ``explained`` is the mean of the measured pixels as the method
    explains them, background included.
    """

    asked: Classical
    settings: Classical
    image: NDArray[np.float32]
    explained: float
    background: Background | None = None


def run_methods(recorded: Recorded, asked: Sequence[Classical]) -> Generator[Event, None, list[Solved]]:
    """Return a result for each of ``asked``, in their order. Methods that a stop interrupted are left out."""
    found: dict[int, Solved] = {}
    for places in group_runs(asked):
        recorded.stop.raise_if_cancelled()
        if recorded.stop.stopped:
            break
        results = yield from _run_once(recorded, [asked[place] for place in places])
        found |= {places[member]: solved for member, solved in results.items()}
    return [found[place] for place in sorted(found)]


def group_runs(methods: Sequence[Classical]) -> list[list[int]]:
    """Return the places of the methods that one run computes: the same but for their counts.

    Examples
    --------
    >>> two, five = (Classical(method="rl", iterations=count) for count in (2, 5))
    >>> group_runs([two, Classical(method="tv"), five])
    [[0, 2], [1]]
    """
    groups: dict[tuple[Classical, bool], list[int]] = {}
    for place, method in enumerate(methods):
        key = replace(method, iterations=None), method.iterations is None
        groups.setdefault(key, []).append(place)
    return list(groups.values())


def _run_once(recorded: Recorded, asked: Sequence[Classical]) -> Generator[Event, None, dict[int, Solved]]:
    """Run one group of `group_runs`; the results by their place in it."""
    opened = _with_defaults(asked[0])
    inputs = _inputs(recorded, opened)
    settings = yield from _choose(inputs, opened)
    if settings is None:
        return {}
    method = METHODS[settings.method]
    counts = [settings.iterations if one.iterations is None else one.iterations for one in asked]
    wanted = sorted({count for count in counts if count is not None})
    estimates = yield from _solve(inputs, settings, wanted)

    def solved(one: Classical, count: int) -> Solved:
        chosen = replace(settings, iterations=None if method.iterations is None else count)
        image = np.ascontiguousarray(inputs.operator.crop(estimates[count])[0, 0].numpy())
        return Solved(one, chosen, image, _explained(inputs, estimates[count]), inputs.background)

    reached = {place: count or 0 for place, count in enumerate(counts) if (count or 0) in estimates}
    if not recorded.stop.stopped:
        # A method that ended automatically has the same estimate at a larger count.
        reached |= {place: max(estimates) for place in range(len(counts)) if place not in reached}
    # A run stopped before its first count still has an estimate.
    reached = reached or {0: max(estimates)}
    return {place: solved(asked[place], count) for place, count in reached.items()}


def _explained(inputs: MethodInputs, estimate: Tensor) -> float:
    """Return the mean of the measured pixels as an estimate explains them."""
    with torch.inference_mode():
        seen: NDArray[np.float32] = inputs.operator.forward(estimate.to(inputs.device))[0, 0].cpu().numpy()
    if inputs.background is not None:
        seen = seen + inputs.background.whole
    return float((seen if inputs.weights is None else seen[inputs.weights.measured]).mean(dtype=np.float64))


def _inputs(recorded: Recorded, settings: Classical) -> MethodInputs:
    """Return what a method works on, with a background if that is in the model."""
    assert settings.boundary is not None
    image = recorded.image
    if settings.median_guard:
        image = replace_outliers(image)
        if image.min() == image.max():
            raise ConfigError(
                "the median guard would replace every pixel that has light",
                "leave it off: the image counts few photons",
            )
    background = None
    # Values below 0 need a background, or they would count as 0.
    below = METHODS[settings.method].needs_light and not settings.models_background and float(image.min()) < 0
    if settings.models_background or below:
        measured = None if recorded.weights is None else recorded.weights.measured
        given = 0.0 if below else settings.background
        background = estimate_background(
            image,
            measured,
            None if isinstance(given, str) else given,
            known=Known(settings.offset, settings.gain, settings.read_noise),
            varies=given == "varying",
        )
    return MethodInputs(
        image, recorded.operator(settings.boundary), recorded.device, recorded.stop, recorded.weights, background
    )


def _solve(
    inputs: MethodInputs, settings: Classical, counts: Sequence[int], each: Each | None = None
) -> Generator[Event, None, dict[int, Tensor]]:
    method = METHODS[settings.method]
    return (yield from report_progress(method.solve(inputs, settings, counts, each), method.title, inputs.stop))


def _with_defaults(settings: Classical) -> Classical:
    method = METHODS[settings.method]
    settings = replace(settings, boundary=settings.border)
    if settings.iterations is None and method.iterations is not None and method.iterations.default is not None:
        settings = replace(settings, iterations=int(method.iterations.default))
    if settings.regularisation is None and method.regularisation is not None:
        settings = replace(settings, regularisation=method.regularisation.default)
    return settings


def _choose(inputs: MethodInputs, settings: Classical) -> Generator[Event, None, Classical | None]:
    """Return the settings with the missing one chosen; None if stopped before."""
    method = METHODS[settings.method]
    if method.chosen is None or getattr(settings, method.chosen) is not None:
        return settings
    choose = _choose_count if method.chosen == "iterations" else _choose_weight
    found: list[float] = []
    for seed in range(_CHOICES):
        try:
            measure, seen, share = _hold_out(inputs, seed)
        except ConfigError:
            # Of 16 x 16 pixels the first choice holds out 11, which is enough, and the second one 9.
            if seed == 0:
                raise
            continue
        value = yield from choose(measure, seen, settings, share)
        if value is None:
            return None
        # A third choice cannot change the median of two that agree.
        if value in found or measure.pixels >= _FEW_PIXELS:
            return settings.with_shown(value)
        found.append(value)
    # Of two, the more cautious one.
    median = statistics.median_low if method.chosen == "iterations" else statistics.median_high
    return settings.with_shown(median(found))


def _choose_weight(
    measure: HeldOutError, seen: MethodInputs, settings: Classical, share: float
) -> Generator[Event, None, float | None]:
    """Return the regularisation; None if stopped before."""
    method = METHODS[settings.method]
    assert method.regularisation is not None
    search = method.search_iterations or settings.iterations

    def solve(value: float) -> Generator[Event, None, Tensor]:
        tried = replace(settings, regularisation=value)
        estimates = yield from _solve(seen, tried, () if search is None else (search,))
        return estimates[max(estimates)]

    grid = method.regularisation.grid
    return (yield from choose_regularisation(measure, solve, grid, stop=seen.stop, share=share))


def _choose_count(
    measure: HeldOutError, seen: MethodInputs, settings: Classical, share: float
) -> Generator[Event, None, int | None]:
    """Return the number of iterations; None if stopped before."""
    setting = METHODS[settings.method].iterations
    assert setting is not None
    most = int(setting.grid[-1])

    def iterate(each: Each) -> Generator[Event, None, object]:
        return (yield from _solve(seen, settings, (most,), each))

    return (yield from choose_iterations(measure, iterate, stop=seen.stop, share=share))


def _hold_out(inputs: MethodInputs, seed: int) -> tuple[HeldOutError, MethodInputs, float]:
    """Return the error of held-out pixels, the inputs without them, and the share of `first_not_worse`."""
    whole = torch.as_tensor(0.0 if inputs.background is None else inputs.background.whole, device=inputs.device)

    def forward(estimate: Tensor) -> Tensor:
        image = inputs.operator.forward(estimate)
        return image if inputs.background is None else image.add_(whole)

    # A method that knows weights gets weight 0 at held-out pixels; any other gets them filled from around.
    if inputs.weights is None and inputs.background is None:
        measure = HeldOutError(inputs.image, forward, seed, inputs.device)
        return measure, replace(inputs, image=measure.filled), 0.0
    measured = None if inputs.weights is None else inputs.weights.measured
    measure = HeldOutError(
        inputs.image, forward, seed, inputs.device, measured=measured, most=_MOST_PIXELS, fills=False
    )
    weights = inputs.weights or PixelWeights(np.ones(inputs.image.shape, bool))
    return measure, replace(inputs, weights=weights.without(measure.held)), _SHARE
