"""Settings of tiled inference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self

from napari_selfdeconv.config.checks import check_whole
from napari_selfdeconv.config.rules import Each, Number, Whole
from napari_selfdeconv.config.settings import Settings


class _Sides:
    """One side for all axes, or a tuple with one for each axis."""

    def checked(self, name: str, value: object) -> int | tuple[int, ...]:
        if isinstance(value, (tuple, list)):
            return Each(Whole(1, 2**31)).checked(name, value)
        return check_whole(name, value, 16, 65_536)


@dataclass(frozen=True, kw_only=True)
class TileConfig(Settings):
    """Tiled inference.

    Attributes
    ----------
    tile : side in voxels of the piece of the result that is computed at a time, or one side for each axis. None
        takes the size that fits into ``memory_share`` of the free memory; the record of a run holds it. The
        context around a tile is derived from the network and the PSF, so tiles do not change the result.
    memory_share : largest share of the free memory for tiles and training, 0.05 to 0.95.

    Examples
    --------
    >>> TileConfig(tile=(32, 256, 256)).memory_share
    0.5
    """

    tile: Annotated[int | tuple[int, ...] | None, _Sides()] = None
    memory_share: Annotated[float, Number(0.05, 0.95)] = 0.5

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build from `to_dict`'s output. Records of version 0.1 hold an ``overlap``, which is not needed now."""
        if isinstance(values, Mapping):
            values = {name: value for name, value in values.items() if name != "overlap"}
        return super().from_dict(values)
