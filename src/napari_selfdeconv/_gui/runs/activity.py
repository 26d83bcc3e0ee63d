"""The progress of a dock's runs in napari's activity dock, where people look for that of any plugin."""

from __future__ import annotations

from typing import ClassVar
from weakref import WeakSet

from napari.utils import progress
from qtpy.QtCore import QObject, QTimer
from qtpy.QtWidgets import QApplication, QLabel, QMainWindow, QStatusBar

from napari_selfdeconv._gui.runs.controller import Ending, RunController, RunRequest
from napari_selfdeconv.events import INTERIM_STAGE, Event, Progress

UPDATE_EVERY_MS = 300
# Percent of its frame rate. Each frame of napari's sign for work under way makes Qt draw the whole window again.
# At 20 frames a second, without a graphics card, this took 60 % of a core that could have trained.
_SIGN_SPEED_PERCENT = 10


class Activity(QObject):
    """A bar in the activity dock for each run of ``runs``, from its start to its end.

    napari's bar processes events when it is made and whenever its value changes. A separate timer therefore
    does both and nothing after that, so that these events find a consistent state. A run that is over before
    has no bar.

    Parameters
    ----------
    runs : whose runs are shown; the owner.
    """

    # Of all docks, in all windows.
    _under_way: ClassVar[WeakSet[Activity]] = WeakSet()

    def __init__(self, runs: RunController) -> None:
        super().__init__(runs)
        self.bar: progress | None = None
        self._newest: Progress | None = None
        # Of the run under way; "" without one.
        self._what = ""
        self._making = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(UPDATE_EVERY_MS)
        self._timer.timeout.connect(self._move)
        runs.began.connect(self._on_began)
        runs.happened.connect(self._on_event)
        runs.finished.connect(self._on_finished)

    def _on_began(self, request: RunRequest) -> None:
        self._newest, self._what = None, request.what
        self._timer.start()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Progress) and event.stage != INTERIM_STAGE:
            self._newest = event
            if not self._timer.isActive():
                self._timer.start()

    def _on_finished(self, _ending: Ending) -> None:
        self._timer.stop()
        self._what = ""
        bar, self.bar = self.bar, None
        if bar is not None:
            self._close(bar)

    def _close(self, bar: progress) -> None:
        bar.close()
        self._under_way.discard(self)
        if not self._under_way:
            # The sign is also that of other plugins.
            _set_speed_of_sign(100)

    def _move(self) -> None:
        if self.bar is None and not self._making:
            self._make()
        bar, event = self.bar, self._newest
        if bar is None or event is None:
            return
        if bar.total != event.steps:
            bar.total = event.steps
        bar.update(event.step - bar.n)

    def _make(self) -> None:
        """Make the bar, unless the run ends in the events that this processes."""
        self._making = True
        self._under_way.add(self)
        _set_speed_of_sign(_SIGN_SPEED_PERCENT)
        made = progress(total=0, desc=self._what)
        self._making = False
        if self._what:
            self.bar = made
        else:
            self._close(made)


def _set_speed_of_sign(percent: int) -> None:
    """Set how fast the animation in napari's status bar moves, which runs as long as any progress bar."""
    for window in QApplication.topLevelWidgets():
        if isinstance(window, QMainWindow):
            for bar in window.findChildren(QStatusBar):
                for movie in (label.movie() for label in bar.findChildren(QLabel)):
                    if movie is not None:
                        movie.setSpeed(percent)
