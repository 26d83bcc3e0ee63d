"""Measure what averaging over views gains: PSNR and SSIM of 1, 2, 4 ... views with the initial weights.

Run ``python -m selfdeconv_tools.view_counts --images DIR --crop 384 --volume 64 128 128 --out views.csv``.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv import __version__, api, preset
from napari_selfdeconv.benchmark.machine import describe_machine
from napari_selfdeconv.benchmark.truths import blurring, degraded, files, generated
from napari_selfdeconv.compute.device import choose_device
from napari_selfdeconv.metrics.scores import evaluate
from selfdeconv_tools.numeric_arguments import above_zero

_COUNTS = (1, 2, 4, 8, 16)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One image with one number of views; ``loss`` is what it loses in dB against all of them."""

    image: str
    shape: str
    views: int
    psnr: float
    ssim: float
    loss: float
    precision: str
    machine: str
    version: str
    date: str


def measure(
    name: str, truth: NDArray[np.float32], noisy: NDArray[np.float32], psf: NDArray[np.float32]
) -> list[Row]:
    """Return the rows of one image, a row for each number of views."""
    config = preset("instant", truth.ndim, refine=False)
    counts = [n for n in _COUNTS if n < 2 ** (truth.ndim + 1)] + [2 ** (truth.ndim + 1)]
    found = [api.deconvolve(noisy, psf, config.replace(views=n)).image for n in counts]
    scores = [evaluate(image, truth) for image in found]
    precision = choose_device(config.compute.device, config.compute.precision).precision
    return [
        Row(
            image=name,
            shape="x".join(map(str, truth.shape)),
            views=views,
            psnr=round(score["psnr"], 3),
            ssim=round(score["ssim"], 4),
            loss=round(scores[-1]["psnr"] - score["psnr"], 3),
            precision=precision,
            machine=describe_machine(),
            version=__version__,
            date=f"{datetime.now(UTC):%Y-%m-%d}",
        )
        for views, score in zip(counts, scores, strict=True)
    ]


def rows(options: argparse.Namespace) -> Iterator[Row]:
    """Yield the rows of all images, as they are measured."""
    kernel = blurring(options.psf)
    for name, load in (*generated(options.volume), *files(options.images, options.psf)):
        data = load()
        psf = kernel(data.ndim)
        truth, noisy = degraded(data, psf, options.crop if data.ndim == 2 else None)
        yield from measure(name, truth, noisy, psf)


def main(words: list[str] | None = None) -> None:
    """Append a row to the table for each image and number of views."""
    parser = argparse.ArgumentParser(prog="python -m selfdeconv_tools.view_counts", description=__doc__)
    parser.add_argument("--images", type=Path, help="folder of truth images")
    parser.add_argument("--psf", type=Path, help="PSF; without one the paper's")
    parser.add_argument("--crop", type=above_zero(int), help="side of a centre crop of images with two axes")
    parser.add_argument("--volume", type=int, nargs=3, help="shape of a generated volume of microtubules")
    parser.add_argument("--out", type=Path, required=True, help="table to append to")
    options = parser.parse_args(words)
    new = not options.out.exists()
    with options.out.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)])
        if new:
            writer.writeheader()
        for row in rows(options):
            writer.writerow(asdict(row))
            file.flush()
            sys.stdout.write(f"{row.image} {row.views}: {row.psnr} dB ({-row.loss:+.3f})\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
