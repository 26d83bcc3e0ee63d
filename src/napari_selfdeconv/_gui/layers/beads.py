"""Beads as layers: points in the image's voxels, and the two layers a run adds."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Image, Points

from napari_selfdeconv._gui.layers.exchange import METADATA_KEY, LayerSnapshot, display_limits
from napari_selfdeconv._gui.layers.voxels import of_last_axes
from napari_selfdeconv.errors import ConfigError

BEADS_NAME = "beads [used/rejected]"
#: Distinct for colour-blind readers as well (Okabe and Ito); the label in the viewer says the same.
COLOURS = {
    "used": "#009e73",
    "saturated": "#d55e00",
    "clipped": "#56b4e9",
    "overlapping": "#cc79a7",
    "dim": "#999999",
    "outlier": "#e69f00",
    "empty": "#f0e442",
}


def points_in(image: Image, points: Points) -> np.ndarray:
    """Return the points in voxels of ``image``; a flat layer's points on a stack keep (y, x) only."""
    if points.ndim > image.ndim:
        raise ConfigError(
            f"'{points.name}' has points with {points.ndim} coordinates and '{image.name}' has {image.ndim} axes: "
            "select the image, press 'New points layer', and click on the beads."
        )
    if not len(points.data):
        raise ConfigError(f"'{points.name}' has no points: click on the beads, or choose 'find them for me'.")
    found = []
    missing = image.ndim - points.ndim
    factors = [_factor(a, b) for a, b in zip(points.units, image.units[missing:], strict=True)]
    for point in points.data:
        world = np.asarray(points.data_to_world(point), float) * factors
        voxel = np.asarray(image.world_to_data([0.0] * missing + list(world)), float)
        found.append(voxel[missing:])
    return np.array(found)


def _factor(own: Any, wanted: Any) -> float:
    """Return what turns a length of one unit into another; pixels count as the image's own unit."""
    length = own.is_compatible_with("micrometer") and wanted.is_compatible_with("micrometer")
    return float((1 * own).to(wanted).magnitude) if length else 1.0


def add_psf(viewer: Any, source: LayerSnapshot, result: Any) -> Image:
    """Add the average bead as the layer '<image> PSF from 12 beads'."""
    beads = "1 bead" if result.used == 1 else f"{result.used} beads"
    ndim = result.psf.ndim
    return viewer.add_image(
        result.psf,
        name=f"{source.name} PSF from {beads}",
        scale=result.voxel_um,
        units=("um",) * ndim,
        axis_labels=tuple("zyx"[-ndim:]),
        contrast_limits=display_limits(result.psf),
        blending="additive",
        metadata={METADATA_KEY: {"role": "psf", "source": source.name, **result.provenance}},
    )


def show_beads(viewer: Any, source: LayerSnapshot, result: Any, old: Points | None) -> Points:
    """Show which beads were used, and why the others were not; replaces the layer ``old``.

    On a stack the points are flat, so that they are seen in every plane; z is among their features.
    """
    if old is not None and old in viewer.layers:
        viewer.layers.remove(old)
    reasons = [bead.reason or "used" for bead in result.beads]
    width = 2.5 * max(w / v for w, v in zip(result.fwhm_um[-2:], result.voxel_um[-2:], strict=True))
    places = np.array([bead.position for bead in result.beads])
    return viewer.add_points(
        places[:, -2:],
        name=BEADS_NAME,
        features={
            "reason": reasons,
            "label": ["" if reason == "used" else reason for reason in reasons],
            "z": places[:, 0] if places.shape[1] == 3 else np.zeros(len(places)),
            "height": [bead.height for bead in result.beads],
            "correlation": [bead.correlation for bead in result.beads],
        },
        border_color=[COLOURS[reason] for reason in reasons],
        face_color="transparent",
        border_width=0.12,
        size=max(width, 6.0),
        symbol=["o" if reason == "used" else "x" for reason in reasons],
        text={"string": "{label}", "size": 9, "color": "white", "anchor": "upper_left"},
        metadata={METADATA_KEY: {"role": "beads", "source": source.name}},
        **of_last_axes(source.transform, 2),
    )
