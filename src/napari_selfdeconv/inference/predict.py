"""Tiled prediction and the record of a run, which all entries share."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.arrays.tiling import Finish, predict_tiled
from napari_selfdeconv.compute import device
from napari_selfdeconv.compute.failures import translate_errors
from napari_selfdeconv.compute.malloc import retained_memory
from napari_selfdeconv.compute.memory_budget import halve_tile, result_tile
from napari_selfdeconv.config.tiles import TileConfig
from napari_selfdeconv.errors import ComputeError
from napari_selfdeconv.events import Event, Warned, report_progress
from napari_selfdeconv.inference.above_black import raise_to_black
from napari_selfdeconv.inference.calibrate import Line, calibrate
from napari_selfdeconv.inference.check_result import check_finite, describe_light
from napari_selfdeconv.inference.light import Light
from napari_selfdeconv.inference.prepare import Problem
from napari_selfdeconv.inference.refine import Refiner
from napari_selfdeconv.inference.views import predictors
from napari_selfdeconv.network.model import Model, place
from napari_selfdeconv.stop_token import StopToken

CLIPPED = (
    "This image is clipped at its lowest value, which makes dark places brighter than their light. "
    "The result corrects this, so its mean is below the mean of the image."
)
NOISE_IS_SHARED = (
    "Neighbouring pixels share their noise, as after a filter, a registration or a change of pixel size. "
    "Richardson-Lucy would sharpen this noise, so the result was not refined, and grain in it may be noise. Use "
    "the image as it was recorded, if you have it."
)


def predict(
    model: Model,
    standard: Any,
    choice: device.Choice,
    tiles: TileConfig,
    stop: StopToken,
    most_views: int | None = None,
) -> Generator[Event, None, tuple[NDArray[np.float32], TileConfig]]:
    """Return f of a standardised image, averaged according to the settings of the model, and the tiles used.

    With ``most_views`` no more views than that are averaged.
    """
    settings = model.config.result
    most = min((count for count in (settings.views, most_views) if count), default=0)
    functions = predictors(model, choice, average=settings.average_symmetries, most=most)
    return (yield from predict_with(functions, model, standard, choice, tiles, stop))


def predict_with(
    functions: Sequence[Callable[[NDArray[np.float32]], NDArray[np.float32]]],
    model: Model,
    standard: Any,
    choice: device.Choice,
    tiles: TileConfig,
    stop: StopToken,
    out: Any = None,
    finish: Finish | None = None,
    context: Sequence[int] | None = None,
    is_there: Callable[[tuple[slice, ...]], bool] | None = None,
) -> Generator[Event, None, tuple[Any, TileConfig]]:
    """Return the mean of ``functions`` over a standardised image; ``out`` and so on: `predict_tiled`.

    ``context`` is what ``finish`` needs around a tile, on each axis; the network's own context is read anyway.
    When memory runs out, prediction restarts with half the tile, down to 16 voxels, unless tiles are files that
    may be there already (``is_there``). The tiles that were used are returned as well.
    """
    context = _wider(model, context)
    tile = _tile(tiles, model, standard.shape, choice, context)
    while True:
        try:
            made = yield from _with_tile(functions, model, standard, tile, context, stop, out, finish, is_there)
            return made, replace(tiles, tile=tile)
        except (RuntimeError, MemoryError) as error:
            if is_there is not None or not device.is_out_of_memory(error):
                raise
            smaller = halve_tile(standard.shape, tile, context)
            if smaller is None:
                raise
        # Out of the except block: until then the error holds the frames, and they hold the tile's memory.
        device.release_memory(choice.device)
        sizes = [" x ".join(map(str, size)) for size in (tile, smaller)]
        yield Warned(f"Out of memory with tiles of {sizes[0]} voxels. Prediction begins again with {sizes[1]}.")
        tile = smaller


def fill_in_tile(
    tiles: TileConfig,
    model: Model,
    shape: Sequence[int],
    choice: device.Choice,
    context: Sequence[int] | None = None,
) -> TileConfig:
    """Return ``tiles`` with the tile that an image of ``shape`` takes now; ``context`` as in `predict_with`."""
    return replace(tiles, tile=_tile(tiles, model, shape, choice, _wider(model, context)))


def _wider(model: Model, context: Sequence[int] | None) -> tuple[int, ...]:
    own: tuple[int, ...] = model.network.context
    return own if context is None else tuple(map(max, own, context))


def _tile(
    tiles: TileConfig, model: Model, shape: Sequence[int], choice: device.Choice, context: Sequence[int]
) -> tuple[int, ...]:
    return result_tile(
        model.config,
        shape,
        model.psf.shape,
        tiles,
        context,
        precision=choice.precision,
        free_bytes=device.free_memory_bytes(choice.device),
    )


def _with_tile(
    functions: Sequence[Callable[[NDArray[np.float32]], NDArray[np.float32]]],
    model: Model,
    standard: Any,
    tile: tuple[int, ...],
    context: Sequence[int],
    stop: StopToken,
    out: Any,
    finish: Finish | None,
    is_there: Callable[[tuple[slice, ...]], bool] | None,
) -> Generator[Event, None, Any]:
    network = model.network
    work = predict_tiled(
        functions,
        standard,
        tile=tile,
        context=context,
        align=network.unet.multiple,
        out=out,
        finish=finish,
        is_there=is_there,
    )
    return (yield from report_progress(work, "predict", stop))


def choose_refinement(
    refiner: Refiner, result: NDArray[np.float32], problem: Problem, model: Model, stop: StopToken
) -> Generator[Event, None, Light | None]:
    """Choose for how long ``refiner`` refines, on this image; return what `Refiner.choose` returns."""
    known = refiner.noise_is_shared
    work = refiner.choose(result, problem.image, model.psf, model.config.refinement_boundary, problem.weights)
    light = yield from report_progress(work, "choose", stop)
    if refiner.noise_is_shared and not (known or problem.shared_noise):
        yield Warned(NOISE_IS_SHARED)
    return light


def predict_and_fit(
    model: Model,
    problem: Problem,
    choice: device.Choice,
    tiles: TileConfig,
    stop: StopToken,
    most_views: int | None = None,
) -> Generator[Event, None, tuple[NDArray[np.float32], Line, TileConfig]]:
    """Return f(x) in standardised units, the line that fits it to the image, and the tiles it took."""
    result, tiles = yield from predict(model, problem.input_of(model.network), choice, tiles, stop, most_views)
    check_network(result)
    # After far light was subtracted the background is 0; `Problem.in_units` restores the light of the image.
    if not model.config.result.calibrate or problem.far is not None:
        return result, Line(1.0, 0.0, False), tiles
    line = calibrate(
        result, problem.image, problem.psf, model.config.boundary, problem.scale.apply, problem.weights
    )
    return result, line, tiles


def deconvolve_whole(
    model: Model,
    problem: Problem,
    choice: device.Choice,
    tiles: TileConfig,
    stop: StopToken,
    refiner: Refiner | None = None,
    most_views: int | None = None,
    unrefined: Callable[[NDArray[np.float32]], Event] | None = None,
) -> Generator[Event, None, tuple[NDArray[np.float32], TileConfig]]:
    """Deconvolve an image with a trained model, in its own units; ``refiner`` serves all frames of a series.

    Far light was subtracted from the problem before (`make_ready`).

    With ``most_views`` the network's result is the mean of no more views than that. The event that ``unrefined``
    makes of a stack's result is yielded before the stack is refined, which takes longer than the network.

    The tiles that were used are returned. With them the same array is computed again to the last digit, whatever
    memory is free.
    """
    # In place from here on: nothing more of the image's size than the result.
    result, line, tiles = yield from predict_and_fit(model, problem, choice, tiles, stop, most_views)
    if line.cut_off:
        yield Warned(CLIPPED)
    result *= line.gain
    result += line.offset
    problem.scale.undo(result, out=result)
    if problem.may_be_refined(model.config):
        refiner = refiner or Refiner(choice.device)
        light = yield from choose_refinement(refiner, result, problem, model, stop)
        boundary = model.config.refinement_boundary
        work = refiner(result, problem.image, model.psf, boundary, light, problem.weights)
        yield from report_progress(work, "refine", stop)
    if line.cut_off:
        low, deviation = problem.scale.low, problem.scale.std
        black = raise_to_black(result, low, model.psf, model.config.boundary, choice.device, deviation)
        yield from report_progress(black, "black", stop)
    said = light_of_result(result, problem)
    result = problem.in_units(result)
    if model.config.result.refine and problem.scene_is_refined:
        assert problem.far is not None
        if unrefined is not None:
            yield unrefined(result.copy())
        refiner = refiner or Refiner(choice.device)
        image = (problem.image + problem.far.light).astype(np.float32, copy=False)
        stack = refiner.refine_stack(result, image, problem.given_psf, problem.far, problem.weights)
        yield from report_progress(stack, "refine", stop)
    check_network(result)
    if said and not line.cut_off:
        yield Warned(said)
    return result, tiles


def light_of_result(result: NDArray[np.float32], problem: Problem) -> str:
    """Return how the light of a result before `Problem.in_units` differs from that of the image, or "".

    With far light the result is scaled to the light that is left, so the answer is "".
    """
    if problem.far is not None:
        return ""
    seen = result if problem.weights is None else result[problem.weights.measured]
    return describe_light("The result", float(seen.mean(dtype=np.float64)), problem.scale)


def check_network(result: NDArray[np.float32]) -> None:
    """Raise ComputeError if a result of the network has a value that is not finite."""
    try:
        check_finite("the network", result)
    except ComputeError as error:
        raise ComputeError(error.problem, "train again with another seed") from None


@contextmanager
def on_device(model: Model, choice: device.Choice) -> Iterator[None]:
    """Compute with the model on its device (`computing`); it leaves it at the end, whatever happens.

    A model may be kept for long, and must not hold the memory of the device.
    """
    with computing():
        try:
            place(model.network, choice, model.psf.ndim)
            yield
        finally:
            model.network.cpu()


@contextmanager
def computing() -> Iterator[None]:
    """Compute with `translate_errors` and without giving memory back in between (`malloc.retained_memory`)."""
    with translate_errors(), retained_memory():
        yield
