"""Corrections besides deconvolution that a template can ask for: even light, and aligned channels."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

from napari_selfdeconv.api.chosen_psf import ChosenPsf
from napari_selfdeconv.api.chromatic import shifts_of_channels
from napari_selfdeconv.api.inputs import find_microscope
from napari_selfdeconv.config.chromatic import ChromaticShift
from napari_selfdeconv.config.template import Template
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.io.images import ImageFile
from napari_selfdeconv.physics.illumination import Course, apply_courses, measure_light, uncorrected_light


class Evened(NamedTuple):
    """A file, with even light if that was asked for.

    Attributes
    ----------
    file : the file.
    courses : its courses of light; without a correction those that matter.
    record : what was corrected, for the record of a result; empty without a correction.
    warnings : what was asked for and not corrected.
    """

    file: ImageFile
    courses: list[Course]
    record: dict[str, Any]
    warnings: list[str]


def evened(file: ImageFile, template: Template) -> Evened:
    """Return the file, with even light if the template asks for it."""
    courses = measure_light(file.data, file.axes) if len(file.axes) > 2 else []
    what = template.image.correct_light
    if what is None:
        return Evened(file, [course for course in courses if course.matters], {}, [])
    data = apply_courses(file.data, file.axes, courses, what)
    left = uncorrected_light(file.data.shape, file.axes, courses, what)
    told = [{"axis": one.axis, "channel": one.channel, "factors": one.factors(what).tolist()} for one in courses]
    record = {"corrected_light": {"what": what, "courses": told, "left": left}}
    return Evened(dataclasses.replace(file, data=data), courses, record, left)


class Shifts(NamedTuple):
    """The shift of each channel; empty if none is to be corrected."""

    found: list[ChromaticShift | None]
    warnings: list[str]


def shifts_of(file: ImageFile, template: Template, psfs: Sequence[ChosenPsf], channels: int) -> Shifts:
    """Return the chromatic shifts of a file's channels, from the microscope that the template names."""
    if template.output.align is None:
        return Shifts([], [])
    microscope = find_microscope(template.output.align)
    if not microscope.shifts:
        raise ConfigError(
            f"the microscope {microscope.name} has no chromatic shifts", "measure them: selfdeconv shifts BEADS"
        )
    if file.voxel_um is None:
        raise ConfigError("--align needs the voxel size", "give --voxel-um [DZ] DY DX")
    waves: list[float | None] = [None] * channels
    for number in range(channels):
        if file.record is not None and number < len(file.record.channels):
            waves[number] = file.record.channels[number].emission_um
        optics = psfs[number].optics if number < len(psfs) else None
        waves[number] = optics.wavelength_um if optics is not None else waves[number]
    found = shifts_of_channels(microscope.shifts, waves)
    warnings = [
        f"channel {number} has no chromatic shift in the microscope {microscope.name} and stays where it is"
        for number, one in enumerate(found)
        if one is None
    ]
    return Shifts(found, warnings)
