"""The public functions, for docks, command line and notebooks. They take arrays, yield events and return arrays.

The names are in ``__init__.pyi``. Each is imported from its module when it is first used.
"""

from __future__ import annotations

import functools
import types
from typing import Any

from napari_selfdeconv.public_names import import_name, read_names

_MODULES = read_names(__file__)
__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    found = import_name(__name__, _MODULES, name)
    return _checked(found) if isinstance(found, types.FunctionType) else found


@functools.cache
def _checked(function: types.FunctionType) -> Any:
    """Return a public function that refuses arguments of the wrong type, with what to give instead."""
    from napari_selfdeconv.api.arguments import checked

    return checked(function)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
