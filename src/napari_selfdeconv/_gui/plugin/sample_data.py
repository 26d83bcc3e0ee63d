"""Sample data for File > Open Sample: generated on the spot, each with its PSF and its truth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari_selfdeconv._gui.layers.exchange import METADATA_KEY, display_limits

LayerTuple = tuple[Any, dict[str, Any], str]


def cells_2d() -> list[LayerTuple]:
    """Return cells in one plane: image, PSF and truth."""
    from napari_selfdeconv.api import sample_2d

    return _layers("cells", sample_2d)


def microtubules_3d() -> list[LayerTuple]:
    """Return a widefield stack of microtubules: image, PSF and truth."""
    from napari_selfdeconv.api import sample_3d

    return _layers("microtubules", sample_3d)


def beads_3d() -> list[LayerTuple]:
    """Return a stack of beads, good and bad ones, and the PSF they were made with."""
    from napari_selfdeconv.api import sample_beads

    sample = sample_beads()
    about = {"sample": "beads", "optics": sample.optics.to_dict()}
    layers = []
    # napari selects the last layer: the image.
    for role, array, name in (("psf", sample.psf, "beads true PSF"), ("image", sample.image, "beads")):
        meta = {
            "name": name,
            "scale": sample.voxel_um,
            "units": ("um",) * 3,
            "axis_labels": ("z", "y", "x"),
            "visible": role == "image",
            "contrast_limits": display_limits(array),
            "metadata": {METADATA_KEY: {"role": role, **about}},
        }
        layers.append((array, meta, "image"))
    return layers


def _layers(name: str, make: Callable[[], Any]) -> list[LayerTuple]:
    sample = make()
    about = {"sample": name, "optics": sample.optics.to_dict()}
    layers = []
    # napari selects the last layer: the image.
    for role, array in (("truth", sample.truth), ("psf", sample.psf), ("image", sample.image)):
        suffix = {"image": "", "psf": " PSF", "truth": " truth"}[role]
        meta = {
            "name": name + suffix,
            "scale": sample.voxel_um,
            "units": ("um",) * array.ndim,
            "axis_labels": tuple("zyx"[-array.ndim :]),
            # The image alone is what a user would have; the other two are a click away.
            "visible": role == "image",
            "contrast_limits": display_limits(array),
            "metadata": {METADATA_KEY: {"role": role, **about}},
        }
        layers.append((array, meta, "image"))
    return layers
