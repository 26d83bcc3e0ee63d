"""Every example in a docstring runs."""

import doctest
import importlib
import pkgutil

import pytest

import napari_selfdeconv

MODULES = [
    info.name
    for info in pkgutil.walk_packages(napari_selfdeconv.__path__, "napari_selfdeconv.")
    if "._gui" not in info.name
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    module = importlib.import_module(name)
    names = {"np": importlib.import_module("numpy")}
    assert doctest.testmod(module, extraglobs=names, optionflags=doctest.ELLIPSIS).failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder()
    found = sum(bool(t.examples) for m in MODULES for t in finder.find(importlib.import_module(m)))
    assert found > 15
