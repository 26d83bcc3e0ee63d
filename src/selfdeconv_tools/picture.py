"""The documentation's picture of the methods side by side, on truths that are generated.

``python -m selfdeconv_tools.picture OUT.png``
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from napari_selfdeconv.benchmark.quality import run_quality
from napari_selfdeconv.events import drain
from napari_selfdeconv.simulate import Sample, sample_2d, sample_3d
from napari_selfdeconv.stop_token import StopToken

# The samples are simulated: dark at the border.
_METHODS = ("input", "rl", "tv", "quick,even_border=true")


def make_picture(out: Path, methods: tuple[str, ...] = _METHODS) -> None:
    """Write crops of the 2D and the 3D sample, of their truths, and of the result of each method."""
    with tempfile.TemporaryDirectory() as folder:
        sheets = [
            _sheet(Path(folder) / name, name, sample, methods)
            for name, sample in (("cells", sample_2d()), ("microtubules", sample_3d()))
        ]
        width = max(sheet.width for sheet in sheets)
        whole = Image.new("L", (width, sum(sheet.height for sheet in sheets)), 255)
        for sheet, top in zip(sheets, np.cumsum([0, *(sheet.height for sheet in sheets)]), strict=False):
            whole.paste(sheet, (0, int(top)))
        whole.save(out)


def _sheet(folder: Path, name: str, sample: Sample, methods: tuple[str, ...]) -> Image.Image:
    truths = folder / "truths"
    truths.mkdir(parents=True)
    np.save(truths / f"{name}.npy", sample.truth)
    np.save(folder / "psf.npy", sample.psf)
    run_quality(
        truths, folder / "psf.npy", methods=methods, crop=None, device="auto", out=folder, stop=StopToken(),
        say=print, drain=drain,
    )  # fmt: skip
    return Image.open(folder / "quality.png").copy()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m selfdeconv_tools.picture", description=__doc__)
    parser.add_argument("out", type=Path, metavar="OUT.png")
    make_picture(parser.parse_args().out)
