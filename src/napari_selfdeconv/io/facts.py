"""The values that a reader finds in a file. The first statement of a value is used."""

from __future__ import annotations

import math
from typing import Any

from napari_selfdeconv.io.record import Remark

# Two statements of the same length may differ by rounding.
_SAME = 0.01
# Zero is a valid value of these. For all others writers use it for "unknown".
_MAY_BE_ZERO = ("camera_offset",)


class Facts:
    """Values by field name, the place of each in the file, and doubts.

    Field names are those of `ImageRecord`; those of a channel begin with "channels.", its number and a dot.
    """

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.sources: dict[str, str] = {}
        self.doubts: list[Remark] = []

    def add(self, field: str, value: Any, source: str) -> None:
        """Note that ``source`` states this value. Nothing is noted of an empty, zero or undefined one."""
        if isinstance(value, str):
            value = value.strip().strip("\0")
        elif value is not None:
            value = float(value)
            if not math.isfinite(value) or (value <= 0 and not field.endswith(_MAY_BE_ZERO)):
                return
        if value is None or value == "":
            return
        if field not in self.values:
            self.values[field], self.sources[field] = value, source
        elif not _same(self.values[field], value):
            self.doubt(
                field,
                f"{label(field)} is {_show(self.values[field])} by {self.sources[field]} and {_show(value)} by "
                f"{source}",
                "the first one is used; if it is wrong, give the right value",
            )

    def doubt(self, field: str, problem: str, remedy: str = "") -> None:
        self.doubts.append(Remark(field=field, problem=problem, remedy=remedy))

    def drop(self, field: str, problem: str, remedy: str) -> None:
        """Discard a value that cannot be right, so that the user is asked for it."""
        del self.values[field], self.sources[field]
        self.doubt(field, problem, remedy)


def label(field: str) -> str:
    """Return a field's name in words.

    Examples
    --------
    >>> label("channels.1.emission_um"), label("voxel_z_um")
    ('the emission wavelength of channel 1', 'the voxel size along z')
    """
    *channel, name = field.split(".")
    of = f" of channel {channel[1]}" if channel else ""
    return _LABELS.get(name, f"the {name.replace('_', ' ')}") + of


_LABELS = {
    "na": "the numerical aperture",
    "voxel_z_um": "the voxel size along z",
    "voxel_y_um": "the voxel size along y",
    "voxel_x_um": "the voxel size along x",
    "time_step_s": "the time step",
    "emission_um": "the emission wavelength",
    "excitation_um": "the excitation wavelength",
    "pinhole_um": "the pinhole",
    "pinhole_au": "the pinhole",
    "modality": "the kind of microscope",
}


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, str) or isinstance(b, str):
        return str(a).casefold() == str(b).casefold()
    return math.isclose(a, b, rel_tol=_SAME)


def _show(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else repr(value)
