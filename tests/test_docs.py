"""What the pages say can be typed: names that scripts import exist, and options of the command line too."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
IMPORT = re.compile(r"^from (napari_selfdeconv[\w.]*) import (?:\(([^)]*)\)|(.*))$", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_names_that_scripts_import_exist(page: Path) -> None:
    for module, several, one in IMPORT.findall(page.read_text("utf-8")):
        found = importlib.import_module(module)
        for name in re.findall(r"\w+", several or one):
            assert hasattr(found, name), f"{page.name}: {module} has no {name}"
