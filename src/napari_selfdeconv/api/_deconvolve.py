"""Train on one image and deconvolve it."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv import device
from napari_selfdeconv.api._common import new_provenance, predict, translated
from napari_selfdeconv.config import TileConfig, TrainConfig, preset
from napari_selfdeconv.events import Event, Finished, StopToken, Warned, drain
from napari_selfdeconv.io import check_image
from napari_selfdeconv.model import Model
from napari_selfdeconv.preview import Previewer, Region
from napari_selfdeconv.psf_check import check_psf
from napari_selfdeconv.scaling import Standardizer
from napari_selfdeconv.train import train


@dataclass(frozen=True, kw_only=True)
class Deconvolution:
    """The result of a run.

    Attributes
    ----------
    image : float32, the input's shape and intensity units, not clipped.
    model : the trained network; `apply_model` or `save_model` take it.
    losses : history of every loss term as reported (not every step).
    seconds, device, precision, steps_done, stopped : how the run went.
    provenance : JSON-ready: version, settings, seed, PSF hash, and the above.
    """

    image: NDArray[np.float32]
    model: Model
    losses: dict[str, list[float]]
    seconds: float
    device: str
    precision: str
    steps_done: int
    stopped: bool
    provenance: dict[str, Any]


def iter_deconvolve(
    image: NDArray[Any],
    psf: NDArray[Any],
    config: TrainConfig | None = None,
    *,
    tiles: TileConfig | None = None,
    voxel_um: Sequence[float] | None = None,
    stop: StopToken | None = None,
    preview_every_s: float | None = None,
    preview_region: Callable[[], Region | None] | None = None,
) -> Generator[Event, None, Deconvolution]:
    """Train on one image, then predict it in tiles; yield events, return the result.

    Parameters
    ----------
    image : 2D or 3D array of any real dtype and size.
    psf : array with the same number of axes and the same voxel size, centre at ``n // 2``; it is used as
        it is, apart from division by its sum. See `prepare_psf` for a measured one.
    config : settings, by default ``preset("quick", image.ndim)``.
    tiles : tile size and overlap of the inference.
    voxel_um : voxel size in um, only recorded in the model and the provenance.
    stop : ``stop()`` ends training and keeps what there is, ``cancel()`` discards the run.
    preview_every_s : seconds between previews, None for no previews.
    preview_region : asked before each preview for the slices to predict (None: the centre). It is called
        in the thread that runs the generator, and must not touch a widget.

    Raises
    ------
    ConfigError
        For an image, PSF or setting that cannot be used; before the first event.
    ComputeError
        When the computation fails (memory, device, a loss that is no longer finite).
    Cancelled
        After ``stop.cancel()``.
    """
    started = time.perf_counter()
    image = check_image(image)
    config = config or preset("quick", image.ndim)
    psf, notes = check_psf(psf, image.shape)
    choice = device.choose(config.device, config.precision)
    scale = Standardizer.of(image)
    stop = stop or StopToken()
    standard = scale.apply(image)

    watch = (
        Previewer(standard, scale, choice, config, psf, preview_every_s, preview_region)
        if preview_every_s is not None
        else None
    )
    for note in notes:
        yield Warned(note)
    with translated():
        trained = yield from train(standard, psf, config, choice, bounds=scale.bounds, stop=stop, watch=watch)
        stopped = stop.stopped and trained.steps_done < config.steps
        provenance = new_provenance(config, psf, choice, trained.steps_done, voxel_um)
        model = Model(
            config=config,
            psf=psf,
            network=trained.network,
            voxel_um=None if voxel_um is None else tuple(map(float, voxel_um)),
            provenance=provenance,
        )
        result = yield from predict(model, standard, choice, tiles or TileConfig(), stop)
    seconds = time.perf_counter() - started
    yield Finished(seconds=seconds, steps_done=trained.steps_done, stopped=stopped)
    return Deconvolution(
        image=scale.undo(result),
        model=model,
        losses=trained.losses,
        seconds=seconds,
        device=str(choice.device),
        precision=str(choice.dtype).removeprefix("torch."),
        steps_done=trained.steps_done,
        stopped=stopped,
        provenance={**provenance, "seconds": round(seconds, 3), "stopped": stopped},
    )


def deconvolve(
    image: NDArray[Any],
    psf: NDArray[Any],
    config: TrainConfig | None = None,
    *,
    tiles: TileConfig | None = None,
    voxel_um: Sequence[float] | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> Deconvolution:
    """Train on one image and deconvolve it; see `iter_deconvolve` for the parameters.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_selfdeconv import deconvolve, preset
    >>> image = np.random.default_rng(0).random((32, 32))
    >>> psf = np.ones((3, 3)) / 9
    >>> config = preset("quick", 2, steps=2, patch=16, features=4, batch_size=1)
    >>> deconvolve(image, psf, config).image.shape
    (32, 32)
    """
    return drain(iter_deconvolve(image, psf, config, tiles=tiles, voxel_um=voxel_um), on_event)
