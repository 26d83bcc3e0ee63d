"""The settings that all tiles of a large result share, and the deconvolution of one tile after the other."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.api.large_light import LightCount
from napari_selfdeconv.api.training import Training
from napari_selfdeconv.arrays.channels import Channels
from napari_selfdeconv.arrays.out_of_core import Mapped
from napari_selfdeconv.arrays.scaling import Standardizer
from napari_selfdeconv.arrays.tiling import Box, Finish, tile_spans
from napari_selfdeconv.compute import device
from napari_selfdeconv.config.tiles import TileConfig
from napari_selfdeconv.events import Event, Warned, report_progress
from napari_selfdeconv.inference.above_black import raise_to_black
from napari_selfdeconv.inference.light import Light, to_light
from napari_selfdeconv.inference.predict import (
    CLIPPED,
    check_network,
    choose_refinement,
    fill_in_tile,
    on_device,
    predict_and_fit,
    predict_with,
)
from napari_selfdeconv.inference.prepare import Problem
from napari_selfdeconv.inference.refine import Refiner, refinement_reach
from napari_selfdeconv.inference.refinement_choice import Refinement
from napari_selfdeconv.inference.views import predictors
from napari_selfdeconv.inference.weigh import WeightsOf
from napari_selfdeconv.network.model import Model
from napari_selfdeconv.stop_token import StopToken


@dataclass(frozen=True, kw_only=True)
class TileWork:
    """The values that all tiles of a result share, besides the model: enough to continue a run that was killed.

    Attributes
    ----------
    scale : scale of the image.
    gain, offset : gain and offset of the result, in standardised units.
    chosen : iterations and background level of the refinement; None without a refinement.
    light : total light of the image, for the refinement.
    light_factor : factor of a result without negative values if far light was subtracted (`Problem.light_factor`);
        otherwise None.
    black : level of a pixel without light, if the noise was clipped there. The result then has no value below it,
        and not the light of the image. None if black is not known.
    excess : as in `raise_to_black`.
    """

    scale: Standardizer
    gain: float = 1.0
    offset: float = 0.0
    chosen: Refinement | None = None
    light: Light | None = None
    light_factor: float | None = None
    black: float | None = None
    excess: float = 0.0

    @property
    def iterations(self) -> int | None:
        """Of the refinement; None without."""
        return None if self.chosen is None else self.chosen.iterations

    def reach(self, psf_shape: Sequence[int]) -> tuple[int, ...]:
        """Return how many voxels around a tile `finish` needs, on each axis."""
        refinement = refinement_reach(psf_shape, self.iterations or 0)
        return refinement if self.black is None else tuple(map(max, refinement, psf_shape))

    def finish(
        self,
        model: Model,
        choice: device.Choice,
        stop: StopToken,
        weights_of: WeightsOf,
        count: LightCount,
        shape: Sequence[int],
    ) -> Finish:
        """Return the function for every tile of an image of ``shape``: gain, offset, units, refinement, light."""
        refiner = Refiner(choice.device, self.chosen)

        def finished(
            result: NDArray[np.float32], tile: NDArray[np.float32], where: Box, inside: Box
        ) -> NDArray[np.float32]:
            result, recorded = self.scale.undo(self.gain * result + self.offset), self.scale.undo(tile)
            weights = weights_of(where)
            if self.chosen is not None:
                # A tile with only background has other noise than the image, so the noise of the block is used.
                goes_on = [(s.start > 0, s.stop < n) for s, n in zip(where, shape, strict=True)]
                boundary = model.config.refinement_boundary
                work = refiner(result, recorded, model.psf, boundary, self.light, weights, goes_on)
                for _ in work:
                    stop.raise_if_cancelled()
            if self.black is not None:
                rule, std = model.config.boundary, self.scale.std
                for _ in raise_to_black(result, self.black, model.psf, rule, choice.device, std, self.excess):
                    stop.raise_if_cancelled()
            check_network(result)
            if self.light_factor is not None:
                result = to_light(result, self.light_factor, self.scale.std)
                check_network(result)
            count.add(recorded[inside], result[inside], None if weights is None else weights.cut(inside))
            return result

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
            chosen=None if chosen is None else Refinement(*chosen),
            light=None if light is None else Light(**light),
            light_factor=values.get("light_factor"),
            black=values.get("black"),
            excess=values.get("excess", 0.0),
        )


@dataclass(frozen=True, kw_only=True)
class TrainedTiles:
    """A trained model and all values that its tiles need: the state of a run that was killed.

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


