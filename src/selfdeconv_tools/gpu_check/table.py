"""The rows of the check. Each is written at once, so an interrupted check keeps its measurements."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from napari_selfdeconv._version import __version__
from napari_selfdeconv.events import Event
from napari_selfdeconv.stop_token import StopToken

COLUMNS = ("version", "device", "part", "case", "quantity", "value", "unit", "note")


@dataclass(frozen=True)
class Bench:
    """Where the check runs, how long it may take, and where its rows go.

    Attributes
    ----------
    device : "cuda", "cuda:N", "mps" or "cpu".
    path : the CSV file.
    budget_s : for the whole check.
    tiny : whether sizes only test the code.
    say : called with a line for each row.
    """

    device: str
    path: Path
    budget_s: float
    tiny: bool
    say: Callable[[str], None]
    begun: float = field(default_factory=time.perf_counter)

    @property
    def left_s(self) -> float:
        """Seconds that are left of the budget."""
        return self.budget_s - (time.perf_counter() - self.begun)

    @property
    def on_cuda(self) -> bool:
        return self.device.startswith("cuda")

    def row(self, part: str, case: str, quantity: str, value: object, unit: str = "", note: str = "") -> None:
        """Write one row."""
        new = not self.path.exists()
        shown = f"{value:.6g}" if isinstance(value, float) else str(value)
        with self.path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(COLUMNS)
            writer.writerow((__version__, self.device, part, case, quantity, shown, unit, note))
        self.say(f"{part} {case} {quantity}: {shown} {unit} {note}".rstrip())

    def token(self, keep_s: float = 0.0) -> tuple[StopToken, Callable[[Event], None]]:
        """Return a token, and what cancels it at an event once only ``keep_s`` seconds are left."""
        stop = StopToken()

        def look(_event: Event) -> None:
            if self.left_s < keep_s:
                stop.cancel()

        return stop, look
