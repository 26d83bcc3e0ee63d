"""Torch's library is in the process before torch is imported, and the collector leaves the import alone."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import weakref
from typing import Any

import pytest

from napari_selfdeconv._gui.runs.preload import without_collecting

_CODE = """
import json, sys
from napari_selfdeconv._gui.preload import preload_torch
loaded = preload_torch()
before = "torch" in sys.modules, "libtorch_cpu.so" in open("/proc/self/maps").read()
import torch
again = preload_torch()
print(json.dumps([loaded, *before, again, float(torch.ones(3, 3).mm(torch.ones(3, 3)).sum())]))
"""


class _Cycle:
    def __init__(self) -> None:
        self.me = self


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere the import does it")
def test_the_library_comes_first_and_the_import_after_it() -> None:
    done = subprocess.run([sys.executable, "-c", _CODE], capture_output=True, text=True, timeout=120, check=True)
    assert json.loads(done.stdout) == [True, False, True, False, 27.0]


def test_nothing_is_collected_meanwhile_and_what_came_is_old_afterwards() -> None:
    seen: list[dict[str, Any]] = []

    def watch(_phase: str, info: dict[str, Any]) -> None:
        seen.append(info)

    gc.callbacks.append(watch)
    try:
        with without_collecting():
            kept = [_Cycle() for _ in range(5000)]
            meanwhile = len(seen)
        assert gc.isenabled()
        assert meanwhile == 0
    finally:
        gc.callbacks.remove(watch)
    old = {id(thing) for thing in gc.get_objects(generation=2)}
    assert all(id(thing) in old for thing in kept)
    gone = weakref.ref(kept.pop())
    gc.collect()
    assert gone() is None


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with without_collecting():
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()
