"""Buttons, progress, status and loss curve of a run; it shows events and knows nothing of layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_selfdeconv._gui.panels.plots import LossPlot
from napari_selfdeconv._gui.panels.revert import RevertButton
from napari_selfdeconv._gui.panels.run_words import clock, describe_share, describe_staying, pace
from napari_selfdeconv._gui.panels.status import Remarks, StatusLine
from napari_selfdeconv._gui.runs.controller import Ending, RunController, RunRequest
from napari_selfdeconv._gui.runs.failure import Failure
from napari_selfdeconv._gui.runs.worker import Discarded
from napari_selfdeconv.events import INTERIM_STAGE, Event, Filling, Finished, Interim, Progress, Started, Warned

_STOPPING = "Stopping …"
# The first steps are slower than the rest, so the time left is not estimated from them.
_TELLS_FROM = 5
_STAGES = {
    "check": "Checking the image",
    "haze": "Finding light from far planes",
    "estimate": "Making the first estimate",
    "points": "Deconvolving bright points",
    "train": "Training",
    "predict": "Deconvolving",
    "choose": "Choosing the refinement",
    "refine": "Refining",
    "black": "Removing values below black",
    "measure": "Measuring",
    "compare": "Comparing with other results",
}


class RunPanel(QWidget):
    """Train, Continue, Pause, Use now, Stop (keep), Cancel, and the state of the run.

    Signals ``train`` and ``go_on`` (train the last model further) say what the user pressed; the other buttons go
    to the run controller of `follow`.

    Parameters
    ----------
    start_text : on the first button.
    holds : whether training can be paused and its model used in between.
    """

    train = Signal()
    go_on = Signal()

    def __init__(self, start_text: str = "Train", *, holds: bool = True) -> None:
        super().__init__()
        self._holds = holds
        self.train_button = _button(start_text, "Start with the settings above")
        self.continue_button = _button(
            "Continue training", "Train the last (or the loaded) model further, with the settings above"
        )
        self.revert_button = RevertButton()
        self.pause_button = _button("Pause", "Pause training. The preview still follows the view")
        self.use_button = _button(
            "Use now",
            "Add the network's result of the whole image, in seconds and without refinement; training goes on",
        )
        self.stop_button = _button("Stop (keep)", "End now and keep what has been learned")
        self.cancel_button = _button("Cancel", "End now and discard")
        self.bar = QProgressBar()
        self.bar.setTextVisible(True)
        self.status = StatusLine()
        self.remarks = Remarks()
        self.plot = LossPlot()
        self.plot.hide()
        self._kept: Callable[[], Sequence[str]] = tuple
        self._started: Started | None = None
        self._finished: Finished | None = None
        self._trains, self._interim, self._answering = False, True, False
        self._instant = ""
        self._build()
        self.idle()

    def follow(self, runs: RunController, kept: Callable[[], Sequence[str]]) -> None:
        """Show the runs of ``runs``, and let the buttons stop, cancel and pause them.

        ``kept`` returns the names of the layers that the run has added and that stay.
        """
        self._kept = kept
        runs.began.connect(self._on_began)
        runs.happened.connect(self.show_event)
        runs.finished.connect(self._on_finished)
        self.pause_button.clicked.connect(lambda: self._pause(runs))
        for button, show, act in (
            (self.use_button, self.using, runs.request_result),
            (self.stop_button, self.stopping, runs.stop),
            (self.cancel_button, self.cancelling, runs.cancel),
        ):
            button.clicked.connect(show)
            button.clicked.connect(act)

    def forget(self) -> None:
        """Clear the messages of the last run: another image or PSF is chosen."""
        self.status.say("")
        self.remarks.clear()
        self.plot.restart(1)
        self.plot.hide()

    def start(self, what: str, *, trains: bool, interim: bool = True, follows: bool = False) -> None:
        """A run begins: lock Train, unlock Stop and Cancel, and 'Use now' if the run can answer it.

        The remarks of the run before are forgotten, unless this one ``follows`` it.
        """
        self._started, self._finished, self._answering, self._instant = None, None, False, ""
        self._trains, self._interim = trains, interim
        self._enable(running=True)
        self.bar.show()
        self.bar.setRange(0, 0)
        self.bar.setFormat("")
        self.status.say(f"{what}: preparing …")
        if not follows:
            self.remarks.clear()
        self.plot.restart(1)
        self.plot.setVisible(trains)

    def show_event(self, event: Event) -> None:
        """Draw one event of the run."""
        if isinstance(event, Started):
            self._started = event
            self.plot.restart(event.steps)
            if self._trains and not event.steps:  # a stack that is not trained on
                self._trains = False
                self.plot.hide()
                self._enable(running=True)
            if self.stop_button.text() == _STOPPING:
                # The next channel of a series: Stop has ended the training of the one before only.
                self._enable(running=True)
            self.status.say(self._instant + self._device(), "good" if self._instant else "")
        elif isinstance(event, Progress):
            self._show_progress(event)
        elif isinstance(event, Warned):
            self.remarks.add(event.message)
        elif isinstance(event, Interim):
            self.used()
            added = self._kept()
            if event.improves and not event.refined:
                said = f"First result; it is refined now. The layer is {added[0]}." if added else ""
                self.status.say(said, "good")
                return
            if event.improves and not event.step:
                # Seconds pass until the first step, and the last stage of the instant result is over.
                self.bar.setRange(0, 1)
                self.bar.setValue(0)
                self.bar.setFormat("Preparing the training …")
            if event.improves and added:
                what = f"Result of step {event.step}" if event.step else "Instant result"
                where = "" if event.offset is None else " of the part in view"
                # A narrow dock shows the beginning, and the name of a layer may be long.
                said = f"{what}{where}. Training goes on. The layer is {added[0]}."
                self.status.say(f"{said} {self._state()}".strip(), "good")
                # The first step may begin a moment later.
                self._instant = "" if event.step else f"{said} "
            elif added:
                self.status.say(f"Added {added[-1]}. {self._state()}".strip(), "good")
        elif isinstance(event, Filling) and event.instant:
            self._instant = "Instant result of one frame of each channel. "
        elif isinstance(event, Finished):
            self._finished = event
            if event.converged:
                self.plot.mark_end(event.steps_done)

    def paused(self, paused: bool) -> None:
        """Show that training is paused, or that it continues."""
        self.pause_button.setText("Resume" if paused else "Pause")
        self._say_state()

    def using(self) -> None:
        """Show that the whole image is being computed for 'Use now'."""
        self.use_button.setEnabled(False)
        self.status.say("Deconvolving the whole image with what has been learned so far …")

    def used(self) -> None:
        """Show that the result of 'Use now' is there."""
        self._answering = False
        self.use_button.setEnabled(True)
        self._say_state()

    def stopping(self) -> None:
        """Show that the run stops after the current step."""
        self.pause_button.hide()
        self.use_button.hide()
        self.stop_button.setEnabled(False)
        self.stop_button.setText(_STOPPING)

    def cancelling(self) -> None:
        """Show that the run is cancelled after the current step."""
        # Hidden, because the text needs their room in a narrow dock.
        for button in (self.pause_button, self.use_button, self.stop_button):
            button.hide()
        self.cancel_button.setEnabled(False)
        self.cancel_button.setText("Cancelling …")

    def succeeded(self, what: str) -> None:
        """Show that the run ended with a result."""
        text = what
        if self._finished is not None:
            text += f" in {clock(self._finished.seconds)}"
        if kept := self._kept():
            text += f": {', '.join(kept)}"
        if self._finished is not None:
            if self._finished.converged:
                text += f". It stopped automatically after step {self._finished.steps_done}"
                text += ": the held-out error no longer fell" if self._finished.kept_share else ""
            elif self._finished.stopped:
                text += f"; stopped after step {self._finished.steps_done}"
            if self._finished.kept_share < 1:
                text += f". {describe_share(self._finished.kept_share)}"
            if count := self._finished.refined_iterations:
                text += f". Refined by {count} iteration{'s' if count > 1 else ''} of Richardson-Lucy"
        where = "" if self._started is None else f" On {self._started.device} ({self._started.precision})."
        self.idle()
        self.status.say(f"{text}.{where}", "good")

    def failed(self, message: str, remedy: str) -> None:
        """Show why the run failed or could not start, and what to do."""
        self.idle()
        self.status.say("\n".join(filter(None, (message, remedy, describe_staying(self._kept())))), "error")

    def cancelled(self) -> None:
        """Show that the run was cancelled, and which layers stay."""
        self.idle()
        stays = describe_staying(self._kept())
        self.status.say(f"Cancelled. {stays}" if stays else "Cancelled; nothing was kept.")

    def idle(self) -> None:
        """Enable Train again: no run is under way."""
        self._enable(running=False)
        self.bar.hide()
        if not self.plot.points:
            self.plot.hide()

    def offer_continue(self, offered: bool) -> None:
        """Show or hide 'Continue training': there is a model for it, or none."""
        self.continue_button.setVisible(offered)

    def _on_began(self, request: RunRequest) -> None:
        self.start(request.what, trains=request.trains, interim=request.interim, follows=request.follows)

    def _on_finished(self, ending: Ending) -> None:
        outcome = ending.outcome
        if isinstance(outcome, Failure):
            self.failed(outcome.message, outcome.remedy)
        elif isinstance(outcome, Discarded):
            self.cancelled()
        else:
            self.succeeded(ending.said)

    def _pause(self, runs: RunController) -> None:
        paused = self.pause_button.text() == "Pause"
        runs.pause(paused)
        self.paused(paused)

    def _show_progress(self, event: Progress) -> None:
        if event.stage == INTERIM_STAGE:
            # The bar still shows the progress of training.
            doing = f"{_STAGES.get(event.part, event.part)} {event.step / event.steps:.0%}"
            self.status.say(f"{doing} with what has been learned so far")
            self._answering = True
            return
        if self._answering:
            self.used()  # without a result: a remark says why
        self._show_bar(event)
        if event.losses:
            self.plot.add(event.step, event.losses, event.held_out)

    def _show_bar(self, event: Progress) -> None:
        self.bar.setRange(0, event.steps)
        self.bar.setValue(event.step)
        parts = [f"{_STAGES.get(event.stage, event.stage)} {event.step}/{event.steps}"]
        if event.eta_s is not None and (event.stage != "train" or event.step >= _TELLS_FROM):
            parts.append(f"{clock(event.eta_s)} left")
        if event.stage == "train":
            parts.append(pace(event.step, event.seconds))
        self.bar.setFormat(" · ".join(part for part in parts if part))

    def _say_state(self) -> None:
        self.status.say(self._state())

    def _state(self) -> str:
        paused = self.pause_button.text() == "Resume"
        return "Paused; the preview still follows the view." if paused else self._device()

    def _device(self) -> str:
        """Return the device of the run, the reason for it, and what would make it faster."""
        if self._started is None:
            return ""
        started = self._started
        text = f"On {started.device} ({started.precision}): {started.device_reason}. {started.remedy}"
        return text.strip()

    def _enable(self, *, running: bool) -> None:
        self.train_button.setEnabled(not running)
        self.continue_button.setEnabled(not running)
        self._running_row.setVisible(running)
        texts = ((self.pause_button, "Pause"), (self.use_button, "Use now"))
        for button, text in (*texts, (self.stop_button, "Stop (keep)"), (self.cancel_button, "Cancel")):
            button.setEnabled(running)
            button.setText(text)
            button.show()
        self.pause_button.setVisible(running and self._trains and self._holds)
        self.use_button.setVisible(running and self._trains and self._holds and self._interim)

    def _build(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        first = QHBoxLayout()
        first.addWidget(self.train_button)
        first.addWidget(self.continue_button)
        first.addWidget(self.revert_button)
        self.continue_button.hide()
        self._running_row = QWidget()
        second = QHBoxLayout(self._running_row)
        second.setContentsMargins(0, 0, 0, 0)
        second.setSpacing(4)
        for button in (self.pause_button, self.use_button, self.stop_button, self.cancel_button):
            second.addWidget(button)
        layout.addLayout(first)
        for part in (self._running_row, self.bar, self.status, self.remarks, self.plot):
            layout.addWidget(part)
        self.train_button.clicked.connect(self.train)
        self.continue_button.clicked.connect(self.go_on)
        self.revert_button.reverted.connect(self.status.say)


def _button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    return button
