"""From a layer with more axes than one image has to a job, and its result filling a layer as it comes."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image

from napari_selfdeconv._gui.layers.exchange import (
    METADATA_KEY,
    LayerSnapshot,
    display_limits,
    freeze_any,
    length_um,
)
from napari_selfdeconv._gui.runs.deconvolve import PREVIEW_EVERY_S, Psf
from napari_selfdeconv._gui.runs.worker import Job
from napari_selfdeconv.config.series import SeriesPlan
from napari_selfdeconv.config.tiles import TileConfig
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.events import Event, Warned
from napari_selfdeconv.stop_token import StopToken

Region = tuple[slice, ...]
_REFRESH_S = 0.25


def freeze_series(layer: Image, plan: SeriesPlan | None, *, grey: bool) -> LayerSnapshot:
    """Return what a run needs to know of a series or a colour picture.

    The colours of a picture become a first axis of channels, or their mean; transparency is left aside.
    """
    frozen = freeze_any(layer)
    if not layer.rgb:
        return frozen
    colours = frozen.data[..., :3]
    if grey or plan is None:
        return replace(frozen, data=colours.mean(-1))
    transform = dict(frozen.transform)
    for key, value in (("scale", 1.0), ("translate", 0.0)):
        transform[key] = np.concatenate([[value], transform[key]])
    n = len(transform["scale"])
    affine = np.eye(n + 1)
    affine[1:, 1:] = transform["affine"]
    transform |= {
        "affine": affine,
        "rotate": np.eye(n),
        "shear": np.zeros(n * (n - 1) // 2),
        "units": ("pixel", *transform["units"]),
        "axis_labels": ("c", *transform["axis_labels"]),
    }
    transform["rotate"][1:, 1:] = frozen.transform["rotate"]
    return replace(frozen, data=np.moveaxis(np.asarray(colours), -1, 0), transform=transform)


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
    region: Callable[[], Region | None],
    extra: Callable[[], bool],
    folder: Path | None,
) -> Job:
    """Return the job that deconvolves a series; with ``folder`` the result is a zarr array in it."""
    frame = one_frame(source, plan)

    def job(token: StopToken) -> Generator[Event, None, Any]:
        from napari_selfdeconv import api

        kernels = []
        for psf in psfs:
            kernel, notes = psf.kernel(frame)
            yield from map(Warned, notes)
            kernels.append(kernel)
        voxel = psfs[0].voxels(frame)
        with _out(api, source, folder, plan.axes, voxel) as (out, told):
            yield from told
            result = yield from api.iter_deconvolve_series(
                source.data,
                kernels[0] if len(kernels) == 1 else kernels,
                plan,
                config,
                out=out,
                tiles=tiles,
                voxel_um=voxel,
                stop=token,
                preview_every_s=PREVIEW_EVERY_S,
                preview_region=region,
                preview_extra=extra,
            )
            token.raise_if_cancelled()
            return replace(result, provenance={**result.provenance, "psf": kernels[0]})

    return job


def large_job(
    source: LayerSnapshot,
    psf: Psf,
    config: TrainConfig,
    tiles: TileConfig,
    region: Callable[[], Region | None],
    extra: Callable[[], bool],
    folder: Path,
) -> Job:
    """Return the job that deconvolves one image that need not fit into memory, into a zarr array in ``folder``."""

    def job(token: StopToken) -> Generator[Event, None, Any]:
        from napari_selfdeconv import api

        kernel, notes = psf.kernel(source)
        yield from map(Warned, notes)
        voxel = psf.voxels(source)
        with _out(api, source, folder, None, voxel) as (out, told):
            yield from told
            result = yield from api.iter_deconvolve_large(
                source.data,
                kernel,
                config,
                out=out,
                region=region(),
                tiles=tiles,
                voxel_um=voxel,
                stop=token,
                preview_every_s=PREVIEW_EVERY_S,
                preview_region=region,
                preview_extra=extra,
            )
            token.raise_if_cancelled()
            return replace(result, provenance={**result.provenance, "psf": kernel})

    return job


def _place(source: LayerSnapshot, folder: Path) -> Path:
    """Return a folder for the result that does not exist yet."""
    safe = "".join(letter if letter.isalnum() else "_" for letter in source.name)
    return folder / f"{safe}_{time.strftime('%Y%m%d_%H%M%S')}_{time.monotonic_ns() % 1000:03d}.zarr"


@contextmanager
def _out(
    api: Any, source: LayerSnapshot, folder: Path | None, axes: str | None, voxel_um: Sequence[float] | None
) -> Iterator[tuple[Any, list[Event]]]:
    """Give the array to write into, None for one in memory, and say where it is."""
    if folder is None:
        yield None, []
        return
    path = _place(source, folder)
    with api.new_zarr(path, source.data.shape, axes=axes, voxel_um=voxel_um) as out:
        yield out, [Warned(f"The result is written to {path}.")]


def fits_in_memory(data: Any, share: float) -> bool:
    """Whether an image can be deconvolved in memory: input, result and two copies in float32 at most."""
    from napari_selfdeconv.api import free_memory_bytes

    if isinstance(data, np.ndarray):
        return True
    import torch

    return bool(16.0 * np.prod(data.shape, dtype=float) <= share * free_memory_bytes(torch.device("cpu")))


class LiveResult:
    """The layer '<source> [deconvolved]' while it fills, tile by tile."""

    def __init__(self, viewer: Any, source: LayerSnapshot) -> None:
        self._viewer, self._source = viewer, source
        self._layer: Image | None = None
        self._last = 0.0

    def open(self, image: Any, limits: tuple[float, float]) -> None:
        """Show the array that the result is being written into."""
        self._layer = self._viewer.add_image(
            image,
            name=f"{self._source.name} [deconvolved]",
            contrast_limits=limits,
            metadata={METADATA_KEY: {"role": "preview"}},
            **self._source.transform,
            **self._source.look,
        )

    def progress(self) -> None:
        """Draw what has come, a few times a second at most."""
        now = time.monotonic()
        if self._layer is not None and now - self._last > _REFRESH_S:
            self._last = now
            self._layer.refresh(extent=False, thumbnail=False, highlight=False)

    def finish(self, provenance: dict[str, Any]) -> None:
        """The result is whole: say where it comes from."""
        layer, source = self._layer, self._source
        if layer is not None and layer in self._viewer.layers:
            told = {"role": "result", "source": source.name, "source_id": source.source_id, **provenance}
            layer.metadata = {METADATA_KEY: told}
            if isinstance(layer.data, np.ndarray):
                layer.contrast_limits = display_limits(layer.data)
            layer.refresh()

    def discard(self) -> None:
        """The run was cancelled, or failed: take the layer away."""
        layer, self._layer = self._layer, None
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)
