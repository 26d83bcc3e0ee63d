"""The quality benchmark: degrade truth images by the protocol, run every method, score, tabulate.

Rows are appended to one CSV as they are measured, so an interrupted benchmark goes on where it stopped.
"""

from __future__ import annotations

import csv
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import napari_selfdeconv
from napari_selfdeconv.api import iter_deconvolve, iter_richardson_lucy
from napari_selfdeconv.config import check_whole, preset
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.events import StopToken, drain
from napari_selfdeconv.io import check_image, read_image, read_psf
from napari_selfdeconv.metrics import evaluate
from napari_selfdeconv.simulate import degrade, rescale_to_unit

RL_COUNTS = (2, 3, 5, 10, 20)
METRICS = ("psnr", "ssim", "mi", "smi", "rmse")
_COLUMNS = ("image", "shape", "crop", "method", *METRICS, "seconds", "device", "version", "date")
_ENDINGS = (".png", ".tif", ".tiff", ".npy")

Row = dict[str, Any]
Result = tuple[str, NDArray[np.float32], float, str]


def run_quality(
    images: Path,
    psf_path: Path,
    *,
    methods: Sequence[str],
    crop: int | None,
    device: str,
    out: Path,
    stop: StopToken,
    say: Callable[[str], None],
) -> None:
    """Measure ``methods`` on every truth image of a folder; write quality.csv and quality.md.

    Parameters
    ----------
    images : folder of truth images (2D or 3D; salt and pepper noise in 2D only, as in the protocol).
    psf_path : the PSF that blurs and is deconvolved with.
    methods : "input", "rl", or a preset with an optional loss, as in "quick" or "paper:noise2self".
    crop : side of a centre crop of the degraded image, None for all of it.
    device, out, stop : as elsewhere; ``stop`` ends the benchmark after the current method.
    say : called with one line per measurement.

    Raises
    ------
    ConfigError
        For a folder without images or an unknown method.
    """
    paths = _truths(images, psf_path)
    if not paths:
        raise ConfigError(f"no truth images (PNG, TIFF or NPY) in {images}")
    if crop is not None:
        check_whole("crop", crop, 16, 100_000)
    for method in methods:
        _check_method(method)
    psf = read_psf(psf_path).data
    out.mkdir(parents=True, exist_ok=True)
    table = out / "quality.csv"
    rows = _read(table)
    for number, path in enumerate(paths, 1):
        todo = [m for m in methods if not _has(rows, path.name, crop, m)]
        if not todo:
            continue
        truth, noisy = _degraded(path, psf, crop)
        for method in todo:
            for result in _measure(method, noisy, psf, device, stop):
                row = _row(path, truth, crop, result)
                rows.append(row)
                _append(table, row)
                say(f"{number}/{len(paths)} {path.name} {row['method']}: {row['psnr']} dB, {row['seconds']} s")
            if stop.stopped:
                return
    (out / "quality.md").write_text(markdown(rows), encoding="utf-8")
    say(f"wrote {out / 'quality.md'}")


def markdown(rows: Sequence[Row]) -> str:
    """Return the means over all images as a Markdown table, one row a method."""
    methods = list(dict.fromkeys(row["method"] for row in rows))
    lines = [
        f"Machine: {platform.processor() or platform.machine()}, {os.cpu_count()} cores; "
        f"napari-selfdeconv {napari_selfdeconv.__version__}; {datetime.now(UTC):%Y-%m-%d}.",
        "",
        "| method | images | PSNR | SSIM | MI | SMI | RMSE | seconds an image |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for method in methods:
        mine = [row for row in rows if row["method"] == method]
        mean = {k: np.mean([float(row[k]) for row in mine]) for k in METRICS}
        seconds = np.median([float(row["seconds"]) for row in mine])
        lines.append(
            f"| {method} | {len(mine)} | {mean['psnr']:.2f} | {mean['ssim']:.3f} | {mean['mi']:.3f} "
            f"| {mean['smi']:.3f} | {mean['rmse']:.4f} | {seconds:.1f} |"
        )
    return "\n".join(lines) + "\n"


def _truths(folder: Path, psf_path: Path) -> list[Path]:
    """Return the images of a folder; a PSF that lies among them is none."""
    files = sorted(folder.glob("*")) if folder.is_dir() else []
    return [p for p in files if p.suffix.lower() in _ENDINGS and p.resolve() != psf_path.resolve()]


def _check_method(method: str) -> None:
    if method not in ("input", "rl"):
        name, _, loss = method.partition(":")
        preset(name, 2, loss=loss or None)


def _degraded(path: Path, psf: NDArray[Any], crop: int | None) -> tuple[NDArray[Any], NDArray[np.float32]]:
    file = read_image(path)
    data = check_image(file.data, file.axes)
    noisy = degrade(data, psf, seed=0, salt=data.ndim == 2)
    truth = rescale_to_unit(data)
    where = tuple(_centre(n, crop) for n in truth.shape)
    return truth[where], noisy[where]


def _centre(n: int, crop: int | None) -> slice:
    size = n if crop is None else min(n, crop)
    return slice((n - size) // 2, (n - size) // 2 + size)


def _measure(
    method: str, noisy: NDArray[np.float32], psf: NDArray[Any], device: str, stop: StopToken
) -> Iterator[Result]:
    if method == "input":
        yield "input", noisy, 0.0, "-"
        return
    start = time.perf_counter()
    if method == "rl":
        results = drain(iter_richardson_lucy(noisy, psf, RL_COUNTS, device_name=device, stop=stop))
        seconds = time.perf_counter() - start
        for n, image in results.items():
            # One run gives all counts; a count's own share of the time is its share of the iterations.
            yield f"rl n={n}", image, seconds * n / max(RL_COUNTS), device
        return
    name, _, loss = method.partition(":")
    config = preset(name, noisy.ndim, loss=loss or None, device=device)
    result = drain(iter_deconvolve(noisy, psf, config, stop=stop))
    # A network cut short by the user is no measurement of the preset.
    if not result.stopped:
        yield method, result.image, result.seconds, f"{result.device} {result.precision}"


def _row(path: Path, truth: NDArray[Any], crop: int | None, result: Result) -> Row:
    method, image, seconds, device = result
    scores = evaluate(image, truth)
    return {
        "image": path.name,
        "shape": "x".join(map(str, truth.shape)),
        "crop": _crop_key(crop),
        "method": method,
        **{name: f"{scores[name]:.4f}" for name in METRICS},
        "seconds": f"{seconds:.1f}",
        "device": device,
        "version": napari_selfdeconv.__version__,
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
    }


def _has(rows: Sequence[Row], image: str, crop: int | None, method: str) -> bool:
    names = {f"rl n={n}" for n in RL_COUNTS} if method == "rl" else {method}
    done = {r["method"] for r in rows if r["image"] == image and r["crop"] == _crop_key(crop)}
    return names <= done


def _crop_key(crop: int | None) -> str:
    return "none" if crop is None else str(crop)


def _read(table: Path) -> list[Row]:
    if not table.exists():
        return []
    with table.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _append(table: Path, row: Row) -> None:
    new = not table.exists()
    with table.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, _COLUMNS)
        if new:
            writer.writeheader()
        writer.writerow(row)
