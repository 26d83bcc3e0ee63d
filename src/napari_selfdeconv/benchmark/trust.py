"""The benchmark of invented structure: scenes without objects, with points and lines, with faults, wrong PSFs."""

from __future__ import annotations

import csv
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from napari_selfdeconv._version import __version__
from napari_selfdeconv.benchmark.machine import describe_machine
from napari_selfdeconv.benchmark.methods import Measured, labels, measure
from napari_selfdeconv.benchmark.trust_figures import Figures, measure_figures
from napari_selfdeconv.benchmark.trust_scenes import Scene, make_scene, scene_names
from napari_selfdeconv.config.checks import check_whole
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.events import Event
from napari_selfdeconv.stop_token import StopToken

#: What is run at several settings, of which the one is taken that fits the image as well as the first method does.
EQUAL_FIT = {
    "RL": "rl:1+2+3+5+8+12+20+35+60+100",
    "TV": "tv:0.005+0.01+0.02+0.04+0.08+0.16+0.32",
    "RLGC": "rlgc:1+2+3+5+8+12+20+35+60+100",
}
Drain = Callable[[Generator[Event, None, list[Measured]]], list[Measured]]


@dataclass(frozen=True)
class Row:
    """One result; a figure that a scene does not have is empty. See `Figures`.

    Attributes
    ----------
    method : "RL as quick" is Richardson-Lucy with the count at which it fits the image as well as quick does.
    settings : with which the result was made.
    pair_06 ... pair_14 : contrast of two points that are so many tenths of the Rayleigh distance apart.
    """

    scene: str
    method: str
    settings: str
    false_peaks: int
    missed: int | None
    outside: float | None
    grain: float
    pair_06: float | None
    pair_08: float | None
    pair_10: float | None
    pair_12: float | None
    pair_14: float | None
    misfit: float
    seconds: float
    device: str
    machine: str
    version: str
    date: str


def run_trust(
    scenes: Sequence[str] | None,
    *,
    methods: Sequence[str],
    size: int,
    seed: int,
    device_name: str,
    out: Path,
    stop: StopToken,
    say: Callable[[str], None],
    drain: Drain,
) -> None:
    """Run methods on scenes whose truth is known and write trust.csv and trust.md.

    Rows of other scenes that are in the table already stay.

    Parameters
    ----------
    scenes : names of `scene_names`; None for all.
    methods : as `run_quality`. Those of `EQUAL_FIT` are run as well, at the settings at which they fit the image
        as well as the first of ``methods``.
    size, seed : size and seed of the scenes, pixels.
    device_name, out, stop, say, drain : as `run_quality`; rows are written as they are measured.

    Raises
    ------
    ConfigError
        For an unknown scene or method, or a size below 64.
    """
    for method in methods:
        labels(method)
    check_whole("size", size, 64, 4096)
    unknown = set(scenes or ()) - set(scene_names())
    if unknown:
        raise ConfigError(f"unknown scene {min(unknown)!r}: expected {', '.join(scene_names())}")
    out.mkdir(parents=True, exist_ok=True)
    wanted = tuple(scenes or scene_names())
    rows = [row for row in _read(out / "trust.csv") if row["scene"] not in wanted]
    for name in wanted:
        scene = make_scene(name, size, seed)
        for one, title, figures in _measure_scene(scene, methods, device_name, stop, drain):
            row = _row(name, title, one, figures)
            rows.append({key: "" if value is None else str(value) for key, value in asdict(row).items()})
            say(describe(row))
        if stop.stopped:
            break
        _write(out, rows)
    if rows:
        say(f"wrote {out / 'trust.csv'} and {out / 'trust.md'}")


def _measure_scene(
    scene: Scene, methods: Sequence[str], device_name: str, stop: StopToken, drain: Drain
) -> Generator[tuple[Measured, str, Figures], None, None]:
    def run(method: str) -> list[tuple[Measured, Figures]]:
        found = drain(measure(method, scene.image, scene.psf, device_name, stop, border="open"))
        return [(one, measure_figures(scene, one.image + np.float32(one.background))) for one in found]

    wanted: float | None = None
    for method in methods:
        for one, figures in run(method):
            wanted = figures.misfit if wanted is None else wanted
            yield one, one.label, figures
    for label, method in EQUAL_FIT.items():
        if stop.stopped or wanted is None:
            return
        found = run(method)
        nearest = int(np.argmin([abs(figures.misfit - wanted) for _, figures in found]))
        yield found[nearest][0], f"{label} as {labels(methods[0])[0]}", found[nearest][1]


