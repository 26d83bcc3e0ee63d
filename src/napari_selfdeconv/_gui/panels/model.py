"""The section 'Model and result' of the main dock: keep and apply models, judge a result, make it again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QApplication, QFileDialog, QGridLayout, QPushButton, QWidget

from napari_selfdeconv._gui.forms.fields import Note
from napari_selfdeconv._gui.layers.exchange import LayerSnapshot, add_result, add_unsupported, snapshot
from napari_selfdeconv._gui.qt import existing
from napari_selfdeconv._gui.runs.controller import RunRequest
from napari_selfdeconv._gui.runs.inputs import RunInputs, required
from napari_selfdeconv._gui.runs.judge import apply_job, check_one_frame, residual_job, uncertainty_job
from napari_selfdeconv._gui.runs.plan import Repetition
from napari_selfdeconv._gui.runs.psf_choice import sized
from napari_selfdeconv._gui.runs.repeat import Ingredients, command_text, ingredients, python_text
from napari_selfdeconv._gui.runs.resume import GIVEN
from napari_selfdeconv._gui.runs.series import image_snapshot
from napari_selfdeconv.api import kind_of
from napari_selfdeconv.config.tiles import TileConfig
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.errors import ConfigError

if TYPE_CHECKING:
    from napari_selfdeconv.api import Model

_FILTER = "Model (*.safetensors)"
_READ = {
    "residual": "Residual: what the result does not explain. It should look like noise; an outline of your sample "
    "in it means that light was lost or invented there.",
    "uncertainty": "Uncertainty: half of the width of the 90 % interval, in the unit of the image. The interval "
    "is meant to contain 90 % of the true values; on test images it contained 53 to 99 %. It does not include "
    "errors of the PSF.",
}


class ModelPanel(QWidget):
    """Buttons over the model trained or loaded last, and over the result layer that is selected.

    Signals: ``model_changed``; ``asked`` carries a `RunRequest` to start, ``repeat`` a `Repetition`.

    Parameters
    ----------
    viewer : where results are selected and added.
    inputs : returns what the forms say now.
    linked : returns whether results share the contrast limits of the image.
    """

    model_changed = Signal()
    asked = Signal(object)
    repeat = Signal(object)

    def __init__(self, viewer: Any, inputs: Callable[[], RunInputs], linked: Callable[[], bool]) -> None:
        super().__init__()
        self._viewer, self._inputs, self._linked = viewer, inputs, linked
        self._model: Model | None = None
        self.save_button = _button("Save model …", "Keep the model of the last run in a file")
        self.load_button = _button("Load model …", "Use a model that was saved")
        self.apply_button = _button("Apply to image", "Deconvolve the chosen image with the model, no training")
        self.residual_button = _button(
            "Residual",
            "Add the residual of the selected result: the image minus the result blurred again, x − g(result)",
        )
        self.uncertainty_button = _button(
            "Uncertainty",
            "Add half of the width of the 90 % interval of each pixel, in the unit of the image, and a mask of "
            "the places that the data do not support",
        )
        self.repeat_button = _button("Repeat run", "Run the selected result again, with its settings and seed")
        self.python_button = _button("Copy as Python", "A script that gives the same array as the selected result")
        self.command_button = _button("Copy as command", "A command line that gives the same array")
        self.note = Note()
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        rows: tuple[tuple[QPushButton, ...], ...] = (
            (self.save_button, self.load_button),
            (self.apply_button, self.repeat_button),
            (self.residual_button, self.uncertainty_button),
            (self.python_button, self.command_button),
        )
        for row, buttons in enumerate(rows):
            for column, button in enumerate(buttons):
                layout.addWidget(button, row, column)
        layout.addWidget(self.note, len(rows), 0, 1, 2)
        for button, slot in (
            (self.save_button, self._ask_save),
            (self.load_button, self._ask_load),
            (self.apply_button, self.apply),
            (self.residual_button, self.residual),
            (self.uncertainty_button, self.uncertainty),
            (self.repeat_button, self.repeat_selected),
            (self.python_button, lambda: self._ask_copy(python_text, "script")),
            (self.command_button, lambda: self._ask_copy(command_text, "command")),
        ):
            button.clicked.connect(lambda _=False, run=slot: self._guarded(run))
        self.model = None

    @property
    def model(self) -> Model | None:
        """The model trained or loaded last."""
        return self._model

    @model.setter
    def model(self, model: Model | None) -> None:
        self._model = model
        for button in (self.save_button, self.apply_button, self.uncertainty_button):
            button.setEnabled(model is not None)
        self.model_changed.emit()

    def follow(self, _image: Image | None) -> None:
        """Clear the messages about the image before: another one is chosen."""
        self.note.say("")

    def save(self, path: str) -> None:
        """Write the model; ConfigError if that fails."""
        from napari_selfdeconv import api

        api.save_model(path, self._required_model())
        self.note.say(f"Saved {path}", "good")

    def load(self, path: str) -> None:
        """Read a model and make it the present one; ConfigError if the file holds no model."""
        from napari_selfdeconv import api

        model = self.model = api.load_model(path)
        steps = model.provenance.get("steps_done", "?")
        size = " × ".join(map(str, model.given_psf.shape))
        self.note.say(f"Loaded: {model.psf.ndim}D, {steps} steps, PSF {size}.", "good")

    def apply(self) -> None:
        """Deconvolve the chosen image with the model."""
        inputs, model = self._inputs(), self._required_model()
        source = snapshot(inputs.layer)
        psf = inputs.psfs if isinstance(inputs.psfs, ConfigError) else inputs.psfs[0]
        source = source if isinstance(psf, ConfigError) else sized(source, psf)
        weights = required(inputs.weights)
        job = apply_job(model, source, psf, required(inputs.tiles), inputs.device, weights)

        def add(image: np.ndarray) -> str:
            from napari_selfdeconv import api

            mask = weights if weights is None or isinstance(weights, str) else GIVEN
            record = api.applied_record(model, source.name, mask)
            about = {**record, "psf": model.given_psf, "model": model}
            add_result(self._viewer, source, image, "applied", about, link=self._linked())
            return "Applied"

        self.asked.emit(RunRequest(job=job, what="Applying the model", on_success=add))

    def residual(self) -> None:
        """Add the residual of the selected result."""
        made, result = self._selected()
        check_one_frame("A residual is made", made.source, result.name, made.provenance)
        source = image_snapshot(made.source)
        tag = f"residual of {result.name.removeprefix(source.name).strip(' []')}"
        job = residual_job(source, result.data, made.psf, made.provenance)
        add = self._adder(source, tag, "residual")
        self.asked.emit(RunRequest(job=job, what="Residual", on_success=add))

    def uncertainty(self) -> None:
        """Add the half-width of the 90 % interval of each pixel, and what the data do not support."""
        inputs, model = self._inputs(), self._required_model()
        source = snapshot(inputs.layer)
        weights = required(inputs.weights)
        job = uncertainty_job(model, source, required(inputs.tiles), inputs.device, weights)
        add_width = self._adder(source, "uncertainty", "uncertainty")

        def add(found: Any) -> str:
            said = add_width(found.half_width)
            add_unsupported(self._viewer, source, found.unsupported, {"method": "uncertainty"})
            share = float(found.unsupported.mean())
            self.note.say(f"{_READ['uncertainty']} {share:.1%} of the pixels are not supported by the data.")
            return said

        self.asked.emit(RunRequest(job=job, what="Uncertainty", on_success=add))

    def repeat_selected(self) -> None:
        """Run the selected result again from its metadata."""
        made, _ = self._selected()
        told = made.provenance
        if kind_of(told) != "network":
            raise ConfigError("Only a result of training can be repeated here. For this one use 'Copy as Python'.")
        config = TrainConfig.from_dict(told["config"])
        tiles = TileConfig.from_dict(told.get("tiles") or {})
        weights = told.get("mask", {}).get("from")
        if weights == "given":
            raise ConfigError(
                "Pixels were left out by a Labels layer: choose it in 'Camera and pixels', and train."
            )
        self.repeat.emit(Repetition(made.source, made.psf, config, tiles, weights))

    def _adder(self, source: LayerSnapshot, tag: str, kind: str) -> Callable[[np.ndarray], str]:
        def add(image: np.ndarray) -> str:
            # Not a result: the Compare dock does not measure it.
            layer = add_result(self._viewer, source, image, tag, {"method": kind, "role": kind})
            if kind == "residual":
                most = float(np.percentile(np.abs(image), 99.9)) or 1.0
                layer.contrast_limits, layer.colormap = (-most, most), "PiYG"
            else:
                layer.colormap = "inferno"
            self.note.say(_READ[kind])
            return f"{kind.capitalize()} added"

        return add

    def _required_model(self) -> Model:
        if self._model is None:
            raise ConfigError("There is no model yet: press Train, or load one.")
        return self._model

    def _selected(self) -> tuple[Ingredients, Image]:
        active = self._viewer.layers.selection.active
        if not isinstance(active, Image):
            raise ConfigError("Select a result of this plugin in the layer list.")
        return ingredients(self._viewer, active), active

    def _guarded(self, run: Callable[[], None]) -> None:
        try:
            run()
        except ConfigError as error:
            self.note.say(str(error), "warning")

    def _ask_save(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save the model", "model.safetensors", _FILTER)
        if path:
            self.save(path)

    def _ask_load(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Load a model", "", _FILTER)
        if path:
            self.load(path)

    def _ask_copy(self, text: Callable[[Ingredients, str], str], what: str) -> None:
        made, _ = self._selected()
        folder = QFileDialog.getExistingDirectory(self, "Folder for the image, the PSF and the settings")
        if folder:
            existing(QApplication.clipboard()).setText(text(made, folder))
            self.note.say(f"The {what} is on the clipboard; image, PSF and settings are in {folder}.", "good")


def _button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    return button
