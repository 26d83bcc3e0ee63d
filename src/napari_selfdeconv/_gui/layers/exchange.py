"""From napari layers to arrays and back; the one file that adds layers.

A snapshot of a layer is taken once, in the main thread, when a run starts. From then on the run does not use the
viewer, so renaming, editing or deleting the layer cannot disturb it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pint
from napari.layers import Image, Labels

from napari_selfdeconv.errors import ConfigError

#: Key of our entry in a layer's ``metadata``.
METADATA_KEY = "selfdeconv"
#: The role of the layer that shows a part of the image over a result (`layers.swipe`).
SWIPE = "swipe"
#: Planes that are predicted for the one in view: the network needs its neighbours, and more would cost too much.
PREVIEW_PLANES = 8


@dataclass(frozen=True)
class LayerSnapshot:
    """What a run needs to know of a layer, independent of the viewer.

    Attributes
    ----------
    data : the array as the layer holds it (numpy, dask, zarr); read in the worker's thread.
    name, source_id : the layer's name and napari's id of it when the run started.
    transform : scale, translate, rotate, shear, affine, units and axis labels, ready for ``add_image``.
    look : blending and colormap, likewise.
    voxel_um : voxel size per axis in um, or None if the layer has none.
    typed_um : voxel size of the last axes in um as typed, if the layer does not have it.
    """

    data: Any
    name: str
    source_id: str
    transform: Mapping[str, Any]
    look: Mapping[str, Any]
    voxel_um: tuple[float, ...] | None = None
    typed_um: tuple[float, ...] | None = None

    @property
    def ndim(self) -> int:
        return len(self.data.shape)


def voxel_um(layer: Image) -> tuple[float, ...] | None:
    """Return the layer's voxel size in um, or None if it has none.

    The unit must be a length. A scale of exactly 1 on all axes is not taken for a voxel size, because files
    without a voxel size look like this.
    """
    return length_um(layer.scale, layer.units)


def length_um(scales: Sequence[float], units: Sequence[Any]) -> tuple[float, ...] | None:
    """Return ``scales`` in um; None if a unit is no length, or all are exactly 1.

    ``units`` are pint's, or their names: a voxel size that was typed has names.
    """
    registry = pint.get_application_registry()  # type: ignore[no-untyped-call]
    sizes = []
    for scale, given in zip(scales, units, strict=True):
        unit = registry.Unit(given) if isinstance(given, str) else given
        if not unit.is_compatible_with("micrometer"):
            return None
        sizes.append(abs(float((float(scale) * unit).to("micrometer").magnitude)))
    return None if all(float(scale) == 1.0 for scale in scales) else tuple(sizes)


def check_image(layer: Image | None) -> None:
    """Raise ConfigError, saying what to do, unless ``layer`` is a grey image with 2 or 3 axes."""
    if layer is None:
        raise ConfigError("No image chosen: open one, or take File > Open Sample > Self-supervised deconvolution.")
    if layer.rgb:
        raise ConfigError(
            f"'{layer.name}' is an RGB picture and one grey channel is needed: train on it in the main dock, "
            "which asks about the colours, or right-click the layer and choose 'Split RGB'."
        )
    if layer.ndim not in (2, 3):
        raise ConfigError(
            f"'{layer.name}' has {layer.ndim} axes and an image (y, x) or a stack (z, y, x) is needed: "
            "train on it in the main dock, which asks about its axes, or right-click the layer, choose 'Split "
            "Stack', and take one channel or time point."
        )


def snapshot(layer: Image | None) -> LayerSnapshot:
    """Return what a run needs to know of ``layer``; ConfigError if it cannot be deconvolved."""
    check_image(layer)
    assert layer is not None
    return snapshot_any(layer)


def transform_of(layer: Any) -> dict[str, Any]:
    """Return what places a layer of any kind, ready for ``viewer.add_image`` and the like."""
    return {
        "scale": np.array(layer.scale),
        "translate": np.array(layer.translate),
        "rotate": np.array(layer.rotate),
        "shear": np.array(layer.shear),
        "affine": np.array(layer.affine.affine_matrix),
        "units": tuple(layer.units),
        "axis_labels": tuple(layer.axis_labels),
    }


def snapshot_any(layer: Image) -> LayerSnapshot:
    """Return what a run needs to know of ``layer``, whatever its axes."""
    return LayerSnapshot(
        data=layer.data[0] if layer.multiscale else layer.data,
        name=layer.name,
        source_id=str(layer.unique_id),
        transform=transform_of(layer),
        look={"blending": str(layer.blending), "colormap": layer.colormap},
        voxel_um=voxel_um(layer),
    )


def display_limits(array: np.ndarray) -> tuple[float, float]:
    """Return contrast limits that ignore a few very bright pixels, and those that are not finite."""
    sample = np.asarray(array).ravel()
    sample = sample[:: max(1, sample.size // 1_000_000)].astype(np.float64)
    sample = sample[np.isfinite(sample)]
    low, high = (float(v) for v in np.percentile(sample, (0.2, 99.9))) if sample.size else (0.0, 1.0)
    return (low, high) if high > low else (low, low + 1.0)


def layer_limits(layer: Image) -> tuple[float, float]:
    """Return `display_limits` of a layer; the layer's own limits if its data are not in memory.

    Data on disk or still to be computed would be read whole, and the window would wait for it.
    """
    if isinstance(layer.data, np.ndarray):
        return display_limits(layer.data)
    low, high = layer.contrast_limits
    return float(low), float(high)


def add_input(viewer: Any, array: np.ndarray, name: str, voxel_um: tuple[float, ...] | None) -> Image:
    """Add an image read from a file, with its voxel size where the file gave one."""
    placed = {} if voxel_um is None else {"scale": voxel_um, "units": ("um",) * array.ndim}
    return viewer.add_image(array, name=name, contrast_limits=display_limits(array), **placed)


def add_result(
    viewer: Any,
    source: LayerSnapshot,
    array: np.ndarray,
    tag: str,
    provenance: Mapping[str, Any],
    *,
    link: bool = False,
) -> Image:
    """Add ``array`` as the layer '<source> [tag]', lying exactly where the source lies.

    With ``link`` its contrast limits are the source layer's, now and whenever either is changed.
    """
    result = viewer.add_image(
        array,
        name=f"{source.name} [{tag}]",
        contrast_limits=display_limits(array),
        metadata={
            METADATA_KEY: {
                "role": "result",
                "source": source.name,
                "source_id": source.source_id,
                "linked": link,
                **provenance,
            }
        },
        **source.transform,
        **source.look,
    )
    if link:
        link_contrast(viewer, source, result)
    return result


def add_unsupported(viewer: Any, source: LayerSnapshot, marked: np.ndarray, about: Mapping[str, Any]) -> Labels:
    """Add the mask of places that the data do not support as a Labels layer over the source."""
    told = {"role": "unsupported", "source": source.name, "source_id": source.source_id, **about}
    return viewer.add_labels(
        marked.astype(np.uint8),
        name=f"{source.name} [not supported]",
        metadata={METADATA_KEY: told},
        opacity=0.5,
        **source.transform,
    )


def link_contrast(viewer: Any, source: LayerSnapshot, result: Image) -> None:
    """Give ``result`` the contrast limits of the source layer, now and whenever either is changed."""
    layer = source_layer(viewer, source)
    if layer is not None:
        result.contrast_limits = layer.contrast_limits
        viewer.layers.link_layers([layer, result], ("contrast_limits",))


def relink_contrast(viewer: Any, layers: Sequence[Image]) -> None:
    """Link results to the images they came from again, those that `add_result` had linked."""
    by_id = {str(layer.unique_id): layer for layer in layers}
    for layer in layers:
        source = by_id.get(str(about(layer).get("source_id")))
        if source is not None and about(layer).get("linked"):
            viewer.layers.link_layers([source, layer], ("contrast_limits",))


def source_layer(viewer: Any, source: LayerSnapshot) -> Image | None:
    """Return the layer that ``source`` is a snapshot of, if it is still there."""
    images = (layer for layer in viewer.layers if isinstance(layer, Image))
    return next((layer for layer in images if str(layer.unique_id) == source.source_id), None)


def about(layer: Image | Labels) -> Mapping[str, Any]:
    """Return what this plugin wrote into the layer's metadata."""
    found = layer.metadata.get(METADATA_KEY, {})
    return found if isinstance(found, Mapping) else {}


