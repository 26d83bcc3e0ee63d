"""What to preview while training: the view or a box, with the reblurred image and the residual if wanted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.layers import Image
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QCheckBox, QGridLayout, QPushButton, QWidget

from napari_selfdeconv._gui.layers.exchange import LayerSnapshot, looked_at
from napari_selfdeconv._gui.layers.preview import PreviewBox, PreviewLayers
from napari_selfdeconv._gui.runs.inputs import Previews
from napari_selfdeconv.events import Preview

REGION_EVERY_MS = 200
REFILL_EVERY_MS = 30


class PreviewPanel(QWidget):
    """The choices, the region they mean, and the preview layers of the run under way."""

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self.reblurred = QCheckBox("Reblurred g(f(x))")
        self.reblurred.setToolTip(
            "The result blurred again with the PSF: how the microscope would have recorded it without noise"
        )
        self.residual = QCheckBox("Residual x − g(f(x))")
        self.residual.setToolTip("What the model does not explain: it should look like noise, without structure")
        self.link = QCheckBox("Same contrast as the image")
        self.link.setChecked(True)
        self.link.setToolTip("Results share the image's contrast limits: change one, and all follow")
        self.box_button = QPushButton("Preview a box")
        self.box_button.setToolTip("Preview a rectangle that you can move, instead of what is on the screen")
        self.box = PreviewBox(viewer, self._on_box)
        self._shown: Image | None = None
        self._image: Image | None = None
        self._layers: PreviewLayers | None = None
        # Written here by a timer in the main thread, read by the worker: one reference each, replaced whole.
        self._region: tuple[slice, ...] | None = None
        self._extra = False
        self._view, self._asked_in = 0, 0
        self._ndim = 2
        self._timer = QTimer(self)
        self._timer.setInterval(REGION_EVERY_MS)
        self._timer.timeout.connect(self._update)
        self._waiting: list[Callable[[], None]] = []
        self._refill = QTimer(self)
        self._refill.setInterval(REFILL_EVERY_MS)
        self._refill.timeout.connect(self._show_next)
        self.box_button.clicked.connect(self._toggle_box)
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setVerticalSpacing(3)
        # One below the other: two side by side are wider than a narrow dock.
        for row, widget in enumerate((self.reblurred, self.residual, self.link, self.box_button)):
            layout.addWidget(widget, row, 0)

    def follow(self, image: Image | None) -> None:
        """Another image is chosen in the dock: a box is made for it."""
        self._shown = image

    def start(self, image: Image, source: LayerSnapshot, *, flat: bool = False) -> None:
        """A run begins on ``image``; ``flat`` as in `PreviewLayers`."""
        self._image, self._ndim = image, source.ndim
        self._layers = PreviewLayers(self._viewer, source, flat=flat)
        self._update()
        if self._region is not None:
            self._waiting = self._layers.preparations(self._region, **self._wanted())
            self._refill.start()
        self._timer.start()
        self._viewer.dims.events.ndisplay.connect(self._on_ndisplay)

    def place(self, source: LayerSnapshot) -> None:
        """Follow the image of the run, which was moved, renamed or given another voxel size."""
        if self._layers is not None:
            self._layers.move(source)

    def stop(self) -> None:
        """Remove the previews after the run; keep the box."""
        self._timer.stop()
        self._refill.stop()
        self._waiting = []
        self._viewer.dims.events.ndisplay.disconnect(self._on_ndisplay)
        layers, self._layers, self._image = self._layers, None, None
        if layers is not None:
            layers.remove()

    def close_panel(self) -> None:
        """Remove the box and disconnect from the viewer: the dock was closed."""
        self.box.remove()
        self.box.close()

    @property
    def linked(self) -> bool:
        """Whether results get the image's contrast limits and keep them in common."""
        return bool(self.link.isChecked())

    def previews(self) -> Previews:
        """Return what to ask for while training."""
        return Previews(region=self.region, extra=self.extra)

    def region(self) -> tuple[slice, ...] | None:
        """Return what to preview; called from the worker's thread."""
        self._asked_in = self._view
        return self._region

    def extra(self) -> bool:
        """Return whether the reblurred image or the residual is wanted; called from the worker's thread."""
        return self._extra

    def show_preview(self, preview: Preview) -> None:
        """Draw the newest preview."""
        if self._layers is not None and self._asked_in == self._view:
            self._waiting = self._layers.updates(preview, **self._wanted())
            self._refill.start()

    def _wanted(self) -> dict[str, bool]:
        return {"reblurred": self.reblurred.isChecked(), "residual": self.residual.isChecked()}

    def _show_next(self) -> None:
        if self._waiting:
            self._waiting.pop(0)()
        else:
            self._refill.stop()

    def _update(self) -> None:
        self._extra = any(self._wanted().values())
        if self._image is not None:
            boxed = self.box.region(self._image) if self.box.active else None
            seen = boxed or looked_at(self._viewer, self._image)
            # The colours of a picture have become a first axis that the layer does not have.
            self._region = None if seen is None else (slice(0, 1),) * (self._ndim - len(seen)) + seen

    def _on_ndisplay(self, _event: Any = None) -> None:
        # A few planes in 3D would look like a part of the image: the preview that is on its way is not shown.
        self._waiting = []
        self._update()
        self._view += 1
        if self._layers is not None:
            self._layers.blank()

    def _toggle_box(self) -> None:
        if self.box.active:
            self.box.remove()
        elif self._shown is not None:
            self.box.add(self._shown)

    def _on_box(self) -> None:
        self.box_button.setText("Preview the view" if self.box.active else "Preview a box")
