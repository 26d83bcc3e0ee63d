"""Crops of every result side by side, in one picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from napari_selfdeconv.benchmark.records import Row
from napari_selfdeconv.benchmark.report import best_fixed

_SIDE = 192
_LABEL = 16
_MOST_ROWS = 12


def save_crop(out: Path, image: str, method: str, result: NDArray[Any]) -> None:
    """Keep the middle of a result, 0 to 1 as black to white; of a volume its brightest along z."""
    folder = out / "crops"
    folder.mkdir(exist_ok=True)
    flat = result.max(0) if result.ndim == 3 else result
    where = tuple(slice(max(0, (n - _SIDE) // 2), max(0, (n - _SIDE) // 2) + _SIDE) for n in flat.shape)
    grey = np.round(255 * np.clip(flat[where], 0, 1)).astype(np.uint8)
    iio.imwrite(folder / _name(image, method), grey)


def assemble(out: Path, rows: Sequence[Row]) -> None:
    """Write quality.png: one row an image; the truth, the input, and the best fixed setting of every family."""
    chosen = [m for m in best_fixed(rows).values() if m != "input"]
    methods = ["truth", "input", *chosen]
    images = list(dict.fromkeys(row["image"] for row in rows))[:_MOST_ROWS]
    score = {(row["image"], row["method"]): row["psnr"] for row in rows}
    height, width = _SIDE + _LABEL, _SIDE + 2
    sheet = Image.new("L", (width * len(methods), height * len(images)), 255)
    draw = ImageDraw.Draw(sheet)
    for i, image in enumerate(images):
        for j, method in enumerate(methods):
            path = out / "crops" / _name(image, method)
            if not path.exists():
                continue
            psnr = f"  {float(score[image, method]):.2f} dB" if (image, method) in score else ""
            draw.text((j * width + 2, i * height + 2), f"{method}{psnr}", fill=0)
            sheet.paste(Image.open(path), (j * width, i * height + _LABEL))
    sheet.save(out / "quality.png")


def _name(image: str, method: str) -> str:
    clean = "".join(c if c.isalnum() or c in "-." else "_" for c in f"{image}__{method}")
    return f"{clean}.png"
