"""The chromatic shift between two channels: a small shift, rotation and zoom, measured on beads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from napari_selfdeconv.config.rules import Number, Whole
from napari_selfdeconv.config.settings import Settings

_WAVELENGTH = Number(0.1, 2.0)
_SHIFT = Number(-100.0, 100.0)
#: Wavelengths that differ by less are the same channel.
SAME_UM = 0.01


@dataclass(frozen=True, kw_only=True)
class ChromaticShift(Settings):
    """The position of the light of one emission wavelength relative to that of another. Lengths are in um.

    Attributes
    ----------
    wavelength_um, reference_um : emission of this channel, and of the channel that the others are aligned to.
    z_um, y_um, x_um : shift along each axis, in the middle of the image.
    rotation_deg : about the optical axis, from y towards x.
    zoom : lateral size relative to the reference.
    beads : number of beads that it was measured on.
    residual_um : root mean square of the remaining shift at the beads, per axis.

    Examples
    --------
    >>> ChromaticShift(wavelength_um=0.6, reference_um=0.52, x_um=0.1).zoom
    1.0
    """

    wavelength_um: Annotated[float, _WAVELENGTH]
    reference_um: Annotated[float, _WAVELENGTH]
    z_um: Annotated[float, _SHIFT] = 0.0
    y_um: Annotated[float, _SHIFT] = 0.0
    x_um: Annotated[float, _SHIFT] = 0.0
    rotation_deg: Annotated[float, Number(-10.0, 10.0)] = 0.0
    zoom: Annotated[float, Number(0.9, 1.1)] = 1.0
    beads: Annotated[int, Whole(0, 10_000_000)] = 0
    residual_um: Annotated[float, Number(0.0, 100.0)] = 0.0
