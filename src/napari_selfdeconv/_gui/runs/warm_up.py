"""Load the computation in the background, and what is known about the devices once it is loaded."""

from __future__ import annotations

import logging
import os
import threading

from napari_selfdeconv._gui.runs.collector import without_collecting

_log = logging.getLogger(__name__)
# The usual precision of each type of device, the one that "auto" takes first; filled once torch is loaded.
_usual: dict[str, str] = {}
# Two threads that import torch at once can meet half-loaded modules, because its modules import each other.
_loading = threading.Lock()
# Whether the computation could be loaded; empty until that was tried.
_outcomes: list[bool] = []


def usual_device(name: str) -> tuple[str, str]:
    """Return the type and the usual precision of a device by name; cpu and float32 until torch is loaded."""
    kind = next(iter(_usual), "cpu") if name == "auto" else name.partition(":")[0]
    return kind, _usual.get(kind, "float32")


def warm_up() -> None:
    """Import the computation in the background: torch takes seconds, and the window must not wait."""
    threading.Thread(target=_import_api, name="selfdeconv-warm-up").start()


def has_loaded() -> bool | None:
    """Return whether the computation could be loaded; None until that is known."""
    return _outcomes[-1] if _outcomes else None


def wait_until_loaded() -> None:
    """Return once no thread is loading the computation."""
    with _loading:
        pass


@without_collecting()
def _import_api() -> None:
    with _loading:
        _outcomes.append(_import_once())


def _import_once() -> bool:
    """Import what a run needs; return whether that worked."""
    # OpenMP threads that spin while they wait collapse when the window, or any program, needs a core
    # (0.40 s a step against 0.02 s were seen). It has an effect only if it is set before torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        import torch

        from napari_selfdeconv.api import choose_device, classical_method, deconvolve  # noqa: F401

        # The first optimiser imports 800 modules of torch's: a gap of a quarter second if left to the first run.
        torch.optim.Adam([torch.zeros(1, requires_grad=True)])
        for name in ("auto", "cpu"):
            choice = choose_device(name, "auto")
            _usual[choice.device.type] = choice.precision
    except Exception:
        # A broken torch is reported by the first run, where there is a place to show it.
        _log.debug("warming up failed", exc_info=True)
        return False
    return True
