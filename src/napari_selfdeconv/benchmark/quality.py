"""The quality benchmark: degrade truth images by the protocol, run every method, score, tabulate.

Rows are appended to one CSV as they are measured, so an interrupted benchmark goes on where it stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.benchmark import figure, records
from napari_selfdeconv.benchmark.methods import Measured, labels, measure
from napari_selfdeconv.benchmark.report import markdown
from napari_selfdeconv.config import check_whole
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.events import Event, StopToken
from napari_selfdeconv.io import check_image, read_image, read_psf
from napari_selfdeconv.simulate import degrade, microtubules_3d, rescale_to_unit

_ENDINGS = (".png", ".tif", ".tiff", ".npy")

Array = NDArray[np.float32]
Truth = tuple[str, Callable[[], NDArray[Any]]]
Drain = Callable[[Generator[Event, None, list[Measured]]], list[Measured]]


def run_quality(
    images: Path | None,
    psf_path: Path,
    *,
    methods: Sequence[str],
    crop: int | None,
    device: str,
    out: Path,
    stop: StopToken,
    say: Callable[[str], None],
    drain: Drain,
    volume: Sequence[int] | None = None,
) -> None:
    """Measure ``methods`` on every truth image of a folder; write quality.csv, quality.md and quality.png.

    Parameters
    ----------
    images : folder of truth images (2D or 3D; salt and pepper noise in 2D only, as in the protocol).
    psf_path : the PSF that blurs and is deconvolved with.
    methods : see `benchmark.methods.labels`.
    crop : side of a centre crop of the degraded image, None for all of it.
    device, stop : as elsewhere; ``stop`` ends the benchmark after the current method.
    out : folder, made if it is not there.
    say : called with one line per measurement.
    drain : runs a method to its end, showing its events.
    volume : shape of a generated volume of microtubules to measure too, beside or in place of ``images``.

    Raises
    ------
    ConfigError
        For a folder without images, an unknown method, or a table of another version.
    """
    truths = [*_generated(volume), *_files(images, psf_path)]
    if crop is not None:
        check_whole("crop", crop, 16, 100_000)
    wanted = {method: labels(method) for method in methods}
    psf = read_psf(psf_path).data
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
        truth, noisy = _degraded(load(), psf, crop)
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
    """How long what is left will take, by how long each method took so far."""

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


def _generated(shape: Sequence[int] | None) -> Iterator[Truth]:
    if shape is None:
        return
    if len(shape) != 3:
        raise ConfigError(f"--volume needs 3 numbers, Z Y X, got {' '.join(map(str, shape))}")
    size = (shape[0], shape[1], shape[2])
    yield f"microtubules-{'x'.join(map(str, size))}", lambda: microtubules_3d(size)


def _files(folder: Path | None, psf_path: Path) -> Iterator[Truth]:
    """Yield the images of a folder; a PSF that lies among them is none."""
    if folder is None:
        return
    files = sorted(folder.glob("*")) if folder.is_dir() else []
    paths = [p for p in files if p.suffix.lower() in _ENDINGS and p.resolve() != psf_path.resolve()]
    if not paths:
        raise ConfigError(f"no truth images (PNG, TIFF or NPY) in {folder}")
    for path in paths:
        yield path.name, lambda path=path: _read(path)  # type: ignore[misc]


def _read(path: Path) -> NDArray[Any]:
    file = read_image(path)
    return check_image(file.data, file.axes)


def _degraded(data: NDArray[Any], psf: NDArray[Any], crop: int | None) -> tuple[Array, Array]:
    noisy = degrade(data, psf, seed=0, salt=data.ndim == 2)
    truth = rescale_to_unit(data)
    where = tuple(_centre(n, crop) for n in truth.shape)
    return truth[where], noisy[where]


def _centre(n: int, crop: int | None) -> slice:
    size = n if crop is None else min(n, crop)
    return slice((n - size) // 2, (n - size) // 2 + size)
