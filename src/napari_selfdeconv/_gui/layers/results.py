"""The layers in which the result of one run appears: as a whole at its end, or tile by tile."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Image, Labels

from napari_selfdeconv._gui.layers.exchange import (
    METADATA_KEY,
    LayerSnapshot,
    about,
    add_result,
    display_limits,
    link_contrast,
    role,
)
from napari_selfdeconv._gui.layers.voxels import place, without_channel_axis
from napari_selfdeconv.events import Event, Filling, Interim, Progress

_REFRESH_S = 0.25
_STAY = ("result", "residual", "uncertainty", "unsupported")


class AddedLayers:
    """The layers that a run adds and that stay: results, residuals, uncertainties and masks, no previews."""

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._before: set[str] = set()

    def begin(self) -> None:
        """A run begins: what there is now is not of it."""
        self._before = {str(layer.unique_id) for layer in self._viewer.layers}

    def names(self) -> list[str]:
        """Return the names of the layers that have come since `begin` and are still there."""
        layers = [layer for layer in self._viewer.layers if isinstance(layer, Image | Labels)]
        return [
            layer.name for layer in layers if role(layer) in _STAY and str(layer.unique_id) not in self._before
        ]


class WholeResult:
    """The layer '<source> [deconvolved]': first the instant result, if there is one, then better results.

    A result of 'Use now' is a separate layer.

    Parameters
    ----------
    viewer, source : where the layers go, and what they are computed from.
    linked : returns whether an added layer shares the contrast limits of the image.
    about : entries of its record besides the provenance.
    """

    def __init__(
        self, viewer: Any, source: LayerSnapshot, linked: Callable[[], bool], about: Mapping[str, Any]
    ) -> None:
        self._viewer, self._source, self._linked, self._about = viewer, source, linked, about
        self._layer: Image | None = None
        # The instant result, then that of the training.
        self._versions: list[Version] = []
        self._shown = 0

    def show_event(self, event: Event) -> None:
        """Show the instant result, a better one instead of it, or the result of 'Use now' as a separate layer."""
        if not isinstance(event, Interim):
            return
        version = Version(event.image, {**event.provenance, **self._about, "psf": event.psf})
        if not event.improves:
            self._add_meanwhile(version, f"network, step {event.step}")
        elif self._versions:
            self._replace(version)
        else:
            self._versions = [version]
            self._layer = self._add_meanwhile(version, "deconvolved")

    def finish(self, result: Any) -> None:
        """Show the result of the run."""
        # The PSF as it was given: it is needed to repeat the run or to reblur the result.
        version = Version(result.image, {**result.provenance, **self._about, "psf": result.model.given_psf})
        if not self._versions:
            self._add(version, "deconvolved")
            return
        if result.provenance.get("steps_done") and result.provenance.get("kept_share"):
            self._versions.append(version)
            self._shown = 1
        if self._layer is not None and self.is_there:
            self._replace(version)
            # As a layer that is added at the end is.
            self._viewer.layers.selection = {self._layer}
        else:
            self._layer = self._add(version, "deconvolved")

    @property
    def is_there(self) -> bool:
        """Whether the layer is in the viewer."""
        return self._layer is not None and self._layer in self._viewer.layers

    @property
    def reverts(self) -> bool:
        """Whether the layer can go back to the instant result: training has changed it."""
        return self.is_there and len(self._versions) > 1

    @property
    def is_instant(self) -> bool:
        """Whether the layer shows the instant result."""
        return self._shown == 0

    def revert(self) -> None:
        """Show the instant result, or the trained one again."""
        self._shown = 1 - self._shown
        self._replace(self._versions[self._shown])

    def move(self, source: LayerSnapshot) -> None:
        """Follow the image, which was moved, renamed or given another voxel size."""
        given, self._source = f"{self._source.name} [deconvolved]", source
        if self._layer is not None and self.is_there:
            if self._layer.name == given:  # not one that the user has given
                self._layer.name = f"{source.name} [deconvolved]"
            place(self._layer, source.transform)

    def discard(self) -> None:
        """Go back to the instant result. Keep the results of 'Use now', which are complete."""
        if self._versions:
            self._replace(self._versions[0])

    def _add(self, version: Version, tag: str) -> Image:
        told = dict(version.about)
        return add_result(self._viewer, self._source, version.image, tag, told, link=self._linked())

    def _replace(self, version: Version) -> None:
        """Put another result into the layer; one that the user has deleted does not come back."""
        if self._layer is None or not self.is_there:
            return
        own = about(self._layer)
        kept = {key: own[key] for key in ("role", "source", "source_id", "linked") if key in own}
        self._layer.data = version.image
        self._layer.metadata = {METADATA_KEY: {**kept, **version.about}}

    def _add_meanwhile(self, version: Version, tag: str) -> Image:
        """Add a layer below the preview, which stays visible while training goes on.

        The user's layer stays selected: a result that arrives later must not take the controls away.
        """
        layers = self._viewer.layers
        selected = set(layers.selection)
        layer = self._add(version, tag)
        layers.selection = selected & set(layers)
        previews = [i for i, other in enumerate(layers) if isinstance(other, Image) and role(other) == "preview"]
        if previews:
            layers.move(layers.index(layer), min(previews))
        return layer


@dataclass(frozen=True)
class Version:
    """A result and the entries of its layer's record."""

    image: np.ndarray
    about: Mapping[str, Any]


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


