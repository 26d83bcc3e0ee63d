"""What the tab 'Generate' computes in the worker's thread."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from napari_selfdeconv._gui.runs.worker import Job
from napari_selfdeconv.api import PsfParameters
from napari_selfdeconv.config.optics import Optics
from napari_selfdeconv.events import Event
from napari_selfdeconv.stop_token import StopToken


@dataclass(frozen=True)
class Generated:
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
    """Return the job that computes a PSF; its result is a `Generated`."""

    def job(_token: StopToken) -> Generator[Event, None, Generated]:
        import warnings

        from napari_selfdeconv import api
        from napari_selfdeconv.api import PsfWarning, fwhm

        yield from ()
        sizes = api.suggest_psf_shape(optics, voxel, image_shape, energy) if shape is None else shape
        parameters = PsfParameters(optics=optics, voxel_um=voxel, shape=sizes)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", PsfWarning)
            psf = api.richards_wolf_psf(sizes, voxel, optics)
        notes = [str(w.message) for w in caught if issubclass(w.category, PsfWarning)]
        if shape is None:
            # That the outer planes spread beyond the window is part of the choice of size.
            notes = [note for note in notes if not note.startswith("the window of")]
        widths = [fwhm(psf.astype(np.float64), axis) * size for axis, size in enumerate(voxel)]
        names = ("axial", "lateral")[-min(2, len(voxel) - 1) :] if len(voxel) == 3 else ("lateral",)
        values = (widths[0], widths[-1]) if len(voxel) == 3 else (widths[-1],)
        half = ", ".join(f"{name} {value:.3g} µm" for name, value in zip(names, values, strict=True))
        lateral = optics.wavelength_um / (4 * optics.na)
        facts = (
            f"{' × '.join(map(str, sizes))} voxels · half-maximum width: {half} · Nyquist in xy: {lateral:.3g} µm"
        )
        return Generated(parameters, psf, notes, facts)

    return job
