"""Train one model on one image, or on several frames of a series: initial weights, restarts, previews."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from napari_selfdeconv.compute import device
from napari_selfdeconv.compute.memory_budget import differences, fit_training, halve_training
from napari_selfdeconv.config.tiles import TileConfig
from napari_selfdeconv.config.training import ARCHITECTURE, TrainConfig
from napari_selfdeconv.errors import ConfigError, OutOfMemory
from napari_selfdeconv.events import Event, Interim, Warned
from napari_selfdeconv.inference.predict import new_provenance, translated
from napari_selfdeconv.inference.prepare import Problem
from napari_selfdeconv.inference.preview import Previewer, Region
from napari_selfdeconv.network.initial_weights import initial_weights
from napari_selfdeconv.network.model import Deconvolver, Model, psf_hash
from napari_selfdeconv.stop_token import StopToken
from napari_selfdeconv.training.loop import Between, Collapsed, Settled, Trained, train
from napari_selfdeconv.training.model_selection import SelectedWeights

Whole = Callable[[Model], Generator[Event, None, NDArray[np.float32]]]


@dataclass(frozen=True, kw_only=True)
class Training:
    """The trained model, and how the run went."""

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
    whole: Whole | None = None,
    memory_share: float = TileConfig.memory_share,
) -> Generator[Event, None, Training]:
    """Train one model on frames of one shape; yield events, return the model.

    Parameters
    ----------
    problems : frames of one shape with one PSF; each has its own scale. Previews show the first one.
    config, voxel_um, start_from, stop, preview_every_s, preview_region, preview_extra : see
        `iter_deconvolve`.
    whole : deconvolves the whole image with a model: called when `StopToken.request_result` asks for an `Interim`.
    memory_share : of the free memory, that training may take. Where the settings need more, batch, precision and
        patch are changed (`fit_training`); a `Warned` says so, and the model's settings hold what was used.

    Raises
    ------
    ConfigError, ComputeError, Cancelled
        As `iter_deconvolve`.
    """
    first = problems[0]
    shape, psf, notes = first.image.shape, first.psf, list(first.notes)
    if any(problem.image.shape != shape for problem in problems):
        shapes = sorted({problem.image.shape for problem in problems})
        raise ConfigError(f"all frames must have one shape, got {shapes}")
    if start_from is not None:
        notes += _check_start(start_from, config, psf)
    weights: Mapping[str, Tensor] | None = None
    if start_from is not None:
        weights = start_from.network.state_dict()
    elif config.pretrained:
        weights = initial_weights(config, len(shape))
    elif asks := _asks_for_weights(config):
        raise ConfigError(f"{asks} needs weights to begin with: pretrained=True, or a model to go on from")
    choice = device.choose_device(config.device, config.precision)
    standard = [problem.standard for problem in problems]
    lows, highs = zip(*(problem.scale.bounds for problem in problems), strict=True)

    def record(network: Deconvolver, config: TrainConfig, steps: int, kept: SelectedWeights) -> Model:
        provenance = new_provenance(config, psf, choice, steps, voxel_um, continued=start_from)
        provenance |= {"kept_step": kept.step, "kept_share": kept.share}
        voxel = None if voxel_um is None else tuple(map(float, voxel_um))
        return Model(config=config, psf=psf, network=network, voxel_um=voxel, provenance=provenance)

    fitted = fit_training(
        config,
        shape,
        psf.shape,
        precision=str(choice.dtype).removeprefix("torch."),
        frames=len(problems),
        free_bytes=device.free_memory_bytes(choice.device),
        memory_share=memory_share,
        fast_bfloat16=device.fast_bfloat16(choice.device),
    )
    for note in filter(None, (*notes, fitted.note)):
        yield Warned(note)
    if fitted.note:
        choice = device.choose_device(config.device, fitted.config.precision)

    def once(attempt: TrainConfig) -> Generator[Event, None, Trained]:
        preview = None
        if preview_every_s is not None:
            preview = Previewer(
                standard[0], first.scale, choice, attempt, psf, preview_every_s, preview_region, preview_extra
            )
        between = _between(attempt, preview, whole, record, stop)
        with translated():
            return (
                yield from train(
                    standard,
                    psf,
                    attempt,
                    choice,
                    bounds=(min(lows), max(highs)),
                    stop=stop,
                    between=between,
                    weights=weights,
                )
            )

    run, used = yield from _attempts(once, fitted.config, choice)
    # Where nothing of the training was kept, no step was.
    if run.kept.step < run.steps_done and run.kept.share > 0:
        yield Warned(
            f"The held-out error was lowest at step {run.kept.step} and rose after it: "
            "the model of that step is used."
        )
    return Training(
        model=record(run.network, used, run.steps_done, run.kept),
        run=run,
        choice=choice,
        stopped=stop.stopped and not run.converged and run.steps_done < config.steps,
    )


def _asks_for_weights(config: TrainConfig) -> str:
    """Return what in the settings makes no sense for a random start, or ""."""
    if held := config.loss.holds_on:
        return f"the loss weight {held} ({getattr(config.loss, held):g})"
    if config.bn_momentum == 0:
        return "bn_momentum=0"
    return next((name for name in ("blend_start", "model_cut_off") if getattr(config, name)), "")


def _attempts(
    once: Callable[[TrainConfig], Generator[Event, None, Trained]], config: TrainConfig, choice: device.Choice
) -> Generator[Event, None, tuple[Trained, TrainConfig]]:
    """Train; anew from another seed after a collapse, anew with half the batch or patch when out of memory."""
    attempt, reseeded = config, False
    while True:
        try:
            return (yield from once(attempt)), attempt
        except Collapsed as error:
            if reseeded:
                raise Collapsed(
                    f"training collapsed twice ({error}): try another seed, the preset 'standard', "
                    "or look whether the image holds anything but noise"
                ) from None
            changed, reseeded = replace(attempt, seed=(attempt.seed + 1) % 2**31), True
            said = f"Training collapsed ({error}); it begins anew with seed {changed.seed}."
        except OutOfMemory:
            smaller = halve_training(attempt)
            if smaller is None:
                raise
            said = f"Training ran out of memory; it begins anew with {differences(attempt, smaller)}."
            changed = smaller
        # Out of the except block: until then the error holds the frames, and they hold the run's memory.
        device.release_memory(choice.device)
        yield Warned(said)
        attempt = changed


def _between(
    config: TrainConfig,
    preview: Previewer | None,
    whole: Whole | None,
    record: Callable[[Deconvolver, TrainConfig, int, SelectedWeights], Model],
    stop: StopToken,
) -> Between:
    """Return what happens between two steps: a preview when it is time, the whole image when asked for."""

    def between(step: int, network: Deconvolver, settled: Settled) -> Iterator[Event]:
        event = None if preview is None else preview(step, network)
        if event is not None:
            yield event
        if whole is None or not stop.take_request():
            return
        with settled() as kept:
            model = record(network, config, step, kept)
            image = yield from whole(model)
        yield Interim(step=step, image=image, provenance=model.provenance)

    return between


def _check_start(model: Model, config: TrainConfig, psf: NDArray[np.float32]) -> list[str]:
    """Refuse a model of another architecture; say where it was trained with another PSF."""
    if model.psf.ndim != psf.ndim:
        raise ConfigError(f"the model is for {model.psf.ndim}D images and the PSF is {psf.ndim}D: train a new one")
    for name in ARCHITECTURE:
        had, wanted = getattr(model.config, name), getattr(config, name)
        if had != wanted:
            raise ConfigError(
                f"the model cannot be trained further with these settings: its {name} is {had!r}, not {wanted!r}"
            )
    if psf_hash(model.psf) != psf_hash(psf):
        return ["The model was trained with another PSF than the one it is now trained further with."]
    return []
