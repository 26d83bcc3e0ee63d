"""What the tabs 'Generate' and 'Check' compute in the worker's thread."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_selfdeconv._gui.runs.worker import Job
from napari_selfdeconv.api import PsfParameters
from napari_selfdeconv.config.optics import Optics
from napari_selfdeconv.events import Event
from napari_selfdeconv.stop_token import StopToken

if TYPE_CHECKING:
    from napari_selfdeconv.api import Context, Finding


@dataclass(frozen=True)
class PsfResult:
    """A computed PSF: parameters, array, what is doubtful, and what to say about it."""

    parameters: PsfParameters
    psf: np.ndarray
    notes: list[str]
    facts: str


def generate_job(
    optics: Optics,
    voxel: tuple[float, ...],
    image_shape: tuple[int, ...],
    energy: float,
    shape: tuple[int, ...] | None,
) -> Job:
    """Return the job that computes a PSF; its result is a `PsfResult`."""

    def job(_token: StopToken) -> Generator[Event, None, PsfResult]:
        from napari_selfdeconv import api

        yield from ()
        sizes = api.suggest_psf_shape(optics, voxel, image_shape, energy) if shape is None else shape
        parameters = PsfParameters(optics=optics, voxel_um=voxel, shape=sizes)
        psf, sampling, window = api.psf_and_notes(sizes, voxel, optics)
        # That the outer planes spread beyond the window is part of the choice of size.
        notes = sampling if shape is None else sampling + window
        widths = [api.fwhm(psf.astype(np.float64), axis) * size for axis, size in enumerate(voxel)]
        names = ("axial", "lateral")[-min(2, len(voxel) - 1) :] if len(voxel) == 3 else ("lateral",)
        values = (widths[0], widths[-1]) if len(voxel) == 3 else (widths[-1],)
        half = ", ".join(f"{name} {value:.3g} µm" for name, value in zip(names, values, strict=True))
        lateral = optics.wavelength_um / (4 * optics.na)
        facts = (
            f"{' × '.join(map(str, sizes))} voxels · half-maximum width: {half} · Nyquist in xy: {lateral:.3g} µm"
        )
        return PsfResult(parameters, psf, notes, facts)

    return job


@dataclass(frozen=True)
class PsfSnapshot:
    """A PSF layer, and the image it is for, as they are when a check begins; None where unknown."""

    data: Any
    voxel_um: tuple[float, ...] | None
    image_shape: tuple[int, ...] | None
    image_voxel_um: tuple[float, ...] | None

    def context(self) -> Context:
        """Return what the check compares the PSF with."""
        from napari_selfdeconv import api

        return api.Context(
            voxel_um=self.voxel_um, image_shape=self.image_shape, image_voxel_um=self.image_voxel_um
        )


@dataclass(frozen=True)
class Examination:
    """A PSF that was examined: its array, and what is wrong with it."""

    psf: np.ndarray
    findings: list[Finding]


@dataclass(frozen=True)
class Repair:
    """A repaired PSF, its voxel size where it is known, and what was done."""

    psf: np.ndarray
    voxel_um: tuple[float, ...] | None
    did: list[str]


def examine_job(snapshot: PsfSnapshot) -> Job:
    """Return the job that examines a PSF; its result is an `Examination`."""

    def job(_token: StopToken) -> Generator[Event, None, Examination]:
        from napari_selfdeconv import api

        yield from ()
        psf = np.asarray(snapshot.data)
        return Examination(psf, api.examine_psf(psf, snapshot.context()))

    return job


def repair_job(snapshot: PsfSnapshot, keys: Sequence[str]) -> Job:
    """Return the job that repairs the findings named; its result is a `Repair`."""

    def job(_token: StopToken) -> Generator[Event, None, Repair]:
        from napari_selfdeconv import api

        yield from ()
        return Repair(*api.repair_psf(np.asarray(snapshot.data), list(keys), snapshot.context()))

    return job
