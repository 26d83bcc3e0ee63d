"""The widefield benchmark: simulated stacks with light from all planes and from outside, and a measure of haze."""

from __future__ import annotations

import csv
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from napari_selfdeconv._version import __version__
from napari_selfdeconv.benchmark.machine import describe_machine
from napari_selfdeconv.benchmark.methods import Measured, labels, measure
from napari_selfdeconv.events import Event
from napari_selfdeconv.psf.stack import psf_for_stack
from napari_selfdeconv.simulate.widefield import FIELD, Defect, Microscope, simulate_stack
from napari_selfdeconv.stop_token import StopToken

# Where the truth is below this share of its highest value it is empty, and light there is haze.
_EMPTY = 0.01


@dataclass(frozen=True)
class Row:
    """One result. ``psnr`` in dB after the best gain and offset; ``haze`` is the share of the light
    that lies where the truth is empty.

    ``beside`` is as `light_beside`, None if the stack has no defect.
    """

    stack: str
    seed: int
    method: str
    psf: str
    psnr: float
    correlation: float
    haze: float
    beside: float | None
    seconds: float
    device: str
    machine: str
    version: str
    date: str


def run_widefield(
    seeds: Sequence[int],
    *,
    methods: Sequence[str],
    microscope: Microscope,
    device_name: str,
    out: Path,
    stop: StopToken,
    say: Callable[[str], None],
    drain: Callable[[Generator[Event, None, list[Measured]]], list[Measured]],
    field: Sequence[int] = FIELD,
    defects: Sequence[Defect] = (),
) -> None:
    """Run ``methods`` on simulated stacks, each with the PSF that it would get; write widefield.csv and .md.

    Parameters
    ----------
    seeds : seeds of the stacks.
    methods : as `run_quality`. All have `psf_for_stack`, and the classical methods an open border.
    microscope, field : as `simulate_stack`.
    defects : defects of stacks that are measured beside the one without; pixels that are no measurement are found.
    device_name, out, stop, say, drain : as `run_quality`; rows are written as they are measured.

    Raises
    ------
    ConfigError
        For an unknown method.
    """
    for method in methods:
        labels(method)
    out.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    for seed, defect in product(seeds, (None, *defects)):
        sample = simulate_stack(seed, microscope, field, defect)
        psf, _ = psf_for_stack(sample.optics, sample.voxel_um, sample.image.shape)
        # Light under a star can be restored. Light under pixels without a measurement cannot.
        counts = np.ones(sample.truth.shape, bool) if defect == "star" else ~sample.spoiled
        for method in methods:
            if stop.stopped:
                break
            found = drain(measure(method, sample.image, psf, device_name, stop, border="open", weights="auto"))
            sound = found
            if defect is not None:
                sound = drain(measure(method, sample.sound, psf, device_name, stop, border="open", weights=None))
            for one, other in zip(found, sound, strict=False):
                ratio = None
                if defect is not None:
                    ratio = round(light_beside(one.image, other.image, sample.spoiled), 4)
                row = Row(
                    stack=microscope if defect is None else f"{microscope}, {defect}", seed=seed,
                    method=one.label, psf="x".join(map(str, psf.shape)),
                    **score(one.image[counts], sample.truth[counts]),
                    beside=ratio, seconds=round(one.seconds, 1), device=one.device, machine=describe_machine(),
                    version=__version__, date=f"{datetime.now(UTC):%Y-%m-%d}",
                )  # fmt: skip
                rows.append(row)
                beside = "" if ratio is None else f", beside the defect {ratio:+.1%}"
                say(
                    f"{row.stack} {seed} {row.method}: {row.psnr:.2f} dB, haze {row.haze:.2f}{beside}, "
                    f"{row.seconds} s"
                )
            _write(out, rows)
    if rows:
        say(f"wrote {out / 'widefield.csv'} and {out / 'widefield.md'}")


