"""The layer in which the result of a colour picture appears."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_selfdeconv._gui.layers.exchange import METADATA_KEY, LayerSnapshot
from napari_selfdeconv._gui.layers.voxels import without_channel_axis
from napari_selfdeconv.events import Event


class ColourResult:
    """Adds '<source> [deconvolved]' as a colour picture at the end.

    Parameters
    ----------
    viewer : viewer of the layers.
    source : picture that is deconvolved, with its colours as a first axis.
    """

    def __init__(self, viewer: Any, source: LayerSnapshot) -> None:
        self._viewer, self._source = viewer, source

    def show_event(self, _event: Event) -> None:
        """Show nothing before the end, when the results of all three colours are there."""

    def finish(self, result: Any) -> None:
        """Put the three colours together again."""
        source = self._source
        about = {"role": "result", "source": source.name, "source_id": source.source_id, "linked": False}
        self._viewer.add_image(
            as_picture(result.image, source.data.dtype),
            rgb=True,
            name=f"{source.name} [deconvolved]",
            metadata={METADATA_KEY: {**about, **result.provenance}},
            blending=source.look["blending"],
            **without_channel_axis(source.transform),
        )

    def move(self, source: LayerSnapshot) -> None:
        """Use the new place, voxel size or name of the image."""
        self._source = source

    def discard(self) -> None:
        """Do nothing: no layer was added."""


def as_picture(channels: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """Return three colours (c, y, x) as a picture (y, x, c), clipped to the range of ``dtype``.

    Examples
    --------
    >>> as_picture(np.array([[[-1.0]], [[2.6]], [[300.0]]]), np.dtype("uint8"))
    array([[[  0,   3, 255]]], dtype=uint8)
    """
    picture: np.ndarray = np.moveaxis(channels, 0, -1)
    if dtype.kind == "f":
        # Between 0 and 1, as napari draws colours.
        picture = np.clip(picture, 0, 1)
    else:
        limits = np.iinfo(dtype)
        picture = np.clip(np.rint(picture), limits.min, limits.max)
    return np.ascontiguousarray(picture, dtype)
