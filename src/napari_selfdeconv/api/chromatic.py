"""The chromatic shifts of a microscope: measured on an image of beads, corrected in results."""

from __future__ import annotations

import os
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.api.beads import iter_beads_psf
from napari_selfdeconv.config.chromatic import SAME_UM, ChromaticShift
from napari_selfdeconv.config.series import SeriesPlan
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.events import Event, Finished, mapped
from napari_selfdeconv.io.images import ImageFile
from napari_selfdeconv.io.microscope_files import load_microscope, save_microscope
from napari_selfdeconv.psf.beads.settings import BeadPsf, BeadSettings
from napari_selfdeconv.psf.chromatic import fit_shift, unshift
from napari_selfdeconv.stop_token import StopToken


def iter_measure_shifts(
    file: ImageFile,
    reference: int = 0,
    settings: BeadSettings | None = None,
    *,
    within_um: float = 1.5,
    stop: StopToken | None = None,
) -> Generator[Event, None, list[ChromaticShift]]:
    """Measure where each channel of an image of beads lies relative to one of them.

    Parameters
    ----------
    file : of `read_image`, with a channel axis, a voxel size, and the emission of each channel. The beads must be
        seen in all channels.
    reference : number of the channel that the others are put onto.
    settings : how beads are found.
    within_um : largest distance between the pictures of a bead in two channels.

    Returns
    -------
    A shift for each channel but the reference.

    Raises
    ------
    ConfigError
        If the file lacks a channel axis, the voxel size or a wavelength, or no bead is seen in two channels.
    """
    if set(file.axes) - set("CZYX") or "C" not in file.axes:
        raise ConfigError(f"an image of beads in several channels is needed, got axes {file.axes}")
    if file.voxel_um is None or file.record is None:
        raise ConfigError("the voxel size is not in the file", "give --voxel-um [DZ] DY DX")
    plan = SeriesPlan(axes=file.axes.lower())
    count = plan.count("c", file.data.shape)
    waves = [channel.emission_um for channel in file.record.channels]
    if not 0 <= reference < count:
        raise ConfigError(f"there is no channel {reference}: the file has {count}, numbered from 0")
    if missing := [str(number) for number, wave in enumerate(waves) if wave is None]:
        raise ConfigError(
            f"the emission wavelength of channel {', '.join(missing)} is not in the file",
            "a shift belongs to a wavelength: store it in the file (as OME-TIFF)",
        )
    found: list[BeadPsf] = []
    for number in range(count):
        work = iter_beads_psf(file.data[plan.index(0, number)], file.voxel_um, settings=settings, stop=stop)
        found.append((yield from mapped(work, lambda event: None if isinstance(event, Finished) else event)))
    places = [np.array([bead.position for bead in one.beads if not bead.reason]) for one in found]
    return [
        fit_shift(
            places[reference],
            places[number],
            file.voxel_um,
            plan.frame_shape(file.data.shape),
            wavelength_um=float(waves[number] or 0),
            reference_um=float(waves[reference] or 0),
            within_um=within_um,
        )
        for number in range(count)
        if number != reference
    ]


def add_shifts(path: str | os.PathLike[str], shifts: list[ChromaticShift]) -> None:
    """Store shifts in the file of a microscope; those of the same wavelengths are replaced.

    Parameters
    ----------
    path : TOML file of a microscope; it is written again.
    shifts : of `iter_measure_shifts`.

    Raises
    ------
    ConfigError
        If the file does not hold a microscope, or cannot be written.
    """
    microscope = load_microscope(Path(path))
    others = [old for old in microscope.shifts if not any(_same(old, new) for new in shifts)]
    save_microscope(path, replace(microscope, shifts=(*others, *shifts)))


def shift_of(shifts: tuple[ChromaticShift, ...], wavelength_um: float | None) -> ChromaticShift | None:
    """Return the shift of a channel by its emission: zero for the reference, None for an unknown channel."""
    if wavelength_um is None:
        return None
    for shift in shifts:
        if abs(shift.wavelength_um - wavelength_um) < SAME_UM:
            return shift
    for shift in shifts:
        if abs(shift.reference_um - wavelength_um) < SAME_UM:
            return ChromaticShift(wavelength_um=wavelength_um, reference_um=shift.reference_um)
    return None


def unshift_channels(
    image: Any, axes: str, voxel_um: tuple[float, ...], shifts: list[ChromaticShift | None]
) -> NDArray[np.float32]:
    """Return an image with each channel put where the reference channel sees it; None leaves a channel.

    Parameters
    ----------
    image, axes : of a result.
    voxel_um : of its z, y and x.
    shifts : one for each channel.
    """
    plan = SeriesPlan(axes=axes.lower())
    times = plan.count("t", image.shape)
    out = np.array(image, np.float32)
    for channel, shift in enumerate(shifts):
        if shift is None or shift.wavelength_um == shift.reference_um:
            continue
        for time in range(times):
            where = plan.index(time, channel)
            out[where] = unshift(out[where], shift, voxel_um)
    return out


def _same(a: ChromaticShift, b: ChromaticShift) -> bool:
    return abs(a.wavelength_um - b.wavelength_um) < SAME_UM and abs(a.reference_um - b.reference_um) < SAME_UM