def light_beside(result: NDArray[Any], sound: NDArray[Any], spoiled: NDArray[np.bool_]) -> float:
    """Return how much more light a result has two pixels beside a defect than that of the sound stack.

    It is a share of the mean light there in the latter, or of its mean light everywhere if that is more.

    Examples
    --------
    >>> spoiled = np.zeros((1, 9, 9), bool); spoiled[:, 4, 4] = True
    >>> round(light_beside(np.full((1, 9, 9), 2.2), np.full((1, 9, 9), 2.0), spoiled), 3)
    0.1
    """
    square = np.ones((1, 3, 3), bool)
    ring = binary_dilation(spoiled, square, iterations=2) & ~binary_dilation(spoiled, square)
    found, there, everywhere = (float(a.mean(dtype=np.float64)) for a in (result[ring], sound[ring], sound))
    return (found - there) / max(there, everywhere)


def score(result: NDArray[Any], truth: NDArray[Any]) -> dict[str, float]:
    """Return PSNR after the best gain and offset, correlation, and haze.

    Haze is the share of the light, counted from the darkest thousandth, that lies where the truth is empty.

    Examples
    --------
    >>> truth = np.zeros((4, 8, 8)); truth[1:3, 2:6, 2:6] = 1.0 + np.arange(4)
    >>> {name: round(value, 2) for name, value in score(5 * truth + 3, truth).items() if name != "psnr"}
    {'correlation': 1.0, 'haze': 0.0}
    """
    x, t = result.astype(np.float64).ravel(), truth.astype(np.float64).ravel()
    (gain, offset), *_ = np.linalg.lstsq(np.stack([x, np.ones_like(x)], 1), t, rcond=None)
    error = float(np.mean((gain * x + offset - t) ** 2))
    light = x - np.quantile(x, 0.001)
    return {
        "psnr": round(10 * float(np.log10(t.max() ** 2 / max(error, 1e-30))), 3),
        "correlation": round(float(np.corrcoef(x, t)[0, 1]), 4),
        "haze": round(float(light[t < _EMPTY * t.max()].sum() / light.sum()), 4),
    }


def markdown(rows: Sequence[Row]) -> str:
    """Return the table, a line for each method with all seeds.

    Examples
    --------
    >>> row = Row("widefield", 0, "RL auto", "9x9x9", 24.09, 0.891, 0.16, None, 20.0, "cpu", "x", "1", "today")
    >>> print(markdown([row]))
    | stack | method | PSNR, dB / correlation / haze, seed 0 | seconds |
    |---|---|---|---|
    | widefield | RL auto | 24.09 / .891 / .16 | 20 |
    <BLANKLINE>
    """
    seeds = list(dict.fromkeys(row.seed for row in rows))
    columns = ", ".join(f"seed {seed}" for seed in seeds[:1])
    columns = " | ".join([f"PSNR, dB / correlation / haze, {columns}", *(f"seed {seed}" for seed in seeds[1:])])
    lines = [f"| stack | method | {columns} | seconds |", "|---" * (3 + len(seeds)) + "|"]
    for stack, method in dict.fromkeys((row.stack, row.method) for row in rows):
        mine = {row.seed: row for row in rows if (row.stack, row.method) == (stack, method)}
        cells = [_cell(mine[seed]) if seed in mine else "" for seed in seeds]
        seconds = float(np.median([row.seconds for row in mine.values()]))
        lines.append(f"| {stack} | {method} | {' | '.join(cells)} | {seconds:.0f} |")
    return "\n".join(lines) + "\n"


def _cell(row: Row) -> str:
    correlation, haze = (
        f"{value:.{digits}f}".lstrip("0") for value, digits in ((row.correlation, 3), (row.haze, 2))
    )
    beside = "" if row.beside is None else f" / {row.beside:+.1%}"
    return f"{row.psnr:.2f} / {correlation} / {haze}{beside}"


def _write(out: Path, rows: Sequence[Row]) -> None:
    with (out / "widefield.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    (out / "widefield.md").write_text(markdown(rows), encoding="utf-8")
