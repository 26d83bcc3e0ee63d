"""From napari layers to arrays and back; the one file that adds layers.

A layer is frozen once, in the main thread, when a run starts. From then on the run knows nothing of
the viewer, so renaming, editing or deleting the layer cannot disturb it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Image
from napari.utils.transforms import Affine

from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.events import Preview

#: Key of our entry in a layer's ``metadata``.
METADATA_KEY = "selfdeconv"
#: Longest side of a previewed region, and planes of a previewed slab: a preview must cost less than
#: the training steps between two of them.
PREVIEW_SIDE = {2: 512, 3: 192}
PREVIEW_PLANES = 16


@dataclass(frozen=True)
class Frozen:
    """What a run needs to know of a layer, independent of the viewer.

    Attributes
    ----------
    data : the array as the layer holds it (numpy, dask, zarr); read in the worker's thread.
    name, source_id : the layer's name and napari's id of it when the run started.
    transform : scale, translate, rotate, shear, affine, units and axis labels, ready for ``add_image``.
    look : blending and colormap, likewise.
    voxel_um : voxel size per axis in um, or None where the layer does not say.
    """

    data: Any
    name: str
    source_id: str
    transform: Mapping[str, Any]
    look: Mapping[str, Any]
    voxel_um: tuple[float, ...] | None = None

    @property
    def ndim(self) -> int:
        return len(self.data.shape)


def voxel_um(layer: Image) -> tuple[float, ...] | None:
    """Return the layer's voxel size in um, or None if it does not know it.

    A length unit is needed, and a scale of exactly 1 everywhere is what a file without a voxel size
    looks like: neither pixels nor ones are trusted.
    """
    sizes = []
    for scale, unit in zip(layer.scale, layer.units, strict=True):
        if not unit.is_compatible_with("micrometer"):
            return None
        sizes.append(abs(float((float(scale) * unit).to("micrometer").magnitude)))
    return None if all(float(scale) == 1.0 for scale in layer.scale) else tuple(sizes)


def check_image(layer: Image | None) -> None:
    """Raise ConfigError, saying what to do, unless ``layer`` is a grey image with 2 or 3 axes."""
    if layer is None:
        raise ConfigError("No image chosen: open one, or take File > Open Sample > Self-supervised deconvolution.")
    if layer.rgb:
        raise ConfigError(
            f"'{layer.name}' is an RGB picture and one grey channel is needed: right-click the layer, "
            "choose 'Split RGB', and take one of the channels."
        )
    if layer.ndim not in (2, 3):
        raise ConfigError(
            f"'{layer.name}' has {layer.ndim} axes and an image (y, x) or a stack (z, y, x) is needed: "
            "right-click the layer, choose 'Split Stack', and take one channel or time point."
        )


def freeze(layer: Image | None) -> Frozen:
    """Return what a run needs to know of ``layer``; ConfigError if it cannot be deconvolved."""
    check_image(layer)
    assert layer is not None
    return Frozen(
        data=layer.data[0] if layer.multiscale else layer.data,
        name=layer.name,
        source_id=str(layer.unique_id),
        transform={
            "scale": np.array(layer.scale),
            "translate": np.array(layer.translate),
            "rotate": np.array(layer.rotate),
            "shear": np.array(layer.shear),
            "affine": np.array(layer.affine.affine_matrix),
            "units": tuple(layer.units),
            "axis_labels": tuple(layer.axis_labels),
        },
        look={"blending": str(layer.blending), "colormap": layer.colormap},
        voxel_um=voxel_um(layer),
    )


def display_limits(array: np.ndarray) -> tuple[float, float]:
    """Return contrast limits that a few bright pixels do not spoil."""
    sample = np.asarray(array).ravel()
    sample = sample[:: max(1, sample.size // 1_000_000)]
    low, high = (float(v) for v in np.nanpercentile(sample, (0.2, 99.9)))
    return (low, high) if high > low else (low, low + 1.0)


def add_input(viewer: Any, array: np.ndarray, name: str, voxel_um: tuple[float, ...] | None) -> Image:
    """Add an image read from a file, with its voxel size where the file gave one."""
    placed = {} if voxel_um is None else {"scale": voxel_um, "units": ("um",) * array.ndim}
    return viewer.add_image(array, name=name, contrast_limits=display_limits(array), **placed)


def add_result(viewer: Any, source: Frozen, array: np.ndarray, tag: str, provenance: Mapping[str, Any]) -> Image:
    """Add ``array`` as the layer '<source> [tag]', lying exactly where the source lies."""
    return viewer.add_image(
        array,
        name=f"{source.name} [{tag}]",
        contrast_limits=display_limits(array),
        metadata={
            METADATA_KEY: {
                "role": "result",
                "source": source.name,
                "source_id": source.source_id,
                **provenance,
            }
        },
        **source.transform,
        **source.look,
    )


def about(layer: Image) -> Mapping[str, Any]:
    """Return what this plugin wrote into the layer's metadata."""
    found = layer.metadata.get(METADATA_KEY, {})
    return found if isinstance(found, Mapping) else {}


