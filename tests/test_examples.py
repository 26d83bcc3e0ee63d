"""Every example in a docstring runs, and every public function and class has one."""

import doctest
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import napari_selfdeconv
from napari_selfdeconv import api

MODULES = [
    info.name
    for info in pkgutil.walk_packages(napari_selfdeconv.__path__, "napari_selfdeconv.")
    if "._gui" not in info.name
]
FINDER = doctest.DocTestFinder(recurse=False)


REFERENCE = (Path(__file__).parents[1] / "docs" / "api.md").read_text("utf-8")


def public_things() -> dict[str, object]:
    """Return what docs/api.md lists: the names of api, settings by full names, and two whole modules."""
    found = {name: getattr(api, name) for name in {*api.__all__, *napari_selfdeconv.__all__}}
    for path in re.findall(r"autoclass:: (napari_selfdeconv\S+)", REFERENCE):
        module, _, name = path.rpartition(".")
        found[name] = getattr(importlib.import_module(module), name)
    for module in map(importlib.import_module, re.findall(r"automodule:: (\S+)", REFERENCE)):
        own = vars(module).items()
        found |= {k: v for k, v in own if getattr(v, "__module__", "") == module.__name__ and k[0] != "_"}
    return {name: thing for name, thing in found.items() if inspect.isfunction(thing) or inspect.isclass(thing)}


PUBLIC = public_things()


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    module = importlib.import_module(name)
    names = {"np": importlib.import_module("numpy")}
    assert doctest.testmod(module, extraglobs=names, optionflags=doctest.ELLIPSIS).failed == 0


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_a_public_name_has_an_example_and_says_what_its_parameters_do(name: str) -> None:
    thing = PUBLIC[name]
    assert sum(len(found.examples) for found in FINDER.find(thing, name)) > 0
    if name in api.__all__ and inspect.isfunction(thing) and inspect.signature(thing).parameters:
        assert "\nParameters\n----------\n" in inspect.cleandoc(thing.__doc__ or "")


@pytest.mark.parametrize("package", ["napari_selfdeconv", "napari_selfdeconv.api", "napari_selfdeconv.io"])
def test_dir_lists_every_public_name(package: str) -> None:
    found = importlib.import_module(package)
    assert set(found.__all__) <= set(dir(found))


def test_the_public_names_are_found() -> None:
    assert {"deconvolve", "Optics", "preset", "LossSettings", "Progress", "OutOfMemory"} <= set(PUBLIC)
