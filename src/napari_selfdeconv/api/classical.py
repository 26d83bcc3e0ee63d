"""The classical methods, from arrays to arrays."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_selfdeconv import restoration
from napari_selfdeconv._version import __version__
from napari_selfdeconv.compute import device
from napari_selfdeconv.config.checks import check_whole
from napari_selfdeconv.config.classical import Classical
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.events import Event, Finished, Warned, drain
from napari_selfdeconv.inference.predict import computing
from napari_selfdeconv.inference.prepare import Problem
from napari_selfdeconv.network.model import psf_hash
from napari_selfdeconv.stop_token import StopToken

_MOST_LUCY = 200
_RL_TV = 0.002
_TV_ITERATIONS = 150
# Enough to rank the weights; the chosen one is run to the end.
_TV_SEARCH = 60
_TV_GRID = tuple(0.0025 * 2.0**k for k in range(7))
_WIENER_GRID = tuple(10.0 ** (k / 4) for k in range(-10, 5))


def iter_richardson_lucy(
    image: NDArray[Any],
    psf: NDArray[Any],
    iterations: Sequence[int] = (2, 5, 10, 20),
    *,
    stop: StopToken | None = None,
    device_name: str = "auto",
) -> Generator[Event, None, dict[int, NDArray[np.float32]]]:
    """Run Richardson-Lucy once and keep the estimate at each count.

    The image continues by reflection at its border, negative values count as 0, the start is its mean.

    Returns
    -------
    dict from count to float32 array in the image's own units; after ``stop.stop()`` only the counts reached.

    Raises
    ------
    ConfigError, ComputeError, Cancelled
        As `iter_deconvolve`.
    """
    started = time.perf_counter()
    problem = Problem.of(image, psf)
    image, psf = problem.image, problem.psf
    counts = sorted(set(iterations))
    if not counts:
        raise ConfigError("iterations must name at least one count, got none")
    for count in counts:
        check_whole("iterations", count, 1, 100_000)
    if problem.scale.high <= 0:
        raise ConfigError("Richardson-Lucy needs positive intensities, and the image has none")
    choice = device.choose_device(device_name, "float32")
    stop = stop or StopToken()
    for note in problem.notes:
        yield Warned(note)
    with computing():
        results = yield from restoration.iterate_richardson_lucy(
            image, psf, counts, device=choice.device, stop=stop
        )
    yield Finished(
        seconds=time.perf_counter() - started, steps_done=max(results), stopped=max(results) < counts[-1]
    )
    return results


def richardson_lucy(
    image: NDArray[Any], psf: NDArray[Any], iterations: int = 10, *, device_name: str = "auto"
) -> NDArray[np.float32]:
    """Return the Richardson-Lucy estimate after ``iterations``; see `iter_richardson_lucy`.

    Examples
    --------
    >>> import numpy as np
    >>> float(richardson_lucy(np.eye(16), np.ones((1, 1)), 3).max())
    1.0
    """
    return drain(iter_richardson_lucy(image, psf, (iterations,), device_name=device_name), None)[iterations]


@dataclass(frozen=True, kw_only=True)
class ClassicalResult:
    """One method's result: the settings as they were chosen, a label with them, float32 image, provenance."""

    settings: Classical
    label: str
    image: NDArray[np.float32]
    provenance: dict[str, Any]


