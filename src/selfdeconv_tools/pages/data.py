"""The tables of docs/data, and the figures that pages take from them."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

Row = dict[str, str]
# Size and ending of a file with a truth, as in andromeda1024x1024.png.
_FILE = re.compile(r"(\d+x\d+)?\.(png|tiff?|npy)\b")
INSTANT = "instant,even_border=true"
QUICK, STANDARD = "quick,even_border=true", "standard,even_border=true"
#: Families of total variation: primal-dual, by conjugate gradients, and the better of the two for an image.
TV = ("TV", "TV-CG", "TV best")


def read_table(data: Path, name: str) -> list[Row]:
    """Return the rows of a table of docs/data; images without the size and the ending of their files."""
    with (data / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [{**row, "image": _FILE.sub("", row.get("image", ""))} for row in rows]


class Quality:
    """The rows of a quality benchmark.

    Parameters
    ----------
    rows : as ``selfdeconv benchmark quality`` writes them, of one kind of image.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows
        self.images = list(dict.fromkeys(row["image"] for row in rows))

    def of(self, image: str, *families: str) -> list[Row]:
        """Return the rows of an image and some families."""
        return [row for row in self.rows if row["image"] == image and row["family"] in families]

    def best(self, image: str, *families: str) -> Row:
        """Return the row of some families with the highest PSNR on an image, which takes the truth to know."""
        return max(self.of(image, *families), key=lambda row: float(row["psnr"]))

    def best_fixed(self, family: str) -> str | None:
        """Return the method of a family with the highest mean PSNR; None if none was measured on all images."""
        methods = {row["method"] for row in self.rows if row["family"] == family}
        measured = [one for one in methods if len(list(self.values(one, "psnr"))) == len(self.images)]
        return max(measured, key=lambda method: self.mean(method, "psnr"), default=None)

    def values(self, method: str, column: str) -> Iterator[float]:
        """Yield a column of a method, image by image."""
        for row in self.rows:
            if row["method"] == method:
                yield float(row[column])

    def mean(self, method: str, column: str) -> float:
        """Return the mean of a column over the images of a method."""
        return fmean(self.values(method, column))

    def gain(self, image: str, method: str, *families: str) -> float:
        """Return by how much a method is above the best of some families, dB; chosen with the truth."""
        return float(self.best(image, method)["psnr"]) - float(self.best(image, *families)["psnr"])
