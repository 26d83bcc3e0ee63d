"""Train one model on one image, or on several frames of a series: initial weights, restarts, previews."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
from torch import Tensor

from napari_selfdeconv.api.checkpoints import JobCheckpoint
from napari_selfdeconv.api.provenance import training_record
from napari_selfdeconv.compute import device
from napari_selfdeconv.compute.failures import translate_errors
from napari_selfdeconv.compute.memory_budget import fit_training
from napari_selfdeconv.compute.memory_model import passes
from napari_selfdeconv.config.checks import check_voxel
from napari_selfdeconv.config.tiles import TileConfig
from napari_selfdeconv.config.training import ARCHITECTURE, TrainConfig
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.events import Event, Noted, Warned
from napari_selfdeconv.holdout.guide import Guide
from napari_selfdeconv.inference.first_estimate import make_guide
from napari_selfdeconv.inference.observe import DeconvolveWhole, Improvements, TrainingObserver, observe_steps
from napari_selfdeconv.inference.predict import computing
from napari_selfdeconv.inference.prepare import Problem
from napari_selfdeconv.inference.preview import Previewer, Region
from napari_selfdeconv.network.initial_weights import initial_weights
from napari_selfdeconv.network.model import Deconvolver, Model, takes_estimate
from napari_selfdeconv.physics.pixel_weights import PixelWeights
from napari_selfdeconv.psf.measure import psf_hash
from napari_selfdeconv.stop_token import StopToken
from napari_selfdeconv.training.loop import StepDone, Trained, train
from napari_selfdeconv.training.model_selection import SelectedWeights
from napari_selfdeconv.training.restarts import train_with_restarts
from napari_selfdeconv.training.untrained import build_initial, use_initial

_E = TypeVar("_E", Event, Event | StepDone)

WITHOUT_TRAINING = (
    "This stack is not trained on: refined with the whole PSF, results of simulated stacks were on average no "
    "better with training. To train all the same, continue from its model, or set far_light_training."
)


@dataclass(frozen=True, kw_only=True)
class Training:
    """The trained model, and the facts of the run."""

    model: Model
    run: Trained
    choice: device.Choice
    stopped: bool


def iter_train(
    problems: Sequence[Problem],
    config: TrainConfig,
    *,
    voxel_um: Sequence[float] | None = None,
    start_from: Model | None = None,
    stop: StopToken,
    preview_every_s: float | None = None,
    preview_region: Callable[[], Region | None] | None = None,
    preview_extra: Callable[[], bool] | None = None,
    deconvolve: DeconvolveWhole | None = None,
    interim_refined: bool = True,
    instant: DeconvolveWhole | None = None,
    memory_share: float = TileConfig.memory_share,
    checkpoint: JobCheckpoint | None = None,
) -> Generator[Event, None, Training]:
    """Train one model on frames of the same shape; yield events, return the model.

    Parameters
    ----------
    problems : frames of the same shape with one PSF, without far light. Each has its own scale. Previews show the
        first one.
    config, voxel_um, start_from, stop, preview_every_s, preview_region, preview_extra : see
        `iter_deconvolve`.
    deconvolve : deconvolves the whole image with a model. It is called when `StopToken.request_result` asks for an
        `Interim`.
    interim_refined : whether the model that ``deconvolve`` gets may refine; otherwise its settings forbid it.
    instant : deconvolves the whole image. It is called with the initial weights before training, and later with
        better ones; an `Interim` holds each result. None leaves them out, and so do random initial weights.
    memory_share : share of the free memory that training may take. If the settings need more, batch, precision and
        patch are changed (`fit_training`). A `Warned` reports it, and the settings of the model hold the values
        that were used.
    checkpoint : file in which the run is stored regularly, and from which it continues.

    Raises
    ------
    ConfigError, ComputeError, Cancelled
        As `iter_deconvolve`.
    """
    first = problems[0]
    voxel = None if voxel_um is None else check_voxel("voxel_um", voxel_um, first.image.ndim)
    shape, psf, notes = first.image.shape, first.psf, list(first.notes)
    given = psf if first.whole_psf is None else first.whole_psf
    if any(problem.image.shape != shape for problem in problems):
        shapes = sorted({problem.image.shape for problem in problems})
        raise ConfigError(f"all frames must have one shape, got {shapes}")
    weights, said_of_start = weights_to_begin(first, config, start_from)
    notes += said_of_start
    skips = first.scene_is_refined and start_from is None and not config.trains_refined_stacks
    if skips and config.optimiser.steps:
        config = config.replace(steps=0)
        yield Warned(WITHOUT_TRAINING)
    choice = device.choose_device(config.compute.device, config.compute.precision)
    earlier, said = (None, []) if checkpoint is None else checkpoint.find_earlier()
    pixels = _pixel_weights(problems)
    lows, highs = zip(*(problem.scale.bounds for problem in problems), strict=True)

    def make_model(used: TrainConfig, network: Deconvolver, steps: int, selected: SelectedWeights) -> Model:
        provenance = training_record(
            used,
            given,
            choice,
            steps_done=steps,
            selected=selected,
            voxel_um=voxel,
            continued=start_from,
            resumed_at=None if earlier is None else earlier.step,
        )
        return Model(
            config=used, psf=psf, network=network, voxel_um=voxel, provenance=provenance, whole_psf=first.whole_psf
        )

    if earlier is not None:
        fitted = earlier.config
        choice = earlier.check_choice(device.choose_device(fitted.compute.device, fitted.compute.precision))
    else:
        found = fit_training(
            config,
            shape,
            psf.shape,
            precision=choice.precision,
            frames=len(problems),
            free_bytes=device.free_memory_bytes(choice.device),
            memory_share=memory_share,
            fast_bfloat16=device.fast_bfloat16(choice.device),
        )
        fitted = found.config
        if found.note:
            notes.append(found.note)
            choice = device.choose_device(config.compute.device, fitted.compute.precision)
    yield from said
    yield from map(Warned, notes)
    guides: dict[int, list[Guide]] = {}

    def guides_of(attempt: TrainConfig) -> Generator[Event, None, list[Guide]]:
        """Return the first estimates for training; another seed holds out other pixels and has others."""
        seed = attempt.seed
        if seed not in guides:
            made = []
            with computing():
                for number, problem in enumerate(problems):
                    made.append((yield from make_guide(problem, attempt, number, choice, stop)))
            guides.clear()
            guides[seed] = made
        return guides[seed]

    def trains(attempt: TrainConfig) -> bool:
        # With the instant result, the user may stop before the first step.
        return weights is None or (attempt.optimiser.steps > 0 and not (instant is not None and stop.stopped))

    def train_once(attempt: TrainConfig) -> Generator[Event, None, Trained]:
        seen: list[Guide] | None = None
        if first.far is not None and (weights is None or takes_estimate(weights, config)) and trains(attempt):
            seen = yield from guides_of(attempt)
        if weights is not None and not trains(attempt):
            return (yield from _translated(use_initial(psf, attempt, choice, weights)))
        previewer = None
        if preview_every_s is not None:
            previewer = Previewer(first, choice, attempt, preview_every_s, preview_region, preview_extra)
        shown = attempt if interim_refined else attempt.replace(refine=False)
        observer = TrainingObserver(previewer, deconvolve, partial(make_model, shown), stop, choice, improvements)
        bounds = min(lows), max(highs)
        work = train(
            [problem.standard for problem in problems],
            psf,
            attempt,
            choice,
            bounds=bounds,
            stop=stop,
            weights=weights,
            pixels=pixels,
            cautious=first.far is not None,
            guides=seen,
            writer=None if checkpoint is None else checkpoint.writer(attempt, choice),
            resumed=earlier.state if earlier is not None and attempt is fitted else None,
        )
        return (yield from observe_steps(_translated(work), observer))

    improvements: Improvements | None = None
    if instant is not None and weights is not None and fitted.optimiser.steps:
        improvements = Improvements(instant, partial(make_model, fitted), choice)
        yield from improvements.begin(build_initial(psf, fitted, choice, weights))
    run, used = yield from train_with_restarts(train_once, fitted, choice.device)
    if run.converged and run.selected.share == 0:
        yield Noted(
            f"Training ended after step {run.steps_done} of {used.optimiser.steps}: held-out pixels were not "
            "predicted better than by the initial weights, which were used."
        )
    ended = stop.stopped or (earlier is not None and earlier.state is not None and earlier.state.ended)
    # With a share of 0 the result has the initial weights, whatever the step.
    if run.selected.step < run.steps_done and run.selected.share > 0:
        yield Warned(
            f"The held-out error was lowest at step {run.selected.step} and rose after it: "
            "the model of that step is used."
        )
    return Training(
        model=make_model(used, run.network, run.steps_done, run.selected),
        run=run,
        choice=choice,
        stopped=ended and not run.converged and run.steps_done < config.optimiser.steps,
    )


def weights_to_begin(
    problem: Problem, config: TrainConfig, start_from: Model | None = None
) -> tuple[Mapping[str, Tensor] | None, list[str]]:
    """Return the weights that training begins with, None for random ones, and messages about them.

    Entries also call it before far light is estimated, so that unsuitable settings are refused at once.

    Raises
    ------
    ConfigError
        If there are no such weights for the settings.
    """
    _check_batch(config, problem.image.shape)
    if start_from is not None:
        return start_from.network.state_dict(), _check_start(start_from, config, problem)
    if config.start.pretrained:
        return initial_weights(config, problem.image.ndim, hazy=problem.whole_psf is not None), []
    if asks := _asks_for_weights(config):
        raise ConfigError(f"{asks} needs weights to begin with: pretrained=True, or a model to go on from")
    return None, []


def _translated(work: Generator[_E, None, Trained]) -> Generator[_E, None, Trained]:
    """Train, and translate errors of torch. The code that receives the events has errors of its own."""
    with translate_errors():
        return (yield from work)


def _pixel_weights(problems: Sequence[Problem]) -> list[PixelWeights] | None:
    """Return the weights of the pixels of each frame; None if every weight is 1."""
    if all(problem.weights is None for problem in problems):
        return None
    return [problem.weights or PixelWeights(np.ones(problem.image.shape, bool)) for problem in problems]


def _asks_for_weights(config: TrainConfig) -> str:
    """Return the setting that is impossible with random weights, or ""."""
    if not config.optimiser.steps:
        return "a run of 0 steps"
    if name := config.loss.weights.term_with_reference:
        return f"the loss weight {name} ({config.loss.weights.active[name]:g})"
    if config.network.bn_momentum == 0:
        return "bn_momentum=0"
    return next(
        (name for name in ("weight_interpolation", "trial", "model_clipping") if getattr(config.start, name)), ""
    )


def _check_batch(config: TrainConfig, shape: Sequence[int]) -> None:
    """Refuse a batch of which the lowest level of the network has one voxel: it has no variance to divide by."""
    patch = [min(n, config.optimiser.patch) for n in shape]
    batch = config.optimiser.batch_size * passes(config.loss.weights) + config.simulated_patches
    lowest = [-(-n // 2 ** (config.network.levels - 1)) for n in patch]
    # With bn_momentum=0 the statistics are those of the initial weights.
    normalised = config.optimiser.steps > 0 and config.network.bn_momentum > 0
    if normalised and batch * math.prod(lowest) == 1:
        raise ConfigError(
            f"a batch of one patch of {' x '.join(map(str, patch))} is too small for "
            f"{config.network.levels} levels",
            "set batch_size=2, or a larger patch",
        )


def _check_start(model: Model, config: TrainConfig, problem: Problem) -> list[str]:
    """Refuse a model of another architecture; say where it was trained with another PSF."""
    psf = problem.given_psf
    if model.network.takes_estimate and problem.whole_psf is None:
        raise ConfigError(
            "the model was trained with a PSF as large as its stack, and this PSF is smaller than the stack: "
            "train a new model, or use the PSF of the whole stack"
        )
    if model.psf.ndim != psf.ndim:
        raise ConfigError(f"the model is for {model.psf.ndim}D images and the PSF is {psf.ndim}D: train a new one")
    for name in ARCHITECTURE:
        had, wanted = getattr(model.config.network, name), getattr(config.network, name)
        if had != wanted:
            raise ConfigError(
                f"the model cannot be trained further with these settings: its {name} is {had!r}, not {wanted!r}"
            )
    if psf_hash(model.given_psf) != psf_hash(psf):
        return ["The model was trained with another PSF than the one it is now trained further with."]
    return []
