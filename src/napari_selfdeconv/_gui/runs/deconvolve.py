"""What the worker's thread does: freeze in, api generator out. No Qt and no viewer here."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_selfdeconv._gui.layers.exchange import LayerSnapshot
from napari_selfdeconv._gui.runs.worker import Job
from napari_selfdeconv.config.checks import check_number
from napari_selfdeconv.config.optics import Optics
from napari_selfdeconv.config.tiles import TileConfig
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.events import Event, Warned
from napari_selfdeconv.stop_token import StopToken

PREVIEW_EVERY_S = 1.0


@dataclass(frozen=True)
class GeneratedPsf:
    """A PSF to compute for the image's voxels (z, y, x; as many as the image has axes)."""

    optics: Optics
    voxel_um: tuple[float, ...]

    def __post_init__(self) -> None:
        for axis, size in zip("zyx"[-len(self.voxel_um) :], self.voxel_um, strict=True):
            hint = f": type the voxel size along {axis} in um, the layer does not say it" if size == 0 else ""
            check_number(f"voxel size {axis}", size, 0.0, 1000.0, open_low=True, hint=hint)

    def kernel(self, image: LayerSnapshot) -> tuple[np.ndarray, list[str]]:
        """Return the PSF, and what the user should know about it."""
        from napari_selfdeconv import api

        return api.psf_for_image(self.optics, self.voxel_um, image.data.shape)

    def voxels(self, _image: LayerSnapshot) -> tuple[float, ...]:
        """Return the voxel size of the image and the PSF, um."""
        return self.voxel_um


@dataclass(frozen=True)
class GivenPsf:
    """A PSF that is used as it is: that of an earlier run."""

    array: np.ndarray
    voxel_um: tuple[float, ...] | None

    def kernel(self, _image: LayerSnapshot) -> tuple[np.ndarray, list[str]]:
        """Return the PSF; there is nothing to say about it."""
        return self.array, []

    def voxels(self, _image: LayerSnapshot) -> tuple[float, ...] | None:
        """Return the voxel size of the earlier run, um."""
        return self.voxel_um


@dataclass(frozen=True)
class MeasuredPsf:
    """A PSF that lies in a layer.

    It is brought to the image's voxel size where both are known and differ. With ``clean`` its background
    is subtracted, it is centred and cropped, as a measured bead needs; without, it is used as it is.
    """

    source: LayerSnapshot
    clean: bool = False

    def kernel(self, image: LayerSnapshot) -> tuple[np.ndarray, list[str]]:
        """Return the PSF, and what the user should know about it."""
        from napari_selfdeconv import api

        psf, own, wanted = np.asarray(self.source.data), self.source.voxel_um, image.voxel_um
        if self.source.ndim != image.ndim:
            raise ConfigError(
                f"the PSF '{self.source.name}' has {self.source.ndim} axes and the image "
                f"'{image.name}' has {image.ndim}: choose a PSF with as many axes as the image"
            )
        if not self.clean:
            return api.fit_to_voxels(psf, own, wanted)
        if own is None or wanted is None:
            own = wanted = None
        prepared, report = api.prepare_psf(psf, voxel_um=own, target_voxel_um=wanted, max_shape=image.data.shape)
        return prepared, [*report.warnings, f"The PSF was prepared: {'; '.join(report.did)}."]

    def voxels(self, image: LayerSnapshot) -> tuple[float, ...] | None:
        """Return the voxel size of the image and the prepared PSF, um; None where it is unknown."""
        return image.voxel_um


Psf = GeneratedPsf | MeasuredPsf | GivenPsf


def deconvolve_job(
    image: LayerSnapshot,
    psf: Psf,
    config: TrainConfig,
    tiles: TileConfig,
    region: Callable[[], tuple[slice, ...] | None],
    extra: Callable[[], bool],
    start_from: Any = None,
) -> Job:
    """Return the job that trains on ``image``; its result is an `api.Deconvolution`.

    ``region`` and ``extra`` are asked in the worker's thread (see `api.iter_deconvolve`); ``start_from`` is a
    model to train further, or None.
    """

    def job(token: StopToken) -> Generator[Event, None, Any]:
        from napari_selfdeconv import api

        kernel, notes = psf.kernel(image)
        yield from map(Warned, notes)
        return (
            yield from api.iter_deconvolve(
                np.asarray(image.data),
                kernel,
                config,
                tiles=tiles,
                voxel_um=psf.voxels(image),
                stop=token,
                preview_every_s=PREVIEW_EVERY_S,
                preview_region=region,
                preview_extra=extra,
                start_from=start_from,
            )
        )

    return job


def richardson_lucy_job(image: LayerSnapshot, psf: Psf, counts: Sequence[int], device: str) -> Job:
    """Return the Richardson-Lucy job; its result maps iteration counts to (array, provenance)."""

    def job(token: StopToken) -> Generator[Event, None, Any]:
        from napari_selfdeconv import api

        kernel, notes = psf.kernel(image)
        yield from map(Warned, notes)
        data = np.asarray(image.data)
        methods = [api.Classical(method="rl", iterations=count) for count in counts]
        results = yield from api.iter_classical(data, kernel, methods, stop=token, device_name=device)
        return {r.settings.iterations: (r.image, {**r.provenance, "psf": kernel}) for r in results}

    return job


def parse_counts(text: str) -> tuple[int, ...]:
    """Read iteration counts such as '2 5 10 20' or '2, 5'; ConfigError if there is none or one is no number."""
    words = text.replace(",", " ").split()
    if not words or not all(word.isdecimal() and int(word) > 0 for word in words):
        raise ConfigError(f"iteration counts must be whole numbers above 0, such as 2 5 10 20, got {text!r}")
    return tuple(sorted({int(word) for word in words}))
