"""What a TIFF states about its image: by OME-XML, ImageJ, MetaMorph, Zeiss LSM, or its tags alone."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile

from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.io.facts import Facts
from napari_selfdeconv.io.ome_xml import add_ome_xml
from napari_selfdeconv.io.optics_names import add_objective
from napari_selfdeconv.io.tiff_tags import add_plausible_tags, add_tags, add_text
from napari_selfdeconv.io.units import micrometres, number
from napari_selfdeconv.io.xml_text import parse_xml, refuse_entities

_XML_TAGS = (270, 700)
_MOST_PLANES = 10_000_000
# Of a page, as tifffile has it.
_MOST_TAGS = 4096


def refuse_hostile(tif: tifffile.TiffFile, name: str) -> None:
    """Raise ConfigError for files that would make tifffile read endlessly.

    They have XML entities in the first page, a circular list of pages, or OME-XML that names too many planes.
    """
    _refuse_circle(tif, name)
    for code in _XML_TAGS:
        for tag in tif.pages.first.tags.getall(code) or ():
            if isinstance(tag.value, str | bytes):
                refuse_entities(tag.value, name)
    if tif.is_ome:
        _refuse_planes(tif, name)


def _refuse_circle(tif: tifffile.TiffFile, name: str) -> None:
    """Raise ConfigError if a page is followed by an earlier one: tifffile would read until memory is full."""
    file, form, seen = tif.filehandle, tif.tiff, set()
    offset = tif.pages.first.offset
    while offset:
        if offset in seen:
            raise ConfigError(f"{name} is damaged: its list of pages is circular", "export it again")
        seen.add(offset)
        file.seek(offset)
        count = file.read(form.tagnosize)
        if len(count) < form.tagnosize:
            return
        (tags,) = struct.unpack(form.tagnoformat, count)
        if tags > _MOST_TAGS:
            return  # tifffile ends here as well
        file.seek(offset + form.tagnosize + tags * form.tagsize)
        following = file.read(form.offsetsize)
        if len(following) < form.offsetsize:
            return
        (offset,) = struct.unpack(form.offsetformat, following)


def _refuse_planes(tif: tifffile.TiffFile, name: str) -> None:
    """Raise ConfigError if the OME-XML names more planes than any image has: tifffile makes a list of them."""
    try:
        root = parse_xml(tif.ome_metadata or "", name)
    except ElementTree.ParseError:
        return
    planes = 0.0
    for pixels in root.iterfind(".//{*}Pixels"):
        sizes = [number(pixels.get(f"Size{axis}")) for axis in "ZCT"]
        planes = max(planes, math.prod(size for size in sizes if size >= 1))
    if planes > _MOST_PLANES:
        raise ConfigError(f"{name} is damaged: its OME-XML names {planes:.3g} planes", "export the image again")


def add_tiff(facts: Facts, tif: tifffile.TiffFile, series: int, count: int, name: str) -> tuple[str, str]:
    """Note what an open TIFF states about one of its images.

    Returns
    -------
    tuple of str
        The name of the format, and the description.
    """
    if tif.is_ome:
        description = add_ome_xml(facts, tif.ome_metadata or "", series, count, name)
        add_plausible_tags(facts, tif)
        return "OME-TIFF", description
    if tif.is_lsm:
        _add_lsm(facts, tif.lsm_metadata or {})
        return "Zeiss LSM", ""
    if tif.is_stk:
        _add_stk(facts, tif.stk_metadata or {})
        return "MetaMorph STK", ""
    if tif.is_metaseries:
        return "MetaMorph TIFF", _add_metaseries(facts, tif.metaseries_metadata or {})
    if tif.is_imagej:
        values = tif.imagej_metadata or {}
        add_text(facts, tif, values, "ImageJ's properties")
        _add_colours(facts, values.get("LUTs") or ())
        return "ImageJ TIFF", str(values.get("Info", ""))
    shaped = (tif.shaped_metadata or ({},))[0]
    if "unit" in shaped:
        add_text(facts, tif, shaped, "the TIFF's description")
        return "TIFF", str(shaped.get("Info", ""))
    add_tags(facts, tif)
    return "TIFF", ""


def json_dict(text: str) -> dict[str, Any] | None:
    """Return the dict that a text holds as JSON; None for another text."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _add_colours(facts: Facts, tables: Sequence[Any]) -> None:
    """Note the colour at the bright end of each of ImageJ's tables."""
    for index, table in enumerate(tables):
        r, g, b = (int(value) for value in np.asarray(table)[:3, -1])
        facts.add(f"channels.{index}.colour", f"#{r:02x}{g:02x}{b:02x}", "ImageJ's properties")


