"""The check of every pixel of an image that need not fit into memory, before the computation."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np

from napari_selfdeconv.arrays.chunks import stored_pieces
from napari_selfdeconv.arrays.scaling import extremes
from napari_selfdeconv.events import Tick


def check_pieces(image: Any) -> Generator[Tick, None, None]:
    """Read an image that need not fit into memory piece by piece and check every pixel; yield a `Tick` a piece.

    Whole numbers are not read, because they are always finite. Pixels that `WeighedPieces` leaves out are not
    checked.

    Raises
    ------
    NotFinite
        At the first piece with a NaN or infinite pixel. The message names the place of the piece.
    """
    if np.dtype(image.dtype).kind != "f":
        return
    pieces = stored_pieces(image)
    for done, where in enumerate(pieces, 1):
        place = ", ".join(f"{s.start} to {s.stop}" for s in where)
        extremes(np.asarray(image[where]), f"the part {place} of the image")
        yield Tick(done, len(pieces))
