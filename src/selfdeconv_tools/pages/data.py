"""The tables of docs/data, and the figures that pages take from them."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean, median

Row = dict[str, str]
QUICK, STANDARD = "quick,even_border=true", "standard,even_border=true"


def read_table(data: Path, name: str) -> list[Row]:
    """Return the rows of a table of docs/data; images without the size and the ending of their files."""
    with (data / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [{**row, "image": re.sub(r"(\d+x\d+)?\.\w+(?=$| )", "", row.get("image", ""))} for row in rows]


class Quality:
    """The rows of a quality benchmark.

    Parameters
    ----------
    rows : as ``selfdeconv benchmark quality`` writes them, of one kind of image.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows
        self.images = list(dict.fromkeys(row["image"] for row in rows))

    def of(self, image: str, family: str) -> list[Row]:
        """Return the rows of an image and a family."""
        return [row for row in self.rows if row["image"] == image and row["family"] == family]

    def best(self, image: str, family: str) -> Row:
        """Return the row of a family with the highest PSNR on an image: its setting is chosen with the truth."""
        return max(self.of(image, family), key=lambda row: float(row["psnr"]))

    def best_fixed(self, family: str) -> str:
        """Return the method of a family with the highest mean PSNR, measured on all images."""
        methods = {row["method"] for row in self.rows if row["family"] == family}
        return max(methods, key=lambda method: self.mean(method, "psnr"))

    def values(self, method: str, column: str) -> Iterator[float]:
        """Yield a column of a method, image by image."""
        for row in self.rows:
            if row["method"] == method:
                yield float(row[column])

    def mean(self, method: str, column: str) -> float:
        """Return the mean of a column over the images of a method."""
        return fmean(self.values(method, column))

    def seconds(self, method: str) -> float:
        """Return the median of the seconds of a method."""
        return median(self.values(method, "seconds"))

    def gain(self, image: str, method: str, families: Sequence[str]) -> float:
        """Return by how much a method is above the best of several families, dB; chosen with the truth."""
        rivals = [float(row["psnr"]) for family in families for row in self.of(image, family)]
        return float(self.of(image, method)[0]["psnr"]) - max(rivals)
