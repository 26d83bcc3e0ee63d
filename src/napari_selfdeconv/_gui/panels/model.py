"""The section 'Model and result' of the main dock: keep and apply models, judge a result, make it again."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import numpy as np
from napari.layers import Image
from qtpy.QtWidgets import QApplication, QFileDialog, QGridLayout, QPushButton, QWidget

from napari_selfdeconv._gui.forms.fields import Note
from napari_selfdeconv._gui.layers.exchange import LayerSnapshot, add_result, freeze
from napari_selfdeconv._gui.qt import existing
from napari_selfdeconv._gui.runs.deconvolve import Psf
from napari_selfdeconv._gui.runs.repeat import Ingredients, command_text, ingredients, python_text
from napari_selfdeconv._gui.runs.worker import Job
from napari_selfdeconv.api import kind_of
from napari_selfdeconv.config.tiles import TileConfig
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.events import Event, Warned
from napari_selfdeconv.stop_token import StopToken

_FILTER = "Model (*.safetensors)"
_READ = {
    "residual": "Residual: what the result does not explain. It should look like noise; an outline of your sample "
    "in it means that light was lost or invented there.",
    "uncertainty": "Uncertainty: how far the network's answers for flipped, rotated and masked inputs differ. "
    "Bright places are guesses; dark ones may still be wrong if the PSF is.",
}


class ModelPanel(QWidget):
    """Buttons over the dock's model and the result layer that is selected.

    Parameters
    ----------
    dock : the main dock; its run panel shows what goes on.
    """

    def __init__(self, dock: Any) -> None:
        super().__init__()
        self._dock = dock
        self.save_button = _button("Save model …", "Keep the model of the last run in a file")
        self.load_button = _button("Load model …", "Use a model that was saved")
        self.apply_button = _button("Apply to image", "Deconvolve the chosen image with the model, no training")
        self.residual_button = _button("Residual", "Add x − g(result) for the selected result")
        self.uncertainty_button = _button("Uncertainty", "Add how much the model's answers differ, for the image")
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
            (self.repeat_button, self.repeat),
            (self.python_button, lambda: self._ask_copy(python_text, "script")),
            (self.command_button, lambda: self._ask_copy(command_text, "command")),
        ):
            button.clicked.connect(lambda _=False, run=slot: self._guarded(run))
        dock.model_changed.connect(self._on_model)
        self._on_model()

    def save(self, path: str) -> None:
        """Write the model; ConfigError if that fails."""
        from napari_selfdeconv import api

        api.save_model(path, self._model())
        self.note.say(f"Saved {path}", "good")

    def load(self, path: str) -> None:
        """Read a model and make it the dock's; ConfigError if it is none."""
        from napari_selfdeconv import api

        self._dock.model = api.load_model(path)
        told = self._dock.model.provenance
        self.note.say(
            f"Loaded: {self._dock.model.psf.ndim}D, {told.get('steps_done', '?')} steps, PSF "
            f"{' × '.join(map(str, self._dock.model.psf.shape))}.",
            "good",
        )

    def apply(self) -> None:
        """Deconvolve the chosen image with the model."""
        model, source = self._model(), freeze(self._dock.image_box.layer)
        psf = self._dock.psf_form.freeze(self._dock.image_box.layer)
        job = apply_job(model, source, psf, self._tiles(), self._device())

        def add(image: np.ndarray) -> str:
            told = {**model.provenance, "applied_to": source.name, "psf": model.psf, "model": model}
            add_result(self._dock.viewer, source, image, "applied", told, link=self._dock.linked)
            return "Applied"

        self._dock.start_job(job, source, "Applying the model", add)

    def residual(self) -> None:
        """Add the residual of the selected result."""
        made, result = self._selected()
        source, data = freeze(made.source), np.asarray(self._active().data)

        def job(_token: StopToken) -> Generator[Event, None, Any]:
            from napari_selfdeconv import api

            yield from ()
            return api.residual(np.asarray(source.data), data, made.psf)

        tag = f"residual of {result.removeprefix(source.name).strip(' []')}"
        self._dock.start_job(job, source, "Residual", self._adder(source, tag, "residual"))

    def uncertainty(self) -> None:
        """Add the spread of the model's answers for the chosen image."""
        model, source = self._model(), freeze(self._dock.image_box.layer)
        tiles, device = self._tiles(), self._device()

        def job(token: StopToken) -> Generator[Event, None, Any]:
            from napari_selfdeconv import api

            work = api.iter_uncertainty(
                model, np.asarray(source.data), tiles=tiles, stop=token, device_name=device
            )
            return (yield from work)

        self._dock.start_job(job, source, "Uncertainty", self._adder(source, "uncertainty", "uncertainty"))

    def repeat(self) -> None:
        """Run the selected result again from its metadata."""
        made, _ = self._selected()
        told = made.provenance
        if kind_of(told) != "network":
            raise ConfigError("Only a result that was trained can be run again here: take Copy as Python.")
        config = TrainConfig.from_dict(told["config"])
        tiles = TileConfig.from_dict(told.get("tiles") or {})
        self._dock.repeat(made.source, made.psf, config, tiles)

    def _adder(self, source: LayerSnapshot, tag: str, kind: str) -> Callable[[np.ndarray], str]:
        def add(image: np.ndarray) -> str:
            layer = add_result(self._dock.viewer, source, image, tag, {"method": kind})
            if kind == "residual":
                most = float(np.percentile(np.abs(image), 99.9)) or 1.0
                layer.contrast_limits, layer.colormap = (-most, most), "PiYG"
            else:
                layer.colormap = "inferno"
            self.note.say(_READ[kind])
            return f"{kind.capitalize()} added"

        return add

    def _model(self) -> Any:
        if self._dock.model is None:
            raise ConfigError("There is no model yet: press Train, or load one.")
        return self._dock.model

    def _tiles(self) -> TileConfig:
        tiles: TileConfig = self._dock.train_form.tiles()
        return tiles

    def _device(self) -> str:
        return str(self._dock.train_form.device.value())

    def _active(self) -> Image:
        active = self._dock.viewer.layers.selection.active
        if not isinstance(active, Image):
            raise ConfigError("Select a result of this plugin in the layer list.")
        return active

    def _selected(self) -> tuple[Ingredients, str]:
        return ingredients(self._dock.viewer, self._active()), self._active().name

    def _on_model(self) -> None:
        for button in (self.save_button, self.apply_button, self.uncertainty_button):
            button.setEnabled(self._dock.model is not None)

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


def apply_job(model: Any, image: LayerSnapshot, psf: Psf, tiles: TileConfig, device: str) -> Job:
    """Return the job that applies ``model``, after saying where PSF or voxels differ from the model's."""

    def job(token: StopToken) -> Generator[Event, None, Any]:
        from napari_selfdeconv import api

        kernel, _ = psf.kernel(image)
        yield from map(Warned, api.model_differences(model, kernel, psf.voxels(image)))
        work = api.iter_apply_model(model, np.asarray(image.data), tiles=tiles, stop=token, device_name=device)
        return (yield from work)

    return job


def _button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    return button
