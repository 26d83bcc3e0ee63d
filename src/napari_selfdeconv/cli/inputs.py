"""The image that a command works on."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from napari_selfdeconv.cli.terminal import say

if TYPE_CHECKING:
    from napari_selfdeconv.api import ImageFile


def read_input(args: argparse.Namespace, path: Path | None = None) -> ImageFile:
    """Read the image of a command, or ``path``, with its ``--series`` and ``--axes``.

    Doubts about its axes and voxel size are said, unless ``--voxel-um`` replaces what the file states.
    """
    from napari_selfdeconv.api import read_image

    file = read_image(path or args.image, series=args.series, axes=args.axes)
    about = ("axes", "file") if getattr(args, "voxel_um", None) else ("axes", "file", "voxel")
    for doubt in file.record.doubts if file.record is not None else ():
        if doubt.field.startswith(about):
            say(f"warning: {doubt}")
    return file
