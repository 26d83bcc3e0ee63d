"""The command ``selfdeconv``."""

from napari_selfdeconv.cli.parser import main

__all__ = ["main"]
