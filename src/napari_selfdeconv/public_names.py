"""The public names of a package: read from the type stub beside it, and each imported when it is first used.

Looking up an objective therefore does not load torch, and a name stands in one place: ``__init__.pyi``, which type
checkers read as well.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def read_names(init: str) -> dict[str, str]:
    """Return the module of each public name of a package, from its type stub.

    Parameters
    ----------
    init : path of the package's ``__init__.py``.

    Examples
    --------
    >>> import napari_selfdeconv
    >>> read_names(napari_selfdeconv.__file__)["deconvolve"]
    'napari_selfdeconv.api'
    """
    tree = ast.parse(Path(init).with_suffix(".pyi").read_text("utf-8"))
    imports = [one for one in tree.body if isinstance(one, ast.ImportFrom)]
    return {
        alias.name: str(one.module) for one in imports for alias in one.names if not alias.name.startswith("_")
    }


def import_name(package: str, modules: Mapping[str, str], name: str) -> Any:
    """Return the object of a public name of ``package``; AttributeError if it has no such name."""
    if name not in modules:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    return getattr(importlib.import_module(modules[name]), name)
