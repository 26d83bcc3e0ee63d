"""The rows of the quality benchmark: one CSV, appended as they are measured, so that nothing is measured twice."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import astuple, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv._version import __version__
from napari_selfdeconv.benchmark.methods import Measured
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.metrics.columns import truth_keys
from napari_selfdeconv.metrics.scores import evaluate

Row = dict[str, str]


def _columns() -> tuple[str, ...]:
    return (
        "image", "shape", "crop", "method", "family", *truth_keys(),
        "mean_ratio", "held_out", "seconds", "device", "version", "date",
    )  # fmt: skip


def new_row(image: str, truth: NDArray[Any], noisy: NDArray[np.float32], crop: int | None, found: Measured) -> Row:
    """Score one result against its truth.

    ``mean_ratio`` is the mean of the result divided by that of the noisy image.
    """
    scores = evaluate(found.image, truth)
    return {
        "image": image,
        "shape": "x".join(map(str, truth.shape)),
        "crop": crop_key(crop),
        "method": found.label,
        "family": found.family,
        **{name: f"{scores[name]:.4f}" for name in truth_keys()},
        "mean_ratio": f"{float(found.image.mean()) / float(noisy.mean()):.4f}",
        "held_out": "" if found.held_out is None else f"{found.held_out:.6f}",
        "seconds": f"{found.seconds:.1f}",
        "device": found.device,
        "version": __version__,
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
    }


def crop_key(crop: int | None) -> str:
    """Return how a crop is written in the table."""
    return "none" if crop is None else str(crop)


def read_rows(table: Path) -> list[Row]:
    """Return the rows measured so far.

    Raises
    ------
    ConfigError
        If the table has other columns: it was written by another version.
    """
    if not table.exists():
        return []
    with table.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != _columns():
            raise ConfigError(f"{table} was written by another version: choose another folder for --out")
        return list(reader)


def write_table(folder: Path, name: str, rows: Sequence[Any], text: str) -> Path:
    """Write ``rows``, dataclass instances of one kind, to NAME.csv and ``text`` to NAME.md; return the latter."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(field.name for field in fields(rows[0]))
        writer.writerows(astuple(row) for row in rows)
    table = folder / f"{name}.md"
    table.write_text(text, encoding="utf-8")
    return table


def append_row(table: Path, row: Row) -> None:
    """Add one row at the end of the table."""
    new = not table.exists()
    with table.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, _columns())
        if new:
            writer.writeheader()
        writer.writerow(row)


def has_rows(rows: Sequence[Row], image: str, crop: int | None, wanted: Sequence[str]) -> bool:
    """Say whether all of ``wanted`` (labels) have been measured on an image."""
    done = {r["method"] for r in rows if r["image"] == image and r["crop"] == crop_key(crop)}
    return set(wanted) <= done