def _row(scene: str, title: str, one: Measured, figures: Figures) -> Row:
    pairs: Sequence[float | None] = figures.contrast or (None,) * 5
    pair_06, pair_08, pair_10, pair_12, pair_14 = map(_rounded, pairs)
    return Row(
        scene=scene, method=title, settings=one.label, false_peaks=figures.false_peaks, missed=figures.missed,
        outside=_rounded(figures.outside), grain=round(figures.grain, 4), pair_06=pair_06, pair_08=pair_08,
        pair_10=pair_10, pair_12=pair_12, pair_14=pair_14, misfit=round(figures.misfit, 4),
        seconds=round(one.seconds, 1), device=one.device, machine=describe_machine(), version=__version__,
        date=f"{datetime.now(UTC):%Y-%m-%d}",
    )  # fmt: skip


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def describe(row: Row) -> str:
    """Return a row as a line of text."""
    words = [f"{row.scene}, {row.method}: {row.false_peaks} false peaks, grain {row.grain:.2f}"]
    words += [] if row.missed is None else [f"{row.missed} missed"]
    words += [] if row.outside is None else [f"{row.outside:.0%} of the light outside"]
    return ", ".join([*words, f"misfit {row.misfit:.2f}, {row.seconds} s"])


def markdown(rows: Sequence[dict[str, str]]) -> str:
    """Return a table with a line a scene and a column a method, and one of the pairs.

    Examples
    --------
    >>> figures = {"false_peaks": "1", "missed": "0", "grain": "0.5", "outside": "0.25", "pair_06": ""}
    >>> print(markdown([{"scene": "bead", "method": "quick", **figures}]))
    | scene: false peaks, missed / grain / light outside | quick |
    |---|---|
    | bead | 1, 0 / 0.50 / 25 % |
    <BLANKLINE>
    """
    methods = list(dict.fromkeys(row["method"] for row in rows))
    lines = _table("scene: false peaks, missed / grain / light outside", methods, rows, _cell)
    pairs = [row for row in rows if row["pair_06"]]
    if pairs:
        heading = "contrast of two points at 0.6 / 0.8 / 1.0 / 1.2 / 1.4 Rayleigh distances"
        lines += ["", *_table(heading, methods, pairs, _pair_cell)]
    return "\n".join(lines) + "\n"


def _table(
    heading: str, methods: Sequence[str], rows: Sequence[dict[str, str]], cell: Callable[[dict[str, str]], str]
) -> list[str]:
    lines = [f"| {heading} | {' | '.join(methods)} |", "|---" * (1 + len(methods)) + "|"]
    for scene in dict.fromkeys(row["scene"] for row in rows):
        mine = {row["method"]: cell(row) for row in rows if row["scene"] == scene}
        lines.append(f"| {scene} | {' | '.join(mine.get(method, '') for method in methods)} |")
    return lines


def _cell(row: dict[str, str]) -> str:
    missed = f", {row['missed']}" if row["missed"] else ""
    outside = f" / {100 * float(row['outside']):.0f} %" if row["outside"] else ""
    return f"{row['false_peaks']}{missed} / {float(row['grain']):.2f}{outside}"


def _pair_cell(row: dict[str, str]) -> str:
    values = (row[f"pair_{tenths:02}"] for tenths in (6, 8, 10, 12, 14))
    return " / ".join(f"{float(value):.2f}".removeprefix("0") for value in values)


def _read(table: Path) -> list[dict[str, str]]:
    """Return the rows of a table that an earlier run wrote.

    Raises
    ------
    ConfigError
        If another version wrote it, with other columns.
    """
    if not table.exists():
        return []
    with table.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if reader.fieldnames != [field.name for field in fields(Row)]:
            raise ConfigError(f"{table} was written by another version: choose another folder for --out")
        return list(reader)


def _write(out: Path, rows: Sequence[dict[str, str]]) -> None:
    order = {name: place for place, name in enumerate(scene_names())}
    rows = sorted(rows, key=lambda row: order.get(row["scene"], len(order)))
    with (out / "trust.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)])
        writer.writeheader()
        writer.writerows(rows)
    (out / "trust.md").write_text(markdown(rows), encoding="utf-8")
