"""The voxel size: from a form to the image layer, and to the layers that are computed from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from napari.layers import Image
from napari.utils.transforms import Affine

from napari_selfdeconv._gui.layers.exchange import (
    LayerSnapshot,
    computed_from,
    length_um,
    snapshot_any,
    transform_of,
    voxel_um,
)

_PLACE = ("scale", "translate", "rotate", "shear")
_ALL = ("units", *_PLACE, "affine")


def scale_without_unit(layer: Image, ndim: int) -> tuple[float, ...] | None:
    """Return the scale of the last ``ndim`` axes if only the unit micrometre is missing; else None."""
    scale = tuple(abs(float(size)) for size in layer.scale[-ndim:])
    pixels = all(str(unit) == "pixel" for unit in layer.units[-ndim:])
    return scale if pixels and any(size != 1.0 for size in scale) else None


def with_voxel_um(source: LayerSnapshot, sizes: Sequence[float]) -> LayerSnapshot:
    """Return ``source`` with a voxel size (last axes, um) that its layer does not have.

    Results have this voxel size and still lie over the image: their affine transform leads back to the layer.
    """
    n = len(sizes)
    if source.voxel_um is not None and np.allclose(source.voxel_um[-n:], sizes):
        return source
    transform = dict(source.transform)
    before = _inner(transform)
    scale = np.array(transform["scale"], float)
    ratio = np.ones_like(scale)
    ratio[-n:] = np.asarray(sizes, float) / np.abs(scale[-n:])
    transform["scale"] = scale * ratio
    transform["translate"] = np.asarray(transform["translate"]) * ratio
    transform["units"] = (*transform["units"][:-n], *("um",) * n)
    transform["affine"] = transform["affine"] @ before @ np.linalg.inv(_inner(transform))
    whole = tuple(map(float, sizes)) if n == source.ndim else source.voxel_um
    return replace(source, transform=transform, voxel_um=whole, typed_um=tuple(sizes))


def moved(source: LayerSnapshot, layer: Image) -> LayerSnapshot:
    """Return ``source`` with the present name and position of ``layer``, which it is a snapshot of.

    A voxel size that was typed stays while the layer has none of its own.
    """
    transform = dict(snapshot_any(layer).transform)
    if len(transform["scale"]) < len(source.transform["scale"]):
        transform = with_channel_axis(transform)
    found = replace(source, name=layer.name, transform=transform, voxel_um=voxel_um(layer), typed_um=None)
    if found.voxel_um is None and source.typed_um is not None:
        return with_voxel_um(found, source.typed_um)
    return found


def with_channel_axis(transform: Mapping[str, Any]) -> dict[str, Any]:
    """Return the transform of a colour picture whose colours have become a first axis."""
    n = len(transform["scale"]) + 1
    affine, rotate = np.eye(n + 1), np.eye(n)
    affine[1:, 1:], rotate[1:, 1:] = transform["affine"], transform["rotate"]
    return {
        "scale": np.concatenate([[1.0], transform["scale"]]),
        "translate": np.concatenate([[0.0], transform["translate"]]),
        "rotate": rotate,
        "shear": np.concatenate([np.zeros(n - 1), transform["shear"]]),
        "affine": affine,
        "units": ("pixel", *transform["units"]),
        "axis_labels": ("c", *transform["axis_labels"]),
    }


def without_channel_axis(transform: Mapping[str, Any]) -> dict[str, Any]:
    """Return the transform of the picture from that of `with_channel_axis`, which this undoes."""
    return of_last_axes(transform, len(transform["scale"]) - 1)


def of_last_axes(transform: Mapping[str, Any], n: int) -> dict[str, Any]:
    """Return the part of a transform that places the last ``n`` axes."""
    return {
        "scale": transform["scale"][-n:],
        "translate": transform["translate"][-n:],
        "rotate": transform["rotate"][-n:, -n:],
        # Row by row above the diagonal: those of the last axes come last.
        "shear": transform["shear"][len(transform["shear"]) - n * (n - 1) // 2 :],
        "affine": transform["affine"][-n - 1 :, -n - 1 :],
        "units": transform["units"][-n:],
        "axis_labels": transform["axis_labels"][-n:],
    }


def place(layer: Image, transform: Mapping[str, Any]) -> None:
    """Put a layer where ``transform`` says. What is so already is not set: napari would draw the layer again."""
    now = transform_of(layer)
    for name in _ALL:
        same = (lambda a, b: str(a) == str(b)) if name == "units" else np.array_equal
        if not same(now[name], transform[name]):
            setattr(layer, name, transform[name])


def write_voxel_um(viewer: Any, layer: Image, sizes: Sequence[float]) -> None:
    """Give the last axes of ``layer`` a voxel size in um; the others keep scale and unit.

    The viewer goes on showing the same part of the image: its camera and its sliders follow.
    """
    n = len(sizes)
    point, centre, zoom = viewer.dims.point, viewer.scene.camera.center, viewer.scene.camera.zoom
    scale = np.array(layer.scale, float)
    ratio = np.ones_like(scale)
    ratio[-n:] = np.asarray(sizes, float) / np.abs(scale[-n:])
    layer.units = (*layer.units[:-n], *("um",) * n)
    layer.translate = np.asarray(layer.translate) * ratio
    layer.scale = scale * ratio
    world = np.ones(viewer.dims.ndim)
    world[-layer.ndim :] = ratio
    viewer.dims.point = tuple(np.asarray(point) * world)
    shown = world[list(viewer.dims.displayed)]
    viewer.scene.camera.center = (*centre[: -len(shown)], *(np.asarray(centre[-len(shown) :]) * shown))
    viewer.scene.camera.zoom = zoom / shown[-1]


def move_results(viewer: Any, layer: Image) -> None:
    """Move the layers computed from ``layer`` to its present position, and give them its voxel size."""
    for result in computed_from(viewer, layer):
        own = replace(snapshot_any(result), typed_um=_trailing_um(result))
        place(result, moved(own, layer).transform)


def _trailing_um(layer: Image) -> tuple[float, ...] | None:
    """Return the voxel size of the last axes whose unit is a length, or None."""
    lengths = [unit.is_compatible_with("micrometer") for unit in layer.units]
    n = lengths[::-1].index(False) if False in lengths else len(lengths)
    return length_um(layer.scale[-n:], layer.units[-n:]) if n else None


def _inner(transform: Mapping[str, Any]) -> np.ndarray:
    return np.asarray(Affine(**{name: transform[name] for name in _PLACE}).affine_matrix)
