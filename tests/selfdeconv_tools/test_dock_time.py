"""Opening the dock does not wait for torch, and the watch that tells which thread imports a package."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import threading

import pytest

from selfdeconv_tools.dock_time import ImportWatch


@pytest.mark.parametrize("on_main_thread", [True, False])
def test_the_thread_of_an_import_is_seen(on_main_thread: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = ImportWatch("no_such_package")
    monkeypatch.setattr(sys, "meta_path", [watch, *sys.meta_path])

    def look() -> None:
        importlib.util.find_spec("no_other_package")
        assert importlib.util.find_spec("no_such_package") is None

    if on_main_thread:
        look()
    else:
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
    assert watch.on_main_thread is on_main_thread


@pytest.mark.canvas
def test_the_window_does_not_wait_for_torch() -> None:
    command = [sys.executable, "-m", "selfdeconv_tools.dock_time"]
    found = json.loads(subprocess.check_output(command, timeout=120))
    assert not found["torch_on_main_thread"]
    assert found["seconds"] > found["import_s"] > 0
