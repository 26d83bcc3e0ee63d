"""Presets on the card against the processor's arrays, and the paper's rows for as long as there is time."""

from __future__ import annotations

import multiprocessing
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.pool import AsyncResult, Pool
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from napari_selfdeconv import api
from napari_selfdeconv.benchmark.methods import network
from napari_selfdeconv.benchmark.truths import degraded, files
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.errors import Cancelled, ComputeError, reason_of
from napari_selfdeconv.events import drain
from napari_selfdeconv.metrics.full_reference import psnr
from napari_selfdeconv.simulate import microtubules_3d, paper_psf
from napari_selfdeconv.simulate.samples import sample_2d
from selfdeconv_tools.gpu_check.table import Bench

PRESETS = ("instant", "quick", "standard")
# The rows of the paper's tables, 2D before 3D because they are shorter.
PAPER = tuple(
    (f"paper:{loss}{bound}", ndim)
    for ndim in (2, 3)
    for loss in ("noise2self", "noise2same", "noise2same_d")
    for bound in ("", "+bound")
)
_FEWER = ",steps=2,features=4,patch=16,batch_size=1"
# Of the budget, for the other parts and for the paper's rows.
_SHARE_OF_PRESETS = 0.45
# A result, its seconds and its precision.
Computed: TypeAlias = tuple[NDArray[np.float32], float, str]


@dataclass(frozen=True)
class Case:
    """A truth and its degraded image."""

    name: str
    truth: NDArray[np.float32]
    noisy: NDArray[np.float32]

    @property
    def psf(self) -> NDArray[Any]:
        return paper_psf(self.noisy.ndim)


def cases(bench: Bench, images: Path | None) -> list[Case]:
    """Return four images and two volumes: generated, or those of a folder, cropped to a common size."""
    side, shape = (32, (20, 20, 20)) if bench.tiny else (512, (32, 96, 96))
    flat, deep = (1, 1) if bench.tiny else (4, 2)
    if images is not None:
        loads = list(files(images, None))
    else:
        loads = [(f"sample-2d-{seed}", partial(_sheet, seed)) for seed in range(flat)]
        loads += [(f"microtubules-{seed}", partial(microtubules_3d, shape, seed)) for seed in range(deep)]
    truths = [(name, load()) for name, load in loads]
    found = [Case(name, *degraded(data, paper_psf(data.ndim), side)) for name, data in truths]
    return [*_of(found, 2)[:flat], *_of(found, 3)[:deep]]


def _sheet(seed: int) -> NDArray[Any]:
    return sample_2d(seed).truth


def _of(found: list[Case], ndim: int) -> list[Case]:
    return [case for case in found if case.noisy.ndim == ndim]


@dataclass
class Processor:
    """Runs presets on the processor, in a process of its own, while the card goes on.

    Attributes
    ----------
    pending : its label, the case, the result of the card, and the one that the processor is at.
    """

    pool: Pool = field(default_factory=lambda: multiprocessing.get_context("spawn").Pool(1, _leave_a_core))
    pending: list[tuple[str, Case, NDArray[np.float32], AsyncResult[Computed]]] = field(default_factory=list)

    def begin(self, label: str, case: Case, config: TrainConfig, ours: NDArray[np.float32]) -> None:
        """Let the processor compute what the card has computed."""
        settings = config.replace(device="cpu", precision="float32")
        waiting = self.pool.apply_async(_on_processor, (case, settings))
        self.pending.append((label, case, ours, waiting))

    def compare(self, bench: Bench) -> None:
        """Write the difference of the arrays, as far as the processor has come when the time is over."""
        for label, case, ours, waiting in self.pending:
            try:
                theirs, seconds, precision = waiting.get(max(0.0, bench.left_s))
            except multiprocessing.TimeoutError:
                bench.row("presets", label, "difference", "not measured", note="no time left on the processor")
                continue
            except Exception as error:  # Whatever the other process met is a row, as in the other parts.
                note = f"{type(error).__name__}: {reason_of(error)}"
                bench.row("presets", label, "difference", "failed", note=note)
                continue
            spread = float(theirs.std()) or 1.0
            off = float(np.sqrt(np.mean((ours - theirs) ** 2))) / spread
            bench.row("presets", label, "processor", seconds, "s", f"{precision}, while the card computed")
            bench.row("presets", label, "PSNR of the processor", _score(theirs, case), "dB")
            bench.row(
                "presets", label, "difference", off, "", "root mean square, in standard deviations of the result"
            )
        self.pool.terminate()


def _leave_a_core() -> None:
    """Leave a core for the process that drives the card, so that its times are those of a quiet computer."""
    torch.set_num_threads(max(1, torch.get_num_threads() - 1))


def _on_processor(case: Case, config: TrainConfig) -> Computed:
    result = api.deconvolve(case.noisy, case.psf, config)
    return result.image, result.seconds, result.precision


def _score(image: NDArray[np.float32], case: Case) -> float:
    return psnr(np.clip(image, 0, 1), case.truth)


def check_presets(bench: Bench, tested: list[Case], processor: Processor) -> None:
    """Run the presets on the device; write time and PSNR, and let the processor compute the same."""
    keep = bench.budget_s * (1 - _SHARE_OF_PRESETS)
    for name in PRESETS:
        for case in tested:
            config = api.preset(name, case.noisy.ndim, device=bench.device)
            if bench.tiny and config.optimiser.steps:
                config = config.replace(steps=2)
            label = f"{name} {case.name}"
            ours = _run(bench, case, config, keep)
            if ours is None:
                bench.row("presets", label, "status", "not run", note="no time left")
                return
            bench.row("presets", label, "time", ours.seconds, "s", ours.precision)
            bench.row("presets", label, "PSNR", _score(ours.image, case), "dB")
            processor.begin(label, case, config, ours.image)


def check_paper(bench: Bench, tested: list[Case], step_s: dict[int, float]) -> None:
    """Run the paper's rows with their whole settings, as many as there is time for."""
    for method, ndim in PAPER:
        case = next(iter(_of(tested, ndim)), None)
        if case is None:
            continue
        config = network(method + (_FEWER if bench.tiny else ""), ndim, bench.device)
        expected = step_s.get(ndim, 0.0) * config.optimiser.steps
        if expected > bench.left_s:
            note = f"{expected:.0f} s expected, {bench.left_s:.0f} s left"
            bench.row("paper", f"{method} {ndim}D", "status", "not run", note=note)
            continue
        result = _run(bench, case, config, 0.0)
        if result is None:
            bench.row("paper", f"{method} {ndim}D", "status", "cut short")
            return
        bench.row("paper", f"{method} {ndim}D {case.name}", "time", result.seconds, "s", result.precision)
        bench.row(
            "paper", f"{method} {ndim}D {case.name}", "PSNR", _score(result.image, case), "dB",
            f"{result.steps_done} steps",
        )  # fmt: skip


def _run(bench: Bench, case: Case, config: TrainConfig, keep_s: float) -> api.Deconvolution | None:
    """Return a result, or None if the time was over before it was there."""
    stop, look = bench.token(keep_s)
    if bench.left_s < keep_s:
        return None
    try:
        return drain(api.iter_deconvolve(case.noisy, case.psf, config, stop=stop), look)
    except Cancelled:
        return None
    except ComputeError as error:
        bench.row("errors", case.name, config.name, "failed", note=str(error))
        return None
