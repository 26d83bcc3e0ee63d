"""The time for which opening the dock blocks the window: ``python -m selfdeconv_tools.dock_time``.

Prints one JSON object: the seconds for importing and building the dock on the main thread, those for the import
alone, and whether torch was imported on the main thread. The last value is the longest gap between two rounds of
Qt's events until torch was loaded.
"""

from __future__ import annotations

import importlib.abc
import json
import sys
import threading
import time
from collections.abc import Sequence
from types import ModuleType

_MOST_WARM_UP_S = 120.0


class ImportWatch(importlib.abc.MetaPathFinder):
    """Finds nothing; remembers which thread was the first to ask for a package."""

    def __init__(self, package: str) -> None:
        self._package = package
        self.on_main_thread: bool | None = None

    def find_spec(self, fullname: str, _path: Sequence[str] | None, _target: ModuleType | None = None) -> None:
        if fullname == self._package and self.on_main_thread is None:
            self.on_main_thread = threading.current_thread() is threading.main_thread()


def main() -> int:
    """Open a window, then the dock, and print what it took."""
    import napari
    from qtpy.QtWidgets import QApplication

    viewer = napari.Viewer(show=False)
    QApplication.processEvents()
    watch = ImportWatch("torch")
    sys.meta_path.insert(0, watch)
    start = time.perf_counter()
    from napari_selfdeconv._gui.docks.deconvolve import DeconvolveWidget

    imported = time.perf_counter()
    dock = DeconvolveWidget(viewer)
    viewer.window.add_dock_widget(dock)
    seconds = time.perf_counter() - start
    gaps_s = [0.0]
    while _warming_up() and time.perf_counter() - start < _MOST_WARM_UP_S:
        before = time.perf_counter()
        QApplication.processEvents()
        time.sleep(0.001)
        gaps_s.append(time.perf_counter() - before)
    found = {
        "seconds": seconds,
        "import_s": imported - start,
        "torch_on_main_thread": bool(watch.on_main_thread),
        "longest_gap_s": max(gaps_s),
    }
    sys.stdout.write(json.dumps(found) + "\n")
    viewer.close()
    return 0


def _warming_up() -> bool:
    return any(thread.name == "selfdeconv-warm-up" for thread in threading.enumerate())


if __name__ == "__main__":
    sys.exit(main())
