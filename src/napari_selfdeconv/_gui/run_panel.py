"""Buttons, progress, status and loss curve of a run; it shows events and knows nothing of layers."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QGridLayout, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_selfdeconv._gui.fields import Note
from napari_selfdeconv._gui.plots import LossPlot
from napari_selfdeconv.events import Event, Finished, Progress, Started, Warned

_STAGES = {"train": "Training", "predict": "Deconvolving", "richardson-lucy": "Lucy-Richardson"}


def clock(seconds: float) -> str:
    """Return a duration as people say it: 8 s, 2 min 05 s, 3 h 10 min."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class RunPanel(QWidget):
    """Train, Stop (keep), Cancel, and how it is going.

    Signals ``train``, ``stop`` and ``cancel`` say what the user pressed.
    """

    train = Signal()
    stop = Signal()
    cancel = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.train_button = QPushButton("Train")
        self.train_button.setToolTip("Train the network on this image, then deconvolve it")
        self.stop_button = QPushButton("Stop (keep)")
        self.stop_button.setToolTip("End now and keep what has been learned")
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setToolTip("End now and discard")
        self.bar = QProgressBar()
        self.bar.setTextVisible(True)
        self.status = Note()
        self.warning = Note()
        self.plot = LossPlot()
        self.plot.hide()
        self._device = ""
        self._finished: Finished | None = None
        self._build()
        self.idle()

    def start(self, what: str, *, trains: bool) -> None:
        """A run begins: lock Train, unlock Stop and Cancel."""
        self._device, self._finished = "", None
        self._enable(running=True)
        self.bar.show()
        self.bar.setRange(0, 0)
        self.bar.setFormat("")
        self.status.say(f"{what}: preparing …")
        self.warning.say("")
        if trains:
            self.plot.show()

    def show_event(self, event: Event) -> None:
        """Draw one event of the run."""
        if isinstance(event, Started):
            self._device = f"On {event.device} ({event.precision}): {event.device_reason}."
            self.plot.restart(event.steps)
            self.status.say(self._device)
        elif isinstance(event, Progress):
            self.bar.setRange(0, event.steps)
            self.bar.setValue(event.step)
            left = "" if event.eta_s is None else f" · {clock(event.eta_s)} left"
            self.bar.setFormat(f"{_STAGES.get(event.stage, event.stage)} {event.step}/{event.steps}{left}")
            if "total" in event.losses:
                self.plot.add(event.step, event.losses["total"])
        elif isinstance(event, Warned):
            shown = self.warning.text()
            self.warning.say(f"{shown}\n{event.message}" if shown else event.message, "warning")
        elif isinstance(event, Finished):
            self._finished = event

    def stopping(self) -> None:
        """The user pressed Stop; the current step is being finished."""
        self.stop_button.setEnabled(False)
        self.stop_button.setText("Stopping …")

    def cancelling(self) -> None:
        """The user pressed Cancel; the current step is being finished."""
        for button in (self.stop_button, self.cancel_button):
            button.setEnabled(False)
        self.cancel_button.setText("Cancelling …")

    def done(self, what: str) -> None:
        """The run ended with a result."""
        text = what
        if self._finished is not None:
            text += f" in {clock(self._finished.seconds)}"
            if self._finished.stopped:
                text += f", stopped after step {self._finished.steps_done}"
        self.idle()
        self.status.say(f"{text}. {self._device}".strip(), "good")

    def failed(self, message: str, remedy: str) -> None:
        """The run failed, or could not start: say what to do."""
        self.idle()
        self.status.say(f"{message}\n{remedy}".strip(), "error")

    def cancelled(self) -> None:
        self.idle()
        self.status.say("Cancelled; nothing was kept.")

    def idle(self) -> None:
        """Nothing runs: Train is live again."""
        self._enable(running=False)
        self.bar.hide()

    def _enable(self, *, running: bool) -> None:
        self.train_button.setEnabled(not running)
        for button, text in ((self.stop_button, "Stop (keep)"), (self.cancel_button, "Cancel")):
            button.setEnabled(running)
            button.setText(text)

    def _build(self) -> None:
        buttons = QGridLayout()
        for column, button in enumerate((self.train_button, self.stop_button, self.cancel_button)):
            buttons.addWidget(button, 0, column)
            buttons.setColumnStretch(column, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(buttons)
        parts: tuple[Any, ...] = (self.bar, self.status, self.warning, self.plot)
        for part in parts:
            layout.addWidget(part)
        self.train_button.clicked.connect(self.train)
        self.stop_button.clicked.connect(self.stop)
        self.cancel_button.clicked.connect(self.cancel)
