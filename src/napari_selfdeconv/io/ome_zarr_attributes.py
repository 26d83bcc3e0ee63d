"""The attributes of an OME-Zarr image: its axes with their sizes, and its channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.io.record import ImageRecord

_TYPES = {"t": "time", "c": "channel"}


def axis_sizes(
    axes: str, voxel_um: Sequence[float] | None, record: ImageRecord | None
) -> dict[str, tuple[float, str]]:
    """Return the size and the unit of each axis that has one."""
    found = dict(zip((a for a in axes if a in "zyx"), voxel_um or (), strict=voxel_um is not None))
    sizes = {axis: (float(size), "micrometer") for axis, size in found.items()}
    if "t" in axes and record is not None and record.time_step_s is not None:
        sizes["t"] = (record.time_step_s, "second")
    return sizes


def image_attributes(axes: str, sizes: Mapping[str, tuple[float, str]]) -> dict[str, Any]:
    """Return the OME-Zarr attributes of an image of one resolution."""
    named = []
    for letter in axes:
        axis = {"name": letter, "type": _TYPES.get(letter, "space")}
        named.append({**axis, "unit": sizes[letter][1]} if letter in sizes else axis)
    scale = {"type": "scale", "scale": [sizes.get(letter, (1.0, ""))[0] for letter in axes]}
    dataset = {"path": "0", "coordinateTransformations": [scale]}
    return checked(
        {"version": "0.5", "multiscales": [{"name": "deconvolved", "axes": named, "datasets": [dataset]}]}
    )


def checked(ome: dict[str, Any]) -> dict[str, Any]:
    """Return OME-Zarr attributes as the specification has them."""
    from yaozarrs import v05

    found: dict[str, Any] = v05.Image.model_validate(ome).model_dump(
        mode="json", exclude_none=True, exclude_unset=True
    )
    return found


def channel_attributes(record: ImageRecord, values: NDArray[Any]) -> list[dict[str, Any]]:
    """Return names, colours and limits of the channels; none where the file states neither name nor colour."""
    if not any(channel.name or channel.colour for channel in record.channels):
        return []
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    window = {"start": low, "end": high, "min": low, "max": high}
    return [
        {
            "label": channel.name or f"channel {number}",
            "color": (channel.colour or "#ffffff")[1:].upper(),
            "active": True,
            "window": window,
        }
        for number, channel in enumerate(record.channels)
    ]
