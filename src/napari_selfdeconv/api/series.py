"""Time series and channels: one model for each channel, trained on a few frames and applied to all."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.api.checkpoints import Checkpoint, JobCheckpoint, discards_checkpoint
from napari_selfdeconv.api.provenance import Record, run_record, series_record
from napari_selfdeconv.api.series_instant import fill_instant
from napari_selfdeconv.api.training import iter_train, weights_to_begin
from napari_selfdeconv.config.checks import check_voxel
from napari_selfdeconv.config.presets import preset
from napari_selfdeconv.config.series import SeriesPlan
from napari_selfdeconv.config.tiles import TileConfig
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.errors import ComputeError, ConfigError, ConstantImage, UnusablePixels, reason_of
from napari_selfdeconv.events import Event, Filling, Finished, Preview, Progress, Warned, mapped
from napari_selfdeconv.inference.make_ready import make_ready
from napari_selfdeconv.inference.predict import deconvolve_whole, on_device
from napari_selfdeconv.inference.prepare import Problem
from napari_selfdeconv.inference.preview import Region
from napari_selfdeconv.inference.refine import Refiner
from napari_selfdeconv.inference.weigh import Weights
from napari_selfdeconv.io.checks import check_sliceable
from napari_selfdeconv.io.ome_zarr import record_provenance
from napari_selfdeconv.io.savable import Savable
from napari_selfdeconv.network.model import Model
from napari_selfdeconv.physics.mask import LEAST_FRAMES, MOST_FRAMES, find_hot_pixels
from napari_selfdeconv.stop_token import StopToken


@dataclass(frozen=True, kw_only=True, repr=False)
class SeriesDeconvolution(Savable):
    """The result of a run on a series.

    Attributes
    ----------
    image : the array that the result was written into, with the axes of the input.
    models : one for each channel.
    provenance : JSON-ready record of the run.

    Examples
    --------
    >>> from napari_selfdeconv.events import drain
    >>> config = preset("quick", 2, steps=1, patch=16, features=2, batch_size=1, pretrained=False)
    >>> movie = np.random.default_rng(0).random((2, 32, 32))
    >>> drain(iter_deconvolve_series(movie, np.ones((3, 3)) / 9, SeriesPlan(axes="tyx"), config)).image.shape
    (2, 32, 32)
    """

    image: Any
    models: tuple[Model, ...]
    provenance: dict[str, Any]


@discards_checkpoint
def iter_deconvolve_series(
    image: Any,
    psf: NDArray[Any] | Sequence[NDArray[Any]],
    plan: SeriesPlan,
    config: TrainConfig | None = None,
    *,
    weights: Weights = None,
    out: Any = None,
    tiles: TileConfig | None = None,
    voxel_um: Sequence[float] | None = None,
    stop: StopToken | None = None,
    preview_every_s: float | None = None,
    preview_region: Callable[[], Region | None] | None = None,
    preview_extra: Callable[[], bool] | None = None,
    instant_first: bool = False,
    checkpoint: Checkpoint | None = None,
) -> Generator[Event, None, SeriesDeconvolution]:
    """Deconvolve a series: train on some of its frames and apply the model to all.

    Parameters
    ----------
    image : array-like that can be sliced (numpy, dask, zarr); frames are read one at a time.
    psf : one PSF for all channels, or one for each.
    plan : the meaning of the axes, and the frames to train on.
    weights : as in `iter_deconvolve`. An array is used for every frame. "auto" also finds hot pixels.
    out : array of zeros to write into, by default a new one in memory.
    config, tiles, voxel_um, stop, preview_every_s, preview_region, preview_extra, checkpoint : as in
        `iter_deconvolve`. ``voxel_um`` is that of a frame, and ``preview_region`` gives slices of the whole array.
        Each channel has its own checkpoint.
    instant_first : whether the first frame of each channel that is trained on is deconvolved with the initial
        weights before training. The array of `Filling` then holds it, and it is replaced later.

    Notes
    -----
    Every frame is standardised by its own mean and variance, in training and at the end. So bleaching does not
    change the input of the network, and each frame keeps its own light. Stopping ends the training of the current
    channel. The channels after it are trained for as many steps, and then all frames are deconvolved.

    A frame in which all pixels are equal is copied into the result. A frame that cannot be read, or has NaN or
    infinite pixels, is NaN in the result, and "sampled" training leaves it out. A frame is also NaN in the result
    if the output of the network is not finite. A `Warned` names each of these frames, and the run continues.

    Raises
    ------
    ConfigError, ComputeError, Cancelled
        As `iter_deconvolve`; also if the numbers of PSFs and channels differ, or if no frame can be trained on.

    Examples
    --------
    >>> from napari_selfdeconv.events import drain
    >>> movie = np.random.default_rng(0).random((3, 32, 32))
    >>> config = preset("quick", 2, steps=2, patch=16, features=2, batch_size=1, pretrained=False)
    >>> drain(iter_deconvolve_series(movie, np.ones((3, 3)) / 9, SeriesPlan(axes="tyx"), config)).image.shape
    (3, 32, 32)
    """
    started = time.perf_counter()
    check_sliceable(image, out)
    shape = tuple(int(n) for n in image.shape)
    plan.check(shape)
    channels, times = plan.count("c", shape), plan.count("t", shape)
    psfs = [psf] * channels if isinstance(psf, np.ndarray) else list(psf)
    if len(psfs) != channels:
        raise ConfigError(f"there are {channels} channels, got {len(psfs)} PSFs: give one, or one for each")
    result = np.zeros(shape, np.float32) if out is None else out
    stop, tiles = stop or StopToken(), tiles or TileConfig()
    config = config or preset("quick", len(plan.spatial))
    hot_pixels = [_hot_pixels(image, plan, channel, weights) for channel in range(channels)]
    # All channels are checked first: an error in the last one must not cost the results of the others.
    checked = [
        _training_frames(image, kernel, channel, plan=plan, config=config, weights=weights, hot=hot)
        for channel, (kernel, hot) in enumerate(zip(psfs, hot_pixels, strict=True))
    ]
    for known, _ in checked:
        weights_to_begin(next(iter(known.values())), config)
    if voxel_um is not None:
        check_voxel("voxel_um", voxel_um, len(plan.spatial))
    models: list[Model] = []
    runs: list[Record] = []
    steps = 0
    said: set[str] = set()
    nan_frames: list[tuple[int, int]] = []
    shows_instant = instant_first and config.start.pretrained and config.optimiser.steps > 0
    ready: list[Problem] = []
    if shows_instant:
        for known, _ in checked:
            ready.append((yield from make_ready(next(iter(known.values())), config, stop)))
        places = [plan.index(next(iter(known)), channel) for channel, (known, _) in enumerate(checked)]
        yield from fill_instant(list(zip(places, ready, strict=True)), config, tiles, stop, result)
    for channel in range(channels):
        known, left_out = checked.pop(0)
        chosen, first = list(known), next(iter(known.values()))
        file = None if checkpoint is None else checkpoint.of_channel(channel)
        job = JobCheckpoint.of(file, list(known.values()), config)
        yield from map(Warned, left_out)
        if ready:
            known[chosen[0]] = ready.pop(0)
        for t, frame in known.items():
            known[t] = yield from make_ready(frame, config, stop)
        first = replace(first, noise_changes=known[chosen[0]].noise_changes)  # for the record
        work = iter_train(
            list(known.values()),
            config,
            voxel_um=voxel_um,
            stop=stop.child(),
            preview_every_s=preview_every_s,
            preview_region=_of_frame(preview_region, plan),
            preview_extra=preview_extra,
            memory_share=tiles.memory_share,
            checkpoint=job,
        )
        shown = partial(_placed, plan=plan, time_index=chosen[0], channel=channel)
        training = yield from mapped(work, shown)
        models.append(training.model)
        if training.stopped:
            config = training.model.config.replace(steps=training.run.steps_done)
        steps += training.run.steps_done
        if channel == 0 and not shows_instant:
            yield Filling(image=result)
        refiner = Refiner(training.choice.device)
        with on_device(training.model, training.choice):
            # The frame that was trained on comes first, because settings chosen on it hold for the others.
            order = sorted(range(times), key=lambda t: (t != chosen[0], t))
            for done, t in enumerate(order):
                where = plan.index(t, channel)
                try:
                    problem = known.pop(t, None) or first.like(
                        np.asarray(image[where]), weights, hot_pixels[channel]
                    )
                except ConstantImage:
                    result[where] = np.asarray(image[where])
                    yield Warned(plan.left_as_it_is(t, channel))
                    continue
                except (UnusablePixels, OSError) as error:
                    result[where] = np.nan
                    nan_frames.append((t, channel))
                    yield Warned(plan.without_result(t, channel, _reason(error)))
                    continue
                problem = yield from make_ready(problem, config, stop)
                one = deconvolve_whole(training.model, problem, training.choice, tiles, stop, refiner)
                counted = partial(_counted, done=done, total=times, said=said)
                try:
                    result[where], tiles = yield from mapped(one, counted)
                except ComputeError as error:
                    # If the frame that was trained on has no result, the model cannot give results of others.
                    if t == chosen[0]:
                        raise
                    result[where] = np.nan
                    nan_frames.append((t, channel))
                    yield Warned(plan.without_result(t, channel, error.problem))
        run = run_record(
            training.model,
            tiles=tiles,
            seconds=time.perf_counter() - started,
            problem=first,
            refined_iterations=refiner.iterations,
            stopped=training.stopped,
            converged=training.run.converged,
        )
        runs.append(run)
    seconds = time.perf_counter() - started
    yield Finished(
        seconds=seconds,
        steps_done=steps,
        stopped=stop.stopped,
        kept_share=min(model.provenance["kept_share"] for model in models),
    )
    record = series_record(runs, plan, shape, seconds=seconds, stopped=stop.stopped, nan_frames=nan_frames)
    record_provenance(result, record)
    return SeriesDeconvolution(image=result, models=tuple(models), provenance=record)


def _training_frames(
    image: Any,
    psf: NDArray[Any],
    channel: int,
    *,
    plan: SeriesPlan,
    config: TrainConfig,
    weights: Weights,
    hot: NDArray[np.bool_] | None,
) -> tuple[dict[int, Problem], list[str]]:
    """Return the frames of a channel to train on, by time, and a sentence for each that cannot be used.

    All frames share the decision of the first one about the border.
    """
    found: dict[int, Problem] = {}
    left_out: list[str] = []
    first: Problem | None = None
    for t in plan.training_times(image.shape):
        try:
            frame = np.asarray(image[plan.index(t, channel)])
            found[t] = (
                Problem.of(frame, psf, config, weights=weights, hot=hot)
                if first is None
                else first.like(frame, weights, hot)
            )
        except (UnusablePixels, OSError) as error:
            left_out.append(f"{plan.frame_name(t, channel)} is left out of training: {_reason(error)}")
            continue
        first = found[t]
    if first is None:
        raise ConfigError(f"there is no frame to train on. {' '.join(left_out)}")
    return found, left_out


def _hot_pixels(image: Any, plan: SeriesPlan, channel: int, weights: Weights) -> NDArray[np.bool_] | None:
    """Return the hot pixels of a channel, as large as a plane; None if not requested or with few frames."""
    times = plan.count("t", image.shape)
    some = sorted({int(t) for t in np.linspace(0, times - 1, min(times, MOST_FRAMES)).round()})
    if not isinstance(weights, str) or times < LEAST_FRAMES:
        return None
    planes = []
    for t in some:
        try:
            frame = np.asarray(image[plan.index(t, channel)])
        except OSError:
            continue
        planes.append(frame if frame.ndim == 2 else frame[len(frame) // 2])
    return find_hot_pixels(np.stack(planes)) if len(planes) >= LEAST_FRAMES else None


def _reason(error: UnusablePixels | OSError) -> str:
    """Return why a frame cannot be used: it has bad pixels, or it cannot be read."""
    return f"it cannot be read: {reason_of(error)}" if isinstance(error, OSError) else str(error)


def _of_frame(region: Callable[[], Region | None] | None, plan: SeriesPlan) -> Callable[[], Region | None] | None:
    """Return the spatial part of the slices that ``region`` returns."""
    if region is None:
        return None

    def spatial() -> Region | None:
        whole = region()
        if whole is None:
            return None
        return tuple(s for s, axis in zip(whole, plan.axes, strict=True) if axis in plan.spatial)

    return spatial


def _placed(event: Event, plan: SeriesPlan, time_index: int, channel: int) -> Event:
    """Give a preview all axes of the series."""
    if not isinstance(event, Preview):
        return event
    at = {"t": time_index, "c": channel}
    extra = [(axis, at[letter]) for axis, letter in enumerate(plan.axes) if letter in at]

    def widen(array: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.expand_dims(array, tuple(axis for axis, _ in extra))

    offset = list(event.offset)
    for axis, place_ in extra:
        offset.insert(axis, place_)
    return replace(
        event,
        image=widen(event.image),
        offset=tuple(offset),
        reblurred=None if event.reblurred is None else widen(event.reblurred),
        residual=None if event.residual is None else widen(event.residual),
    )


def _counted(event: Event, done: int, total: int, said: set[str]) -> Event | None:
    """Convert the progress of one frame to that of all, and report a repeated message once."""
    if isinstance(event, Warned):
        # The numbers differ from frame to frame.
        kind = re.sub(r"\d[\d.e+-]*", "", event.message)
        if kind in said:
            return None
        said.add(kind)
    if not isinstance(event, Progress):
        return event
    left = None if event.eta_s is None else event.eta_s + (total - done - 1) * (event.seconds + event.eta_s)
    return replace(event, step=done * event.steps + event.step, steps=total * event.steps, eta_s=left)
