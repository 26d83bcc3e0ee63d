"""Where the PSF of a run comes from; its array is made or fitted to the image in the worker's thread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from napari_selfdeconv._gui.layers.exchange import LayerSnapshot
from napari_selfdeconv._gui.layers.voxels import with_voxel_um
from napari_selfdeconv.config.optics import Optics
from napari_selfdeconv.errors import ConfigError


@dataclass(frozen=True)
class GeneratedPsf:
    """A PSF to compute for the image's voxels (z, y, x; as many as the image has axes).

    With ``whole_stack`` the network's PSF is as large as the light that it spreads; else it is compact, and light
    from far planes stays as haze. ``sources`` says which values the file states.
    """

    optics: Optics
    voxel_um: tuple[float, ...]
    whole_stack: bool = True
    sources: Mapping[str, str] = field(default_factory=dict, compare=False)

    def kernel(self, image: LayerSnapshot) -> tuple[np.ndarray, list[str]]:
        """Return the PSF, and what the user should know about it."""
        if not self.whole_stack:
            return self.compact_kernel(image)
        from napari_selfdeconv import api

        return api.psf_for_stack(self.optics, self.voxel_um, image.data.shape)

    def whole_kernel(self, image: LayerSnapshot) -> tuple[np.ndarray, list[str]]:
        """Return the PSF that residuals and scores are computed with: a compact one hides haze."""
        return replace(self, whole_stack=True).kernel(image)

    def compact_kernel(self, image: LayerSnapshot) -> tuple[np.ndarray, list[str]]:
        """Return the PSF of classical methods without an open border, which must fit into the image."""
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

    def whole_kernel(self, image: LayerSnapshot) -> tuple[np.ndarray, list[str]]:
        """Return the same as `kernel`."""
        return self.kernel(image)

    def compact_kernel(self, image: LayerSnapshot) -> tuple[np.ndarray, list[str]]:
        """Return the same as `kernel`."""
        return self.kernel(image)

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
        check_axes(self.source.name, self.source.ndim, image.name, image.ndim)
        unsure = _voxels_unknown(self.source, image)
        if not self.clean:
            fitted, notes = api.fit_to_voxels(psf, own, wanted)
            return fitted, [*unsure, *notes]
        if own is None or wanted is None:
            own = wanted = None
        prepared, report = api.prepare_psf(psf, voxel_um=own, target_voxel_um=wanted, max_shape=image.data.shape)
        return prepared, [*unsure, *report.warnings, f"The PSF was prepared: {'; '.join(report.did)}."]

    def whole_kernel(self, image: LayerSnapshot) -> tuple[np.ndarray, list[str]]:
        """Return the same as `kernel`."""
        return self.kernel(image)

    def compact_kernel(self, image: LayerSnapshot) -> tuple[np.ndarray, list[str]]:
        """Return the same as `kernel`."""
        return self.kernel(image)

    def voxels(self, image: LayerSnapshot) -> tuple[float, ...] | None:
        """Return the voxel size of the image and the prepared PSF, um; None where it is unknown."""
        return image.voxel_um


Psf = GeneratedPsf | MeasuredPsf | GivenPsf


def check_axes(psf: str, psf_ndim: int, image: str, ndim: int) -> None:
    """Raise ConfigError unless the PSF has as many axes as the image, or as a frame of it."""
    if psf_ndim != ndim:
        words = (
            f"The PSF '{psf}' has {psf_ndim} axes and the image '{image}' has {ndim}: "
            "choose a PSF with as many axes as the image"
        )
        raise ConfigError(f"{words}, or choose time or channel for its first axis" if psf_ndim == 2 else words)


def _voxels_unknown(psf: LayerSnapshot, image: LayerSnapshot) -> list[str]:
    """Say that the PSF is used voxel for voxel because only one of the two states its voxel size."""
    if (psf.voxel_um is None) == (image.voxel_um is None):
        return []
    nameless, sizes = ("image", psf.voxel_um) if image.voxel_um is None else ("PSF", image.voxel_um)
    layer, other = (image, "PSF") if image.voxel_um is None else (psf, "image")
    size = " × ".join(f"{one:g}" for one in sizes or ())
    return [
        f"The {nameless} '{layer.name}' has no voxel size, so its voxels are taken to be those of the {other}, "
        f"{size} µm. If they are not, write their size to the layer (PSF tools …) and start again."
    ]


def optics_record(psfs: Sequence[Psf]) -> dict[str, Any]:
    """Return what the record of a result says of the optics of each channel; nothing without computed PSFs."""
    from napari_selfdeconv import api

    told = [api.told_optics(psf.optics, psf.sources) for psf in psfs if isinstance(psf, GeneratedPsf)]
    return {"optics": told[0] if len(told) == 1 else told} if told else {}


def sized(image: LayerSnapshot, psf: Psf) -> LayerSnapshot:
    """Return ``image`` with the voxel size that was typed for its PSF, so that results carry it."""
    return with_voxel_um(image, psf.voxel_um) if isinstance(psf, GeneratedPsf) else image
