"""What the worker's thread does: snapshots of layers in, generators of the api out. No Qt, no viewer."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_selfdeconv._gui.layers.exchange import LayerSnapshot
from napari_selfdeconv._gui.runs.camera import weights_of
from napari_selfdeconv._gui.runs.inputs import Previews
from napari_selfdeconv._gui.runs.psf_choice import Psf, optics_record
from napari_selfdeconv._gui.runs.resume import about_run, checkpoint_of
from napari_selfdeconv._gui.runs.worker import Job
from napari_selfdeconv.config.tiles import TileConfig
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.events import Event, Warned
from napari_selfdeconv.stop_token import StopToken

if TYPE_CHECKING:
    from napari_selfdeconv.api import InterruptedRun, Model

PREVIEW_EVERY_S = 1.0


def deconvolve_job(
    image: LayerSnapshot,
    psf: Psf,
    config: TrainConfig,
    tiles: TileConfig,
    previews: Previews,
    start_from: Model | None = None,
    weights: Any = None,
    resumed: InterruptedRun | None = None,
) -> Job:
    """Return the job that trains on ``image``; its result is an `api.Deconvolution`.

    ``start_from`` is a model to train further, or None; ``weights`` say which pixels count. ``resumed`` is an
    interrupted run of the same job, to go on with.
    """

    def job(token: StopToken) -> Generator[Event, None, Any]:
        from napari_selfdeconv import api

        kernel, notes = psf.kernel(image)
        yield from map(Warned, notes)
        about = about_run(image, psf.voxels(image), tiles, weights)
        # A model that is trained further is not stored.
        claim = checkpoint_of(config, about, resumed) if start_from is None else nullcontext()
        with claim as checkpoint:
            return (
                yield from api.iter_deconvolve(
                    np.asarray(image.data),
                    kernel,
                    config,
                    weights=weights_of(weights),
                    tiles=tiles,
                    voxel_um=psf.voxels(image),
                    stop=token,
                    preview_every_s=PREVIEW_EVERY_S,
                    preview_region=previews.region,
                    preview_extra=previews.extra,
                    start_from=start_from,
                    quick_interim=True,
                    instant_first=True,
                    checkpoint=checkpoint,
                )
            )

    return job


def richardson_lucy_job(
    image: LayerSnapshot,
    psf: Psf,
    counts: Sequence[int],
    device: str,
    weights: Any = None,
    camera: Mapping[str, Any] | None = None,
) -> Job:
    """Return the Richardson-Lucy job; its result maps iteration counts to (array, provenance).

    ``weights`` say which pixels count, ``camera`` holds the camera settings that are given.
    """

    def job(token: StopToken) -> Generator[Event, None, Any]:
        from napari_selfdeconv import api

        kernel, notes = psf.kernel(image)
        yield from map(Warned, notes)
        data = np.asarray(image.data)
        methods = [api.Classical(method="rl", iterations=count, **(camera or {})) for count in counts]
        results = yield from api.iter_classical(
            data, kernel, methods, weights=weights_of(weights), stop=token, device_name=device
        )
        told = {**optics_record([psf]), "psf": kernel}
        return {r.settings.iterations: (r.image, {**r.provenance, **told}) for r in results}

    return job


def parse_counts(text: str) -> tuple[int, ...]:
    """Read iteration counts such as '2 5 10 20' or '2, 5'; ConfigError if a count is missing or not a number."""
    words = text.replace(",", " ").split()
    if not words or not all(word.isdecimal() and int(word) > 0 for word in words):
        raise ConfigError(f"iteration counts must be whole numbers above 0, such as 2 5 10 20, got {text!r}")
    return tuple(sorted({int(word) for word in words}))
