"""The benchmark of the 90 % intervals: the share of true values that they contain, on other images than fitted."""

from __future__ import annotations

import csv
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv._version import __version__
from napari_selfdeconv.api import Uncertainty, iter_deconvolve, iter_uncertainty
from napari_selfdeconv.benchmark.machine import describe_machine
from napari_selfdeconv.benchmark.methods import network
from napari_selfdeconv.benchmark.truths import Noise, blurring, degraded, files
from napari_selfdeconv.events import Event
from napari_selfdeconv.psf.stack import psf_for_stack
from napari_selfdeconv.simulate.widefield import simulate_stack
from napari_selfdeconv.stop_token import StopToken

_NAME = "coverage"


@dataclass(frozen=True)
class Row:
    """One image.

    Attributes
    ----------
    coverage : share of the true pixels inside the interval.
    half_width, error : mean half-width, and root mean squared error of the result, as shares of the truth's range.
    marked : share of the pixels that are marked as not supported by the data.
    marked_coverage : share of the true pixels of the marked ones inside the interval; None without any.
    """

    image: str
    shape: str
    noise: str
    psf: str
    method: str
    coverage: float
    half_width: float
    error: float
    marked: float
    marked_coverage: float | None
    seconds: float
    device: str
    machine: str
    version: str
    date: str

    @property
    def key(self) -> tuple[str, ...]:
        """The key of a measurement that is not repeated."""
        return self.image, self.shape, self.noise, self.psf, self.method


class Known(NamedTuple):
    """An image whose truth is known, in the same units; ``noise`` and ``psf`` name what was done to it."""

    name: str
    noise: str
    truth: NDArray[np.float32]
    image: NDArray[np.float32]
    psf: NDArray[np.float32]


def run_coverage(
    images: Path | None,
    psf_path: Path | None,
    *,
    noises: Sequence[str],
    seeds: Sequence[int],
    method: str,
    crop: int | None,
    device_name: str,
    out: Path,
    stop: StopToken,
    say: Callable[[str], None],
    drain: Callable[[Generator[Event, None, Any]], Any],
) -> None:
    """Measure coverage on truth images and simulated stacks; add to coverage.csv, write coverage.md.

    Parameters
    ----------
    images, psf_path, crop, out, stop, say, drain : as `run_quality`. Rows of the table are not measured again.
    noises : names as of `Noise`.
    seeds : seeds of widefield stacks as `simulate_stack` makes them.
    method : network that is trained, as in `benchmark.methods.network`.
    device_name : where to compute.
    """
    out.mkdir(parents=True, exist_ok=True)
    table = out / f"{_NAME}.csv"
    rows = _read(table)
    there = {row.key for row in rows}
    for known in _known(images, psf_path, noises, seeds, crop):
        size = "x".join(map(str, known.psf.shape))
        key = (known.name, "x".join(map(str, known.image.shape)), known.noise, size, method)
        if stop.stopped:
            break
        if key in there:
            continue
        work = _measured(known, method, device_name, stop)
        figures = drain(work)
        if figures is None:
            break
        row = Row(*key, **figures)
        rows.append(row)
        say(f"{row.image}, {row.noise}: {row.coverage:.1%} covered, half-width {row.half_width:.3f} of the range")
        _write(table, rows)
    if rows:
        (out / f"{_NAME}.md").write_text(markdown(rows), encoding="utf-8")
        say(f"wrote {table} and {out / _NAME}.md")


def _measured(
    known: Known, method: str, device_name: str, stop: StopToken
) -> Generator[Event, None, dict[str, Any] | None]:
    """Return the figures of a row; None if the run was stopped."""
    config = network(method, known.image.ndim, device_name)
    made = yield from iter_deconvolve(known.image, known.psf, config, stop=stop)
    found = yield from iter_uncertainty(made.model, known.image, device_name=device_name, stop=stop)
    if stop.stopped:
        return None
    return {
        **cover(found, known.truth),
        "seconds": round(found.seconds, 1),
        "device": made.device,
        "machine": describe_machine(),
        "version": __version__,
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
    }


def cover(found: Uncertainty, truth: NDArray[Any]) -> dict[str, Any]:
    """Return the figures of a `Row` that compare intervals with a truth in the same units."""
    error = np.abs(truth - found.result)
    inside, span = error <= found.half_width, float(np.ptp(truth))
    marked = found.unsupported
    return {
        "coverage": round(float(inside.mean()), 4),
        "half_width": round(float(found.half_width.mean(dtype=np.float64)) / span, 4),
        "error": round(float(np.sqrt(np.mean(error.astype(np.float64) ** 2))) / span, 4),
        "marked": round(float(marked.mean()), 4),
        "marked_coverage": round(float(inside[marked].mean()), 4) if marked.any() else None,
    }


def markdown(rows: Sequence[Row]) -> str:
    """Return the table.

    Examples
    --------
    >>> known = ("cells", "64x64", "protocol", "17x17", "quick")
    >>> row = Row(*known, 0.91, 0.1, 0.05, 0.02, 0.5, 3.0, "cpu", "x", "1", "today")
    >>> print(markdown([row]))
    | image | noise | PSF | covered | half-width | error | marked | covered where marked |
    |---|---|---|---|---|---|---|---|
    | cells | protocol | 17x17 | 91 % | .100 | .050 | 2.0 % | 50 % |
    <BLANKLINE>
    """
    lines = [
        "| image | noise | PSF | covered | half-width | error | marked | covered where marked |",
        "|---" * 8 + "|",
    ]
    for row in rows:
        there = "" if row.marked_coverage is None else f"{100 * row.marked_coverage:.0f} %"
        width, error = (f"{value:.3f}".lstrip("0") for value in (row.half_width, row.error))
        lines.append(
            f"| {row.image} | {row.noise} | {row.psf} | {100 * row.coverage:.0f} % | {width} | {error} "
            f"| {100 * row.marked:.1f} % | {there} |"
        )
    return "\n".join(lines) + "\n"


def _known(
    images: Path | None, psf_path: Path | None, noises: Sequence[str], seeds: Sequence[int], crop: int | None
) -> Iterator[Known]:
    psf_for = blurring(psf_path)
    for name, load in files(images, psf_path):
        data = load()
        psf = psf_for(data.ndim)
        for noise in noises:
            yield Known(name, noise, *degraded(data, psf, crop, Noise(noise)), psf)
    for seed in seeds:
        sample = simulate_stack(seed)
        psf, _ = psf_for_stack(sample.optics, sample.voxel_um, sample.image.shape)
        yield Known(f"widefield, seed {seed}", "photons", sample.truth * sample.counts, sample.image, psf)


def _read(table: Path) -> list[Row]:
    if not table.exists():
        return []
    with table.open(newline="", encoding="utf-8") as file:
        return [_row(values) for values in csv.DictReader(file)]


def _row(values: dict[str, str]) -> Row:
    numbers = ("coverage", "half_width", "error", "marked", "marked_coverage", "seconds")
    return Row(**{name: (float(v) if v else None) if name in numbers else v for name, v in values.items()})  # type: ignore[arg-type]


def _write(table: Path, rows: Sequence[Row]) -> None:
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
