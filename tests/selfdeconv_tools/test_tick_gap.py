"""The window stays alive while a network trains: its timer ticks during a step, and the tool says how often."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QTimer

from napari_selfdeconv.training.run import TrainingRun
from selfdeconv_tools.tick_gap import measure, summary


def test_the_window_ticks_during_every_step(
    open_dock: Callable[..., Any], finish: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    dock, ticked, alive = open_dock(steps=3), threading.Event(), []
    make_step = TrainingRun.make_step

    def wait_for_a_tick(run: TrainingRun) -> Any:
        ticked.clear()
        alive.append(ticked.wait(60))
        return make_step(run)

    monkeypatch.setattr(TrainingRun, "make_step", wait_for_a_tick)
    timer = QTimer(dock)
    timer.timeout.connect(ticked.set)
    timer.start(1)
    dock.run_panel.train_button.click()
    finish(dock)
    assert alive == [True] * 3


def test_the_gaps_of_each_stage_are_measured(open_dock: Callable[..., Any]) -> None:
    image = np.random.default_rng(0).random((128, 128)).astype(np.float32)
    dock = open_dock(image=image)
    stages = measure(dock, seconds=3.0)
    assert list(stages) == ["at rest", "training", "ending"]
    assert all("longest" in summary(gaps_ms) for gaps_ms in stages.values())
    assert dock.run_panel.plot.points > 0
    assert dock.run_panel.status.kind == "good"
