"""Torch's library is in the process before torch is imported, and the import goes on from there."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

_CODE = """
import json, sys
from napari_selfdeconv._gui.preload import preload_torch
loaded = preload_torch()
before = "torch" in sys.modules, "libtorch_cpu.so" in open("/proc/self/maps").read()
import torch
again = preload_torch()
print(json.dumps([loaded, *before, again, float(torch.ones(3, 3).mm(torch.ones(3, 3)).sum())]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere the import does it")
def test_the_library_comes_first_and_the_import_after_it() -> None:
    done = subprocess.run([sys.executable, "-c", _CODE], capture_output=True, text=True, timeout=120, check=True)
    assert json.loads(done.stdout) == [True, False, True, False, 27.0]
