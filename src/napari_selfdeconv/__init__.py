"""Self-supervised deconvolution of a single image, in napari and headless.

Nothing here imports torch, Qt or napari until it is used. The names are in ``__init__.pyi``.
"""

from __future__ import annotations

from typing import Any

from napari_selfdeconv._version import __version__ as __version__
from napari_selfdeconv.public_names import import_name, read_names

_MODULES = read_names(__file__)
__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    return import_name(__name__, _MODULES, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
