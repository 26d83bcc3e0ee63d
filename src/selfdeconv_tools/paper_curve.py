"""Train with the paper's settings to the end and write the PSNR against steps.

``python -m selfdeconv_tools.paper_curve --method paper:noise2same,batch_size=4 --image TRUTH --out DIR``, or
``--volume 64 128 128`` for generated microtubules. A run takes hours; started again, it goes on where it was.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_selfdeconv import __version__
from napari_selfdeconv.api import Checkpoint, iter_deconvolve
from napari_selfdeconv.benchmark.machine import describe_machine
from napari_selfdeconv.benchmark.methods import network
from napari_selfdeconv.benchmark.truths import blurring, degraded, generated, read_truth
from napari_selfdeconv.compute.device import choose_device
from napari_selfdeconv.events import Interim, Progress
from napari_selfdeconv.metrics.scores import evaluate
from napari_selfdeconv.stop_token import StopToken
from selfdeconv_tools.numeric_arguments import above_zero


@dataclass(frozen=True, kw_only=True)
class Row:
    """The result after some of the steps; ``seconds`` of training with so many threads."""

    method: str
    image: str
    shape: str
    step: int
    steps: int
    psnr: float
    ssim: float
    seconds: int
    threads: int
    machine: str
    version: str
    date: str


def measure(
    method: str,
    name: str,
    truth: NDArray[np.float32],
    noisy: NDArray[np.float32],
    psf: NDArray[np.float32],
    every: int,
    checkpoint: Checkpoint,
    device: str = "auto",
) -> Iterator[Row]:
    """Yield a row after ``every`` steps, again and again, and one for the result at the end."""
    config = network(method, truth.ndim, device)
    stop, seconds, asked = StopToken(), 0.0, None

    def row(image: NDArray[Any], step: int) -> Row:
        score = evaluate(image, truth)
        return Row(
            method=method, image=name, shape="x".join(map(str, truth.shape)),
            step=step, steps=config.optimiser.steps, psnr=round(score["psnr"], 3), ssim=round(score["ssim"], 4),
            seconds=round(seconds), threads=torch.get_num_threads(), machine=_machine(device),
            version=__version__, date=f"{datetime.now(UTC):%Y-%m-%d}",
        )  # fmt: skip

    work = iter_deconvolve(noisy, psf, config, stop=stop, checkpoint=checkpoint)
    while True:
        try:
            event = next(work)
        except StopIteration as end:
            yield row(end.value.image, end.value.steps_done)
            return
        if isinstance(event, Interim):
            yield row(event.image, event.step)
        elif isinstance(event, Progress) and event.stage == "train":
            seconds = event.seconds
            # A run that goes on from its checkpoint has the rows of the steps before.
            asked = event.step // every if asked is None else asked
            if event.step // every > asked and event.step < event.steps:
                asked = event.step // every
                stop.request_result()


def _machine(device: str) -> str:
    chosen = choose_device(device, "auto").device
    return torch.cuda.get_device_name(chosen) if chosen.type == "cuda" else describe_machine()


def main(words: list[str] | None = None) -> None:
    """Append the rows to DIR/paper_curve.csv as they are measured."""
    parser = argparse.ArgumentParser(prog="python -m selfdeconv_tools.paper_curve", description=__doc__)
    parser.add_argument("--method", required=True, help="as of `selfdeconv benchmark quality`")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--image", type=Path, help="a truth image")
    what.add_argument("--volume", type=int, nargs=3, help="shape of a generated volume of microtubules")
    parser.add_argument("--psf", type=Path, help="PSF; without one the paper's")
    parser.add_argument("--crop", type=above_zero(int), help="side of a centre crop of the image")
    parser.add_argument("--every", type=above_zero(int), default=250, help="steps between two rows (default: 250)")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, required=True, help="folder of the table and the checkpoint")
    options = parser.parse_args(words)
    if options.image is None:
        [(name, load)] = generated(options.volume)
        data = load()
    else:
        name, data = options.image.name, read_truth(options.image)
    psf = blurring(options.psf)(data.ndim)
    truth, noisy = degraded(data, psf, options.crop)
    options.out.mkdir(parents=True, exist_ok=True)
    own = re.sub(r"\W+", "_", f"{options.method} {name}")
    checkpoint = Checkpoint(options.out / f"{own}.checkpoint", resume=True)
    table = options.out / "paper_curve.csv"
    is_new = not table.exists() or not table.stat().st_size
    with table.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)], lineterminator="\n")
        if is_new:
            writer.writeheader()
        for row in measure(options.method, name, truth, noisy, psf, options.every, checkpoint, options.device):
            writer.writerow(asdict(row))
            file.flush()
            sys.stdout.write(f"{row.step}/{row.steps}: {row.psnr} dB after {row.seconds} s\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
