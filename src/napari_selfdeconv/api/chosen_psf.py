"""The PSF that a run uses, with the origin of each value; read from a file here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.api.image_part import known_um, voxel_doubts
from napari_selfdeconv.config.optics import Optics
from napari_selfdeconv.config.template import GIVEN
from napari_selfdeconv.io.images import ImageFile, read_psf
from napari_selfdeconv.psf.diagnose import Context, examine_psf
from napari_selfdeconv.psf.measure import bright_centre
from napari_selfdeconv.psf.prepare import fit_to_voxels, prepare_psf
from napari_selfdeconv.psf.validate import NEAR_CENTRE

# A centre this many voxels off the middle one is said.
_OFF_CENTRE = 0.25
# Findings that `check_psf` refuses or reports with a message of its own.
_SAID_ELSEWHERE = ("background", "nan", "negative", "centre", "ndim", "larger", "voxels", "sum")


@dataclass(frozen=True, kw_only=True)
class Stated:
    """A value of a run and its origin.

    Attributes
    ----------
    name : name of the setting, such as "na".
    value : a number, in um if it is a length.
    source : "given", or the place in the file.

    Examples
    --------
    >>> str(Stated(name="na", value=1.4, source="the OME-XML"))
    '--na 1.4 (the OME-XML)'
    """

    name: str
    value: Any
    source: str

    def __str__(self) -> str:
        shown = f"{self.value:g}" if isinstance(self.value, float) else str(self.value)
        return f"--{self.name.replace('_', '-')} {shown} ({self.source})"


@dataclass(frozen=True, kw_only=True)
class ChosenPsf:
    """The PSF of a run.

    Attributes
    ----------
    psf : array for `iter_deconvolve`.
    optics : the optics that it was computed from; None for a PSF that was given.
    stated : the values of the optics, each with its origin.
    notes, warnings : sentences for the user.

    Examples
    --------
    >>> ChosenPsf(psf=np.ones((3, 3)) / 9, notes=("PSF: read from psf.tif",)).optics is None
    True
    """

    psf: NDArray[Any]
    optics: Optics | None = None
    stated: tuple[Stated, ...] = ()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def _repairs(key: str) -> str:
    """Return what repairs a finding. The axes are moved on request alone: a thin PSF may be long along y or x."""
    return "selfdeconv prepare-psf" if key == "axes" else "--prepare-psf or selfdeconv prepare-psf"


def _not_compared(own: Sequence[float | None], wanted: Sequence[float | None]) -> list[str]:
    """Return a sentence about the axes along which nobody knows whether the voxels of PSF and image agree."""
    if len(own) != len(wanted):
        return []
    axes = [axis for axis, *pair in zip("zyx"[-len(own) :], own, wanted, strict=True) if None in pair]
    if not axes:
        return []
    return [
        f"PSF: its voxels are taken to be as large as the image's along {', '.join(axes)}, because not both files "
        "state their size"
    ]


def _half_a_voxel(psf: NDArray[Any]) -> list[str]:
    """Return a sentence about a centre between two voxels, as of a generated PSF of even size.

    `check_psf` warns of a centre that is farther off.
    """
    off = [centre - n // 2 for centre, n in zip(bright_centre(np.asarray(psf, float)), psf.shape, strict=True)]
    farthest = max(abs(one) for one in off)
    if not _OFF_CENTRE < farthest <= NEAR_CENTRE:
        return []
    shift = ", ".join(f"{one:+.1f}" for one in off)
    return [
        f"PSF: its centre is off the middle voxel (n // 2) by ({shift}) voxels, and the result will be shifted by "
        "as much the other way; --prepare-psf centres it"
    ]


def read_chosen_psf(path: Path, image: ImageFile, prepare: bool) -> ChosenPsf:
    """Read a PSF. Prepare it on request, and resample it to the voxels of the image if they differ."""
    file = read_psf(path)
    array: NDArray[Any] = file.data
    spatial = tuple(n for n, axis in zip(image.data.shape, image.axes, strict=True) if axis in "ZYX")
    own, wanted = known_um(file), known_um(image)
    changed: list[str] = []
    warnings: list[str] = []
    if prepare:
        same_axes = len(spatial) == array.ndim
        known = same_axes and file.voxel_um is not None and image.voxel_um is not None
        if not known:
            array, changed = fit_to_voxels(array, own, wanted)
        # Otherwise in one call: the size of the image counts in its own voxels.
        array, report = prepare_psf(
            array,
            voxel_um=file.voxel_um if known else None,
            target_voxel_um=image.voxel_um if known else None,
            max_shape=spatial if same_axes else None,
        )
        notes = [*changed, *(f"PSF prepared: {said}" for said in report.did)]
        warnings = [f"the PSF: {said}" for said in report.warnings]
    else:
        array, changed = fit_to_voxels(array, own, wanted)
        notes = list(changed)
    if changed or not prepare:
        # Saturation is seen in the numbers of the file alone.
        warnings = [f"the PSF: {one.text}" for one in examine_psf(file.data) if one.key == "saturated"] + warnings
    notes += [*_not_compared(own, wanted), *_half_a_voxel(array)]
    doubts = [] if file.record is None else [one for one in file.record.doubts if one.field.startswith("voxel")]
    warnings += [f"the PSF: {doubt.problem}" for doubt in doubts]
    elsewhere = {*_SAID_ELSEWHERE, "saturated"} | ({"truncated"} if prepare else set())
    warnings += [
        f"the PSF: {finding.text}" + (f" {_repairs(finding.key)} repairs it." if finding.fix else "")
        for finding in examine_psf(array, Context(image_shape=spatial))
        if (finding.severity == "problem" or finding.key == "truncated") and finding.key not in elsewhere
    ]
    return ChosenPsf(
        psf=array,
        stated=(Stated(name="psf", value=str(path), source=GIVEN),),
        notes=tuple(notes),
        warnings=(*voxel_doubts(image), *warnings),
    )
