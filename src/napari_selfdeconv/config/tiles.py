"""Settings of tiled inference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from napari_selfdeconv.config.checks import Settings, check_number, check_whole


@dataclass(frozen=True, kw_only=True)
class TileConfig(Settings):
    """Tiled inference.

    Attributes
    ----------
    tile : side in voxels of the piece of the result that is computed at a time, or one side for each axis. None
        takes what fits into ``memory_share`` of the free memory; the record of a run holds which. What is read
        around a tile is derived from the network and the PSF, so that tiles change no result.
    memory_share : share of the free memory that tiles and training keep within, 0.05 to 0.95.
    """

    tile: int | tuple[int, ...] | None = None
    memory_share: float = 0.5

    def __post_init__(self) -> None:
        if isinstance(self.tile, tuple):
            for side in self.tile:
                check_whole("tile", side, 1, 2**31)
        elif self.tile is not None:
            check_whole("tile", self.tile, 16, 65_536)
        check_number("memory_share", self.memory_share, 0.05, 0.95)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build from `to_dict`'s output. Records of version 0.1 hold an ``overlap``, which is not needed now."""
        return super().from_dict({name: value for name, value in values.items() if name != "overlap"})
