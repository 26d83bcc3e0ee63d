"""The response of the window while a network trains: ``python -m selfdeconv_tools.tick_gap``.

A timer of 10 ms ticks in the main thread. The gap between two ticks is the time for which the window did not
respond. It is measured with the window at rest, during training with previews, and while the result is added.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QElapsedTimer, QObject, Qt, QTimer
from qtpy.QtWidgets import QApplication

if TYPE_CHECKING:
    from napari_selfdeconv._gui.docks.deconvolve import DeconvolveWidget

TICK_MS = 10
SAMPLE = "cells_2d"


class TickGaps(QObject):
    """Records the time between the ticks of a 10 ms timer, from `start` to `stop`."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.gaps_ms: list[float] = []
        self._clock = QElapsedTimer()
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(TICK_MS)
        self._timer.timeout.connect(self._tick)

    def start(self) -> None:
        """Begin again."""
        self.gaps_ms = []
        self._clock.start()
        self._timer.start()

    def stop(self) -> None:
        """Take no more ticks."""
        self._timer.stop()

    def _tick(self) -> None:
        self.gaps_ms.append(self._clock.nsecsElapsed() / 1e6)
        self._clock.restart()


def summary(gaps_ms: list[float]) -> str:
    """Return the longest gap and percentiles in one line.

    Examples
    --------
    >>> summary([10.0] * 99 + [50.0])
    'longest 50 ms, 99.9 %: 46 ms, 99 %: 10 ms, median 10 ms, 100 ticks'
    """
    most, rare, middle = np.percentile(gaps_ms, (99.9, 99, 50))
    return (
        f"longest {max(gaps_ms):.0f} ms, 99.9 %: {most:.0f} ms, 99 %: {rare:.0f} ms, "
        f"median {middle:.0f} ms, {len(gaps_ms)} ticks"
    )


def _live(seconds: float) -> None:
    """Let the window live for a while."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        QApplication.processEvents()
        time.sleep(0.001)


def measure(dock: DeconvolveWidget, seconds: float) -> dict[str, list[float]]:
    """Train, with all previews, for ``seconds``, then stop; return the gaps of each stage in milliseconds."""
    dock.preview_panel.reblurred.setChecked(True)
    dock.preview_panel.residual.setChecked(True)
    dock.train_form.steps.setValue(1_000_000)
    gaps, stages = TickGaps(dock), {}
    gaps.start()
    _live(min(3.0, seconds))
    stages["at rest"] = gaps.gaps_ms
    gaps.start()
    dock.run_panel.train_button.click()
    _live(seconds)
    stages["training"] = gaps.gaps_ms
    gaps.start()
    dock.run_panel.stop_button.click()
    while dock.busy:
        _live(0.05)
    _live(0.5)
    stages["ending"] = gaps.gaps_ms
    gaps.stop()
    return stages


def main(words: list[str] | None = None) -> int:
    """Open a window, train on the 2D sample, print the gaps; 0 if the run gave a result."""
    parser = argparse.ArgumentParser(prog="python -m selfdeconv_tools.tick_gap", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="how long to train")
    options = parser.parse_args(words)
    import napari

    from napari_selfdeconv._gui.docks.deconvolve import DOCK_NAME

    viewer = napari.Viewer()
    viewer.window._qt_window.resize(1280, 800)
    viewer.open_sample("napari-selfdeconv", SAMPLE)
    _, dock = viewer.window.add_plugin_dock_widget("napari-selfdeconv", DOCK_NAME)
    from napari_selfdeconv.api import deconvolve  # noqa: F401  (loading torch is the cost of the start, not of training)

    _live(3.0)
    for stage, gaps_ms in measure(dock, options.seconds).items():
        sys.stdout.write(f"{stage + ':':10s} {summary(gaps_ms)}\n")
    sys.stdout.write(f"{dock.run_panel.status.text()}\n")
    kind = dock.run_panel.status.kind
    viewer.close()
    return 0 if kind == "good" else 1


if __name__ == "__main__":
    sys.exit(main())
