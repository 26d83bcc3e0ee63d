"""The table of what fewer views lose."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from skimage.io import imsave

from selfdeconv_tools import view_counts


def test_a_row_for_each_number_of_views(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view_counts, "_COUNTS", (2,))
    images, table = tmp_path / "images", tmp_path / "views.csv"
    images.mkdir()
    imsave(images / "a.png", np.random.default_rng(0).integers(0, 255, (40, 36), np.uint8), check_contrast=False)
    view_counts.main(["--images", str(images), "--crop", "32", "--out", str(table)])
    with table.open(newline="", encoding="utf-8") as file:
        few, all_of_them = csv.DictReader(file)
    assert (few["image"], few["shape"], few["views"], all_of_them["views"]) == ("a.png", "32x32", "2", "8")
    assert float(all_of_them["loss"]) == 0
    assert float(few["psnr"]) == pytest.approx(float(all_of_them["psnr"]) - float(few["loss"]), abs=0.002)
