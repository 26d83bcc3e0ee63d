"""The voxel size and the text in a TIFF, wherever its writer put them: OME-XML, ImageJ's lines, or the tags."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

import tifffile

# A resolution tag is as often about printing (72 per inch is 353 um a pixel) as about a microscope.
_PLAUSIBLE_UM = (0.001, 5.0)
_UM_PER_UNIT = {
    **dict.fromkeys(("um", "micron", "microns", "micrometer", "micrometers", "micrometre"), 1.0),
    **dict.fromkeys(("nm", "nanometer", "nanometers", "nanometre"), 1e-3),
    **dict.fromkeys(("mm", "millimeter", "millimeters", "millimetre"), 1e3),
    **dict.fromkeys(("cm", "centimeter", "centimeters", "centimetre"), 1e4),
    **dict.fromkeys(("m", "meter", "meters", "metre"), 1e6),
    **dict.fromkeys(("inch", "in", "inches"), 25_400.0),
    **dict.fromkeys(("a", "å", "angstrom"), 1e-4),
    "pm": 1e-6,
}
_TAG_UNITS = {2: "inch", 3: "cm"}


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """What was found. ``voxel`` maps those of Z, Y, X that are known to micrometres."""

    voxel: Mapping[str, float] = field(default_factory=dict)
    note: str = ""
    description: str = ""
    provenance: dict[str, Any] | None = None

    def voxel_along(self, axes: str) -> tuple[tuple[float, ...] | None, str]:
        """Return the voxel size along the spatial axes, None unless all are known, and what to tell the user."""
        spatial = [axis for axis in axes if axis in "ZYX"]
        if all(axis in self.voxel for axis in spatial):
            return tuple(self.voxel[axis] for axis in spatial), self.note
        if not self.voxel:
            return None, self.note
        known = ", ".join(f"{axis.lower()} {size:g} um" for axis, size in self.voxel.items())
        missing = ", ".join(axis.lower() for axis in spatial if axis not in self.voxel)
        return None, f"voxel size unknown along {missing} ({known}, {self.note})"


def read_metadata(tif: tifffile.TiffFile) -> Metadata:
    """Return the metadata of the first image of an open TIFF.

    Units of length are converted to micrometres; a size without a unit is not trusted. The resolution tags of
    a TIFF that is neither OME nor ImageJ are trusted only if they say 0.001 to 5 um a pixel, since most of
    them are about printing.
    """
    if tif.is_ome:
        return _from_ome(tif.ome_metadata or "")
    if tif.is_imagej:
        return _from_lines(tif, tif.imagej_metadata or {}, "from ImageJ's properties")
    if tif.shaped_metadata and "unit" in tif.shaped_metadata[0]:
        return _from_lines(tif, tif.shaped_metadata[0], "from the TIFF's description")
    return _from_tags(tif)


def micrometres(size: float, unit: str) -> float | None:
    """Return a length in micrometres, None unless it is positive, finite and in a known unit of length.

    Examples
    --------
    >>> micrometres(65, "nm"), micrometres(1, "pixel")
    (0.065, None)
    """
    unit = unit.strip().lower()
    # ImageJ writes the micro sign as six ASCII characters; Unicode has two of them.
    for micro in ("\\u00b5", "\N{MICRO SIGN}", "\N{GREEK SMALL LETTER MU}"):
        unit = unit.replace(micro, "u")
    factor = _UM_PER_UNIT.get(unit)
    if factor is None or not math.isfinite(size) or size <= 0:
        return None
    # 65 * 1e-3 is 0.065 and a bit; a user should see 0.065.
    return float(f"{size * factor:.12g}") if factor != 1 else size


def _from_ome(xml: str) -> Metadata:
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError as error:
        return Metadata(note=f"no voxel size: the OME-XML cannot be read ({error})")
    image = root.find("{*}Image")
    if image is None:
        return Metadata(note="no voxel size: the OME-XML describes no image")
    pixels = image.find("{*}Pixels")
    attributes = {} if pixels is None else pixels.attrib
    voxel = {}
    for axis in "ZYX":
        size = _number(attributes.get(f"PhysicalSize{axis}"))
        um = micrometres(size, attributes.get(f"PhysicalSize{axis}Unit", "um"))
        if um is not None:
            voxel[axis] = um
    text = image.findtext("{*}Description") or ""
    provenance = _json_dict(text)
    return Metadata(
        voxel=voxel,
        note="from the OME-XML" if voxel else "the OME-XML has no voxel size",
        description="" if provenance is not None else text,
        provenance=provenance,
    )


def _from_lines(tif: tifffile.TiffFile, values: Mapping[str, Any], origin: str) -> Metadata:
    """ImageJ's way: one unit (or one an axis), ``spacing`` for z, pixels per unit in the resolution tags."""
    unit = str(values.get("unit", ""))
    x, y = _tag_sizes(tif)
    sizes = {
        "Z": (abs(_number(values.get("spacing"))), str(values.get("zunit", unit))),
        "Y": (y, str(values.get("yunit", unit))),
        "X": (x, unit),
    }
    voxel = {axis: um for axis, size in sizes.items() if (um := _tag_micrometres(*size)) is not None}
    if not voxel:
        origin = f"no voxel size: the unit is {unit!r}" if unit else "no voxel size: the file names no unit"
    return Metadata(voxel=voxel, note=origin, description=str(values.get("Info", "")))


def _from_tags(tif: tifffile.TiffFile) -> Metadata:
    tag = tif.pages.first.tags.get("ResolutionUnit")
    unit = _TAG_UNITS.get(int(tag.value), "") if tag is not None else ""
    x, y = (_tag_micrometres(size, unit) for size in _tag_sizes(tif))
    if x is None or y is None:
        return Metadata(note="the file has no voxel size")
    low, high = _PLAUSIBLE_UM
    if not (low <= x <= high and low <= y <= high):
        return Metadata(note=f"no voxel size: the resolution tags say {x:g} um a pixel, which is about printing")
    return Metadata(voxel={"Y": y, "X": x}, note="from the resolution tags")


def _tag_sizes(tif: tifffile.TiffFile) -> tuple[float, float]:
    """Units of length per pixel along x and y; NaN where the tag is missing or zero."""
    sizes = []
    for name in ("XResolution", "YResolution"):
        tag = tif.pages.first.tags.get(name)
        pixels, units = tag.value if tag is not None else (0, 0)
        sizes.append(units / pixels if pixels else math.nan)
    return sizes[0], sizes[1]


def _tag_micrometres(size: float, unit: str) -> float | None:
    # The tags are ratios of whole numbers, good to about six digits: 1/0.13 a pixel should come back as 0.13.
    um = micrometres(size, unit)
    return None if um is None else float(f"{um:.6g}")


def _number(text: Any) -> float:
    try:
        return float(text)
    except (TypeError, ValueError):
        return math.nan


def _json_dict(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