def iter_classical(
    image: NDArray[Any],
    psf: NDArray[Any],
    methods: Sequence[Classical],
    *,
    stop: StopToken | None = None,
    device_name: str = "auto",
) -> Generator[Event, None, list[ClassicalResult]]:
    """Run several classical methods on one image.

    Parameters
    ----------
    image, psf : as `iter_deconvolve`.
    methods : in the order wanted. Richardson-Lucy at several counts is one run.
    stop : ``stop()`` returns the results reached, ``cancel()`` discards them.

    Returns
    -------
    One result a method; None in its settings is replaced by what was chosen. A method stopped while it was
    choosing gives none; one stopped later states the iterations it reached.

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
    problem = Problem.of(image, psf)
    image, psf = problem.image.astype(np.float32), problem.psf
    if not methods:
        raise ConfigError("no method was chosen: name at least one")
    if problem.scale.high <= 0 and any(m.method.startswith("rl") for m in methods):
        raise ConfigError("Richardson-Lucy needs positive intensities, and the image has none")
    chosen_device = device.choose_device(device_name, "float32").device
    stop = stop or StopToken()
    for note in problem.notes:
        yield Warned(note)
    solver = _Solver(image, psf, chosen_device, stop)
    results: list[ClassicalResult] = []
    with computing():
        for method in methods:
            if stop.stopped:
                break
            found = yield from solver.run(method)
            if found is None:
                break
            settings, array = found
            results.append(_result(settings, method, array, psf, chosen_device))
    yield Finished(seconds=time.perf_counter() - started, steps_done=len(results), stopped=stop.stopped)
    return results


def classical_method(
    image: NDArray[Any], psf: NDArray[Any], method: Classical, *, device_name: str = "auto"
) -> ClassicalResult:
    """Run one classical method; see `iter_classical`.

    Examples
    --------
    >>> classical_method(np.eye(16), np.ones((1, 1)), Classical(method="rl", iterations=2)).image.shape
    (16, 16)
    """
    return drain(iter_classical(image, psf, [method], device_name=device_name))[0]


_Run = Generator[Event, None, tuple[Classical, NDArray[np.float32]] | None]


class _Solver:
    """Runs one method after the other on the same image."""

    def __init__(
        self, image: NDArray[np.float32], psf: NDArray[np.float32], device: torch.device, stop: StopToken
    ) -> None:
        self._image, self._psf, self._device, self._stop = image, psf, device, stop

    def run(self, method: Classical) -> _Run:
        """Return the settings with everything chosen, and the result; None if stopped while choosing."""
        image = restoration.replace_outliers(self._image) if method.median_guard else self._image
        if method.method in ("rl", "rl-tv"):
            return (yield from self._lucy(method, image))
        if method.method == "tv":
            return (yield from self._tv(method, image))
        return (yield from self._wiener(method, image))

    def _lucy(self, method: Classical, image: NDArray[np.float32]) -> _Run:
        tv = 0.0
        if method.method == "rl-tv":
            tv = _RL_TV if method.regularisation is None else method.regularisation
            method = replace(method, regularisation=tv)
        count = method.iterations
        shared: dict[str, Any] = {"device": self._device, "stop": self._stop, "tv": tv}
        if count is None:
            count = yield from restoration.choose_iterations(image, self._psf, most=_MOST_LUCY, **shared)
            if count is None:
                return None
        results = yield from restoration.iterate_richardson_lucy(image, self._psf, (count,), **shared)
        reached = max(results)
        return replace(method, iterations=reached), results[reached]

    def _tv(self, method: Classical, image: NDArray[np.float32]) -> _Run:
        shared: dict[str, Any] = {"device": self._device, "stop": self._stop}

        def search(x: NDArray[np.float32], value: float) -> Generator[Event, None, NDArray[np.float32]]:
            return (yield from restoration.iter_tv(x, self._psf, value, _TV_SEARCH, **shared))[0]

        weight = method.regularisation
        if weight is None:
            weight = yield from restoration.choose_regularisation(image, self._psf, search, _TV_GRID, **shared)
            if weight is None:
                return None
        count = _TV_ITERATIONS if method.iterations is None else method.iterations
        result, reached = yield from restoration.iter_tv(image, self._psf, weight, count, **shared)
        return replace(method, regularisation=weight, iterations=reached), result

    def _wiener(self, method: Classical, image: NDArray[np.float32]) -> _Run:
        def solve(x: NDArray[np.float32], value: float) -> Generator[Event, None, NDArray[np.float32]]:
            self._stop.raise_if_cancelled()
            yield from ()
            return restoration.wiener(x, self._psf, value, device=self._device)

        weight = method.regularisation
        if weight is None:
            weight = yield from restoration.choose_regularisation(
                image, self._psf, solve, _WIENER_GRID, device=self._device, stop=self._stop
            )
            if weight is None:
                return None
        return replace(method, regularisation=weight), (yield from solve(image, weight))


def _result(
    settings: Classical,
    asked: Classical,
    array: NDArray[np.float32],
    psf: NDArray[np.float32],
    device: torch.device,
) -> ClassicalResult:
    label = settings.label
    if asked.label != label:
        # Two digits are enough to tell layers apart; the record has them all.
        counts = settings.method in ("rl", "rl-tv")
        chosen = settings.iterations if counts else f"{settings.regularisation:.2g}"
        label = f"{asked.label} ({chosen})"
    provenance = {
        "software": "napari-selfdeconv",
        "version": __version__,
        "method": settings.method,
        "settings": settings.to_dict(),
        "iterations": settings.iterations,
        "psf_sha256": psf_hash(psf),
        "psf_shape": list(psf.shape),
        "device": str(device),
    }
    return ClassicalResult(settings=settings, label=label, image=array, provenance=provenance)