def role(layer: Image) -> str:
    """Return "result" or "preview", for sample data "image", "psf" or "truth", for all else ""."""
    return str(about(layer).get("role", ""))


def results_of(viewer: Any, layer: Image) -> list[Image]:
    """Return the layers that were computed from ``layer``, then its truth if it is a sample."""
    images = [other for other in viewer.layers if isinstance(other, Image)]
    results = [other for other in images if about(other).get("source_id") == str(layer.unique_id)]
    sample = about(layer).get("sample")
    truths = [other for other in images if sample and role(other) == "truth" and about(other)["sample"] == sample]
    return results + truths


def looked_at(viewer: Any, layer: Image) -> tuple[slice, ...] | None:
    """Return the part of ``layer`` on the screen, at most the preview's size; None if that is unknown.

    A stack seen plane by plane gives a slab around the current plane. Main thread only.
    """
    if layer not in viewer.layers:
        return None
    shape = layer.data[0].shape if layer.multiscale else layer.data.shape
    # napari computes the corners for the axes it displays, in 2D display only.
    displayed = [axis - (viewer.dims.ndim - layer.ndim) for axis in viewer.dims.displayed]
    here = np.asarray(layer.world_to_data(viewer.dims.point), float)
    corners = np.sort(np.asarray(layer.corner_pixels, float), axis=0)
    region = []
    for axis, size in enumerate(shape):
        cap = PREVIEW_SIDE[layer.ndim]
        low, high = 0.0, float(size)
        if viewer.dims.ndisplay == 2 and axis in displayed and corners[1, axis] > corners[0, axis]:
            low, high = corners[0, axis], corners[1, axis] + 1
        elif axis not in displayed:
            low, high, cap = here[axis] - PREVIEW_PLANES / 2, here[axis] + PREVIEW_PLANES / 2, PREVIEW_PLANES
        region.append(_window(low, high, cap, size))
    return tuple(region)


def _window(low: float, high: float, cap: int, size: int) -> slice:
    """Return the slice of ``cap`` voxels at most around the middle of [low, high), inside [0, size)."""
    length = int(min(max(high - low, min(cap, 16)), cap, size))
    start = int(np.clip(round((low + high - length) / 2), 0, size - length))
    return slice(start, start + length)


class PreviewLayer:
    """The layer '<source> [preview]': made at the first preview, moved and refilled by the next ones."""

    def __init__(self, viewer: Any, source: Frozen) -> None:
        self._viewer, self._source = viewer, source
        self._layer: Image | None = None
        self._limits: tuple[float, float] | None = None
        self._dismissed = False
        viewer.layers.events.removed.connect(self._on_removed)

    @property
    def layer(self) -> Image | None:
        return self._layer

    def show(self, preview: Preview) -> None:
        """Show the preview where its voxels lie, unless the user has removed the layer."""
        if self._dismissed:
            return
        limits, translate = display_limits(preview.image), self._translate(preview.offset)
        if self._layer is None:
            self._add(preview.image, translate, limits)
            return
        layer = self._layer
        followed = tuple(layer.contrast_limits) == self._limits
        layer.data = preview.image
        if not np.allclose(layer.translate, translate):
            layer.translate = translate
        if followed:  # limits the user has set stay
            layer.contrast_limits = limits
            self._limits = tuple(layer.contrast_limits)

    def remove(self) -> None:
        """Take the layer away; nothing is shown after this."""
        self._dismissed = True
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        layer, self._layer = self._layer, None
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)

    def _add(self, image: np.ndarray, translate: np.ndarray, limits: tuple[float, float]) -> None:
        selected = set(self._viewer.layers.selection)
        # Translucent whatever the source's blending: an additive preview would show the sum of both.
        look = {**self._source.look, "blending": "translucent"}
        self._layer = self._viewer.add_image(
            image,
            name=f"{self._source.name} [preview]",
            contrast_limits=limits,
            metadata={METADATA_KEY: {"role": "preview"}},
            **{**self._source.transform, "translate": translate},
            **look,
        )
        self._limits = tuple(self._layer.contrast_limits)
        # The user's layer stays selected: a preview must not take the controls away.
        self._viewer.layers.selection = selected & set(self._viewer.layers)

    def _translate(self, offset: tuple[int, ...]) -> np.ndarray:
        transform = self._source.transform
        keys = ("scale", "translate", "rotate", "shear")
        return np.asarray(Affine(**{key: transform[key] for key in keys})(np.asarray(offset, float)))

    def _on_removed(self, event: Any) -> None:
        if event.value is self._layer:
            self._layer, self._dismissed = None, True
