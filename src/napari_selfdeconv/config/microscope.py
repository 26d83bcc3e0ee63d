"""A microscope with a name given by its user: the optics, and the usual voxel size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self

from napari_selfdeconv.config.chromatic import ChromaticShift
from napari_selfdeconv.config.optics import Optics
from napari_selfdeconv.config.rules import Each, Number, Part, Text
from napari_selfdeconv.config.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Microscope(Settings):
    """Optics with a name.

    Attributes
    ----------
    name : given by the user, such as "Zeiss 63x/1.4 oil, GFP".
    optics : all that a PSF needs but the voxel size.
    shifts : chromatic shifts of other wavelengths, measured on beads; for `unshift`.
    voxel_um : usual voxel size, (dz, dy, dx) or (dy, dx), in um; None if it differs from image to image.

    Examples
    --------
    >>> gfp = Optics(na=1.4, wavelength_um=0.51, refractive_index=1.515)
    >>> zeiss = Microscope(name="Zeiss 63x/1.4 oil, GFP", optics=gfp)
    >>> Microscope.from_dict(zeiss.to_dict()) == zeiss
    True
    """

    name: Annotated[str, Text()]
    optics: Optics
    voxel_um: Annotated[tuple[float, ...] | None, Each(Number(0.0, 1000.0, open_low=True), counts=(2, 3))] = None
    shifts: Annotated[tuple[ChromaticShift, ...], Each(Part(ChromaticShift))] = ()

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build from `to_dict`'s output; older files have no shifts."""
        if isinstance(values, Mapping) and isinstance(values.get("shifts"), list):
            values = {**values, "shifts": tuple(ChromaticShift.from_dict(one) for one in values["shifts"])}
        return super().from_dict(values)

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers, strings, lists and dicts; shifts only where there are some."""
        found = super().to_dict()
        return found if self.shifts else {name: value for name, value in found.items() if name != "shifts"}
