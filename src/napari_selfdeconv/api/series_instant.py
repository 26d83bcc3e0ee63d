"""The instant result of a series: one frame of each channel, before anything is trained."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from napari_selfdeconv.compute.device import choose_device
from napari_selfdeconv.config.tiles import TileConfig
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.events import Event, Filling, Progress, mapped
from napari_selfdeconv.inference.predict import deconvolve_whole, on_device
from napari_selfdeconv.inference.prepare import Problem
from napari_selfdeconv.inference.refine import Refiner
from napari_selfdeconv.network.initial_weights import initial_weights
from napari_selfdeconv.network.model import Model
from napari_selfdeconv.stop_token import StopToken
from napari_selfdeconv.training.untrained import build_initial


def fill_instant(
    frames: Sequence[tuple[tuple[int | slice, ...], Problem]],
    config: TrainConfig,
    tiles: TileConfig,
    stop: StopToken,
    out: Any,
) -> Generator[Event, None, None]:
    """Write the results of the initial weights into ``out``; yield progress, and `Filling` at the end.

    Parameters
    ----------
    frames : where a frame lies in ``out``, and the frame, without far light.
    config : settings with ``pretrained``.
    tiles, stop, out : as in `iter_deconvolve_series`.
    """
    choice = choose_device(config.compute.device, config.compute.precision)
    for number, (where, problem) in enumerate(frames):
        learned = initial_weights(config, problem.image.ndim, hazy=problem.whole_psf is not None)
        network = build_initial(problem.psf, config, choice, learned)
        model = Model(config=config, psf=problem.psf, network=network, whole_psf=problem.whole_psf)
        with on_device(model, choice):
            work = deconvolve_whole(model, problem, choice, tiles, stop, Refiner(choice.device))
            out[where], _ = yield from mapped(work, partial(_counted, number=number, total=len(frames)))
    yield Filling(image=out, instant=True)


def _counted(event: Event, number: int, total: int) -> Event | None:
    """Return progress as that of all frames; warnings come with the result of each frame."""
    if not isinstance(event, Progress):
        return None
    return replace(event, step=number * event.steps + event.step, steps=total * event.steps, eta_s=None)
