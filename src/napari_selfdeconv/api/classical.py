"""The classical methods, from arrays to arrays."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from napari_selfdeconv.api.provenance import classical_record
from napari_selfdeconv.compute import device
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.events import Event, Finished, Warned, drain
from napari_selfdeconv.inference.check_result import check_finite, describe_light
from napari_selfdeconv.inference.make_ready import with_independent_noise
from napari_selfdeconv.inference.predict import computing
from napari_selfdeconv.inference.prepare import Problem
from napari_selfdeconv.inference.weigh import Weights
from napari_selfdeconv.io.savable import Savable
from napari_selfdeconv.restoration.method_inputs import Border
from napari_selfdeconv.restoration.methods import METHODS, Classical
from napari_selfdeconv.restoration.run_methods import Recorded, Solved, run_methods
from napari_selfdeconv.stop_token import StopToken

# The reason for missing light in images whose light is single bright pixels.
_GUARD = " The median guard replaces single bright pixels; leave it off where the image counts few photons."
_ONE_ITERATION = (
    "{title} takes 1 iteration: held-out pixels justify no more, because noise hides the structures, or because "
    "they cover few pixels, as single points do. The result is smoother than the image. If the image shows clear "
    "structures, give the number of iterations, such as 20."
)
# A darkest pixel above this share of the mean is an offset.
_OFFSET = 0.5


@dataclass(frozen=True, kw_only=True, repr=False)
class ClassicalResult(Savable):
    """The result of one classical method.

    Attributes
    ----------
    settings : with the chosen values.
    label : name of the method with its settings, for layers and tables.
    image : float32, the shape and units of the input. With a background in the model (`Classical.background`) it
        is the light above that.
    provenance : JSON-ready record; it states the background.

    Examples
    --------
    >>> result = classical_method(np.eye(16), np.ones((1, 1)), Classical(method="rl", iterations=2))
    >>> result
    <ClassicalResult: 16 x 16 float32, RL 2>
    """

    settings: Classical
    label: str
    image: NDArray[np.float32]
    provenance: dict[str, Any]


def iter_classical(
    image: NDArray[Any],
    psf: NDArray[Any],
    methods: Sequence[Classical],
    *,
    weights: Weights = None,
    stop: StopToken | None = None,
    device_name: str = "auto",
) -> Generator[Event, None, list[ClassicalResult]]:
    """Run several classical methods on one image.

    Parameters
    ----------
    image, psf : as in `iter_deconvolve`. With the border "open" the PSF may be larger than the image.
    methods : in the order of the results. Methods that differ only in their iterations are computed in one run.
    weights : as in `iter_deconvolve`. For a method without weights, pixels of weight 0 are filled in from the
        nearest ones.
    stop : ``stop()`` returns the results so far, ``cancel()`` discards them.

    Returns
    -------
    One result for each method; None in its settings is replaced by the chosen value. After a stop there are
    results for the iterations that were reached. If a run had reached none of them, its result states the
    iterations done. A method that was stopped while it was choosing has no result.

    Raises
    ------
    ConfigError, ComputeError, Cancelled
        As `iter_deconvolve`.

    Examples
    --------
    >>> image = np.random.default_rng(0).random((24, 24))
    >>> work = iter_classical(image, np.ones((3, 3)) / 9, [Classical(method="wiener", regularisation=0.1)])
    >>> [result.label for result in drain(work)]
    ['Wiener 0.1']
    """
    started = time.perf_counter()
    borders = {method.border for method in methods}
    given = Problem.of(image, psf, weights=weights, psf_may_be_larger=borders == {"open"})
    problem = with_independent_noise(given)
    # Torch has no read-only arrays, such as those of a file that is mapped into memory.
    image, psf = np.require(problem.image, np.float32, "W"), problem.psf
    if not methods:
        raise ConfigError("no method was chosen: name at least one")
    for method in methods:
        needs_light = METHODS[method.method].needs_light and method.border != "open"
        dark = 0.0 if method.background in (None, "varying") else method.background
        if needs_light and problem.scale.high <= float(dark or 0.0):
            raise ConfigError(f"{METHODS[method.method].title} needs positive intensities, and the image has none")
    chosen_device = device.choose_device(device_name, "float32").device
    stop = stop or StopToken()
    yield from map(Warned, problem.notes)
    recorded = Recorded(image, psf, chosen_device, stop, problem.weights)
    yield from map(Warned, _offset_sentences(methods, problem))
    with computing():
        solved = yield from run_methods(recorded, methods)
    results = [_result(one, problem, chosen_device) for one in solved]
    for result, one in zip(results, solved, strict=True):
        check_finite(result.label, result.image)
        if said := describe_light(result.label, one.explained, problem.scale):
            yield Warned(said + (_GUARD if one.settings.median_guard else ""))
        row = METHODS[one.settings.method]
        if row.chosen == "iterations" and one.asked.iterations is None and one.settings.iterations == 1:
            yield Warned(_ONE_ITERATION.format(title=row.title))
    steps = max((one.settings.iterations or 0 for one in solved), default=0)
    yield Finished(seconds=time.perf_counter() - started, steps_done=steps, stopped=stop.stopped)
    return results


def _offset_sentences(methods: Sequence[Classical], problem: Problem) -> list[str]:
    """Advise the user to give an offset as the background if a method takes it for light."""
    low, mean = problem.scale.low, problem.scale.mean
    plain = [one for one in methods if METHODS[one.method].needs_light and not one.models_background]
    if not plain or low <= _OFFSET * mean:
        return []
    return [
        f"The darkest pixel has {low:.4g} and the mean is {mean:.4g}: with the border {plain[0].border!r} "
        f"{METHODS[plain[0].method].title} takes such an offset for light. Give it as the background, or "
        "choose the open border."
    ]


def classical_method(
    image: NDArray[Any],
    psf: NDArray[Any],
    method: Classical,
    *,
    weights: Weights = None,
    device_name: str = "auto",
) -> ClassicalResult:
    """Run one classical method on one image.

    Parameters
    ----------
    image, psf, weights, device_name : as in `iter_classical`.
    method : which one, with its settings; None in a setting lets held-out pixels choose it. More iterations, or a
        smaller regularisation, give more detail and more noise.

    Returns
    -------
    `ClassicalResult`.

    Raises
    ------
    ConfigError, ComputeError, Cancelled
        As `iter_deconvolve`.

    References
    ----------
    Richardson 1972, https://doi.org/10.1364/JOSA.62.000055; Lucy 1974, https://doi.org/10.1086/111605.
    RL-TV: Dey et al. 2006, https://doi.org/10.1002/jemt.20294.
    Total variation: Chambolle and Pock 2011, https://doi.org/10.1007/s10851-010-0251-1.
    Gradient consensus: Manton and York 2023, https://doi.org/10.5281/zenodo.10278919.
    Open border: Bertero and Boccacci 2005, https://doi.org/10.1051/0004-6361:20052717.

    Examples
    --------
    >>> classical_method(np.eye(16), np.ones((1, 1)), Classical(method="rl", iterations=2)).image.shape
    (16, 16)
    """
    return drain(iter_classical(image, psf, [method], weights=weights, device_name=device_name))[0]


def iter_richardson_lucy(
    image: NDArray[Any],
    psf: NDArray[Any],
    iterations: Sequence[int] = (2, 5, 10, 20),
    *,
    boundary: Border = "open",
    background: float | Literal["varying"] | None = None,
    stop: StopToken | None = None,
    device_name: str = "auto",
) -> Generator[Event, None, dict[int, NDArray[np.float32]]]:
    """Run Richardson-Lucy once and return the estimate after each number of iterations, without records.

    Parameters
    ----------
    image, psf : 2D or 3D, with the same voxel size; with the boundary "open" the PSF may be larger than the image.
    iterations : the numbers of iterations. More iterations give more detail and more noise.
    stop : ``stop()`` returns the estimates so far, ``cancel()`` discards the run.
    device_name : "auto", "cpu", "cuda", "cuda:N" or "mps".
    boundary, background : as in `Classical`. With "reflect" and no background this is the textbook method: the
        image continues as its mirror image, negative values count as 0, and the first estimate is the mean.

    Returns
    -------
    dict from the number of iterations to a float32 array in the units of the image. After ``stop.stop()`` it has
    the numbers that were reached, or if there are none the estimate so far.

    Raises
    ------
    ConfigError, ComputeError, Cancelled
        As `iter_deconvolve`.

    References
    ----------
    Richardson 1972, https://doi.org/10.1364/JOSA.62.000055; Lucy 1974, https://doi.org/10.1086/111605

    Examples
    --------
    >>> image = np.random.default_rng(0).random((24, 24))
    >>> sorted(drain(iter_richardson_lucy(image, np.ones((3, 3)) / 9, (1, 2))))
    [1, 2]
    """
    counts = sorted(set(iterations))
    if not counts:
        raise ConfigError("iterations must name at least one count, got none")
    methods = [
        Classical(method="rl", iterations=count, boundary=boundary, background=background) for count in counts
    ]
    results = yield from iter_classical(image, psf, methods, stop=stop, device_name=device_name)
    return {result.provenance["iterations"]: result.image for result in results}


def richardson_lucy(
    image: NDArray[Any],
    psf: NDArray[Any],
    iterations: int = 10,
    *,
    boundary: Border = "open",
    background: float | Literal["varying"] | None = None,
    device_name: str = "auto",
) -> NDArray[np.float32]:
    """Return the Richardson-Lucy estimate after ``iterations``.

    Parameters
    ----------
    image, psf, boundary, background, device_name : as in `iter_richardson_lucy`.
    iterations : at least 1. More iterations give more detail and more noise.

    Returns
    -------
    float32, the shape and units of the image.

    Raises
    ------
    ConfigError, ComputeError
        As `iter_deconvolve`.

    References
    ----------
    Richardson 1972, https://doi.org/10.1364/JOSA.62.000055; Lucy 1974, https://doi.org/10.1086/111605

    Examples
    --------
    >>> import numpy as np
    >>> float(richardson_lucy(np.eye(16), np.ones((1, 1)), 3, boundary="reflect").max())
    1.0
    """
    work = iter_richardson_lucy(
        image, psf, (iterations,), boundary=boundary, background=background, device_name=device_name
    )
    return drain(work)[iterations]


def _result(solved: Solved, problem: Problem, device: torch.device) -> ClassicalResult:
    settings, label = solved.settings, solved.settings.label
    if solved.asked.label != label:
        # Two digits are enough to distinguish layers. The record has all digits.
        value = settings.shown
        label = f"{solved.asked.label} ({value if isinstance(value, int) else f'{value:.2g}'})"
    record = classical_record(settings, label, problem, device, solved.background)
    return ClassicalResult(settings=settings, label=label, image=solved.image, provenance=record)
