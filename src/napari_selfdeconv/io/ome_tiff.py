"""Results as OME-TIFF that ImageJ also opens as a hyperstack. The file has two descriptions.

OME-XML is the first description; Bio-Formats, napari and tifffile read it. ImageJ without Bio-Formats reads the
last one.
The OME schema: https://docs.openmicroscopy.org/ome-model/.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

import numpy as np
import tifffile
from numpy.typing import ArrayLike, NDArray

from napari_selfdeconv.arrays.scaling import as_float32
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.io.atomic import whole_or_not_at_all
from napari_selfdeconv.io.checks import to_array
from napari_selfdeconv.io.record import ChannelRecord, ImageRecord
from napari_selfdeconv.io.xml_text import parse_xml

FilePath = str | os.PathLike[str]
_NAMESPACE = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
# The OME schema's names of our kinds of microscope. All others become "Other".
_IMMERSIONS = {"oil": "Oil", "water": "Water", "glycerol": "Glycerol", "air": "Air"}
_MODALITIES = {
    "widefield": "WideField",
    "laser scanning confocal": "LaserScanningConfocalMicroscopy",
    "spinning disk confocal": "SpinningDiskConfocal",
    "multiphoton": "MultiPhotonMicroscopy",
    "light sheet": "SPIM",
}
# Larger files are BigTIFF, which ImageJ opens by Bio-Formats only.
_CLASSIC_BYTES = 2**32 - 2**25


def write_ome_tiff(
    path: FilePath,
    data: ArrayLike,
    voxel_um: Sequence[float] | None = None,
    provenance: dict[str, Any] | None = None,
    axes: str | None = None,
    *,
    record: ImageRecord | None = None,
    dtype: Literal["float32", "uint16"] = "float32",
    compression: Literal["none", "zlib", "zstd", "lzw"] = "none",
) -> None:
    """Write an image as OME-TIFF, whole or not at all.

    A temporary file beside it gets the name only when it is complete.

    Parameters
    ----------
    path : str or path-like
        Replaced if it exists.
    data : array_like, shape ([t, c, z,] y, x)
    voxel_um : tuple of float, optional
        Voxel size in micrometres, ([z,] y, x).
    provenance : dict, optional
        JSON-ready record, stored as the image's description; `read_image` returns it.
    axes : str, optional
        "YX" or "ZYX", with "T" and "C" before them for a series; by default from the number of axes.
    record : ImageRecord, optional
        Record of the image that the result was made from. Names and colours of channels, wavelengths, objective,
        immersion and time step are stored.
    dtype : "float32" stores the values as float32, neither scaled nor clipped. "uint16" rounds them. Values that
        do not fit into 0 to 65535 are scaled; ``provenance["stored"]`` then states scale and offset.
    compression : "none", "zlib", "zstd" or "lzw", all without loss. ImageJ opens compressed stacks by Bio-Formats
        only.

    Raises
    ------
    ConfigError
        If the data or the voxel size do not fit, or the file cannot be written (no such folder, no permission,
        disk full).

    Examples
    --------
    >>> import tempfile
    >>> from napari_selfdeconv import read_image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_ome_tiff(f"{folder}/a.ome.tif", np.zeros((4, 8, 8)), (0.3, 0.1, 0.1))
    ...     read_image(f"{folder}/a.ome.tif").voxel_um
    (0.3, 0.1, 0.1)
    """
    path = Path(path)
    given = to_array("the image", data)
    if given.dtype.kind not in "biuf":
        raise ConfigError(f"the image must hold real numbers, got {given.dtype}")
    axes = axes or {2: "YX", 3: "ZYX"}.get(given.ndim, "")
    if not (re.fullmatch("T?C?Z?YX", axes) and len(axes) == given.ndim and given.size):
        raise ConfigError(
            f"can write axes YX or ZYX, with T and C before them, got axes {axes!r} and shape {given.shape}"
        )
    voxel = None if voxel_um is None else _check_voxel(tuple(voxel_um), len(axes.lstrip("TC")))
    image, stored = as_stored(given, dtype)
    if stored:
        provenance = {**(provenance or {}), "stored": stored}
    # ImageJ wants the channels of a plane beside each other.
    if "CZ" in axes:
        image, axes = np.swapaxes(image, axes.index("C"), axes.index("Z")), axes.replace("CZ", "ZC")
    text = _ome_xml(image, axes, voxel, provenance, record)
    by_name = dict(zip((axis for axis in axes if axis in "ZYX"), voxel or (), strict=voxel is not None))
    tags: dict[str, Any] = {"photometric": "minisblack", "description": text}
    image = np.ascontiguousarray(image)
    for_imagej = image.nbytes < _CLASSIC_BYTES and compression == "none"
    if by_name:
        # ImageJ counts pixels in the unit of its text; others want one that TIFF knows.
        per_unit, unit = (1.0, "NONE") if for_imagej else (1e4, "CENTIMETER")
        tags |= {"resolution": (per_unit / by_name["X"], per_unit / by_name["Y"]), "resolutionunit": unit}
    if for_imagej:
        # An empty dictionary makes tifffile write a second description, which is replaced below.
        tags |= {"metadata": {}, "extratags": _lookup_tables(record)}
    else:
        tags |= {"metadata": None, "compression": None if compression == "none" else compression}
    with whole_or_not_at_all(path) as temporary:
        tifffile.imwrite(temporary, image, byteorder="<", **tags)
        if for_imagej:
            with tifffile.TiffFile(temporary, mode="r+") as tif:
                second = tif.pages.first.tags.get(270, index=1)
                assert second is not None  # written just now
                second.overwrite(_imagej(image, axes, by_name, record))


def as_uint16(data: NDArray[Any]) -> tuple[NDArray[np.uint16], float, float]:
    """Return rounded whole numbers with the scale and offset of the values: value = stored * scale + offset.

    Values from 0 to 65535 are only rounded (scale 1, offset 0). If they are all below 256, rounding would leave
    fewer than 8 bits, so they are scaled to the whole range. Other values are scaled as well.
    Infinite values become the ends of the range, and NaN becomes 0.

    Examples
    --------
    >>> as_uint16(np.array([0.2, 1000.4]))[0].tolist()
    [0, 1000]
    >>> stored, scale, offset = as_uint16(np.array([-1.0, 1.0]))
    >>> stored.tolist(), round(scale * 65535 + offset, 6)
    ([0, 65535], 1.0)
    """
    finite = data[np.isfinite(data)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    scale, offset = 1.0, 0.0
    if low < -0.5 or not (256 <= high < 65535.5):
        # An offset beside which the differences would be lost is not stored.
        offset = low if high - low < high / 256 else min(low, 0.0)
        scale = (high - offset) / 65535 or 1.0
    # A frame without a result is NaN: 0 in whole numbers.
    numbers = np.nan_to_num((data.astype(np.float64) - offset) / scale, nan=0.0, posinf=65535, neginf=0)
    return np.clip(np.rint(numbers), 0, 65535).astype(np.uint16), scale, offset


def as_stored(data: NDArray[Any], dtype: str) -> tuple[NDArray[Any], dict[str, Any]]:
    """Return the data as they are stored, and what is needed to compute the values from them.

    Nothing is needed for float32, and for 8-bit and 16-bit numbers, which are stored unchanged.
    """
    if dtype == "float32":
        return as_float32(data), {}
    if data.dtype in (np.uint8, np.uint16):
        return data.astype(np.uint16, copy=False), {}
    stored, scale, offset = as_uint16(data)
    lost = data.size - int(np.count_nonzero(np.isfinite(data)))
    told = {"dtype": "uint16", "scale": scale, "offset": offset}
    return stored, told if lost == 0 else {**told, "not_finite": lost}


def _ome_xml(
    image: NDArray[Any],
    axes: str,
    voxel: tuple[float, ...] | None,
    provenance: dict[str, Any] | None,
    record: ImageRecord | None,
) -> str:
    """Return the OME-XML of an image in ASCII, with other characters as references."""
    metadata: dict[str, Any] = {}
    for axis, size in zip(axes.replace("T", "").replace("C", ""), voxel or (), strict=voxel is not None):
        metadata |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": "µm"}
    if record is not None:
        metadata["Name"] = record.file
        if record.time_step_s is not None:
            metadata |= {"TimeIncrement": record.time_step_s, "TimeIncrementUnit": "s"}
    if provenance is not None:
        metadata["Description"] = json.dumps(provenance)
    planes = math.prod(image.shape[:-2])
    height, width = image.shape[-2:]
    xml = tifffile.OmeXml()
    xml.addimage(image.dtype, image.shape, (planes, 1, 1, height, width, 1), axes=axes, **metadata)
    ElementTree.register_namespace("", _NAMESPACE)
    root = parse_xml(xml.tostring(), "the result")
    if record is not None:
        _add_instrument(root, record)
        for element, channel in zip(root.iterfind(".//{*}Channel"), record.channels, strict=False):
            for name, value in _channel(channel).items():
                element.set(name, value)
    return str(ElementTree.tostring(root, encoding="us-ascii"), "ascii")


def _add_instrument(root: ElementTree.Element, record: ImageRecord) -> None:
    """Put the objective before the image, and the reference to it before its pixels, as the schema has them."""
    stated = {
        "Model": record.objective,
        "LensNA": record.na,
        "NominalMagnification": record.magnification,
        "Immersion": None if record.immersion is None else _IMMERSIONS.get(record.immersion, "Other"),
    }
    known = {name: str(value) for name, value in stated.items() if value is not None}
    image = root.find("{*}Image")
    if image is None or not (known or record.refractive_index is not None):
        return
    instrument = ElementTree.Element(f"{{{_NAMESPACE}}}Instrument", ID="Instrument:0")
    ElementTree.SubElement(instrument, f"{{{_NAMESPACE}}}Objective", known, ID="Objective:0")
    root.insert(list(root).index(image), instrument)
    used = ElementTree.Element(f"{{{_NAMESPACE}}}ObjectiveSettings", ID="Objective:0")
    if record.refractive_index is not None:
        used.set("RefractiveIndex", str(record.refractive_index))
    at = next(place for place, element in enumerate(image) if element.tag.endswith("}Pixels"))
    image.insert(at, ElementTree.Element(f"{{{_NAMESPACE}}}InstrumentRef", ID="Instrument:0"))
    image.insert(at + 1, used)


def _channel(channel: ChannelRecord) -> dict[str, str]:
    """Return the attributes of a channel."""
    found: dict[str, str] = {}
    if channel.name:
        found["Name"] = channel.name
    if channel.colour:
        found["Color"] = str(int.from_bytes(bytes.fromhex(channel.colour[1:] + "ff"), "big", signed=True))
    if channel.modality:
        found["AcquisitionMode"] = _MODALITIES.get(channel.modality, "Other")
    for name, length in (("Emission", channel.emission_um), ("Excitation", channel.excitation_um)):
        if length is not None:
            found |= {f"{name}Wavelength": f"{1000 * length:.12g}", f"{name}WavelengthUnit": "nm"}
    if channel.pinhole_um is not None:
        found |= {"PinholeSize": f"{channel.pinhole_um:.12g}", "PinholeSizeUnit": "µm"}
    return found


def _imagej(image: NDArray[Any], axes: str, voxel: dict[str, float], record: ImageRecord | None) -> str:
    """Return the text that ImageJ reads: how many channels, slices and frames, and their scale."""
    found: dict[str, Any] = {"axes": axes, "loop": False}
    if voxel:
        found["unit"] = "um"
    if "Z" in voxel:
        found["spacing"] = voxel["Z"]
    if record is not None and record.time_step_s is not None and "T" in axes:
        found |= {"finterval": record.time_step_s, "tunit": "s"}
    if "C" in axes:
        found["mode"] = "composite"
    return str(tifffile.tifffile.imagej_description(image.shape, **found))


def _lookup_tables(record: ImageRecord | None) -> tuple[Any, ...]:
    """Return the tags with ImageJ's table of colours of each channel; none unless all channels have a colour."""
    colours = [channel.colour for channel in record.channels] if record is not None else []
    if not colours or not all(colours):
        return ()
    ramp = np.linspace(0, 1, 256)
    ends = [bytes.fromhex(colour[1:]) for colour in colours if colour]
    tables = [np.array([ramp * part for part in end]).round().astype(np.uint8) for end in ends]
    return tuple(tifffile.tifffile.imagej_metadata_tag({"LUTs": tables}, "<"))


def _check_voxel(voxel_um: tuple[float, ...], ndim: int) -> tuple[float, ...]:
    voxel = tuple(float(size) for size in voxel_um)
    if len(voxel) != ndim or not all(math.isfinite(size) and size > 0 for size in voxel):
        raise ConfigError(f"voxel_um must be {ndim} positive numbers, got {voxel_um!r}")
    return voxel