def role(layer: Image | Labels) -> str:
    """Return the role of a layer, or "".

    Roles are "result", "residual", "uncertainty", "unsupported", "preview", "part" (`FillingResult`); for samples
    "image", "psf", "truth".
    """
    return str(about(layer).get("role", ""))


def computed_from(viewer: Any, layer: Image) -> list[Image | Labels]:
    """Return the layers that were computed from ``layer``: results, residuals, uncertainties and their masks."""
    layers = [other for other in viewer.layers if isinstance(other, Image | Labels)]
    return [other for other in layers if about(other).get("source_id") == str(layer.unique_id)]


def results_of(viewer: Any, layer: Image) -> list[Image]:
    """Return what can be compared with ``layer``: its results, then its truth if it is a sample."""
    made = computed_from(viewer, layer)
    results = [other for other in made if isinstance(other, Image) and role(other) == "result"]
    images = [other for other in viewer.layers if isinstance(other, Image)]
    sample = about(layer).get("sample")
    truths = [other for other in images if sample and role(other) == "truth" and about(other)["sample"] == sample]
    return results + truths


def tiles_of(viewer: Any, layer: Image) -> list[Image]:
    """Return ``layer`` and what can be compared with it; nothing if it is not in the viewer any more."""
    return [layer, *results_of(viewer, layer)] if layer in viewer.layers else []


def looked_at(viewer: Any, layer: Image) -> tuple[slice, ...] | None:
    """Return the part of ``layer`` on the screen; None if that is unknown.

    A stack seen plane by plane gives a slab around the current plane. Main thread only.
    """
    if layer not in viewer.layers:
        return None
    shape = (layer.data[0] if layer.multiscale else layer.data).shape[: layer.ndim]  # without the colours
    # napari computes the corners for the axes it displays, in 2D display only.
    displayed = [axis - (viewer.dims.ndim - layer.ndim) for axis in viewer.dims.displayed]
    here = np.asarray(layer.world_to_data(viewer.dims.point), float)
    corners = np.sort(np.asarray(layer.corner_pixels, float), axis=0)
    region = []
    for axis, size in enumerate(shape):
        low, high, cap = 0.0, float(size), size
        if viewer.dims.ndisplay == 2 and axis in displayed and corners[1, axis] > corners[0, axis]:
            low, high = corners[0, axis], corners[1, axis] + 1
        elif axis not in displayed:
            low, high, cap = here[axis] - PREVIEW_PLANES / 2, here[axis] + PREVIEW_PLANES / 2, PREVIEW_PLANES
        region.append(window(low, high, cap, size))
    return tuple(region)


def window(low: float, high: float, cap: int, size: int) -> slice:
    """Return the slice of ``cap`` voxels at most around the middle of [low, high), inside [0, size)."""
    length = int(min(max(high - low, min(cap, 16)), cap, size))
    start = int(np.clip(round((low + high - length) / 2), 0, size - length))
    return slice(start, start + length)
