"""Image files in and out. A name is imported when it is first used, so that docks open quickly."""

from __future__ import annotations

from typing import Any

from napari_selfdeconv.public_names import import_name, read_names

_MODULES = read_names(__file__)
__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    return import_name(__name__, _MODULES, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