class FillingResult:
    """The layer '<source> [deconvolved]' while it fills, tile by tile.

    Parameters
    ----------
    viewer, source : where the layer goes, and what it is computed from.
    limits : contrast limits until the result is whole.
    linked : returns whether the complete layer shares the contrast limits of the image.
    """

    def __init__(
        self, viewer: Any, source: LayerSnapshot, limits: tuple[float, float], linked: Callable[[], bool]
    ) -> None:
        self._viewer, self._source, self._limits, self._linked = viewer, source, limits, linked
        self._layer: Image | None = None
        self._last = 0.0

    def show_event(self, event: Event) -> None:
        """Show the array that the result is being written into, and tiles written since the last call."""
        if isinstance(event, Filling):
            self._open(event.image)
        elif isinstance(event, Progress):
            self._refresh()

    def finish(self, result: Any) -> None:
        """Store the provenance: the result is complete."""
        layer, source = self._layer, self._source
        if layer is not None and layer in self._viewer.layers:
            link = self._linked()
            about = {"role": "result", "source": source.name, "source_id": source.source_id, "linked": link}
            layer.metadata = {METADATA_KEY: {**about, **result.provenance}}
            if link:
                link_contrast(self._viewer, source, layer)
            elif isinstance(layer.data, np.ndarray):
                layer.contrast_limits = display_limits(layer.data)
            layer.refresh()

    def move(self, source: LayerSnapshot) -> None:
        """Follow the image, which was moved, renamed or given another voxel size."""
        given, self._source = self._name(), source
        if self._layer is not None:
            if self._layer.name == given:  # not one that the user has given
                self._layer.name = self._name()
            place(self._layer, source.transform)

    def discard(self) -> None:
        """Remove the layer: the run was cancelled or has failed."""
        if self._layer is not None and self._layer in self._viewer.layers:
            self._viewer.layers.remove(self._layer)

    def _open(self, image: Any) -> None:
        self._layer = self._viewer.add_image(
            image,
            name=self._name(),
            contrast_limits=self._limits,
            metadata={METADATA_KEY: {"role": "preview", "preview_of": self._source.source_id}},
            **self._source.transform,
            **self._source.look,
        )

    def _name(self) -> str:
        return f"{self._source.name} [deconvolved]"

    def _refresh(self) -> None:
        """Draw new tiles, at most a few times a second."""
        now = time.monotonic()
        if self._layer is not None and now - self._last > _REFRESH_S:
            self._last = now
            self._layer.refresh(extent=False, thumbnail=False, highlight=False)
