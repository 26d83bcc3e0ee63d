"""From a layer with more axes than one image has to a job, and its result filling a layer as it comes."""

from __future__ import annotations

import shutil
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
from napari.layers import Image

from napari_selfdeconv._gui.layers.exchange import LayerSnapshot, length_um, snapshot, snapshot_any
from napari_selfdeconv._gui.layers.voxels import with_channel_axis
from napari_selfdeconv._gui.runs.camera import LabelWeights, weights_of
from napari_selfdeconv._gui.runs.deconvolve import PREVIEW_EVERY_S
from napari_selfdeconv._gui.runs.inputs import Previews
from napari_selfdeconv._gui.runs.psf_choice import Psf, optics_record
from napari_selfdeconv._gui.runs.resume import about_run, checkpoint_of
from napari_selfdeconv._gui.runs.worker import Job
from napari_selfdeconv.config.series import SeriesPlan
from napari_selfdeconv.config.tiles import TileConfig
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.errors import Cancelled
from napari_selfdeconv.events import Event, Warned
from napari_selfdeconv.stop_token import StopToken

if TYPE_CHECKING:
    from napari_selfdeconv.api import InterruptedRun


def series_snapshot(layer: Image, plan: SeriesPlan | None, *, grey: bool) -> LayerSnapshot:
    """Return what a run needs to know of a series or a colour picture.

    The colours of a picture become a first axis of channels, or their mean; transparency is ignored.
    """
    taken = snapshot_any(layer)
    if not layer.rgb:
        return taken
    colours = taken.data[..., :3]
    if grey or plan is None:
        return replace(taken, data=colours.mean(-1))
    return replace(
        taken, data=np.moveaxis(np.asarray(colours), -1, 0), transform=with_channel_axis(taken.transform)
    )


def image_snapshot(layer: Image) -> LayerSnapshot:
    """Return the one image that a result of ``layer`` was made from: of a picture, the mean of its colours."""
    return series_snapshot(layer, None, grey=True) if layer.rgb else snapshot(layer)


def one_frame(source: LayerSnapshot, plan: SeriesPlan) -> LayerSnapshot:
    """Return a stand-in for one frame of the series: its shape and voxel size, to make a PSF for."""
    ndim = len(plan.spatial)
    shape = plan.frame_shape(source.data.shape)
    sizes = length_um(source.transform["scale"][-ndim:], source.transform["units"][-ndim:])
    return replace(source, data=np.broadcast_to(np.float32(0), shape), voxel_um=sizes)


def series_job(
    source: LayerSnapshot,
    plan: SeriesPlan,
    psfs: Sequence[Psf],
    config: TrainConfig,
    tiles: TileConfig,
    previews: Previews,
    folder: Path | None,
    weights: Any = None,
    about: Mapping[str, Any] | None = None,
    resumed: InterruptedRun | None = None,
) -> Job:
    """Return the job that deconvolves a series; with ``folder`` the result is a zarr array in it.

    ``weights`` say which pixels of a frame count. ``about`` is stored with the checkpoint, beside what the other
    arguments say; ``resumed`` is an interrupted run of the same job, to go on with.
    """
    frame = one_frame(source, plan)
    told_of = about or (resumed.about if resumed is not None else {})
    # Its layer is added at the end. A colour layer that was replaced or removed then crashed a renderer (Mesa).
    colour_picture = bool(told_of.get("colour_picture"))

    def job(token: StopToken) -> Generator[Event, None, Any]:
        from napari_selfdeconv import api

        kernels = []
        for psf in psfs:
            kernel, notes = psf.kernel(frame)
            yield from map(Warned, notes)
            kernels.append(kernel)
        voxel = psfs[0].voxels(frame)
        path = None if folder is None else _place(source, folder)
        places = {} if path is None else {"folder": str(folder), "out": str(path)}
        stored = about_run(source, voxel, tiles, weights, series=plan.to_dict(), **places, **(about or {}))
        claim = checkpoint_of(config, stored, resumed)
        with claim as checkpoint, _out(api, source, path, plan.axes, voxel) as (out, told):
            yield from told
            result = yield from api.iter_deconvolve_series(
                source.data,
                kernels[0] if len(kernels) == 1 else kernels,
                plan,
                config,
                weights=weights_of(weights),
                out=out,
                tiles=tiles,
                voxel_um=voxel,
                stop=token,
                preview_every_s=PREVIEW_EVERY_S,
                preview_region=previews.region,
                preview_extra=previews.extra,
                instant_first=not colour_picture,
                checkpoint=checkpoint,
            )
            token.raise_if_cancelled()
            return replace(result, provenance={**result.provenance, **optics_record(psfs), "psf": kernels[0]})

    return job


