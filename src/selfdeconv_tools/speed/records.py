"""The rows of the speed benchmark: one CSV with the machine in every row, appended as they are measured."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch

from napari_selfdeconv._version import __version__
from napari_selfdeconv.benchmark.machine import cpu_name
from napari_selfdeconv.errors import ConfigError
from selfdeconv_tools.speed.figure import Figure, Result

_COLUMNS = (
    "name", "size", "compares", "ours_s", "baseline_s", "ratio_median", "ratio_min", "ratio_max", "samples",
    "rate", "rate_unit", "ours_peak_bytes", "baseline_peak_bytes", "to_reach", "reached", "note",
    "cpu", "cores", "torch", "threads", "device", "precision", "date", "version",
)  # fmt: skip
_MACHINE = ("cpu", "cores", "torch", "threads", "device")

Row = dict[str, str]


def machine(device: str) -> Row:
    """Return what is computed with, as columns."""
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else ""
    return {
        "cpu": cpu_name(),
        "cores": str(os.cpu_count()),
        "torch": str(torch.__version__),
        "threads": str(torch.get_num_threads()),
        "device": f"{device} {name}".strip(),
    }


def new_row(result: Result, where: Mapping[str, str]) -> Row:
    """Return a result as a row."""
    timing, ratios = result.timing, result.timing.ratios if result.timing else []
    outcomes = [target.reached(result) for target in result.targets]
    return {
        "name": result.name,
        "size": result.size,
        "compares": result.compares,
        "ours_s": _number(timing.ours_median_s if timing else None),
        "baseline_s": _number(timing.baseline_median_s if timing else None),
        "ratio_median": _number(result.ratio),
        "ratio_min": _number(min(ratios, default=None)),
        "ratio_max": _number(max(ratios, default=None)),
        "samples": str(len(timing.ours_s) if timing else 0),
        "rate": _number(result.rate),
        "rate_unit": result.rate_unit,
        "ours_peak_bytes": _whole(result.ours_peak_bytes),
        "baseline_peak_bytes": _whole(result.baseline_peak_bytes),
        "to_reach": "; ".join(target.text for target in result.targets),
        "reached": "; ".join("" if found is None else ("yes" if found else "no") for found in outcomes),
        "note": result.note,
        **where,
        "precision": result.precision,
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "version": __version__,
    }


def read_rows(table: Path) -> list[Row]:
    """Return the rows measured so far, none for a file that is not there.

    Raises
    ------
    ConfigError
        If the table has other columns: it was written by another version.
    """
    if not table.exists():
        return []
    with table.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != _COLUMNS:
            raise ConfigError(f"{table} is not a table of speed figures of this version")
        return list(reader)


def append_row(table: Path, row: Row) -> None:
    """Add one row at the end of the table."""
    new = not table.exists()
    with table.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, _COLUMNS)
        if new:
            writer.writeheader()
        writer.writerow(row)


def has_figure(rows: Sequence[Row], figure: Figure, where: Mapping[str, str]) -> bool:
    """Say whether a figure was measured already, on this machine and at this size."""
    return any(
        row["name"].split("/")[0] == figure.name and same_machine(row, where)
        # The size of an image from a folder is known only once it is read.
        and (row["size"] == figure.size or figure.size == "whole")
        for row in rows
    )  # fmt: skip


def same_machine(row: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Say whether seconds of two rows can be compared."""
    return all(row[column] == other[column] for column in _MACHINE)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _whole(value: int | None) -> str:
    return "" if value is None else str(value)
