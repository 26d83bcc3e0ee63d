"""What the pages tell a reader to type is there: names that scripts import, and modules that commands start."""

from __future__ import annotations

import importlib
import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS = [*PAGES, ROOT / "Makefile", ROOT / "CHANGELOG.md"]
STARTED = re.compile(r"(?:python|\$\(PY\)) -m ((?:napari_selfdeconv|selfdeconv_tools)[\w.]*)")
IMPORT = re.compile(r"^from (napari_selfdeconv[\w.]*) import (?:\(([^)]*)\)|(.*))$", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_names_that_scripts_import_exist(page: Path) -> None:
    for module, several, one in IMPORT.findall(page.read_text("utf-8")):
        found = importlib.import_module(module)
        for name in re.findall(r"\w+", several or one):
            assert hasattr(found, name), f"{page.name}: {module} has no {name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_source_files_that_a_page_names_exist(page: Path) -> None:
    for name in re.findall(r"`([\w/]+\.py)`", page.read_text("utf-8")):
        found = [(ROOT / "src" / below / name).is_file() for below in ("", "napari_selfdeconv")]
        found.append((ROOT / name).is_file())
        assert any(found), f"{page.name}: there is no {name}"


def test_modules_that_commands_start_exist() -> None:
    started = {name for page in COMMANDS for name in STARTED.findall(page.read_text("utf-8"))}
    assert {"selfdeconv_tools.demo", "selfdeconv_tools.screenshots", "selfdeconv_tools.pretraining"} <= started
    for name in started:
        found = importlib.util.find_spec(name)
        assert found is not None, name
        assert not found.submodule_search_locations or importlib.util.find_spec(f"{name}.__main__"), name
