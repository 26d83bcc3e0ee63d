"""Settings of tiled inference."""

from __future__ import annotations

from dataclasses import dataclass

from napari_selfdeconv.config.checks import Settings, check_number, check_whole
from napari_selfdeconv.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class TileConfig(Settings):
    """Tiled inference.

    ``tile`` is the side in voxels, or one for each axis (None: what fits into ``memory_share`` of the free memory;
    the record of a run holds which), ``overlap`` in voxels, too. Training keeps within the same share.
    """

    tile: int | tuple[int, ...] | None = None
    overlap: int = 32
    memory_share: float = 0.5

    def __post_init__(self) -> None:
        if isinstance(self.tile, tuple):
            for side in self.tile:
                check_whole("tile", side, 1, 2**31)
        elif self.tile is not None:
            check_whole("tile", self.tile, 16, 65_536)
            if self.overlap >= self.tile:
                raise ConfigError(f"overlap must be below tile ({self.tile}), got {self.overlap}")
        check_whole("overlap", self.overlap, 0, 4096)
        check_number("memory_share", self.memory_share, 0.05, 0.95)
