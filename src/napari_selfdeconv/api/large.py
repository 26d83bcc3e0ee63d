"""Images larger than memory: the network is trained on a block, and each tile is written when it is predicted."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.api.checkpoints import Checkpoint, JobCheckpoint, discards_checkpoint
from napari_selfdeconv.api.large_tiles import TrainedTiles, core_shape, predict_into, ready_for_tiles
from napari_selfdeconv.api.large_view import PartInView, inside_block, moved_from
from napari_selfdeconv.api.provenance import large_record, run_record
from napari_selfdeconv.api.training import iter_train, weights_to_begin
from napari_selfdeconv.arrays.check_pieces import check_pieces
from napari_selfdeconv.arrays.out_of_core import block_around, training_block
from napari_selfdeconv.config.checks import check_voxel
from napari_selfdeconv.config.tiles import TileConfig
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.errors import ConfigError, ConstantImage
from napari_selfdeconv.events import Event, Filling, Finished, Warned, mapped, report_progress
from napari_selfdeconv.inference.make_ready import make_ready
from napari_selfdeconv.inference.predict import deconvolve_whole, on_device
from napari_selfdeconv.inference.prepare import Problem, settings_for
from napari_selfdeconv.inference.preview import Region
from napari_selfdeconv.inference.refine import Refiner
from napari_selfdeconv.inference.weigh import WeighedPieces, Weights
from napari_selfdeconv.io.checks import check_sliceable
from napari_selfdeconv.io.ome_zarr import record_provenance
from napari_selfdeconv.io.savable import Savable
from napari_selfdeconv.network.model import Model
from napari_selfdeconv.stop_token import StopToken

COMPACT = (
    "The image is too large to estimate the light from far planes. The compact part of the PSF is used, and such "
    "light stays in the result as haze. To remove it, deconvolve a part of the image."
)


@dataclass(frozen=True, kw_only=True, repr=False)
class LargeDeconvolution(Savable):
    """The result of a run on an image larger than memory.

    Attributes
    ----------
    image : the array that the result was written into.
    model : the trained network.
    provenance : JSON-ready record of the run.

    Examples
    --------
    >>> from napari_selfdeconv import preset
    >>> from napari_selfdeconv.events import drain
    >>> image, out = np.random.default_rng(0).random((32, 32)), np.zeros((32, 32), np.float32)
    >>> config = preset("quick", 2, steps=1, patch=16, features=2, batch_size=1, pretrained=False)
    >>> result = drain(iter_deconvolve_large(image, np.ones((3, 3)) / 9, config, out=out))
    >>> result.image is out, result.model.config.optimiser.steps
    (True, 1)
    """

    image: Any
    model: Model
    provenance: dict[str, Any]


def iter_deconvolve_large(
    image: Any,
    psf: NDArray[Any],
    config: TrainConfig | None = None,
    *,
    out: Any,
    weights: Weights = None,
    region: Region | None = None,
    tiles: TileConfig | None = None,
    voxel_um: Sequence[float] | None = None,
    stop: StopToken | None = None,
    preview_every_s: float | None = None,
    preview_region: Callable[[], Region | None] | None = None,
    preview_extra: Callable[[], bool] | None = None,
    instant_first: bool = False,
    checkpoint: Checkpoint | None = None,
) -> Generator[Event, None, LargeDeconvolution]:
    """Deconvolve an image that need not fit into memory.

    Parameters
    ----------
    image : 2D or 3D array-like that can be sliced: numpy, dask, zarr. It is never read as a whole.
    out : array of the same shape that can be assigned to, such as that of `create_zarr`. The result is written
        into it tile by tile, as float32 in the units of the image.
    weights : as in `iter_deconvolve`. An array need not be in memory either. "auto" examines the training block
        and each tile separately.
    region : part of the image to train around; None takes the block with the most contrast among eight random
        ones, or among up to 64 if these are constant.
    psf, config, tiles, voxel_um, stop, preview_every_s, preview_region, preview_extra, checkpoint : as in
        `iter_deconvolve`. A preview only shows the training block.
    instant_first : whether a part of the image is deconvolved with the initial weights before training, as an
        `Interim` of step 0 with its ``offset``. It is the middle of ``preview_region``, and a million voxels at
        most. Better results of it follow as in `iter_deconvolve`. Each is the result of the part alone, so gain,
        offset and refinement may differ a little from those of the whole image.

    Notes
    -----
    Every pixel is checked first, so the image is read once before training unless it holds whole numbers. Mean,
    standard deviation, noise, the final gain and offset, and the refinement are those of the block. A dark border
    is brightened only if the whole image fits into the block. The memory does not grow with the image.

    Raises
    ------
    ConfigError, ComputeError, Cancelled
        As `iter_deconvolve`; also if ``out`` has another shape. A pixel that is not finite raises an error after
        the first events and before training.

    Examples
    --------
    >>> from napari_selfdeconv import preset
    >>> from napari_selfdeconv.events import drain
    >>> image, out = np.random.default_rng(0).random((32, 32)), np.zeros((32, 32), np.float32)
    >>> config = preset("quick", 2, steps=2, patch=16, features=2, batch_size=1, pretrained=False)
    >>> drain(iter_deconvolve_large(image, np.ones((3, 3)) / 9, config, out=out)).image is out
    True
    """
    check_sliceable(image, out)
    shape = tuple(int(n) for n in image.shape)
    if tuple(out.shape) != shape:
        raise ConfigError(f"out must have the image's shape {shape}, got {tuple(out.shape)}")
    work = fill_tiles(
        image,
        psf,
        config,
        place=InMemory(out),
        weights=weights,
        region=region,
        tiles=tiles,
        voxel_um=voxel_um,
        stop=stop,
        preview_every_s=preview_every_s,
        preview_region=preview_region,
        preview_extra=preview_extra,
        instant_first=instant_first,
        checkpoint=checkpoint,
    )
    return (yield from work)


class Place(Protocol):
    """The place that tiles are written to."""

    def earlier(self, problem: Problem, config: TrainConfig) -> TrainedTiles | None:
        """Return the state of an earlier run on the same block, mask and PSF, and its settings; None to start."""
        ...

    def begin(self, trained: TrainedTiles, core: tuple[int, ...]) -> Any:
        """Return the array to write into. Its tiles have the size ``core``; the last ones are smaller."""
        ...

    @property
    def is_there(self) -> Callable[[tuple[slice, ...]], bool] | None:
        """Whether a tile is written already; None if there is no earlier run."""
        ...


@dataclass(frozen=True)
class InMemory:
    """An existing array that holds no tiles yet."""

    out: Any

    def earlier(self, problem: Problem, config: TrainConfig) -> TrainedTiles | None:
        del problem, config
        return None

    def begin(self, trained: TrainedTiles, core: tuple[int, ...]) -> Any:
        del trained, core
        return self.out

    @property
    def is_there(self) -> Callable[[tuple[slice, ...]], bool] | None:
        return None


@discards_checkpoint
def fill_tiles(
    image: Any,
    psf: NDArray[Any],
    config: TrainConfig | None = None,
    *,
    place: Place,
    weights: Weights = None,
    region: Region | None = None,
    tiles: TileConfig | None = None,
    voxel_um: Sequence[float] | None = None,
    stop: StopToken | None = None,
    preview_every_s: float | None = None,
    preview_region: Callable[[], Region | None] | None = None,
    preview_extra: Callable[[], bool] | None = None,
    instant_first: bool = False,
    checkpoint: Checkpoint | None = None,
) -> Generator[Event, None, LargeDeconvolution]:
    """Train, unless an earlier run did, and compute the missing tiles; see `iter_deconvolve_large`."""
    started = time.perf_counter()
    check_sliceable(image)
    shape = tuple(int(n) for n in image.shape)
    if voxel_um is not None:
        check_voxel("voxel_um", voxel_um, len(shape))  # before the image is read
    stop, tiles = stop or StopToken(), tiles or TileConfig()
    if weights is not None and not isinstance(weights, str) and tuple(weights.shape) != shape:
        raise ConfigError(f"the weights have shape {tuple(weights.shape)} and the image {shape}")
    pieces = WeighedPieces(image, weights)
    block = training_block(pieces) if region is None else block_around(shape, region)
    data = np.asarray(image[block])
    config, whole = settings_for(data, config), data.shape == shape
    of_block = weights if weights is None or isinstance(weights, str) else np.asarray(weights[block])
    # Only the border of the whole image can be brightened. The border of a block is inside the image.
    where = ", ".join(f"{s.start} to {s.stop}" for s in block)
    try:
        problem = Problem.of(data, psf, config if whole else config.replace(even_border=False), weights=of_block)
    except ConstantImage as error:
        if whole:
            raise
        raise ConstantImage(
            f"the image is too large to train on all of it, and the block {where} is constant",
            "train around a place with structure: move the view there, or give its region",
        ) from error
    weights_to_begin(problem if whole else problem.with_compact_psf(), config)
    earlier = place.earlier(problem, config)
    job = JobCheckpoint.of(checkpoint, [problem], config)
    pieces = replace(pieces, empty=problem.scale.mean)
    weights_of = pieces.weights_of
    if whole:
        problem = yield from make_ready(problem, config, stop, in_tiles=True)
        image, weights_of = problem.image, problem.weights_of
    elif problem.whole_psf is not None:
        yield Warned(COMPACT)
        problem = problem.with_compact_psf()
    if not whole and earlier is None:
        yield from report_progress(check_pieces(pieces), "check", stop)
        yield Warned(f"The image is too large to use all of it: training and scaling used the block {where}.")
    trained = earlier
    if trained is None:
        part = None
        if instant_first:
            region = None if preview_region is None else inside_block(preview_region(), block)
            part = PartInView.of(problem, region)
        work = iter_train(
            [problem],
            config,
            voxel_um=voxel_um,
            stop=stop,
            preview_every_s=preview_every_s,
            preview_region=None if preview_region is None else lambda: inside_block(preview_region(), block),
            preview_extra=preview_extra,
            instant=None if part is None else partial(part.deconvolve, tiles=tiles, stop=stop),
            memory_share=tiles.memory_share,
            checkpoint=job,
        )
        training = yield from mapped(work, moved_from(block, part))
        trained = yield from ready_for_tiles(training, problem, tiles, shape, stop)
    model, choice = trained.model, trained.choice
    context = trained.work.reach(model.psf.shape)
    out = place.begin(trained, core_shape(model, trained.tiles, shape, context))
    yield Filling(image=out)
    refined = trained.work.iterations
    with on_device(model, choice):
        if problem.scene_is_refined:
            refiner = Refiner(choice.device)
            result, tiles = yield from deconvolve_whole(model, problem, choice, trained.tiles, stop, refiner)
            refined = refiner.iterations
            out[...] = result
        else:
            source = image if whole else pieces
            tiles = yield from predict_into(
                trained, source, weights_of, out, stop, context, place.is_there,
                estimate=None if problem.far is None else problem.far.estimate,
            )  # fmt: skip
    outcome, seconds = trained.outcome, time.perf_counter() - started
    yield Finished(
        seconds=seconds,
        steps_done=outcome["steps_done"],
        stopped=outcome["stopped"],
        converged=outcome["converged"],
        refined_iterations=refined or 0,
        kept_share=outcome["kept_share"],
    )
    record = run_record(
        model,
        tiles=tiles,
        seconds=seconds,
        problem=problem,
        refined_iterations=refined,
        stopped=outcome["stopped"],
        converged=outcome["converged"],
    )
    provenance = large_record(record, block)
    record_provenance(out, provenance)
    return LargeDeconvolution(image=out, model=model, provenance=provenance)
