"""The part of a checkpoint that the dock needs to continue a run after a crash."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from napari_selfdeconv._gui.layers.exchange import LayerSnapshot
from napari_selfdeconv.config.tiles import TileConfig
from napari_selfdeconv.config.training import TrainConfig

if TYPE_CHECKING:
    from napari_selfdeconv.api import Checkpoint, InterruptedRun

#: Weights that a layer gave; a checkpoint does not hold them.
GIVEN = "given"


def about_run(
    source: LayerSnapshot, voxel_um: Sequence[float] | None, tiles: TileConfig, weights: Any, **more: Any
) -> dict[str, Any]:
    """Return what is needed to start a run again, besides its settings and its PSF; ``more`` is JSON-ready."""
    return {
        "name": source.name,
        "shape": [int(n) for n in source.data.shape],
        "voxel_um": None if voxel_um is None else [float(size) for size in voxel_um],
        "tiles": tiles.to_dict(),
        "weights": weights if weights is None or isinstance(weights, str) else GIVEN,
        **more,
    }


@contextmanager
def checkpoint_of(
    config: TrainConfig, about: Mapping[str, Any], resumed: InterruptedRun | None
) -> Iterator[Checkpoint | None]:
    """Give the checkpoint of an interrupted run to go on with, or a new one; None if none can be made."""
    from napari_selfdeconv import api

    if resumed is None:
        yield api.new_checkpoint(config, about)
        return
    with resumed.claimed() as path:
        if about.get("out") != resumed.about.get("out"):
            resumed.remove_output()  # The result begins again in a new folder.
        yield api.Checkpoint(path, resume=True, about={**resumed.about, **about})