def core_shape(model: Model, tiles: TileConfig, shape: Sequence[int], context: Sequence[int]) -> tuple[int, ...]:
    """Return the size of the pieces of the result that tiles fill."""
    assert isinstance(tiles.tile, tuple)  # `fill_in_tile` has filled it in
    wider = map(max, model.network.context, context)
    spans = [
        tile_spans(n, t, c, model.network.unet.multiple)[0].core
        for n, t, c in zip(shape, tiles.tile, wider, strict=True)
    ]
    return tuple(span.stop - span.start for span in spans)


def ready_for_tiles(
    training: Training, problem: Problem, tiles: TileConfig, shape: Sequence[int], stop: StopToken
) -> Generator[Event, None, TrainedTiles]:
    """Choose the tile and what is done to every one."""
    model, choice = training.model, training.choice
    with on_device(model, choice):
        # The block and the image have the same tile, whatever is chosen in between, so a run can be repeated.
        settings = model.config.result
        furthest = refinement_reach(model.psf.shape) if settings.refine else None
        if settings.calibrate and furthest is None:
            furthest = model.psf.shape  # for `raise_to_black`
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
    weights_of: WeightsOf,
    out: Any,
    stop: StopToken,
    context: Sequence[int],
    is_there: Callable[[tuple[slice, ...]], bool] | None = None,
    *,
    estimate: NDArray[np.float32] | None = None,
) -> Generator[Event, None, TileConfig]:
    """Deconvolve ``image`` tile by tile into ``out``, return the tiles it took; see `predict_with`.

    ``estimate`` is the first estimate of the image, for a network that takes it (`FarLight.estimate`).
    """
    model, choice, work = trained.model, trained.choice, trained.work
    settings = model.config.result
    views = predictors(model, choice, average=settings.average_symmetries, most=settings.views)
    standard: Any = Mapped(image, work.scale.apply)
    if model.network.takes_estimate and estimate is not None:
        standard = Channels(standard, work.scale.apply(estimate))
    count = LightCount(work.scale.mean)

    def counted(core: Box) -> bool:
        if is_there is None or not is_there(core):
            return False
        count.add(np.asarray(image[core]), np.asarray(out[core]), weights_of(core))
        return True

    made = predict_with(
        views,
        model,
        standard,
        choice,
        trained.tiles,
        stop,
        out=out,
        finish=work.finish(model, choice, stop, weights_of, count, image.shape),
        context=context,
        is_there=None if is_there is None else counted,
    )
    _, tiles = yield from made
    # With far light the result is brought to the light that is left.
    if work.black is None and work.light_factor is None and (said := count.describe()):
        yield Warned(said)
    return tiles


def _tile_work(
    model: Model, problem: Problem, choice: device.Choice, tiles: TileConfig, stop: StopToken
) -> Generator[Event, None, TileWork]:
    """Choose what is done to every tile on the training block."""
    config, scale = model.config, problem.scale
    if problem.scene_is_refined:
        return TileWork(scale=scale)  # nothing is written before all of the stack is refined
    refines = problem.may_be_refined(config)
    if not (config.result.calibrate or refines or problem.far is not None):
        return TileWork(scale=scale)
    block, line, _ = yield from predict_and_fit(model, problem, choice, tiles, stop)
    gain, offset = float(line.gain), float(line.offset)
    unrefined = scale.undo(gain * block + offset)
    if line.cut_off:
        yield Warned(CLIPPED)
    factor = None if problem.far is None else problem.light_factor(unrefined)
    kept = TileWork(scale=scale, gain=gain, offset=offset, light_factor=factor)
    if refines:
        refiner = Refiner(choice.device)
        yield from choose_refinement(refiner, unrefined, problem, model, stop)
        light = refiner.light(unrefined, problem.image, model.psf, config.refinement_boundary, problem.weights)
        kept = replace(kept, chosen=refiner.chosen, light=light)
    if not line.cut_off:
        return kept
    # A refined result has hardly any values below black, and so no excess.
    excess = 0.0
    if not kept.iterations:
        work = raise_to_black(unrefined, scale.low, model.psf, config.boundary, choice.device, scale.std)
        excess = yield from report_progress(work, "black", stop)
    return replace(kept, black=scale.low, excess=excess)
