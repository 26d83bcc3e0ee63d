"""Files for napari: OME-TIFF with voxel size, units and provenance, out and in."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pint

from napari_selfdeconv._gui.layers.exchange import METADATA_KEY, display_limits
from napari_selfdeconv._gui.layers.file_record import RECORD_KEY

if TYPE_CHECKING:
    from napari_selfdeconv.api import ImageFile, ImageRecord

LayerTuple = tuple[Any, dict[str, Any], str]
#: What a layer's metadata holds for this session only: no file needs it.
SESSION_KEYS = ("source_id", "linked", "psf", "model", RECORD_KEY)


def write_image(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write one image layer, with its scale in um if its units are lengths. 8 and 16-bit numbers keep their type.

    The colours of an RGB layer become three channels.
    """
    from napari_selfdeconv.api import write_ome_tiff

    data = data[0] if meta.get("multiscale") else data
    told = meta.get("metadata", {}).get(METADATA_KEY, {})
    provenance = {key: value for key, value in told.items() if key not in SESSION_KEYS}
    array = np.asarray(data)
    axes, record = _axes(array, meta), None
    if meta.get("rgb"):
        array, axes, record = _colours_as_channels(array, axes, Path(path).name)
    spatial = len(axes.lstrip("TC")) if axes else min(array.ndim, 3)
    write_ome_tiff(
        path,
        array,
        voxel_um=_voxel_um(meta, spatial),
        provenance=provenance or None,
        axes=axes,
        record=record,
        dtype="uint16" if array.dtype in (np.uint8, np.uint16) else "float32",
    )
    return [path]


def _colours_as_channels(data: Any, axes: str | None, name: str) -> tuple[Any, str, ImageRecord]:
    """Return an RGB array with its colours as a channel axis, its axes, and a record that names the channels."""
    from napari_selfdeconv.api import ChannelRecord, ImageRecord

    axes = axes or "TZYX"[5 - data.ndim :]
    before = axes.removesuffix("ZYX") if axes.endswith("ZYX") else axes.removesuffix("YX")
    moved = np.moveaxis(data[..., :3], -1, len(before))
    axes = f"{before}C{axes.removeprefix(before)}"
    colours = (("red", "#ff0000"), ("green", "#00ff00"), ("blue", "#0000ff"))
    channels = tuple(ChannelRecord(name=colour, colour=shown) for colour, shown in colours)
    shape, dtype = moved.shape, str(data.dtype)
    return (
        moved,
        axes,
        ImageRecord(file=name, format="napari", axes=axes, shape=shape, dtype=dtype, channels=channels),
    )


def get_reader(path: str | list[str]) -> Callable[[str], list[LayerTuple]] | None:
    """Return the reader for one OME-TIFF; napari's own reader ignores the voxel size."""
    if isinstance(path, list) or not Path(path).name.lower().endswith((".ome.tif", ".ome.tiff")):
        return None
    return read_image_layer


def read_image_layer(path: str) -> list[LayerTuple]:
    """Read one OME-TIFF with its scale, units, axis labels and provenance; a layer for each position in it."""
    from napari_selfdeconv.api import read_image, read_record

    name, positions = Path(path).name.split(".")[0], read_record(path).series_names
    if len(positions) == 1:
        return [_layer(read_image(path, colour=True), name)]
    return [
        _layer(read_image(path, series=number, colour=True), f"{name} {position or number}")
        for number, position in enumerate(positions)
    ]


def _layer(file: ImageFile, name: str) -> LayerTuple:
    rgb = file.axes.endswith("S")
    axes = file.axes.removesuffix("S")
    meta: dict[str, Any] = {"name": name, "contrast_limits": display_limits(file.data)}
    if rgb:
        meta = {"name": name, "rgb": True}
    elif file.record is not None and len(file.record.channels) == 1 and file.record.channels[0].colour:
        # From black to the colour that the file states.
        meta["colormap"] = file.record.channels[0].colour
    if set(axes) <= set("TCZYX"):
        meta["axis_labels"] = tuple(axes.lower())
    if file.voxel_um is not None and set(axes) <= set("TCZYX"):
        step = file.record.time_step_s if file.record is not None else None
        sizes = dict(zip((axis for axis in axes if axis in "ZYX"), file.voxel_um, strict=True))
        scales = {"T": (step or 1.0, "s" if step else "pixel"), "C": (1.0, "pixel")}
        scales |= {axis: (size, "um") for axis, size in sizes.items()}
        meta |= {"scale": tuple(scales[a][0] for a in axes), "units": tuple(scales[a][1] for a in axes)}
    # What the file states of the microscope: the docks fill in their fields from it.
    meta["metadata"] = {METADATA_KEY: {**(file.provenance or {}), RECORD_KEY: file.record}}
    return (file.data, meta, "image")


def _axes(data: Any, meta: dict[str, Any]) -> str | None:
    """Return the axes as letters where the layer names them so, as in t, c, z, y, x."""
    letters = "".join(str(label)[:1].upper() for label in meta.get("axis_labels") or ())
    return letters if re.fullmatch("T?C?Z?YX", letters) and len(letters) == data.ndim else None


def _voxel_um(meta: dict[str, Any], spatial: int) -> tuple[float, ...] | None:
    """Return the size of the last axes in um from what napari hands to a writer; None where it is no length."""
    units, scale = meta.get("units"), meta.get("scale")
    if units is None or scale is None or all(float(s) == 1.0 for s in scale[-spatial:]):
        return None
    registry = pint.get_application_registry()  # type: ignore[no-untyped-call]
    sizes = [float(s) * registry.Unit(str(u)) for s, u in zip(scale[-spatial:], units[-spatial:], strict=True)]
    if any(not size.is_compatible_with("micrometer") for size in sizes):
        return None
    return tuple(abs(float(size.to("micrometer").magnitude)) for size in sizes)
