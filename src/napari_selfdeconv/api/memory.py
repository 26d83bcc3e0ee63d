"""What a run will take of the memory, before it runs."""

from __future__ import annotations

from collections.abc import Sequence

from napari_selfdeconv.compute import device
from napari_selfdeconv.compute.memory_budget import Outlook, outlook
from napari_selfdeconv.config.tiles import TileConfig
from napari_selfdeconv.config.training import TrainConfig


def memory_outlook(
    config: TrainConfig,
    shape: Sequence[int],
    psf_shape: Sequence[int],
    *,
    tiles: TileConfig | None = None,
    frames: int = 1,
) -> Outlook:
    """Return what training and deconvolving will take on the device of ``config``, and what is free there.

    Parameters
    ----------
    config, tiles : settings of the run.
    shape, psf_shape : of a frame and of the PSF, voxels.
    frames : how many frames are trained on.

    Examples
    --------
    >>> from napari_selfdeconv import preset
    >>> memory_outlook(preset("quick", 2, device="cpu"), (512, 512), (31, 31)).training_bytes > 1e8
    True
    """
    choice = device.choose_device(config.compute.device, config.compute.precision)
    return outlook(
        config,
        shape,
        psf_shape,
        tiles or TileConfig(),
        precision=choice.precision,
        free_bytes=device.free_memory_bytes(choice.device),
        frames=frames,
    )
