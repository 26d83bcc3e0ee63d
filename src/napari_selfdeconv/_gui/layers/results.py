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
from napari_selfdeconv._gui.layers.order import move_below_previews
from napari_selfdeconv._gui.layers.preview import PreviewLayer
from napari_selfdeconv._gui.layers.voxels import place
from napari_selfdeconv.events import Event, Filling, Interim, Progress

PART = "part in view"
_REFRESH_S = 0.25
_NAMED = ("result", "residual", "uncertainty", "unsupported", "part")


class AddedLayers:
    """The layers of a run besides its previews: results, residuals, uncertainties and masks."""

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
            layer.name for layer in layers if role(layer) in _NAMED and str(layer.unique_id) not in self._before
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
            if not event.step:  # the instant result of a stack, refined
                self._versions = [version]
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
        move_below_previews(self._viewer, layer)
        return layer


@dataclass(frozen=True)
class Version:
    """A result and the entries of its layer's record."""

    image: np.ndarray
    about: Mapping[str, Any]


class FillingResult:
    """The layer '<source> [deconvolved]' while it fills, tile by tile.

    If the result is written tile by tile, the layer '<source> [part in view]' comes first. It
    shows the instant result of the part in view, then better ones, until the whole result is complete.

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
        self._part: PreviewLayer | None = None
        self._last = 0.0

    def show_event(self, event: Event) -> None:
        """Show the array that the result is being written into, tiles written since the last call, or the part."""
        if isinstance(event, Filling):
            self._open(event.image)
        elif isinstance(event, Interim) and event.offset is not None:
            self._show_part(event.image, event.offset)
        elif isinstance(event, Progress):
            self._refresh()

    def finish(self, result: Any) -> None:
        """Store the provenance: the result is complete."""
        self._remove_part()
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
        if self._part is not None:
            self._part.move(source)

    def discard(self) -> None:
        """Remove the layers: the run was cancelled or has failed."""
        self._remove_part()
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
        move_below_previews(self._viewer, self._layer)

    def _show_part(self, image: np.ndarray, offset: tuple[int, ...]) -> None:
        """Show the result of the part in view, which stays the same part during a run."""
        if self._part is not None:
            self._part.show(image, offset)
            return
        self._part = PreviewLayer(self._viewer, self._source, PART, role="part", limits=self._limits)
        self._part.show(image, offset)
        if self._part.layer is not None:
            move_below_previews(self._viewer, self._part.layer)

    def _remove_part(self) -> None:
        part, self._part = self._part, None
        if part is not None:
            part.remove()

    def _name(self) -> str:
        return f"{self._source.name} [deconvolved]"

    def _refresh(self) -> None:
        """Draw new tiles, at most a few times a second."""
        now = time.monotonic()
        if self._layer is not None and now - self._last > _REFRESH_S:
            self._last = now
            self._layer.refresh(extent=False, thumbnail=False, highlight=False)
