"""The benchmark of the held-out error: its relation to the error against the truth, for each setting."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import Tensor

from napari_selfdeconv.api import iter_deconvolve
from napari_selfdeconv.benchmark.methods import TV_WEIGHTS, network
from napari_selfdeconv.benchmark.records import write_table
from napari_selfdeconv.benchmark.truths import blurring, degraded, files
from napari_selfdeconv.compute import device
from napari_selfdeconv.events import Event, Interim, Progress, report_progress
from napari_selfdeconv.holdout.choose import HeldOutError
from napari_selfdeconv.metrics.full_reference import psnr
from napari_selfdeconv.physics.blur import Blur
from napari_selfdeconv.restoration.forward_operator import BlurOperator
from napari_selfdeconv.restoration.replace_outliers import replace_outliers
from napari_selfdeconv.restoration.richardson_lucy import iterate_richardson_lucy
from napari_selfdeconv.restoration.total_variation import minimise_total_variation
from napari_selfdeconv.stop_token import StopToken

_MOST_COUNT = 20
_TV_ITERATIONS = 100

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Point:
    """One setting on one image: ``knob`` is the name of the setting, ``setting`` its value."""

    image: str
    knob: str
    setting: float
    held_out: float
    psnr: float


def run_validation(
    images: Path,
    psf_path: Path | None,
    *,
    methods: Sequence[str],
    crop: int | None,
    device_name: str,
    out: Path,
    stop: StopToken,
    say: Callable[[str], None],
    drain: Callable[[Generator[Event, None, list[Point]]], list[Point]],
) -> None:
    """Measure held-out error and PSNR on every truth image; write validation.csv and validation.md.

    Parameters
    ----------
    images, psf_path, crop, out, stop, say, drain : as `run_quality`.
    methods : networks whose training is followed, as in `benchmark.methods.network`; Richardson-Lucy counts and
        weights of the total variation are always measured.
    device_name : where to compute.
    """
    psf_for = blurring(psf_path)
    points: list[Point] = []
    for name, load in files(images, psf_path):
        data = load()
        psf = psf_for(data.ndim)
        truth, noisy = degraded(data, psf, crop)
        curves = [
            _counts(name, truth, noisy, psf, device_name, stop),
            _weights(name, truth, noisy, psf, device_name, stop),
        ]
        curves += [_training(name, truth, noisy, psf, method, device_name, stop) for method in methods]
        for curve in curves:
            points += drain(curve)
            if stop.stopped:
                return
        say(f"{name}: {sum(p.image == name for p in points)} points")
    say(f"wrote {write_table(out, 'validation', points, markdown(points))}")


def markdown(points: Sequence[Point]) -> str:
    """Return a table: for each setting, the PSNR that is lost by choosing it without the truth.

    Examples
    --------
    >>> print(markdown([Point("a", "RL", 1, 0.2, 20), Point("a", "RL", 2, 0.1, 22), Point("a", "RL", 3, 0.3, 21)]))
    | knob | images | rank correlation with PSNR | PSNR chosen by it | best there is | lost, dB |
    |---|---|---|---|---|---|
    | RL | 1 | -0.50 | 22.00 | 22.00 | 0.00 |
    <BLANKLINE>
    """
    lines = [
        "| knob | images | rank correlation with PSNR | PSNR chosen by it | best there is | lost, dB |",
        "|---|---|---|---|---|---|",
    ]
    for knob in dict.fromkeys(p.knob for p in points):
        correlations, chosen, best = [], [], []
        for image in dict.fromkeys(p.image for p in points if p.knob == knob):
            curve = [p for p in points if p.knob == knob and p.image == image]
            correlations.append(float(spearmanr([p.held_out for p in curve], [p.psnr for p in curve]).statistic))
            chosen.append(min(curve, key=lambda p: p.held_out).psnr)
            best.append(max(p.psnr for p in curve))
        lost = float(np.mean(best)) - float(np.mean(chosen))
        lines.append(
            f"| {knob} | {len(best)} | {np.mean(correlations):.2f} | {np.mean(chosen):.2f} | {np.mean(best):.2f} "
            f"| {lost:.2f} |"
        )
    return "\n".join(lines) + "\n"


_Curve = Generator[Event, None, list[Point]]


def _counts(name: str, truth: Array, noisy: Array, psf: NDArray[Any], device_name: str, stop: StopToken) -> _Curve:
    where = device.choose_device(device_name, "float32").device
    blur = BlurOperator(Blur(psf), noisy.shape)
    measure = HeldOutError(noisy, blur.forward, 0, where)
    points: list[Point] = []

    def each(count: int, estimate: Tensor) -> bool:
        error = measure.square * float(measure.of(estimate).mean())
        points.append(
            Point(name, "Richardson-Lucy, iterations", count, error, psnr(estimate[0, 0].cpu().numpy(), truth))
        )
        return False

    work = iterate_richardson_lucy(measure.filled, blur, (_MOST_COUNT,), device=where, stop=stop, each=each)
    yield from report_progress(work, "Richardson-Lucy", stop)
    return points


def _weights(
    name: str, truth: Array, noisy: Array, psf: NDArray[Any], device_name: str, stop: StopToken
) -> _Curve:
    where = device.choose_device(device_name, "float32").device
    blur = BlurOperator(Blur(psf), noisy.shape)
    measure = HeldOutError(replace_outliers(noisy), blur.forward, 0, where)
    points: list[Point] = []
    for weight in (0.5 * TV_WEIGHTS[0], *TV_WEIGHTS):
        work = minimise_total_variation(measure.filled, blur, weight, (_TV_ITERATIONS,), device=where, stop=stop)
        estimates = yield from report_progress(work, "Total variation", stop)
        estimate = estimates[max(estimates)]
        error = measure.square * float(measure.of(estimate).mean())
        points.append(Point(name, "total variation, weight", weight, error, psnr(estimate[0, 0].numpy(), truth)))
    return points


def _training(
    name: str, truth: Array, noisy: Array, psf: NDArray[Any], method: str, device_name: str, stop: StopToken
) -> _Curve:
    """Ask for the whole image at every measurement of the held-out error."""
    points: list[Point] = []
    errors: dict[int, float] = {}
    # The results of the very weights whose error is measured.
    config = network(method, noisy.ndim, device_name).replace(
        weight_interpolation=False, trial=0.0, auto_stop=False
    )
    for event in iter_deconvolve(noisy, psf, config, stop=stop):
        yield event
        # After the last step nobody would answer, and the next run would find the request.
        if isinstance(event, Progress) and event.held_out is not None and event.step < event.steps:
            errors[event.step] = event.held_out
            stop.request_result()
        elif isinstance(event, Interim):
            score = psnr(event.image, truth)
            points.append(Point(name, f"{method}, step", event.step, errors[event.step], score))
    return points
