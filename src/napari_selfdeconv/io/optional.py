"""Packages that read the format of one maker. The extra ``formats`` installs them."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from napari_selfdeconv.errors import ConfigError


def import_for(path: Path, module: str) -> Any:
    """Return the module that reads a file.

    Raises
    ------
    ConfigError
        If it is not installed; the message names the extra.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"{path.name} needs the package {module}",
            "pip install 'napari-selfdeconv[formats]', or save the image as OME-TIFF",
        ) from error
