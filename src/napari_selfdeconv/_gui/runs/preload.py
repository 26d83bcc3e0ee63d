"""Import torch beside a window that goes on meanwhile."""

from __future__ import annotations

import ctypes
import gc
import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def without_collecting() -> Iterator[None]:
    """Keep the cycle collector from going through what is imported meanwhile.

    Torch's modules are 300 000 objects and next to no garbage. The collector would go through all of them and of
    napari's three times, for up to a fifth of a second in which no other thread runs.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        # Freezing and thawing makes all objects old without a look at them. A freeze of someone else's stays.
        if gc.get_freeze_count() == 0:
            gc.freeze()
            gc.unfreeze()
        gc.enable()
