"""What the pages tell a reader to type is there: names that scripts import, and modules that commands start."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
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
    listed = re.findall(r"^\.\. (?:auto(?:function|class|data)|py:data):: (\w+)$", page, re.MULTILINE)
    api = importlib.import_module("napari_selfdeconv.api")
    errors = {name for name in api.__all__ if isinstance(getattr(api, name), type)} & set(
        vars(importlib.import_module("napari_selfdeconv.errors"))
    )
    assert sorted(listed) == sorted(set(api.__all__) - errors)
    others = re.findall(r"^\.\. auto(?:class|module):: ([\w.]+\.\w+)$", page, re.MULTILINE)
    for module, _, name in (other.rpartition(".") for other in others):
        assert hasattr(importlib.import_module(module), name), f"{module} has no {name}"


def test_public_functions_say_what_they_take_and_common_ones_have_an_example() -> None:
    api, package = (importlib.import_module(name) for name in ("napari_selfdeconv.api", "napari_selfdeconv"))
    functions = {name: one for name in api.__all__ if inspect.isfunction(one := getattr(api, name))}
    assert len(functions) > 80
    for name, function in functions.items():
        text = function.__doc__ or ""
        assert "Parameters\n" in text or not inspect.signature(function).parameters, name
        assert "Examples\n" in text or name not in package.__all__, name
