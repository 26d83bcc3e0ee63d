"""Images larger than memory: trained on a block, predicted tile by tile, written as they come."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.api.provenance import large_record, run_record
from napari_selfdeconv.api.training import iter_train
from napari_selfdeconv.arrays.out_of_core import Mapped, block_around, training_block
from napari_selfdeconv.arrays.scaling import Standardizer
from napari_selfdeconv.arrays.tiling import Finish
from napari_selfdeconv.compute import device
from napari_selfdeconv.config.checks import check_voxel_um
from napari_selfdeconv.config.tiles import TileConfig
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.events import Event, Filling, Finished, Preview, Warned, mapped, report_progress
from napari_selfdeconv.inference.calibrate import calibrate
from napari_selfdeconv.inference.predict import (
    CLIPPED,
    choose_refinement,
    deconvolve_whole,
    fill_in_tile,
    on_device,
    predict_with,
)
from napari_selfdeconv.inference.prepare import Problem, check_pieces, settings_for
from napari_selfdeconv.inference.preview import Region
from napari_selfdeconv.inference.refine import Light, Refiner, refinement_reach
from napari_selfdeconv.inference.views import predictors
from napari_selfdeconv.io.ome_zarr import record_provenance
from napari_selfdeconv.io.savable import Savable
from napari_selfdeconv.network.model import Model
from napari_selfdeconv.stop_token import StopToken


@dataclass(frozen=True, kw_only=True, repr=False)
class LargeDeconvolution(Savable):
    """The array that was written into, the model, and the record of the run."""

    image: Any
    model: Model
    provenance: dict[str, Any]


def iter_deconvolve_large(
    image: Any,
    psf: NDArray[Any],
    config: TrainConfig | None = None,
    *,
    out: Any,
    region: Region | None = None,
    tiles: TileConfig | None = None,
    voxel_um: Sequence[float] | None = None,
    stop: StopToken | None = None,
    preview_every_s: float | None = None,
    preview_region: Callable[[], Region | None] | None = None,
    preview_extra: Callable[[], bool] | None = None,
) -> Generator[Event, None, LargeDeconvolution]:
    """Deconvolve an image that need not fit into memory.

    Parameters
    ----------
    image : 2D or 3D array-like that can be sliced: numpy, dask, zarr. Never read as a whole.
    out : array of its shape that can be sliced and assigned to, such as `create_zarr`'s; the result is
        written into it tile by tile, float32, in the image's units.
    region : what to train around; None takes the block with the most contrast of eight at random.
    psf, config, tiles, voxel_um, stop, preview_every_s, preview_region, preview_extra : as `iter_deconvolve`. A
        preview shows the block that is trained on, whatever is asked for outside it.

    Notes
    -----
    Every pixel is checked first, so the image is read once before training unless it holds whole numbers. Mean and
    standard deviation, noise, the final gain and offset, and how strongly the residual is put back are those of
    the block. A dark border is evened only if the whole image fits the block. The memory taken does not grow with
    the image.

    Raises
    ------
    ConfigError, ComputeError, Cancelled
        As `iter_deconvolve`; also if ``out`` has another shape. A pixel that is not finite is found while the
        image is checked, after the first events and before training.
    """
    started = time.perf_counter()
    shape = tuple(int(n) for n in image.shape)
    if tuple(out.shape) != shape:
        raise ConfigError(f"out must have the image's shape {shape}, got {tuple(out.shape)}")
    if voxel_um is not None:
        check_voxel_um(voxel_um, len(shape))  # before the image is read
    stop, tiles = stop or StopToken(), tiles or TileConfig()
    block = training_block(image) if region is None else block_around(shape, region)
    data = np.asarray(image[block])
    config, whole = settings_for(data, config), data.shape == shape
    # The border of a block is not the border of the image: only that of the whole image can be evened.
    problem = Problem.of(data, psf, config if whole else None)
    if whole:
        image = problem.image
    else:
        yield from report_progress(check_pieces(image), "check", stop)
        where = ", ".join(f"{s.start} to {s.stop}" for s in block)
        yield Warned(f"Trained and scaled on the block {where} of the image, which is too large for all of it.")
    work = iter_train(
        [problem],
        config,
        voxel_um=voxel_um,
        stop=stop,
        preview_every_s=preview_every_s,
        preview_region=None if preview_region is None else lambda: _inside(preview_region(), block),
        preview_extra=preview_extra,
        memory_share=tiles.memory_share,
    )
    training = yield from mapped(work, lambda event: _moved(event, block))
    model, choice = training.model, training.choice
    with on_device(model, choice):
        # One tile for the block and for the image, whatever is chosen in between: so a run can be repeated.
        furthest = refinement_reach(model.psf.shape) if model.config.result.refine else None
        tiles = fill_in_tile(tiles, model, shape, choice, furthest)
        refiner = Refiner(choice.device)
        finish = yield from _finish(model, problem, choice, tiles, stop, refiner)
        yield Filling(image=out)
        context = refinement_reach(model.psf.shape, refiner.iterations or 0)
        tiles = yield from predict_into(model, image, problem.scale, out, choice, tiles, stop, finish, context)
    run, seconds = training.run, time.perf_counter() - started
    yield Finished(
        seconds=seconds,
        steps_done=run.steps_done,
        stopped=training.stopped,
        converged=run.converged,
        refined_iterations=refiner.iterations or 0,
        kept_share=run.selected.share,
    )
    record = run_record(
        model,
        tiles=tiles,
        seconds=seconds,
        problem=problem,
        refined_iterations=refiner.iterations,
        stopped=training.stopped,
        converged=run.converged,
    )
    provenance = large_record(record, block)
    record_provenance(out, provenance)
    return LargeDeconvolution(image=out, model=model, provenance=provenance)


def predict_into(
    model: Model,
    image: Any,
    scale: Standardizer,
    out: Any,
    choice: device.Choice,
    tiles: TileConfig,
    stop: StopToken,
    finish: Finish,
    context: Sequence[int],
) -> Generator[Event, None, TileConfig]:
    """Deconvolve ``image`` tile by tile into ``out``, return the tiles it took.

    ``finish`` is done to each tile, and needs ``context`` around it.
    """
    views = predictors(model, choice, average=model.config.result.average_symmetries)
    standard = Mapped(image, scale.apply)
    work = predict_with(views, model, standard, choice, tiles, stop, out=out, finish=finish, context=context)
    _, tiles = yield from work
    return tiles


def _finish(
    model: Model,
    problem: Problem,
    choice: device.Choice,
    tiles: TileConfig,
    stop: StopToken,
    refiner: Refiner,
) -> Generator[Event, None, Finish]:
    """Return what is done to every tile: gain, offset, units, refinement, as chosen on the training block."""
    config = model.config
    gain, offset = 1.0, 0.0
    light: Light | None = None
    scale = problem.scale
    if config.result.calibrate or config.result.refine:
        plain = replace(model, config=config.replace(calibrate=False, refine=False))
        whole, _ = yield from deconvolve_whole(plain, problem, choice, tiles, stop)
        block = scale.apply(whole)
        if config.result.calibrate:
            gain, offset, cut_off = calibrate(
                block, problem.standard, model.psf, config.boundary, weights=problem.weights
            )
            if cut_off:
                yield Warned(CLIPPED)

    def finish(result: NDArray[np.float32], tile: NDArray[np.float32]) -> NDArray[np.float32]:
        result = scale.undo(gain * result + offset)
        if config.result.refine:
            # A tile of background alone has not the noise of the image: what the block has is taken.
            for _ in refiner(result, scale.undo(tile), model.psf, config.boundary, light):
                stop.raise_if_cancelled()
        return result

    if config.result.refine:
        unrefined = scale.undo(gain * block + offset)
        yield from choose_refinement(refiner, unrefined, problem, model, stop)
        light = refiner.light(unrefined, problem.image, model.psf, config.boundary, problem.weights)
    return finish


def _inside(region: Region | None, block: tuple[slice, ...]) -> Region | None:
    """Return the part of ``region`` that lies in the block, in the block's own indices; None if none does."""
    if region is None:
        return None
    parts = []
    for s, b in zip(region, block, strict=True):
        low, high = max(s.start, b.start), min(s.stop, b.stop)
        if low >= high:
            return None
        parts.append(slice(low - b.start, high - b.start))
    return tuple(parts)


def _moved(event: Event, block: tuple[slice, ...]) -> Event:
    """Put a preview where it lies in the whole image."""
    if not isinstance(event, Preview):
        return event
    return replace(event, offset=tuple(o + b.start for o, b in zip(event.offset, block, strict=True)))
