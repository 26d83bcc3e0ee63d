"""The one entry for the GUI, the command line and notebooks: arrays in, events on the way, arrays out."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import napari_selfdeconv
from napari_selfdeconv import classical, device
from napari_selfdeconv.config import TileConfig, TrainConfig, check_whole, preset
from napari_selfdeconv.errors import ComputeError, ConfigError
from napari_selfdeconv.events import Event, Finished, Progress, StopToken, Warned, drain
from napari_selfdeconv.io import check_image
from napari_selfdeconv.model import Model, bytes_per_voxel, place, predictors, psf_hash
from napari_selfdeconv.model_file import load_model, save_model
from napari_selfdeconv.preview import Previewer, Region
from napari_selfdeconv.psf import psf_for_image, richards_wolf_psf, suggest_psf_shape
from napari_selfdeconv.psf_check import check_psf
from napari_selfdeconv.psf_prepare import fit_to_voxels, prepare_psf
from napari_selfdeconv.scaling import Standardizer
from napari_selfdeconv.tiling import choose_tile, predict_tiled
from napari_selfdeconv.train import train

__all__ = [
    "Deconvolution",
    "apply_model",
    "deconvolve",
    "fit_to_voxels",
    "iter_apply_model",
    "iter_deconvolve",
    "iter_richardson_lucy",
    "load_model",
    "prepare_psf",
    "psf_for_image",
    "richards_wolf_psf",
    "richardson_lucy",
    "save_model",
    "suggest_psf_shape",
]

# Share of the free memory that tiled inference may plan with.
_MEMORY_SHARE = 0.5


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
    with _translated():
        trained = yield from train(standard, psf, config, choice, bounds=scale.bounds, stop=stop, watch=watch)
        stopped = stop.stopped and trained.steps_done < config.steps
        provenance = _provenance(config, psf, choice, trained.steps_done, voxel_um)
        model = Model(
            config=config,
            psf=psf,
            network=trained.network,
            voxel_um=None if voxel_um is None else tuple(map(float, voxel_um)),
            provenance=provenance,
        )
        result = yield from _predict(model, standard, choice, tiles or TileConfig(), stop)
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


def iter_apply_model(
    model: Model,
    image: NDArray[Any],
    *,
    tiles: TileConfig | None = None,
    stop: StopToken | None = None,
    device_name: str = "auto",
) -> Generator[Event, None, NDArray[np.float32]]:
    """Deconvolve another image with a trained model, in tiles; yield Progress, return float32.

    The image is standardised by its own mean and variance. It needs as many axes as the model's PSF.

    Raises
    ------
    ConfigError, ComputeError, Cancelled
        As `iter_deconvolve`.
    """
    started = time.perf_counter()
    image = check_image(image)
    if image.ndim != model.psf.ndim:
        raise ConfigError(f"the model is for {model.psf.ndim}D images, got an image of shape {image.shape}")
    choice = device.choose(device_name, model.config.precision)
    scale = Standardizer.of(image)
    with _translated():
        place(model.network, choice, image.ndim)
        result = yield from _predict(model, scale.apply(image), choice, tiles or TileConfig(), stop or StopToken())
    yield Finished(seconds=time.perf_counter() - started, steps_done=0, stopped=False)
    return scale.undo(result)


def apply_model(
    model: Model,
    image: NDArray[Any],
    *,
    tiles: TileConfig | None = None,
    device_name: str = "auto",
    on_event: Callable[[Event], None] | None = None,
) -> NDArray[np.float32]:
    """Deconvolve another image with a trained model; see `iter_apply_model`."""
    return drain(iter_apply_model(model, image, tiles=tiles, device_name=device_name), on_event)


def iter_richardson_lucy(
    image: NDArray[Any],
    psf: NDArray[Any],
    iterations: Sequence[int] = (2, 5, 10, 20),
    *,
    stop: StopToken | None = None,
    device_name: str = "auto",
) -> Generator[Event, None, dict[int, NDArray[np.float32]]]:
    """Run Richardson-Lucy once and keep the estimate at each count.

    The image continues by reflection at its border, negative values count as 0, the start is its mean.

    Returns
    -------
    dict from count to float32 array in the image's own units; after ``stop.stop()`` only the counts reached.

    Raises
    ------
    ConfigError, ComputeError, Cancelled
        As `iter_deconvolve`.
    """
    started = time.perf_counter()
    image = check_image(image)
    psf, notes = check_psf(psf, image.shape)
    counts = sorted(set(iterations))
    if not counts:
        raise ConfigError("iterations must name at least one count, got none")
    for count in counts:
        check_whole("iterations", count, 1, 100_000)
    if image.max() <= 0:
        raise ConfigError("Richardson-Lucy needs positive intensities, and the image has none")
    choice = device.choose(device_name, "float32")
    stop = stop or StopToken()
    for note in notes:
        yield Warned(note)
    with _translated():
        results = yield from classical.iter_lucy(image, psf, counts, device=choice.device, stop=stop)
    yield Finished(
        seconds=time.perf_counter() - started, steps_done=max(results), stopped=max(results) < counts[-1]
    )
    return results


def richardson_lucy(
    image: NDArray[Any], psf: NDArray[Any], iterations: int = 10, *, device_name: str = "auto"
) -> NDArray[np.float32]:
    """Return the Richardson-Lucy estimate after ``iterations``; see `iter_richardson_lucy`.

    Examples
    --------
    >>> import numpy as np
    >>> float(richardson_lucy(np.eye(16), np.ones((1, 1)), 3).max())
    1.0
    """
    return drain(iter_richardson_lucy(image, psf, (iterations,), device_name=device_name), None)[iterations]


def _predict(
    model: Model, standard: NDArray[np.float32], choice: device.Choice, tiles: TileConfig, stop: StopToken
) -> Generator[Event, None, NDArray[np.float32]]:
    tile = (
        choose_tile(
            standard.shape,
            bytes_per_voxel=bytes_per_voxel(model.config),
            budget_bytes=_MEMORY_SHARE * device.free_memory_bytes(choice.device),
            overlap=tiles.overlap,
        )
        if tiles.tile is None
        else tuple(min(tiles.tile, n) for n in standard.shape)
    )
    functions = predictors(model, choice, average=model.config.average_symmetries)
    work = predict_tiled(functions, standard, tile=tile, overlap=tiles.overlap, align=model.network.unet.multiple)
    start = time.perf_counter()
    while True:
        try:
            done, total = next(work)
        except StopIteration as end:
            result: NDArray[np.float32] = end.value
            return result
        stop.raise_if_cancelled()
        seconds = time.perf_counter() - start
        yield Progress(
            stage="predict", step=done, steps=total, seconds=seconds, eta_s=seconds / done * (total - done)
        )


def _provenance(
    config: TrainConfig,
    psf: NDArray[Any],
    choice: device.Choice,
    steps_done: int,
    voxel_um: Sequence[float] | None,
) -> dict[str, Any]:
    return {
        "software": "napari-selfdeconv",
        "version": napari_selfdeconv.__version__,
        "torch": str(torch.__version__),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "config": config.to_dict(),
        "seed": config.seed,
        "psf_sha256": psf_hash(psf),
        "psf_shape": list(psf.shape),
        "voxel_um": None if voxel_um is None else [float(v) for v in voxel_um],
        "device": str(choice.device),
        "precision": str(choice.dtype).removeprefix("torch."),
        "steps_done": steps_done,
    }


@contextmanager
def _translated() -> Iterator[None]:
    """Turn torch's RuntimeErrors into ComputeError: napari's worker would swallow them and hang."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise ComputeError(
            "the device ran out of memory: use a smaller batch, patch or tile, or the CPU"
        ) from error
    except (RuntimeError, MemoryError) as error:
        if "can't allocate memory" in str(error) or isinstance(error, MemoryError):
            raise ComputeError(
                "this computer ran out of memory: use a smaller batch, patch or tile, or a smaller image"
            ) from error
        raise ComputeError(f"the computation failed: {error}") from error
