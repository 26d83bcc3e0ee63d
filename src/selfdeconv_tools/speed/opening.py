"""The waiting time before a computation: the import, the command, the dock. Each is measured in a new process."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median

from selfdeconv_tools.speed.figure import Result, Setting, Target
from selfdeconv_tools.speed.memory import output_of
from selfdeconv_tools.speed.timing import Timing

_IMPORT = (
    "import time, numpy; start = time.perf_counter(); import napari_selfdeconv; print(time.perf_counter() - start)"
)
_COMMAND = "import sys; from napari_selfdeconv.cli import main; sys.exit(main(['--version']))"
_MOST_IMPORT_S = 0.05


@dataclass(frozen=True, kw_only=True)
class Opening:
    """A figure that measures itself in new processes; ``measured`` returns its timing and a remark."""

    name: str
    size: str
    compares: str
    measured: Callable[[int], tuple[Timing | None, str]]
    targets: tuple[Target, ...] = ()

    def measure(self, setting: Setting) -> Iterator[Result]:
        timing, note = self.measured(setting.repeats)
        yield Result(
            name=self.name, size=self.size, compares=self.compares, timing=timing, precision="", note=note,
            targets=self.targets,
        )  # fmt: skip


def figures() -> list[Opening]:
    """Return the import, the command's start and the dock."""
    return [
        Opening(
            name="import",
            size="",
            compares="import napari_selfdeconv, beyond numpy",
            measured=_import_time,
            targets=(Target.seconds(_MOST_IMPORT_S),),
        ),
        Opening(
            name="command",
            size="",
            compares="selfdeconv --version, against a bare interpreter",
            measured=_command_time,
        ),
        Opening(
            name="dock",
            size="",
            compares="importing and building the dock: seconds that the main thread is held",
            measured=_dock_time,
        ),
    ]


def _import_time(repeats: int) -> tuple[Timing, str]:
    run = [sys.executable, "-c", _IMPORT]
    output_of(run)
    return Timing(tuple(float(output_of(run)) for _ in range(repeats))), ""


def _command_time(repeats: int) -> tuple[Timing, str]:
    ours, baseline = [], []
    _wall_s(_COMMAND)
    for _ in range(repeats):
        ours.append(_wall_s(_COMMAND))
        baseline.append(_wall_s("pass"))
    return Timing(tuple(ours), tuple(baseline)), ""


def _wall_s(code: str) -> float:
    start = time.perf_counter()
    output_of([sys.executable, "-c", code])
    return time.perf_counter() - start


def _dock_time(repeats: int) -> tuple[Timing | None, str]:
    if importlib.util.find_spec("napari") is None:
        return None, "napari is not installed"
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    run = [sys.executable, "-m", "selfdeconv_tools.dock_time"]
    found = [json.loads(output_of(run).splitlines()[-1]) for _ in range(repeats)]
    on_main = any(one["torch_on_main_thread"] for one in found)
    gap_s, import_s = (median(one[key] for one in found) for key in ("longest_gap_s", "import_s"))
    note = (
        f"torch is imported {'ON THE MAIN THREAD' if on_main else 'in another thread'}; {import_s:.2f} s of it "
        f"are imports; longest gap afterwards, while torch loads, {gap_s:.2f} s"
    )
    return Timing(tuple(one["seconds"] for one in found)), note
