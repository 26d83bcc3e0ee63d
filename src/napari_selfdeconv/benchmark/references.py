"""Real images with a reference: a mean of many frames, straight lines, or darkness above and below an object."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv._version import __version__
from napari_selfdeconv.api import check_one_image, choose_psf, open_input, report_camera
from napari_selfdeconv.benchmark.machine import describe_machine
from napari_selfdeconv.benchmark.methods import Measured, labels, measure
from napari_selfdeconv.config.template import Template
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.events import Event
from napari_selfdeconv.metrics.references import find_lines, fitted_psnr, line_contrast, measure_darkness
from napari_selfdeconv.physics.blur import Blur, convolved
from napari_selfdeconv.physics.open_blur import OpenBlur
from napari_selfdeconv.stop_token import StopToken

# NAME_1frame.tif is an image, and NAME_400frames.tif the mean of 400 of the same field.
_FRAMES = re.compile(r"(?P<scene>.+)_(?P<count>\d+)frames?$")
Array = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One result; what does not belong to its kind of reference is None.

    Attributes
    ----------
    kind : "frames", "lines" or "stack".
    psnr : PSNR of g(result) against the mean of many frames, after the best gain and offset, dB.
    contrast, grain : as `line_contrast`.
    first, last, equal, rim, light : as `Darkness`.
    """

    kind: str
    image: str
    method: str
    psf: str
    psnr: float | None = None
    contrast: float | None = None
    grain: float | None = None
    first: float | None = None
    last: float | None = None
    equal: float | None = None
    rim: float | None = None
    light: float | None = None
    seconds: float
    device: str
    machine: str
    version: str
    date: str


@dataclass(frozen=True)
class Recorded:
    """An image, its kind and name, and the mean of many frames if there is one."""

    kind: str
    name: str
    path: Path
    reference: Path | None = None


def run_references(
    recorded: Sequence[Recorded],
    template: Template,
    *,
    methods: Sequence[str],
    device_name: str,
    out: Path,
    stop: StopToken,
    say: Callable[[str], None],
    drain: Callable[[Generator[Event, None, list[Measured]]], list[Measured]],
) -> None:
    """Run ``methods`` on real images and compare with what is known; write references.csv and references.md.

    Parameters
    ----------
    recorded : images of `frame_pairs`, and images of lines and stacks.
    template : voxel size, PSF or optics; they are the same for all of them.
    methods : as `run_quality`. All have the PSF of the whole stack, and the classical methods an open border.
    device_name, out, stop, say, drain : as `run_quality`. Rows that are in the table already stay, unless they are
        measured again.

    Raises
    ------
    ConfigError
        For an unknown method, or an image whose PSF cannot be made.
    """
    for method in methods:
        labels(method)
    out.mkdir(parents=True, exist_ok=True)
    table = out / "references.csv"
    rows = _read(table)
    for one in recorded:
        file = open_input(one.path, template)
        image = np.asarray(check_one_image(file, one.path), np.float32)
        psf = choose_psf(file, template).psf
        for method in methods:
            if stop.stopped:
                break
            found = drain(measure(method, image, psf, device_name, stop, border="open", weights="auto"))
            for result in found:
                scores = score(one, image, result.image + np.float32(result.background), psf, result.label)
                row = Row(
                    kind=one.kind, image=one.name, method=result.label, psf="x".join(map(str, psf.shape)),
                    **{name: round(value, 4) for name, value in scores.items()}, seconds=round(result.seconds, 1),
                    device=result.device, machine=describe_machine(), version=__version__,
                    date=f"{datetime.now(UTC):%Y-%m-%d}",
                )  # fmt: skip
                told = {key: str(value) for key, value in asdict(row).items() if value is not None}
                rows[row.kind, row.image, row.method] = told
                found_text = ", ".join(f"{name} {value:.3g}" for name, value in scores.items())
                say(f"{one.name} {row.method}: {found_text}, {row.seconds} s")
            _write(table, list(rows.values()))
    if rows:
        (out / "references.md").write_text(markdown(list(rows.values())), encoding="utf-8")
        say(f"wrote {table} and {out / 'references.md'}")


