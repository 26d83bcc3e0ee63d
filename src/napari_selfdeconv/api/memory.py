"""An estimate of the memory of a run, before it starts."""

from __future__ import annotations

from collections.abc import Sequence

from napari_selfdeconv.api.expected_memory import Outlook, outlook
from napari_selfdeconv.compute import device
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
    """Estimate the memory of training and deconvolution on the device of ``config``, and the free memory there.

    Parameters
    ----------
    config, tiles : settings of the run.
    shape, psf_shape : shape of a frame and of the PSF, in voxels.
    frames : number of frames that are trained on.

    Raises
    ------
    ConfigError
        If the device is unknown or not available.

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
