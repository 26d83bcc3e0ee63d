"""The offer to go on with a run that a crash has interrupted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_selfdeconv import api
from napari_selfdeconv._gui.forms.fields import Note
from napari_selfdeconv._gui.runs.controller import RunController
from napari_selfdeconv._gui.runs.inputs import RunInputs
from napari_selfdeconv._gui.runs.plan import plan_resumed
from napari_selfdeconv._gui.runs.warm_up import has_loaded
from napari_selfdeconv.errors import ConfigError

# Milliseconds between two looks whether the computation is loaded.
_WAIT_MS = 100


class InterruptedRow(QWidget):
    """Which run was interrupted, with Resume and Discard; hidden if there is no such run.

    Signals: ``planned`` carries the `RunPlan` to start, ``refused`` the `ConfigError` that says why it cannot.

    Parameters
    ----------
    inputs : returns what the forms say now.
    runs : of the dock; during a run nothing is offered.
    """

    planned = Signal(object)
    refused = Signal(object)

    def __init__(self, inputs: Callable[[], RunInputs], runs: RunController) -> None:
        super().__init__()
        self._inputs = inputs
        self.found: api.InterruptedRun | None = None
        self.note = Note()
        self.resume_button = QPushButton("Resume")
        self.resume_button.setToolTip("Go on with the interrupted training, with its settings and its PSF")
        self.discard_button = QPushButton("Discard")
        self.discard_button.setToolTip(
            "Remove what is stored of the interrupted training, with its unfinished result on disk"
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        row = QHBoxLayout()
        row.addWidget(self.resume_button)
        row.addWidget(self.discard_button)
        layout.addWidget(self.note)
        layout.addLayout(row)
        self.resume_button.clicked.connect(self._resume)
        self.discard_button.clicked.connect(self._discard)
        runs.began.connect(lambda _request: self.hide())
        runs.finished.connect(lambda _ending: self.look())
        # Reading what a run has stored needs torch, and the window must not wait for that.
        self._loading = QTimer(self)
        self._loading.setInterval(_WAIT_MS)
        self._loading.timeout.connect(self._look_once_loaded)
        self._look_once_loaded()

    def _look_once_loaded(self) -> None:
        loaded = has_loaded()
        if loaded is None:
            self._loading.start()
        else:
            self._loading.stop()
        if loaded:
            self.look()
        else:  # A torch that cannot be loaded is reported by the first run.
            self.hide()

    def look(self, kept: Path | None = None) -> None:
        """Look for a run that was interrupted, and offer it. Say where a discarded one leaves its result."""
        self.found = found = api.find_interrupted()
        said = []
        if kept is not None:
            said.append(
                f"{kept} stays: the result in it is complete, it holds other files, or it cannot be removed."
            )
        if found is not None:
            name, place = found.about.get("name"), f"step {found.step} of {found.steps}"
            said.append(f"A training on '{name}' was interrupted at {place}.")
        for button in (self.resume_button, self.discard_button):
            button.setVisible(found is not None)
        self.note.say(" ".join(said), "warning")
        if not said:
            self.hide()
        # Not before it has a parent: it would open a window of its own.
        elif self.parent() is not None:
            self.show()

    def _resume(self) -> None:
        if self.found is None:
            return
        try:
            plan = plan_resumed(self.found, self._inputs())
        except ConfigError as error:
            self.refused.emit(error)
            return
        self.planned.emit(plan)

    def _discard(self) -> None:
        self.look(None if self.found is None else self.found.discard())
