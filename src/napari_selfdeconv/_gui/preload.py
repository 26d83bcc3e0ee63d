"""Load torch's largest library without holding the interpreter, so that the window goes on meanwhile."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
from pathlib import Path


def preload_torch() -> bool:
    """Load what ``import torch`` would, and say whether it is loaded; on Linux only.

    An import holds the interpreter while the system loads a library, a third of a second for this one and as long
    for the window. A call through ctypes does not. Without it the import does all by itself.
    """
    spec = importlib.util.find_spec("torch")
    if not sys.platform.startswith("linux") or "torch" in sys.modules or spec is None or spec.origin is None:
        return False
    library = Path(spec.origin).parent / "lib" / "libtorch_cpu.so"
    load = ctypes.CDLL(None).dlopen
    load.restype, load.argtypes = ctypes.c_void_p, (ctypes.c_char_p, ctypes.c_int)
    return load(os.fsencode(library), os.RTLD_NOW) is not None
