"""The quality benchmark: degrade truth images by the protocol, run every method, score, tabulate.

Rows are appended to one CSV as they are measured, so an interrupted benchmark continues where it stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import numpy as np

from napari_selfdeconv.benchmark import figure, records
from napari_selfdeconv.benchmark.methods import Measured, labels, measure
from napari_selfdeconv.benchmark.report import markdown
from napari_selfdeconv.benchmark.truths import PROTOCOL, Noise, blurring, degraded, files, generated
from napari_selfdeconv.config.checks import check_whole
from napari_selfdeconv.events import Event
from napari_selfdeconv.stop_token import StopToken

Drain = Callable[[Generator[Event, None, list[Measured]]], list[Measured]]


def run_quality(
    images: Path | None,
    psf_path: Path | None,
    *,
    methods: Sequence[str],
    crop: int | None,
    device: str,
    out: Path,
    stop: StopToken,
    say: Callable[[str], None],
    drain: Drain,
    volume: Sequence[int] | None = None,
    noise: str = PROTOCOL.name,
) -> None:
    """Measure ``methods`` on every truth image of a folder; write quality.csv, quality.md and quality.png.

    Parameters
    ----------
    images : folder of truth images (2D or 3D; salt and pepper noise in 2D only, as in the protocol).
    psf_path : the PSF that blurs and is deconvolved with; None for the paper's, `simulate.paper_psf`.
    methods : see `benchmark.methods.labels`.
    crop : side of a centre crop of the degraded image, None for all of it.
    device, stop : as elsewhere; ``stop`` ends the benchmark after the current method.
    out : folder, which is created if necessary.
    say : called with one line per measurement.
    drain : runs a method to its end, showing its events.
    volume : shape of a generated volume of microtubules that is measured as well, beside or instead of ``images``.
    noise : see `benchmark.truths.Noise`.

    Raises
    ------
    ConfigError
        For a folder without images, an unknown method or noise, or a table of another version.
    """
    kind = Noise(noise)
    truths = [(kind.names(name), load) for name, load in (*generated(volume), *files(images, psf_path))]
    if crop is not None:
        check_whole("crop", crop, 16, 100_000)
    wanted = {method: labels(method) for method in methods}
    psf_for = blurring(psf_path)
    out.mkdir(parents=True, exist_ok=True)
    table = out / "quality.csv"
    rows = records.read_rows(table)
    todo = [
        (name, method)
        for name, _ in truths
        for method in methods
        if not records.has_rows(rows, name, crop, wanted[method])
    ]
    pace = _Pace([method for _, method in todo])
    for number, (name, load) in enumerate(truths, 1):
        mine = [method for other, method in todo if other == name]
        if not mine:
            continue
        data = load()
        psf = psf_for(data.ndim)
        truth, noisy = degraded(data, psf, crop, kind)
        figure.save_crop(out, name, "truth", truth)
        for method in mine:
            start = time.perf_counter()
            found = drain(measure(method, noisy, psf, device, stop))
            pace.add(method, time.perf_counter() - start)
            for result in found:
                row = records.new_row(name, truth, noisy, crop, result)
                rows.append(row)
                records.append_row(table, row)
                figure.save_crop(out, name, result.label, result.image)
                say(
                    f"{number}/{len(truths)} {name} {row['method']}: {row['psnr']} dB, SSIM {row['ssim']}, "
                    f"{row['seconds']} s; {pace.left}"
                )
            if stop.stopped:
                return
    mine_rows = [row for row in rows if row["crop"] == records.crop_key(crop)]
    (out / "quality.md").write_text(markdown(mine_rows), encoding="utf-8")
    figure.assemble(out, mine_rows)
    say(f"wrote {out / 'quality.md'} and {out / 'quality.png'}")


class _Pace:
    """The remaining time, estimated from the time that each method took so far."""

    def __init__(self, todo: Sequence[str]) -> None:
        self._todo = list(todo)
        self._took: dict[str, list[float]] = {}

    def add(self, method: str, seconds: float) -> None:
        self._todo.remove(method)
        self._took.setdefault(method, []).append(seconds)

    @property
    def left(self) -> str:
        unknown = [method for method in self._todo if method not in self._took]
        if unknown:
            return f"{len(self._todo)} runs left"
        minutes = sum(float(np.median(self._took[method])) for method in self._todo) / 60
        return f"about {minutes:.0f} min left"
