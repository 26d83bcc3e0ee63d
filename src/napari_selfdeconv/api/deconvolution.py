"""Train on one image and deconvolve it."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.api.checkpoints import Checkpoint, JobCheckpoint, discards_checkpoint
from napari_selfdeconv.api.provenance import run_record
from napari_selfdeconv.api.training import iter_train, weights_to_begin
from napari_selfdeconv.compute import device
from napari_selfdeconv.config.checks import check_voxel
from napari_selfdeconv.config.tiles import TileConfig
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.events import Event, Finished, Interim, Warned, drain, mapped
from napari_selfdeconv.inference.make_ready import make_ready
from napari_selfdeconv.inference.predict import deconvolve_whole, on_device
from napari_selfdeconv.inference.prepare import Problem, settings_for
from napari_selfdeconv.inference.preview import Region
from napari_selfdeconv.inference.refine import Refiner
from napari_selfdeconv.inference.weigh import Weights
from napari_selfdeconv.io.savable import Savable
from napari_selfdeconv.network.model import Model
from napari_selfdeconv.stop_token import StopToken

# A quick interim result averages views of no more voxels than this together, or takes one: two seconds of a core.
_QUICK_VOXELS = 2_000_000


@dataclass(frozen=True, kw_only=True, repr=False)
class Deconvolution(Savable):
    """The result of a run.

    Attributes
    ----------
    image : float32 array with the shape and intensity units of the input, not clipped.
    model : the trained network; `apply_model` or `save_model` take it.
    losses : history of every loss term, at the reported steps.
    held_out : (step, error at the held-out pixels) of every measurement, in standardised units.
    seconds, device, precision, steps_done : time, place and length of the run.
    stopped, converged : whether the user stopped it, and whether it ended because the held-out error no longer
        fell.
    provenance : JSON-ready record: version, settings, seed, hash of the PSF, and the values above.

    Examples
    --------
    >>> from napari_selfdeconv import deconvolve, preset
    >>> config = preset("quick", 2, steps=1, patch=16, features=2, batch_size=1, pretrained=False)
    >>> result = deconvolve(np.random.default_rng(0).random((32, 32)), np.ones((3, 3)) / 9, config)
    >>> result.image.dtype, result.steps_done, result.provenance["seed"]
    (dtype('float32'), 1, 0)
    """

    image: NDArray[np.float32]
    model: Model
    losses: dict[str, list[float]]
    held_out: list[tuple[int, float]]
    seconds: float
    device: str
    precision: str
    steps_done: int
    stopped: bool
    converged: bool
    provenance: dict[str, Any]


@discards_checkpoint
def iter_deconvolve(
    image: NDArray[Any],
    psf: NDArray[Any],
    config: TrainConfig | None = None,
    *,
    weights: Weights = None,
    tiles: TileConfig | None = None,
    voxel_um: Sequence[float] | None = None,
    stop: StopToken | None = None,
    preview_every_s: float | None = None,
    preview_region: Callable[[], Region | None] | None = None,
    preview_extra: Callable[[], bool] | None = None,
    start_from: Model | None = None,
    quick_interim: bool = False,
    instant_first: bool = False,
    checkpoint: Checkpoint | None = None,
) -> Generator[Event, None, Deconvolution]:
    """Fine-tune a network on one image, then predict the image in tiles; yield events, return the result.

    Parameters
    ----------
    image : 2D or 3D array of any real dtype and size.
    psf : array with the same number of axes and the same voxel size, and its centre at ``n // 2``. It is divided
        by its sum and otherwise used as it is. See `prepare_psf` for a measured one. In 3D it may be larger than
        the image, as a widefield stack needs (`psf_for_stack`). If it is longer than 65 voxels or than the image,
        the background and the light from far planes and from outside the image are estimated and subtracted first.
        The result is then the light above them and never negative.
    config : settings, by default ``preset("quick", image.ndim)``. More steps fit the image more closely.
    weights : array as large as the image, 0 to 1; 0 where a pixel is no measurement, and may be NaN. "auto" finds
        saturated and hot pixels, dead rows and columns and black areas, and reports how many (`find_unmeasured`).
        "auto+nan" also leaves out NaN and infinite pixels. None uses every pixel.
    tiles : size of the tiles, which changes memory and speed but not the result.
    voxel_um : voxel size in um. It is only recorded, in the model and the provenance.
    stop : ``stop()`` ends training and keeps the result so far, ``cancel()`` discards the run.
    preview_every_s : seconds between previews; None for no previews.
    preview_region : function that returns the slices to predict, called before each preview; None for the centre.
        It runs in the thread of the generator and must not use a widget.
    preview_extra : function that returns whether previews also have g(f(x)) and x - g(f(x)); called likewise.
    start_from : a model of the same architecture to train further.
    quick_interim : whether an `Interim` is computed in seconds, without refinement, and for a large image as the
        mean of fewer views. By default it is the result that stopping at that step gives.
    instant_first : whether the result of the initial weights is yielded before training, as an `Interim` of step
        0. It is the result of the preset "instant". That of a widefield stack is yielded twice, also by that
        preset: before it is refined, and after that. Stopping before the first step keeps it. During training,
        better results follow as an `Interim` with ``improves``; they take at most a fifth of the time.
    checkpoint : file in which training is stored every 30 seconds. If the process is killed, the same call with
        ``Checkpoint(path, resume=True)`` continues from it. On the same processor and with as many threads, the
        result equals that of an uninterrupted run to the last digit.

    Notes
    -----
    A run that collapses (exploding loss, flat result or checkerboard) is restarted once, with the next seed. A
    `Warned` reports it, and the provenance holds the seed that was used.

    Raises
    ------
    ConfigError
        If the image, the PSF or a setting cannot be used. It is raised before the first event.
    ComputeError
        If the computation fails (memory, device, a loss that is no longer finite).
    Cancelled
        After ``stop.cancel()``.

    Examples
    --------
    >>> from napari_selfdeconv import preset
    >>> image = np.random.default_rng(0).random((32, 32))
    >>> config = preset("quick", 2, steps=2, patch=16, features=2, batch_size=1, pretrained=False)
    >>> events = list(iter_deconvolve(image, np.ones((3, 3)) / 9, config))
    >>> type(events[0]).__name__, type(events[-1]).__name__
    ('Started', 'Finished')
    """
    started = time.perf_counter()
    config = settings_for(image, config)
    problem = Problem.of(image, psf, config, weights=weights)
    weights_to_begin(problem, config, start_from)
    if voxel_um is not None:
        check_voxel("voxel_um", voxel_um, problem.image.ndim)
    stop, tiles = stop or StopToken(), tiles or TileConfig()
    job = JobCheckpoint.of(checkpoint, [problem], config, start_from)
    problem = yield from make_ready(problem, config, stop)
    refiner: Refiner | None = None
    used = tiles
    initial: tuple[NDArray[np.float32], Refiner | None] | None = None

    said: set[str] = set()

    def once(event: Event) -> Event | None:
        """Drop messages about an earlier result of this run."""
        if isinstance(event, Warned) and event.message in said:
            return None
        said.update([event.message] if isinstance(event, Warned) else [])
        return event

    def whole(
        model: Model, unrefined: Callable[[NDArray[np.float32]], Event] | None = None
    ) -> Generator[Event, None, NDArray[np.float32]]:
        nonlocal refiner, used
        choice = device.choose_device(model.config.compute.device, model.config.compute.precision)
        refiner = Refiner(choice.device)
        work = deconvolve_whole(model, problem, choice, used, stop, refiner, unrefined=unrefined)
        result, used = yield from mapped(work, once)
        return result

    def first(model: Model) -> Generator[Event, None, NDArray[np.float32]]:
        """Deconvolve with the initial weights; the result of a stack is shown before it is refined."""
        record = {**model.provenance, "config": model.config.replace(refine=False).to_dict()}
        about: dict[str, Any] = {"provenance": record, "psf": model.given_psf, "improves": True, "refined": False}
        return whole(model, lambda image: Interim(step=0, image=image, **about))

    def instant(model: Model) -> Generator[Event, None, NDArray[np.float32]]:
        nonlocal initial
        result = yield from (first if initial is None else whole)(model)
        initial = (result, refiner) if initial is None else initial
        return result

    def network_only(model: Model) -> Generator[Event, None, NDArray[np.float32]]:
        choice = device.choose_device(model.config.compute.device, model.config.compute.precision)
        views = max(1, _QUICK_VOXELS // problem.image.size)
        result, _ = yield from deconvolve_whole(model, problem, choice, used, stop, most_views=views)
        return result

    training = yield from iter_train(
        [problem],
        config,
        voxel_um=voxel_um,
        start_from=start_from,
        stop=stop,
        preview_every_s=preview_every_s,
        preview_region=preview_region,
        preview_extra=preview_extra,
        memory_share=tiles.memory_share,
        deconvolve=network_only if quick_interim else whole,
        interim_refined=not quick_interim,
        instant=instant if instant_first else None,
        checkpoint=job,
    )
    run, model = training.run, training.model
    if initial is not None and (run.steps_done == 0 or run.selected.share == 0):
        result, refiner = initial[0].copy(), initial[1]
    else:
        with on_device(model, training.choice):
            result = yield from (whole if run.steps_done or not instant_first else first)(model)
    seconds = time.perf_counter() - started
    yield Finished(
        seconds=seconds,
        steps_done=run.steps_done,
        stopped=training.stopped,
        converged=run.converged,
        refined_iterations=(refiner.iterations if refiner else None) or 0,
        kept_share=run.selected.share,
    )
    outcome = {"stopped": training.stopped, "converged": run.converged}
    return Deconvolution(
        image=result,
        model=model,
        losses=run.losses,
        held_out=run.held_out,
        seconds=seconds,
        device=str(training.choice.device),
        precision=training.choice.precision,
        steps_done=run.steps_done,
        provenance=run_record(
            model,
            tiles=used,
            seconds=seconds,
            problem=problem,
            refined_iterations=refiner.iterations if refiner else None,
            **outcome,
        ),
        **outcome,
    )


def deconvolve(
    image: NDArray[Any],
    psf: NDArray[Any],
    config: TrainConfig | None = None,
    *,
    weights: Weights = None,
    tiles: TileConfig | None = None,
    voxel_um: Sequence[float] | None = None,
    checkpoint: Checkpoint | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> Deconvolution:
    """Fine-tune a network on one image and deconvolve that image.

    Parameters
    ----------
    image, psf, config, weights, tiles, voxel_um : as in `iter_deconvolve`.
    on_event : called with each event, as it happens.

    Returns
    -------
    `Deconvolution`; its ``image`` is float32 in the units of the input.

    Raises
    ------
    ConfigError
        If the image, the PSF or a setting cannot be used.
    ComputeError
        If the computation fails.

    References
    ----------
    Papkov, Palo and Parts 2023, https://doi.org/10.48550/arXiv.2308.09426; docs/method.md lists what differs.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_selfdeconv import deconvolve, preset
    >>> image = np.random.default_rng(0).random((32, 32))
    >>> psf = np.ones((3, 3)) / 9
    >>> config = preset("quick", 2, steps=2, patch=16, features=4, batch_size=1, pretrained=False)
    >>> deconvolve(image, psf, config).image.shape
    (32, 32)
    """
    work = iter_deconvolve(
        image, psf, config, weights=weights, tiles=tiles, voxel_um=voxel_um, checkpoint=checkpoint
    )
    return drain(work, on_event)