def large_job(
    source: LayerSnapshot,
    psf: Psf,
    config: TrainConfig,
    tiles: TileConfig,
    previews: Previews,
    folder: Path,
    weights: Any = None,
    resumed: InterruptedRun | None = None,
) -> Job:
    """Return the job that deconvolves one image that need not fit into memory, into a zarr array in ``folder``.

    ``weights`` say which of its pixels count; ``resumed`` is as in `series_job`.
    """

    of_pixels: Any = weights if weights is None or isinstance(weights, str) else LabelWeights(weights)

    def job(token: StopToken) -> Generator[Event, None, Any]:
        from napari_selfdeconv import api

        api.check_outputs([api.Output("the folder of results", folder, "folder")], {})
        kernel, notes = psf.kernel(source)
        yield from map(Warned, notes)
        voxel = psf.voxels(source)
        path, region = _place(source, folder), previews.region()
        if resumed is not None:
            region = _region(resumed.about["region"])
            earlier = Path(resumed.about["out"])
            path = earlier if api.is_unfinished(earlier) else path
        bounds = None if region is None else [[int(s.start), int(s.stop)] for s in region]
        stored = about_run(source, voxel, tiles, weights, region=bounds, out=str(path))
        yield Warned(f"The result is written to {path}.")
        try:
            with checkpoint_of(config, stored, resumed) as checkpoint:
                result = yield from api.iter_deconvolve_zarr(
                    source.data,
                    kernel,
                    path,
                    config,
                    weights=of_pixels,
                    region=region,
                    tiles=tiles,
                    voxel_um=voxel,
                    stop=token,
                    preview_every_s=PREVIEW_EVERY_S,
                    preview_region=previews.region,
                    preview_extra=previews.extra,
                    instant_first=True,
                    checkpoint=checkpoint,
                )
            token.raise_if_cancelled()
        except (Cancelled, GeneratorExit):
            # Between two events, or after the last tile while the smaller copies were made.
            shutil.rmtree(path, ignore_errors=True)
            raise
        return replace(result, provenance={**result.provenance, **optics_record([psf]), "psf": kernel})

    return job


def _region(bounds: Sequence[Sequence[int]] | None) -> tuple[slice, ...] | None:
    return None if bounds is None else tuple(slice(start, stop) for start, stop in bounds)


def _place(source: LayerSnapshot, folder: Path) -> Path:
    """Return a folder for the result that does not exist yet."""
    safe = "".join(letter if letter.isalnum() else "_" for letter in source.name)
    return folder / f"{safe}_{time.strftime('%Y%m%d_%H%M%S')}_{time.monotonic_ns() % 1000:03d}.zarr"


@contextmanager
def _out(
    api: Any, source: LayerSnapshot, path: Path | None, axes: str, voxel_um: Sequence[float] | None
) -> Iterator[tuple[Any, list[Event]]]:
    """Give the array to write into, None for one in memory, and say where it is."""
    if path is None:
        yield None, []
        return
    with api.new_zarr(path, source.data.shape, axes=axes, voxel_um=voxel_um) as out:
        yield out, [Warned(f"The result is written to {path}.")]


def fits_in_memory(data: Any, share: float) -> bool:
    """Whether an image can be deconvolved in memory: input, result and two copies in float32 at most."""
    if isinstance(data, np.ndarray):
        return True
    return bool(16.0 * np.prod(data.shape, dtype=float) <= share * psutil.virtual_memory().available)
