"""Import torch while the window stays responsive: the cycle collector waits."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


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
        # Freezing and thawing makes all objects old without examining them. Objects frozen by others stay frozen.
        if gc.get_freeze_count() == 0:
            gc.freeze()
            gc.unfreeze()
        gc.enable()
