"""Pixel sizes in the resolution tags of a TIFF, beside a text that may name their unit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import tifffile

from napari_selfdeconv.io.facts import Facts
from napari_selfdeconv.io.units import micrometres, number, seconds

# A resolution tag often describes printing (72 per inch is 353 um a pixel) and not a microscope.
_PLAUSIBLE_UM = (0.001, 5.0)
_TAG_UNITS = {2: "inch", 3: "cm"}


def add_text(facts: Facts, tif: tifffile.TiffFile, values: Mapping[str, Any], source: str) -> None:
    """Note what ImageJ's lines state, or tifffile's, which are alike.

    One unit (or one for each axis), ``spacing`` along z, pixels per unit in the resolution tags, and the time
    from frame to frame.
    """
    unit = str(values.get("unit", ""))
    x, y = _tag_sizes(tif)
    spacing = abs(number(values.get("spacing")))
    facts.add("voxel_z_um", _rounded(micrometres(spacing, str(values.get("zunit", unit)))), source)
    for axis, size, its_unit in (("y", y, str(values.get("yunit", unit))), ("x", x, unit)):
        facts.add(f"voxel_{axis}_um", _size_by_text(facts, tif, axis, size, its_unit), source)
    if not unit:
        add_plausible_tags(facts, tif)
        if not facts.values.keys() & {"voxel_z_um", "voxel_y_um", "voxel_x_um"}:
            facts.doubt("voxel", "the file names no unit of its voxel size", "")
    elif micrometres(1.0, unit) is None:
        facts.doubt("voxel", f"the unit is {unit!r}, which is no length", "")
    facts.add("time_step_s", seconds(number(values.get("finterval")), str(values.get("tunit", "s"))), source)
    fps = number(values.get("fps"))
    if "time_step_s" not in facts.values and values.get("frames", 1) != 1 and fps > 0 and "finterval" in values:
        facts.add("time_step_s", 1 / fps, source)


def add_tags(facts: Facts, tif: tifffile.TiffFile) -> None:
    """Note the resolution tags of a TIFF without a text, if a microscope can have set them."""
    if not add_plausible_tags(facts, tif) and (size := _by_tags(tif)[0]) is not None:
        problem = f"the resolution tags state {size:g} um a pixel, which describes printing"
        facts.doubt("voxel", problem, "give --voxel-um [DZ] DY DX")


def add_plausible_tags(facts: Facts, tif: tifffile.TiffFile) -> bool:
    """Note the resolution tags if a microscope can have set them; return whether it can."""
    x, y = _by_tags(tif)
    if not (_plausible(x) and _plausible(y)):
        return False
    facts.add("voxel_y_um", y, "the resolution tags")
    facts.add("voxel_x_um", x, "the resolution tags")
    return True


def _size_by_text(facts: Facts, tif: tifffile.TiffFile, axis: str, size: float, unit: str) -> float | None:
    """Return a pixel size in the unit of the text, or in that of the tag if only that one can be right."""
    by_text = _rounded(micrometres(size, unit))
    tag_unit = _tag_unit(tif)
    if by_text is None or not tag_unit or micrometres(1.0, tag_unit) == micrometres(1.0, unit):
        return by_text
    by_tag = _rounded(micrometres(size, tag_unit))
    right = by_tag if _plausible(by_tag) and not _plausible(by_text) else by_text
    if axis == "x":
        facts.doubt(
            f"voxel_{axis}_um",
            f"the text gives the pixel size in {unit} ({by_text:.3g} um) and the resolution tags in {tag_unit} "
            f"({by_tag:.3g} um)",
            f"{right:.3g} um is used; give --voxel-um [DZ] DY DX if that is wrong",
        )
    return right


def _by_tags(tif: tifffile.TiffFile) -> tuple[float | None, float | None]:
    unit = _tag_unit(tif)
    x, y = (_rounded(micrometres(size, unit)) for size in _tag_sizes(tif))
    return x, y


def _tag_unit(tif: tifffile.TiffFile) -> str:
    tag = tif.pages.first.tags.get("ResolutionUnit")
    return _TAG_UNITS.get(int(tag.value), "") if tag is not None else ""


def _tag_sizes(tif: tifffile.TiffFile) -> tuple[float, float]:
    """Units of length per pixel along x and y; NaN where the tag is missing or zero."""
    sizes = []
    for name in ("XResolution", "YResolution"):
        tag = tif.pages.first.tags.get(name)
        pixels, units = tag.value if tag is not None else (0, 0)
        sizes.append(units / pixels if pixels else math.nan)
    return sizes[0], sizes[1]


def _plausible(size: float | None) -> bool:
    return size is not None and _PLAUSIBLE_UM[0] <= size <= _PLAUSIBLE_UM[1]


def _rounded(um: float | None) -> float | None:
    # The tags are ratios of whole numbers, good to about six digits: 1/0.13 a pixel should come back as 0.13.
    return None if um is None else float(f"{um:.6g}")
