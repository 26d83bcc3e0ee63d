"""The section 'Camera and pixels': which pixels are no measurement, and what the camera adds to the light."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Image, Labels
from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from napari_selfdeconv._gui.forms.fields import AutoBox, ChoiceBox, Note
from napari_selfdeconv._gui.forms.layer_box import LayerBox
from napari_selfdeconv._gui.forms.layout import labelled_grid
from napari_selfdeconv._gui.forms.problems import FieldError, camera_problem
from napari_selfdeconv._gui.layers.exchange import METADATA_KEY, transform_of
from napari_selfdeconv._gui.panels.histogram import HistogramPlot
from napari_selfdeconv._gui.runs.camera import Seen, look_job
from napari_selfdeconv._gui.runs.controller import Ending, RunController, RunRequest
from napari_selfdeconv._gui.runs.failure import Failure
from napari_selfdeconv.errors import ConfigError

#: A pause in typing before anything is computed.
DEBOUNCE_MS = 300
_BY_LAYER = "layer"
_CHOICES: list[tuple[str, Any]] = [
    ("leave out", "auto"),
    ("leave out, and NaN", "auto+nan"),
    ("from a layer", _BY_LAYER),
    ("use all", None),
]
_NAMES = {"offset": "Offset", "gain": "Photon", "read_noise": "Read noise"}


class CameraPanel(QWidget):
    """Pixels to leave out, and background, gain and noise of the camera; found in the image unless given.

    Signal ``changed`` comes when an answer changes.
    """

    changed = Signal()

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self._image: Image | None = None
        self._seen: Seen | None = None
        self.pixels = ChoiceBox(
            _CHOICES,
            "Pixels that are no measurement: saturated ones, dead rows, hot pixels, black areas of mosaics. The "
            "result there comes from the pixels around them",
        )
        self.labels_box = LayerBox(
            viewer, lambda _layer: True, "Labels layer: pixels with a label are left out", kind=Labels
        )
        self.count_note = Note()
        self.show_button = QPushButton("Show as layer")
        self.show_button.setToolTip("Add the pixels that are no measurement as a Labels layer, one label a kind")
        self.background = ChoiceBox(
            [("constant", None), ("varies over the field", "varying")],
            "Background: light that comes from no object. Used by the classical methods; the network estimates it",
        )
        tips = {
            "offset": "Grey level of a pixel without light",
            "gain": "Grey levels of one photon",
            "read_noise": "Noise of a pixel without light, in grey levels",
        }
        self.numbers = {name: AutoBox(1.0, tip) for name, tip in tips.items()}
        self.report_note = Note()
        self.histogram = HistogramPlot()
        self.runs = RunController(self)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(DEBOUNCE_MS)
        self._timer.timeout.connect(self._look)
        self._build()
        self.pixels.currentIndexChanged.connect(self._on_answer)
        self.labels_box.layer_changed.connect(self._on_answer)
        self.background.currentIndexChanged.connect(self.changed)
        for box in self.numbers.values():
            box.valueChanged.connect(self._on_answer)
        self.show_button.clicked.connect(self.show_as_layer)
        self.runs.finished.connect(self._on_finished)
        self._show(None)

    def follow(self, image: Image | None) -> None:
        """Look at another image, if the section is open."""
        if image is not self._image:
            self._image = image
            # What is being found out is about the image before.
            self.runs.cancel()
            self._show(None)
            self._later()

    def refresh(self) -> None:
        """Follow the viewer's layers."""
        self.labels_box.refresh()

    def weights(self) -> Any:
        """Return which pixels count, as `weights_of` takes it; ConfigError if no layer is chosen."""
        chosen = self.pixels.value()
        if chosen != _BY_LAYER:
            return chosen
        layer = self.labels_box.layer
        if layer is None:
            raise ConfigError("Choose the Labels layer with the pixels to leave out, or let them be found.")
        return layer.data[0] if layer.multiscale else layer.data

    def camera(self) -> dict[str, Any]:
        """Return the camera and background values that were given, as settings of a classical method.

        ConfigError if one is impossible.
        """
        problem = self._problem()
        if problem is not None:
            raise ConfigError(str(problem))
        given: dict[str, Any] = self._known()
        if self.background.value() is not None:
            given["background"] = self.background.value()
        return given

    def show_as_layer(self) -> None:
        """Add the pixels that are no measurement as labels, lying where the image lies."""
        image, seen = self._image, self._seen
        if image is None or seen is None:
            return
        layer = self._viewer.add_labels(
            seen.pixels.labels,
            name=f"{image.name} [no measurement]",
            metadata={METADATA_KEY: {"role": "mask", "kinds": list(seen.pixels.kinds)}},
            **transform_of(image),
        )
        there = [(n, kind) for n, kind in enumerate(seen.pixels.kinds, 1) if kind in seen.pixels.counts]
        names = ", ".join(f"{number} {kind}" for number, kind in there)
        self.count_note.say(f"{seen.pixels.describe()}. Labels of '{layer.name}': {names}.")

    def showEvent(self, event: Any) -> None:
        # Only while the section is open, because this reads every pixel.
        super().showEvent(event)
        if self._seen is None:
            self._later()

    def _known(self) -> dict[str, float]:
        typed = {name: box.number() for name, box in self.numbers.items()}
        return {name: number for name, number in typed.items() if number is not None}

    def _problem(self) -> FieldError | None:
        return camera_problem(self.numbers["gain"].number(), self.numbers["read_noise"].number())

    def _on_answer(self, _value: Any = None) -> None:
        self.labels_box.setVisible(self.pixels.value() == _BY_LAYER)
        problem = self._problem()
        for name, box in self.numbers.items():
            box.mark_wrong(problem is not None and problem.field == name)
        self.changed.emit()
        self._later()

    def _later(self) -> None:
        if self.isVisible():
            self._timer.start()

    def _look(self) -> None:
        image = self._image
        if image is None or image.rgb or image.ndim not in (2, 3) or not isinstance(image.data, np.ndarray):
            self._show(None)
            self.count_note.say("Each frame is searched when the run starts." if image is not None else "")
            return
        try:
            weights = self.weights()
        except ConfigError as error:
            self.count_note.say(str(error), "warning")
            return
        problem = self._problem()
        if problem is not None:
            self.runs.cancel()
            self._show(None)
            self.report_note.say(str(problem), "error")
            return
        job = look_job(image.data, weights, self._known())
        self.runs.start_newest(RunRequest(job=job, what="Looking", on_success=self._show))

    def _show(self, seen: Seen | None) -> str:
        self._seen = seen
        if seen is None:
            self.count_note.say("")
            self.report_note.say("")
        else:
            found = seen.pixels.describe()
            self.count_note.say(f"{found}." if found else "Every pixel is a measurement.")
            told = seen.camera.describe()
            dark = seen.camera.photons_mean < 0
            self.report_note.say(f"{told[0].upper()}{told[1:]}.", "warning" if dark else "")
            self.histogram.show_counts(seen.histogram, seen.camera.offset)
        self.histogram.setVisible(seen is not None)
        self.show_button.setVisible(seen is not None and bool(seen.pixels.counts))
        return ""

    def _on_finished(self, ending: Ending) -> None:
        if isinstance(ending.outcome, Failure):
            self._show(None)
            self.count_note.say(ending.outcome.text, "warning")

    def _build(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        fields = [(_NAMES[name], box) for name, box in self.numbers.items()]
        for widget in (
            labelled_grid([("Pixels", self.pixels), ("Background", self.background)]),
            self.labels_box,
            self.count_note,
            self.show_button,
            labelled_grid(fields),
            self.report_note,
            self.histogram,
        ):
            layout.addWidget(widget)
        self.labels_box.hide()
