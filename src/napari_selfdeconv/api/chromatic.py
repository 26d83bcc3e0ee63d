"""The chromatic shifts of a microscope: measured on an image of beads, corrected in results."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
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
    """Measure the shift of each channel of an image of beads relative to a reference channel.

    Parameters
    ----------
    file : from `read_image`, with a channel axis, a voxel size, and the emission of each channel. The beads must
        be visible in all channels.
    reference : number of the channel that the others are aligned to.
    settings : how beads are found.
    within_um : largest distance between the positions of a bead in two channels, um.

    Returns
    -------
    A shift for each channel but the reference.

    Raises
    ------
    ConfigError
        If the file lacks a channel axis, the voxel size or a wavelength, or if no bead is visible in two channels.

    Examples
    --------
    >>> import tempfile
    >>> from napari_selfdeconv.api import BeadSettings, ChannelRecord, ImageFile, ImageRecord
    >>> from napari_selfdeconv.events import drain
    >>> y, x = np.mgrid[:64, :64]
    >>> def beads(shift):
    ...     centres = [(16, 16), (16, 47), (48, 31)]
    ...     return sum(900 * np.exp(-((y - a) ** 2 + (x - b - shift) ** 2) / 6) for a, b in centres)
    >>> channels = (ChannelRecord(emission_um=0.52), ChannelRecord(emission_um=0.6))
    >>> record = ImageRecord(
    ...     file="beads.tif", format="OME-TIFF", axes="CYX", shape=(2, 64, 64), dtype="float64", channels=channels
    ... )
    >>> file = ImageFile(data=np.stack([beads(0), beads(2)]), axes="CYX", voxel_um=(0.1, 0.1), record=record)
    >>> (shift,) = drain(iter_measure_shifts(file, settings=BeadSettings(window_um=(1.5, 1.5))))
    >>> round(shift.x_um, 2), shift.wavelength_um
    (0.2, 0.6)
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
    """Store shifts in the file of a microscope. Shifts of the same wavelengths are replaced.

    Parameters
    ----------
    path : TOML file of a microscope; it is rewritten.
    shifts : from `iter_measure_shifts`.

    Raises
    ------
    ConfigError
        If the file does not hold a microscope, or cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from napari_selfdeconv import Optics, load_microscope, save_microscope
    >>> from napari_selfdeconv.api import ChromaticShift, Microscope
    >>> optics = Optics(na=1.4, wavelength_um=0.52, refractive_index=1.515)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_microscope(f"{folder}/oil.toml", Microscope(name="63x oil", optics=optics))
    ...     add_shifts(f"{folder}/oil.toml", [ChromaticShift(wavelength_um=0.6, reference_um=0.52, x_um=0.1)])
    ...     load_microscope(f"{folder}/oil.toml").shifts[0].x_um
    0.1
    """
    microscope = load_microscope(Path(path))
    others = [old for old in microscope.shifts if not any(_same(old, new) for new in shifts)]
    save_microscope(path, replace(microscope, shifts=(*others, *shifts)))


def shifts_of_channels(
    shifts: Sequence[ChromaticShift], waves: Sequence[float | None]
) -> list[ChromaticShift | None]:
    """Return the shift of each channel by its emission, all relative to one reference channel.

    It is zero for the reference, and None for a channel without a shift. Where shifts were measured relative to
    several channels, the reference of most of the channels is taken, or else the last one.
    """
    references = dict.fromkeys(shift.reference_um for shift in reversed(shifts))
    found = [[_shift_to(reference, shifts, wave) for wave in waves] for reference in references]
    return max(found, key=lambda one: len(waves) - one.count(None), default=[None] * len(waves))


def _shift_to(reference: float, shifts: Sequence[ChromaticShift], wave: float | None) -> ChromaticShift | None:
    """Return the shift of a wavelength relative to a reference."""
    if wave is None:
        return None
    if abs(reference - wave) < SAME_UM:
        return ChromaticShift(wavelength_um=wave, reference_um=reference)
    same = (one for one in shifts if abs(one.reference_um - reference) < SAME_UM)
    return next((one for one in same if abs(one.wavelength_um - wave) < SAME_UM), None)


def unshift_channels(
    image: Any, axes: str, voxel_um: tuple[float, ...], shifts: list[ChromaticShift | None]
) -> NDArray[np.float32]:
    """Return an image with each channel moved to where the reference channel shows it.

    Parameters
    ----------
    image, axes : array and its axes as letters, such as "CZYX".
    voxel_um : voxel size along z, y and x.
    shifts : one for each channel; None leaves a channel as it is.

    Raises
    ------
    ConfigError
        If the axes do not fit the image.

    Examples
    --------
    >>> from napari_selfdeconv.api import ChromaticShift
    >>> image = np.zeros((2, 9, 9))
    >>> image[0, 4, 4] = image[1, 4, 5] = 1.0
    >>> shift = ChromaticShift(wavelength_um=0.6, reference_um=0.52, x_um=0.1)
    >>> moved = unshift_channels(image, "CYX", (0.1, 0.1), [None, shift])
    >>> np.unravel_index(int(moved[1].argmax()), (9, 9))
    (np.int64(4), np.int64(4))
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
