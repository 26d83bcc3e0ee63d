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


def test_the_reference_has_every_public_name_once() -> None:
    page = (ROOT / "docs" / "api.md").read_text("utf-8")
    listed = re.findall(r"^\.\. auto(?:function|class|data):: (\w+)$", page, re.MULTILINE)
    api = importlib.import_module("napari_selfdeconv.api")
    errors = {name for name in api.__all__ if isinstance(getattr(api, name), type)} & set(
        vars(importlib.import_module("napari_selfdeconv.errors"))
    )
    assert sorted(listed) == sorted(set(api.__all__) - errors)
    others = re.findall(r"^\.\. auto(?:class|module):: ([\w.]+\.\w+)$", page, re.MULTILINE)
    for module, _, name in (other.rpartition(".") for other in others):
        assert hasattr(importlib.import_module(module), name), f"{module} has no {name}"


def test_every_common_function_says_what_it_takes_and_has_an_example() -> None:
    package = importlib.import_module("napari_selfdeconv")
    found = {name: getattr(package, name) for name in package.__all__}
    for name, one in found.items():
        if not isinstance(one, type):
            text = one.__doc__ or ""
            assert "Examples\n" in text, name
            assert "Parameters\n" in text, name