def _add_stk(facts: Facts, values: Mapping[str, Any]) -> None:
    source = "MetaMorph's tags"
    unit = str(values.get("CalibrationUnits", ""))
    for axis in "XY":
        size = micrometres(number(values.get(f"{axis}Calibration")), unit)
        facts.add(f"voxel_{axis.lower()}_um", size, source)
    if unit and micrometres(1.0, unit) is None:
        facts.doubt("voxel", f"MetaMorph was not calibrated: its unit is {unit!r}", "")
    distances = list(values.get("ZDistance", ()))
    # The distance of the first plane to the one before it is often written as 0.
    facts.add("voxel_z_um", _even(distances[1:] if distances[:1] == [0] else distances), source)
    times = values.get("TimeCreated")
    if times is not None and len(times) > 1:
        facts.add("time_step_s", _even(np.diff(np.asarray(times, float)) / 1000), source)
    facts.add("channels.0.name", str(values.get("Name", "")), source)


def _even(values: Any) -> float | None:
    """Return the common value if all values agree to 5 %; None if they differ or there are none."""
    numbers = np.abs(np.asarray(values, float))
    if not numbers.size or not np.all(np.isfinite(numbers)) or np.ptp(numbers) > 0.05 * numbers.mean():
        return None
    return float(f"{numbers.mean():.6g}")


def _add_metaseries(facts: Facts, values: Mapping[str, Any]) -> str:
    source = "MetaMorph's description"
    plane = values.get("PlaneInfo", {})
    unit = str(plane.get("spatial-calibration-units", ""))
    if plane.get("spatial-calibration-state", True):
        for axis in "xy":
            size = micrometres(number(plane.get(f"spatial-calibration-{axis}")), unit)
            facts.add(f"voxel_{axis}_um", size, source)
    facts.add("na", number(plane.get("_MagNA_")), source)
    facts.add("refractive_index", number(plane.get("_MagRI_")), source)
    facts.add("channels.0.name", str(plane.get("_IllumSetting_", "")), source)
    # The wavelength is that of the emission filter, in nanometres; 0 is unknown.
    facts.add("channels.0.emission_um", micrometres(number(plane.get("wavelength")), "nm"), source)
    add_objective(facts, str(plane.get("_MagSetting_", "")), source)
    return str(values.get("Description") or plane.get("Description") or "")


def _add_lsm(facts: Facts, values: Mapping[str, Any]) -> None:
    source = "Zeiss's LSM tag"
    for axis in "ZYX":
        facts.add(f"voxel_{axis.lower()}_um", micrometres(number(values.get(f"VoxelSize{axis}")), "m"), source)
    if values.get("DimensionTime", 1) > 1:
        facts.add("time_step_s", number(values.get("TimeIntervall")), source)
    scan = values.get("ScanInformation") or {}
    add_objective(facts, str(scan.get("Objective", "")), source)
    channels = [
        (track, channel)
        for track in scan.get("Tracks") or ()
        for channel in track.get("DetectionChannels") or ()
        if channel.get("Acquire", 1)
    ]
    colours = values.get("ChannelColors") or {}
    for index, colour in enumerate(colours.get("Colors", ())):
        facts.add(f"channels.{index}.colour", "#" + "".join(f"{part:02x}" for part in colour[:3]), source)
    # Tracks that were not used are listed as well, so numbers are used only if the counts are equal.
    counted = channels if len(channels) == values.get("DimensionChannels") else []
    for index, (track, channel) in enumerate(counted):
        key = f"channels.{index}."
        facts.add(key + "name", channel.get("DyeName") or channel.get("ChannelName"), source)
        facts.add(key + "pinhole_um", number(channel.get("PinholeDiameter")), source)
        lasers = [light for light in track.get("IlluminationChannels") or () if light.get("Aquire", 1)]
        if len(lasers) == 1:
            facts.add(key + "excitation_um", micrometres(number(lasers[0].get("Wavelength")), "nm"), source)
    for index, name in enumerate(colours.get("ColorNames", ())):
        if f"channels.{index}.name" not in facts.values:
            facts.add(f"channels.{index}.name", name, source)
