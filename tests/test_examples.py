"""Every example in a docstring runs, and every public function and class has one."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import napari_selfdeconv
from napari_selfdeconv import api

MODULES = [
    info.name
    for info in pkgutil.walk_packages(napari_selfdeconv.__path__, "napari_selfdeconv.")
    if "._gui" not in info.name
]
FINDER = doctest.DocTestFinder(recurse=False)


def is_documented(thing: object) -> bool:
    return inspect.isfunction(thing) or inspect.isclass(thing)


PUBLIC = [name for name in sorted({*api.__all__, *napari_selfdeconv.__all__}) if is_documented(getattr(api, name))]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    module = importlib.import_module(name)
    names = {"np": importlib.import_module("numpy")}
    assert doctest.testmod(module, extraglobs=names, optionflags=doctest.ELLIPSIS).failed == 0


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_has_an_example_and_says_what_its_parameters_do(name: str) -> None:
    thing = getattr(api, name)
    assert sum(len(found.examples) for found in FINDER.find(thing, name)) > 0
    if inspect.isfunction(thing) and inspect.signature(thing).parameters:
        assert "\nParameters\n----------\n" in inspect.cleandoc(thing.__doc__ or "")


def test_the_public_names_are_found() -> None:
    assert {"deconvolve", "Optics", "preset"} <= set(PUBLIC)
