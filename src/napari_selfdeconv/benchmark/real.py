"""Images without a truth: how well the reblurred result of each method predicts held-out pixels.

The error compares how well results explain the image, not how they look. It ignores detail that the blur removes.
Where noise is clipped at the lowest value, the recorded pixels are brighter than their light.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.benchmark.methods import Measured, labels, measure
from napari_selfdeconv.benchmark.records import write_table
from napari_selfdeconv.benchmark.truths import files, middle
from napari_selfdeconv.compute import device
from napari_selfdeconv.events import Event
from napari_selfdeconv.holdout.choose import HeldOutError
from napari_selfdeconv.io.images import read_psf
from napari_selfdeconv.physics.blur import Blur
from napari_selfdeconv.psf.validate import check_psf
from napari_selfdeconv.stop_token import StopToken

# Methods hold out pixels of their own, drawn from small seeds: not the same ones.
_SEED = 20_230


@dataclass(frozen=True)
class Row:
    """One result: ``error`` in units of the image; ``worse_by`` the least one's, in standard errors, paired."""

    image: str
    method: str
    error: float
    worse_by: float
    seconds: float
    device: str


def run_real(
    images: Path,
    psf_path: Path,
    *,
    methods: Sequence[str],
    crop: int | None,
    device_name: str,
    out: Path,
    stop: StopToken,
    say: Callable[[str], None],
    drain: Callable[[Generator[Event, None, list[Measured]]], list[Measured]],
) -> None:
    """Run ``methods`` on every image of a folder with 4 % of its pixels held out; write real.csv and real.md.

    Parameters
    ----------
    images : folder of recorded images, 2D or 3D.
    psf_path : the PSF that they were recorded with.
    methods, crop, device_name, out, stop, say, drain : as `run_quality`; a stop leaves out the current image.

    Raises
    ------
    ConfigError
        For a folder without images, an unknown method, or an image too small to hold pixels out of.
    """
    kernel = read_psf(psf_path).data
    for method in methods:
        labels(method)
    where = device.choose_device(device_name, "float32").device
    rows: list[Row] = []
    for name, load in files(images, psf_path):
        data = load()
        recorded = np.asarray(data[middle(data.shape, crop)], np.float32)
        psf, _ = check_psf(kernel, recorded.shape)
        held_out = HeldOutError(recorded, Blur(psf), _SEED, where)
        results = [
            result
            for method in methods
            if not stop.stopped
            for result in drain(measure(method, held_out.filled, psf, device_name, stop))
        ]
        if stop.stopped:
            break
        found = compared(name, results, [held_out.square * held_out.of_array(result.image) for result in results])
        rows += found
        least = min(found, key=lambda row: row.error)
        say(f"{name}: {least.method} has the least error of {len(found)}, {least.error:.4g}")
    if rows:
        say(f"wrote {write_table(out, 'real', rows, markdown(rows))}")


def compared(image: str, results: Sequence[Measured], errors: Sequence[NDArray[np.float32]]) -> list[Row]:
    """Return a row a result, from the error (half the square, or Huber) of each at the same pixels."""
    least = min(errors, key=lambda error: float(error.mean()))
    rows = []
    for result, error in zip(results, errors, strict=True):
        worse = (error - least).astype(np.float64)
        scatter = float(worse.std()) / math.sqrt(worse.size)
        rows.append(
            Row(
                image=image,
                method=result.label,
                error=math.sqrt(2 * float(error.mean())),
                worse_by=float(worse.mean()) / scatter if scatter else 0.0,
                seconds=result.seconds,
                device=result.device,
            )
        )
    return rows


def markdown(rows: Sequence[Row]) -> str:
    """Return the table.

    Examples
    --------
    >>> print(markdown([Row("a.tif", "RL 2", 0.25, 3.12, 0.5, "cpu")]))
    | image | method | error at held-out pixels | worse than the least by, standard errors | seconds |
    |---|---|---|---|---|
    | a.tif | RL 2 | 0.25 | 3.1 | 0.5 |
    <BLANKLINE>
    """
    lines = [
        "| image | method | error at held-out pixels | worse than the least by, standard errors | seconds |",
        "|---|---|---|---|---|",
        *(f"| {r.image} | {r.method} | {r.error:.4g} | {r.worse_by:.1f} | {r.seconds:.1f} |" for r in rows),
    ]
    return "\n".join(lines) + "\n"
