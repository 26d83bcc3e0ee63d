"""Viewers that are closed at random moments of a training: no crash, and nothing of a run stays."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from selfdeconv_tools.faults.cycles import MOST_MB, Held

# The first viewers load libraries and compile shaders.
_WARM_UP = 3
_LONGEST_S = 60.0
_LATEST_S = 1.5


def close_viewers(count: int, seed: int) -> tuple[str, list[str]]:
    """Open a viewer, train in its dock, close it after a random time, and that ``count`` times."""
    from napari.qt import get_qapp
    from superqt.utils import WorkerBase

    random = np.random.default_rng(seed)
    app = get_qapp()
    problems: list[str] = []
    image = random.normal(100, 20, (256, 256)).astype(np.float32)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        before = Held.now(folder)
        for number in range(count + _WARM_UP):
            if number == _WARM_UP:
                before = Held.now(folder)
            _train_and_close(app, image, float(random.uniform(0, _LATEST_S)))
            deadline = time.monotonic() + _LONGEST_S
            while WorkerBase._worker_set and time.monotonic() < deadline:
                app.processEvents()
                time.sleep(0.005)
            if WorkerBase._worker_set:
                problems.append(f"close {number}: the computation went on for {_LONGEST_S:.0f} s")
                WorkerBase._worker_set.clear()
        after = Held.now(folder)
    # A viewer that is closed gives back neither all memory of napari nor of the driver: it is said, not judged.
    if after.threads > before.threads:
        problems.append(f"threads {before.threads} before, {after.threads} after")
    said = f"memory {after.megabytes - before.megabytes:+.0f} MB (of runs at most {MOST_MB:.0f} are allowed)"
    said += f", threads {after.threads - before.threads:+d}, handles {after.handles - before.handles:+d}"
    return f"closes: {count} viewers; {said}; broken {len(problems)}", problems


def _train_and_close(app: Any, image: np.ndarray, seconds: float) -> None:
    import napari

    viewer = napari.Viewer(show=False)
    viewer.add_image(image, name="image", scale=(0.1, 0.1), units=("um", "um"))
    viewer.add_image(np.outer([1, 2, 1], [1, 2, 1]) / 16.0, name="image PSF", scale=(0.1, 0.1), units=("um", "um"))
    _, dock = viewer.window.add_plugin_dock_widget("napari-selfdeconv", "Deconvolve")
    dock.train()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        app.processEvents()
        time.sleep(0.002)
    viewer.close()
    app.processEvents()
