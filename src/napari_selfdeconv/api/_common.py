"""What the entries share: tiled prediction, the record of a run, torch's errors in our words."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import napari_selfdeconv
from napari_selfdeconv import device
from napari_selfdeconv.calibration import calibrate
from napari_selfdeconv.config import TileConfig, TrainConfig
from napari_selfdeconv.errors import ComputeError
from napari_selfdeconv.events import Event, Progress, StopToken
from napari_selfdeconv.model import Model, bytes_per_voxel, predictors, psf_hash
from napari_selfdeconv.refinement import Refiner
from napari_selfdeconv.scaling import Standardizer
from napari_selfdeconv.tiling import Finish, choose_tile, predict_tiled


def predict(
    model: Model, standard: NDArray[np.float32], choice: device.Choice, tiles: TileConfig, stop: StopToken
) -> Generator[Event, None, NDArray[np.float32]]:
    """Return f of a standardised image, tile by tile, averaged as the model's settings say."""
    functions = predictors(model, choice, average=model.config.average_symmetries)
    result: NDArray[np.float32] = yield from predict_with(functions, model, standard, choice, tiles, stop)
    return result


def predict_with(
    functions: Sequence[Callable[[NDArray[np.float32]], NDArray[np.float32]]],
    model: Model,
    standard: Any,
    choice: device.Choice,
    tiles: TileConfig,
    stop: StopToken,
    out: Any = None,
    finish: Finish | None = None,
) -> Generator[Event, None, Any]:
    """Return the mean of ``functions`` over a standardised image; ``out``, ``finish`` as in `predict_tiled`."""
    tile = (
        choose_tile(
            standard.shape,
            bytes_per_voxel=bytes_per_voxel(model.config),
            budget_bytes=tiles.memory_share * device.free_memory_bytes(choice.device),
            overlap=tiles.overlap,
        )
        if tiles.tile is None
        else tuple(min(tiles.tile, n) for n in standard.shape)
    )
    align = model.network.unet.multiple
    work = predict_tiled(
        functions, standard, tile=tile, overlap=tiles.overlap, align=align, out=out, finish=finish
    )
    start = time.perf_counter()
    while True:
        try:
            done, total = next(work)
        except StopIteration as end:
            return end.value
        stop.raise_if_cancelled()
        seconds = time.perf_counter() - start
        yield Progress(
            stage="predict", step=done, steps=total, seconds=seconds, eta_s=seconds / done * (total - done)
        )


def deconvolve_whole(
    model: Model,
    image: NDArray[Any],
    scale: Standardizer,
    choice: device.Choice,
    tiles: TileConfig,
    stop: StopToken,
    refiner: Refiner | None = None,
) -> Generator[Event, None, NDArray[np.float32]]:
    """Deconvolve ``image`` with a trained model, in its own units; ``refiner`` serves all frames of a series."""
    standard = scale.apply(image)
    result = yield from predict(model, standard, choice, tiles, stop)
    if model.config.calibrate:
        gain, offset = calibrate(result, standard, model.psf, model.config.boundary)
        result = (gain * result + offset).astype(np.float32)
    if model.config.refine:
        result = (refiner or Refiner())(result, standard, model.psf, model.config.boundary)
    return scale.undo(result)


def new_provenance(
    config: TrainConfig,
    psf: NDArray[Any],
    choice: device.Choice,
    steps_done: int,
    voxel_um: Sequence[float] | None,
    *,
    continued: Model | None = None,
) -> dict[str, Any]:
    """Return the JSON-ready record of a training run; ``continued`` is the model it went on from."""
    record: dict[str, Any] = {
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
    if continued is not None:
        record["continued_from"] = dict(continued.provenance)
    return record


@contextmanager
def translated() -> Iterator[None]:
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
