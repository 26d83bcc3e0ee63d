"""Images larger than memory: trained on a block, predicted tile by tile, written as they come."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.api.checkpoints import Checkpoint, JobCheckpoint, discards_checkpoint
from napari_selfdeconv.api.provenance import large_record, run_record
from napari_selfdeconv.api.training import Training, iter_train
from napari_selfdeconv.arrays.out_of_core import Mapped, block_around, training_block
from napari_selfdeconv.arrays.scaling import Standardizer
from napari_selfdeconv.arrays.tiling import Finish, tile_spans
from napari_selfdeconv.compute import device
from napari_selfdeconv.config.checks import check_voxel_um
from napari_selfdeconv.config.tiles import TileConfig
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.events import Event, Filling, Finished, Preview, Warned, mapped, report_progress
from napari_selfdeconv.inference.predict import (
    CLIPPED,
    check_network,
    choose_refinement,
    fill_in_tile,
    light_of_result,
    make_ready,
    on_device,
    predict_and_fit,
    predict_with,
)
from napari_selfdeconv.inference.prepare import Problem, check_pieces, settings_for, to_light
from napari_selfdeconv.inference.preview import Region
from napari_selfdeconv.inference.refine import Light, Refiner, refinement_reach
from napari_selfdeconv.inference.views import predictors
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
    image : the array that was written into.
    model : the trained network.
    provenance : JSON-ready record of the run.
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
    region: Region | None = None,
    tiles: TileConfig | None = None,
    voxel_um: Sequence[float] | None = None,
    stop: StopToken | None = None,
    preview_every_s: float | None = None,
    preview_region: Callable[[], Region | None] | None = None,
    preview_extra: Callable[[], bool] | None = None,
    checkpoint: Checkpoint | None = None,
) -> Generator[Event, None, LargeDeconvolution]:
    """Deconvolve an image that need not fit into memory.

    Parameters
    ----------
    image : 2D or 3D array-like that can be sliced: numpy, dask, zarr. Never read as a whole.
    out : array of its shape that can be sliced and assigned to, such as `create_zarr`'s; the result is
        written into it tile by tile, float32, in the image's units.
    region : what to train around; None takes the block with the most contrast of eight at random.
    psf, config, tiles, voxel_um, stop, preview_every_s, preview_region, preview_extra, checkpoint : as
        `iter_deconvolve`. A preview shows the block that is trained on, whatever is asked for outside it.

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

    Examples
    --------
    >>> from napari_selfdeconv import preset
    >>> from napari_selfdeconv.events import drain
    >>> image, out = np.random.default_rng(0).random((32, 32)), np.zeros((32, 32), np.float32)
    >>> config = preset("quick", 2, steps=2, patch=16, features=2, batch_size=1, pretrained=False)
    >>> drain(iter_deconvolve_large(image, np.ones((3, 3)) / 9, config, out=out)).image is out
    True
    """
    shape = tuple(int(n) for n in image.shape)
    if tuple(out.shape) != shape:
        raise ConfigError(f"out must have the image's shape {shape}, got {tuple(out.shape)}")
    work = fill_tiles(
        image,
        psf,
        config,
        place=InMemory(out),
        region=region,
        tiles=tiles,
        voxel_um=voxel_um,
        stop=stop,
        preview_every_s=preview_every_s,
        preview_region=preview_region,
        preview_extra=preview_extra,
        checkpoint=checkpoint,
    )
    return (yield from work)


@dataclass(frozen=True, kw_only=True)
class TrainedTiles:
    """A trained model and all that its tiles need: what a run that was killed has left.

    Attributes
    ----------
    model, work, tiles : as they were when the first tile was computed.
    choice : device and precision.
    outcome : stopped, converged, share and steps of the training.
    """

    model: Model
    work: TileWork
    tiles: TileConfig
    choice: device.Choice
    outcome: Mapping[str, Any]


class Place(Protocol):
    """Where tiles go."""

    def earlier(self, block: NDArray[Any], psf: NDArray[Any]) -> TrainedTiles | None:
        """Return what an earlier run on the same block and PSF has left; None to begin."""
        ...

    def begin(self, trained: TrainedTiles, core: tuple[int, ...]) -> Any:
        """Return the array to write into; its tiles have the size ``core``, the last ones less."""
        ...

    @property
    def is_there(self) -> Callable[[tuple[slice, ...]], bool] | None:
        """Whether a tile is written already; None if none can be."""
        ...


@dataclass(frozen=True)
class InMemory:
    """An array that is there and empty."""

    out: Any

    def earlier(self, block: NDArray[Any], psf: NDArray[Any]) -> TrainedTiles | None:
        del block, psf
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
    region: Region | None = None,
    tiles: TileConfig | None = None,
    voxel_um: Sequence[float] | None = None,
    stop: StopToken | None = None,
    preview_every_s: float | None = None,
    preview_region: Callable[[], Region | None] | None = None,
    preview_extra: Callable[[], bool] | None = None,
    checkpoint: Checkpoint | None = None,
) -> Generator[Event, None, LargeDeconvolution]:
    """Train, unless an earlier run did, and compute the tiles that are not there; see `iter_deconvolve_large`."""
    started = time.perf_counter()
    shape = tuple(int(n) for n in image.shape)
    if voxel_um is not None:
        check_voxel_um(voxel_um, len(shape))  # before the image is read
    stop, tiles = stop or StopToken(), tiles or TileConfig()
    block = training_block(image) if region is None else block_around(shape, region)
    data = np.asarray(image[block])
    config, whole = settings_for(data, config), data.shape == shape
    # The border of a block is not the border of the image: only that of the whole image can be evened.
    problem = Problem.of(data, psf, config if whole else config.replace(even_border=False))
    earlier = place.earlier(problem.image, problem.given_psf)
    job = JobCheckpoint.of(checkpoint, [problem], config)
    if whole:
        problem = yield from make_ready(problem, config, stop)
        image = problem.image
    elif problem.whole_psf is not None:
        yield Warned(COMPACT)
        problem = problem.with_compact_psf()
    if not whole and earlier is None:
        yield from report_progress(check_pieces(image), "check", stop)
        where = ", ".join(f"{s.start} to {s.stop}" for s in block)
        yield Warned(f"Trained and scaled on the block {where} of the image, which is too large for all of it.")
    trained = earlier
    if trained is None:
        work = iter_train(
            [problem],
            config,
            voxel_um=voxel_um,
            stop=stop,
            preview_every_s=preview_every_s,
            preview_region=None if preview_region is None else lambda: _inside(preview_region(), block),
            preview_extra=preview_extra,
            memory_share=tiles.memory_share,
            checkpoint=job,
        )
        training = yield from mapped(work, lambda event: _moved(event, block))
        trained = yield from _ready_for_tiles(training, problem, tiles, shape, stop)
    model, choice = trained.model, trained.choice
    context = refinement_reach(model.psf.shape, trained.work.iterations or 0)
    out = place.begin(trained, core_shape(model, trained.tiles, shape, context))
    yield Filling(image=out)
    with on_device(model, choice):
        tiles = yield from predict_into(trained, image, out, stop, context, place.is_there)
    outcome, seconds = trained.outcome, time.perf_counter() - started
    yield Finished(
        seconds=seconds,
        steps_done=outcome["steps_done"],
        stopped=outcome["stopped"],
        converged=outcome["converged"],
        refined_iterations=trained.work.iterations or 0,
        kept_share=outcome["kept_share"],
    )
    record = run_record(
        model,
        tiles=tiles,
        seconds=seconds,
        problem=problem,
        refined_iterations=trained.work.iterations,
        stopped=outcome["stopped"],
        converged=outcome["converged"],
    )
    provenance = large_record(record, block)
    record_provenance(out, provenance)
    return LargeDeconvolution(image=out, model=model, provenance=provenance)


def core_shape(model: Model, tiles: TileConfig, shape: Sequence[int], context: Sequence[int]) -> tuple[int, ...]:
    """Return the size of the pieces that tiles give the result."""
    assert isinstance(tiles.tile, tuple)  # `fill_in_tile` has filled it in
    wider = map(max, model.network.context, context)
    spans = [
        tile_spans(n, t, c, model.network.unet.multiple)[0].core
        for n, t, c in zip(shape, tiles.tile, wider, strict=True)
    ]
    return tuple(span.stop - span.start for span in spans)


def _ready_for_tiles(
    training: Training, problem: Problem, tiles: TileConfig, shape: Sequence[int], stop: StopToken
) -> Generator[Event, None, TrainedTiles]:
    """Choose the tile and what is done to every one."""
    model, choice = training.model, training.choice
    with on_device(model, choice):
        # One tile for the block and for the image, whatever is chosen in between: so a run can be repeated.
        furthest = refinement_reach(model.psf.shape) if model.config.result.refine else None
        tiles = fill_in_tile(tiles, model, shape, choice, furthest)
        work = yield from _tile_work(model, problem, choice, tiles, stop)
    outcome = {
        "steps_done": training.run.steps_done,
        "stopped": training.stopped,
        "converged": training.run.converged,
        "kept_share": training.run.selected.share,
    }
    return TrainedTiles(model=model, work=work, tiles=tiles, choice=choice, outcome=outcome)


def predict_into(
    trained: TrainedTiles,
    image: Any,
    out: Any,
    stop: StopToken,
    context: Sequence[int],
    is_there: Callable[[tuple[slice, ...]], bool] | None = None,
) -> Generator[Event, None, TileConfig]:
    """Deconvolve ``image`` tile by tile into ``out``, return the tiles it took; see `predict_with`."""
    model, choice, work = trained.model, trained.choice, trained.work
    settings = model.config.result
    views = predictors(model, choice, average=settings.average_symmetries, most=settings.views)
    standard = Mapped(image, work.scale.apply)
    finish = work.finish(model, choice, stop)
    made = predict_with(
        views,
        model,
        standard,
        choice,
        trained.tiles,
        stop,
        out=out,
        finish=finish,
        context=context,
        is_there=is_there,
    )
    _, tiles = yield from made
    return tiles


@dataclass(frozen=True, kw_only=True)
class TileWork:
    """What all tiles of a result have in common, beside the model. A run that was killed needs no more to go on.

    Attributes
    ----------
    scale : of the image.
    gain, offset : of the result, in standardised units.
    chosen : iterations and black of the refinement; None without.
    light : of the image, for the refinement.
    light_factor : what a result without negative values is multiplied by if far light was subtracted
        (`Problem.light_factor`); None elsewhere.
    """

    scale: Standardizer
    gain: float = 1.0
    offset: float = 0.0
    chosen: tuple[int, float] | None = None
    light: Light | None = None
    light_factor: float | None = None

    @property
    def iterations(self) -> int | None:
        """Of the refinement; None without."""
        return None if self.chosen is None else self.chosen[0]

    def finish(self, model: Model, choice: device.Choice, stop: StopToken) -> Finish:
        """Return what is done to every tile: gain, offset, units, refinement."""
        refiner = Refiner(choice.device, self.chosen)

        def finished(result: NDArray[np.float32], tile: NDArray[np.float32]) -> NDArray[np.float32]:
            result = self.scale.undo(self.gain * result + self.offset)
            if self.chosen is not None:
                # A tile of background alone does not have the noise of the image, so that of the block is used.
                for _ in refiner(result, self.scale.undo(tile), model.psf, model.config.boundary, self.light):
                    stop.raise_if_cancelled()
            check_network(result)
            return result if self.light_factor is None else to_light(result, self.light_factor, self.scale.std)

        return finished

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers, exact to the last digit."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build from `to_dict`'s output."""
        light, chosen = values["light"], values["chosen"]
        return cls(
            scale=Standardizer(**values["scale"]),
            gain=values["gain"],
            offset=values["offset"],
            chosen=None if chosen is None else (int(chosen[0]), float(chosen[1])),
            light=None if light is None else Light(**light),
            light_factor=values.get("light_factor"),
        )


def _tile_work(
    model: Model, problem: Problem, choice: device.Choice, tiles: TileConfig, stop: StopToken
) -> Generator[Event, None, TileWork]:
    """Choose what is done to every tile on the training block."""
    config, scale = model.config, problem.scale
    refines = problem.may_be_refined(config)
    if not (config.result.calibrate or refines or problem.far is not None):
        return TileWork(scale=scale)
    block, line, _ = yield from predict_and_fit(model, problem, choice, tiles, stop)
    gain, offset = float(line.gain), float(line.offset)
    unrefined = scale.undo(gain * block + offset)
    if said := CLIPPED if line.cut_off else light_of_result(unrefined, problem):
        yield Warned(said)
    factor = None if problem.far is None else problem.light_factor(unrefined)
    if not refines:
        return TileWork(scale=scale, gain=gain, offset=offset, light_factor=factor)
    refiner = Refiner(choice.device)
    yield from choose_refinement(refiner, unrefined, problem, model, stop)
    light = refiner.light(unrefined, problem.image, model.psf, config.boundary, problem.weights)
    return TileWork(scale=scale, gain=gain, offset=offset, chosen=refiner.chosen, light=light, light_factor=factor)


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
