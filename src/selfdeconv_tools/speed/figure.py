"""The definition of a speed figure: two sides that are timed against each other, or another measurement."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal, Protocol

import torch

from napari_selfdeconv.compute.device import release_memory
from selfdeconv_tools.speed.memory import peak_of_side
from selfdeconv_tools.speed.timing import Around, Call, Timing, alternate

SideName = Literal["ours", "baseline"]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How everything is measured: where, how many pairs, and whether at sizes that only test the code."""

    device: str
    repeats: int = 5
    small: bool = False


@dataclass(frozen=True, kw_only=True)
class Target:
    """A figure to reach.

    Attributes
    ----------
    of : "ratio" (at least), "seconds" or "peak_bytes" (at most).
    limit : the number.
    text : how it reads in the table.
    """

    of: Literal["ratio", "seconds", "peak_bytes"]
    limit: float
    text: str

    @classmethod
    def ratio(cls, limit: float) -> Target:
        return cls(of="ratio", limit=limit, text=f">= {limit:g} times")

    @classmethod
    def seconds(cls, limit: float) -> Target:
        return cls(of="seconds", limit=limit, text=f"<= {limit:g} s")

    def reached(self, result: Result) -> bool | None:
        """Say whether a result reaches it; None where that was not measured."""
        if self.of == "ratio":
            return None if result.ratio is None else result.ratio >= self.limit
        if self.of == "seconds":
            return None if result.timing is None else result.timing.ours_median_s <= self.limit
        return None if result.ours_peak_bytes is None else result.ours_peak_bytes <= self.limit


@dataclass(frozen=True, kw_only=True)
class Result:
    """One row of the table. ``timing`` is None where nothing could be measured; ``note`` then says why."""

    name: str
    size: str
    compares: str
    timing: Timing | None = None
    precision: str = "float32"
    rate: float | None = None
    rate_unit: str = ""
    ours_peak_bytes: int | None = None
    baseline_peak_bytes: int | None = None
    note: str = ""
    targets: tuple[Target, ...] = ()

    @property
    def ratio(self) -> float | None:
        """Median over the pairs of how many times faster ours was."""
        ratios = self.timing.ratios if self.timing else []
        return median(ratios) if ratios else None


class Figure(Protocol):
    """What can be measured: under which name and at which size, and its rows."""

    @property
    def name(self) -> str: ...

    @property
    def size(self) -> str: ...

    def measure(self, setting: Setting) -> Iterator[Result]: ...


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two sides that do the same work.

    Attributes
    ----------
    name, size, compares : what the row says.
    ours, baseline : prepare a side and return the call that is timed; no baseline where there is no honest one.
    missing : asked before measuring why the baseline cannot be measured here; "" if it can.
    precision : of our side.
    work, unit : how much a call does, for the rate.
    targets : what is to be reached.
    check : turns what both sides return into a remark.
    note : a remark that is always true.
    around : what our side runs in, if anything.
    """

    name: str
    size: str
    compares: str
    ours: Callable[[], Call]
    baseline: Callable[[], Call] | None = None
    missing: Callable[[], str] = str
    precision: str = "float32"
    work: float | None = None
    unit: str = ""
    targets: tuple[Target, ...] = ()
    check: Callable[[Any, Any], str] | None = None
    note: str = ""
    around: Around | None = None

    def side(self, name: SideName, device: str) -> Call:
        """Prepare one side; its call returns when the device is done."""
        make = self.ours if name == "ours" else self.baseline
        assert make is not None
        call = make()
        if not device.startswith("cuda"):
            return call

        def synchronised() -> Any:
            result = call()
            torch.cuda.synchronize(device)
            return result

        return synchronised

    def measure(self, setting: Setting) -> Iterator[Result]:
        missing = self.missing()
        has_baseline = self.baseline is not None and not missing
        ours = self.side("ours", setting.device)
        baseline = self.side("baseline", setting.device) if has_baseline else None
        timing, mine, other = alternate(ours, baseline, setting.repeats, around=self.around)
        del ours, baseline
        # The memory is measured in other processes, which need what this one keeps.
        release_memory(torch.device(setting.device))
        remarks = [text for text in (missing, self.note) if text]
        if self.check is not None and has_baseline:
            remarks.append(self.check(mine, other))
        yield Result(
            name=self.name,
            size=self.size,
            compares=self.compares,
            timing=timing,
            precision=self.precision,
            rate=None if self.work is None else self.work / timing.ours_median_s,
            rate_unit=self.unit,
            ours_peak_bytes=peak_of_side(self.name, "ours", setting.device, setting.small),
            baseline_peak_bytes=(
                peak_of_side(self.name, "baseline", setting.device, setting.small) if has_baseline else None
            ),
            note="; ".join(remarks),
            targets=self.targets,
        )