def frame_pairs(folder: Path) -> Iterator[Recorded]:
    """Yield the images of a folder that have a mean of many frames: NAME_1frame.tif beside NAME_400frames.tif.

    Any numbers will do: the image is the one of the fewest frames, the reference that of the most.

    Raises
    ------
    ConfigError
        If there are none.
    """
    scenes: dict[str, dict[int, Path]] = {}
    for path in sorted(folder.glob("*")) if folder.is_dir() else []:
        if match := _FRAMES.match(path.stem):
            scenes.setdefault(match["scene"], {})[int(match["count"])] = path
    pairs = {scene: counts for scene, counts in scenes.items() if len(counts) > 1}
    if not pairs:
        raise ConfigError(f"no images in {folder} are named NAME_1frame.tif and NAME_400frames.tif")
    for scene, counts in pairs.items():
        yield Recorded("frames", scene, counts[min(counts)], counts[max(counts)])


def score(one: Recorded, image: Array, result: Array, psf: NDArray[Any], label: str) -> dict[str, float]:
    """Return the measures for the kind of an image, for a result with the background of the image."""
    if one.reference is not None:
        reference = np.asarray(open_input(one.reference, Template()).data)
        # The image itself is blurred already.
        blurred = result if label == "input" else convolved(Blur(_cut(psf, image.shape)), result)
        return {"psnr": fitted_psnr(blurred, reference)}
    camera = report_camera(image, weights="auto")
    if one.kind == "lines":
        planes = image if image.ndim == 3 else image[None]
        sharpest = int(np.argmax(planes.mean(axis=(1, 2))))
        lines = find_lines(planes[sharpest])
        contrast, grain = line_contrast(result.reshape(planes.shape)[sharpest] - camera.offset, lines)
        return {"contrast": contrast, "grain": grain}
    light, blurred = result - np.float32(camera.offset), np.empty_like(image)
    if label == "input":
        blurred = light
    else:
        OpenBlur(psf, image.shape, [(0, 0)] * image.ndim).forward_into(light, blurred)
    return asdict(measure_darkness(result, blurred, image, camera.offset, camera.read_noise))


def markdown(rows: Sequence[dict[str, str]]) -> str:
    """Return a table for each kind of reference.

    Examples
    --------
    >>> print(markdown([{"kind": "frames", "image": "a", "method": "input", "psnr": "17.93", "seconds": "0.0"}]))
    | image | method | psnr | seconds |
    |---|---|---|---|
    | a | input | 17.93 | 0.0 |
    <BLANKLINE>
    """
    texts = []
    for kind in dict.fromkeys(row["kind"] for row in rows):
        mine = [row for row in rows if row["kind"] == kind]
        known = [f.name for f in fields(Row) if f.type == "float | None" and any(row.get(f.name) for row in mine)]
        names = ["image", "method", *known, "seconds"]
        lines = [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
        lines += [f"| {' | '.join(row.get(name, '') for name in names)} |" for row in mine]
        texts.append("\n".join(lines) + "\n")
    return "\n".join(texts)


def _cut(psf: NDArray[Any], shape: Sequence[int]) -> NDArray[Any]:
    """Return the middle of a PSF, no larger than an image, with sum 1."""
    sides = [(k // 2, (n - 1) // 2) for k, n in zip(psf.shape, shape, strict=True)]
    part: NDArray[Any] = psf[tuple(slice(max(0, centre - side), centre + side + 1) for centre, side in sides)]
    whole: NDArray[Any] = part / part.sum(dtype=np.float64)
    return whole


def _read(table: Path) -> dict[tuple[str, str, str], dict[str, str]]:
    if not table.exists():
        return {}
    with table.open(newline="", encoding="utf-8") as file:
        return {(row["kind"], row["image"], row["method"]): dict(row) for row in csv.DictReader(file)}


def _write(table: Path, rows: Sequence[dict[str, str]]) -> None:
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)])
        writer.writeheader()
        writer.writerows(rows)
