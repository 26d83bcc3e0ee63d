"""The training loop: a generator of events that returns the trained model. No files, no scaling, no tiles."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_selfdeconv.arrays.symmetry import IDENTITY, psf_symmetries
from napari_selfdeconv.compute.device import Choice, free_memory_bytes, repeatable
from napari_selfdeconv.compute.malloc import retained_memory
from napari_selfdeconv.compute.memory_model import training_bytes
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.errors import ComputeError
from napari_selfdeconv.events import Event, Progress, Started
from napari_selfdeconv.holdout.held_out import hold_out
from napari_selfdeconv.holdout.masks import falling_percent, fill_with_noise, stratified_mask
from napari_selfdeconv.network.model import Deconvolver, autocast, build_network, place
from napari_selfdeconv.physics.blur import Blur
from napari_selfdeconv.physics.clipping import ClippedBlur
from napari_selfdeconv.stop_token import StopToken
from napari_selfdeconv.training.collapse import collapsed
from napari_selfdeconv.training.learning_rate import Schedule
from napari_selfdeconv.training.losses import Passes, needed_passes, total
from napari_selfdeconv.training.model_selection import ModelSelector, SelectedWeights
from napari_selfdeconv.training.reference_result import ReferenceResult
from napari_selfdeconv.training.sampler import PatchBatch, Sampler
from napari_selfdeconv.training.validation import Validator
from napari_selfdeconv.training.weight_interpolation import snapshot

# At most ten reports a second: each one waits for the device.
_REPORT_EVERY_S = 0.1
_INSPECT_EVERY = 20
_PAUSE_SLICE_S = 0.1
_GRACE_STEPS = 20
# Where torch has an optimiser that goes through memory once.
_FUSED = ("cpu", "cuda")
_ROOMY = 2


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What a run returns.

    Attributes
    ----------
    network : in evaluation mode.
    losses : history of every term, as reported.
    held_out : (step, error) of every measurement of the held-out blind-spot error.
    steps_done : how many steps were made; kept : which weights of them.
    converged : whether training ended by itself.
    """

    network: Deconvolver
    losses: dict[str, list[float]]
    held_out: list[tuple[int, float]]
    steps_done: int
    kept: SelectedWeights
    converged: bool


class Collapsed(ComputeError):
    """The network learned nothing: another seed may do better."""


Settled = Callable[[], AbstractContextManager[SelectedWeights]]
Between = Callable[[int, Deconvolver, Settled], Iterator[Event]]


def train(
    frames: Sequence[NDArray[np.float32]],
    psf: NDArray[Any],
    config: TrainConfig,
    choice: Choice,
    *,
    bounds: tuple[float, float],
    stop: StopToken,
    between: Between | None = None,
    weights: Mapping[str, Tensor] | None = None,
) -> Generator[Event, None, Trained]:
    """Train one network on standardised images of one shape.

    Parameters
    ----------
    frames : 2D or 3D float32, zero mean and unit variance.
    psf : same number of axes, unit sum.
    bounds : minimum and maximum of the frames, standardised units.
    stop : read after every step.
    between : called as ``between(step, network, settled)`` after every step, and again and again during a pause;
        what it yields is yielded. Within ``with settled() as kept`` the network is what would be returned if
        training ended at that step.
    weights : state of a trained network to go on from, in place of random weights.

    Raises
    ------
    Collapsed
        If the loss explodes, or the result becomes flat or a checkerboard.
    Cancelled
        If ``stop.cancel()`` was called.
    """
    run = _Run(frames, psf, config, choice, bounds, weights)
    yield run.started()
    # Kept memory is some more memory: not where it is short.
    roomy = choice.device.type == "cpu" and _ROOMY * run.peak_bytes < free_memory_bytes(choice.device)
    with retained_memory() if roomy else nullcontext():
        return (yield from _steps(run, stop, between))


def _steps(run: _Run, stop: StopToken, between: Between | None) -> Generator[Event, None, Trained]:
    start = last = time.perf_counter()
    step, ending = 0, False
    while not ending:
        step += 1
        values = run.step()
        run.schedule.advance()
        stop.raise_if_cancelled()
        ending = stop.stopped or run.schedule.steps_left == 0
        held_out = run.inspect(step, values["total"], ending)
        now = time.perf_counter()
        if ending or step == 1 or held_out is not None or now - last >= _REPORT_EVERY_S:
            last = now
            yield Progress(
                stage="train",
                step=step,
                steps=step + run.schedule.steps_left,
                seconds=now - start,
                eta_s=(now - start) / step * run.schedule.steps_left,
                losses=run.record(values),
                held_out=held_out,
            )
        if not ending:
            before = time.perf_counter()
            yield from _between(between, step, run, stop)
            start += time.perf_counter() - before
    return run.finish(step)


def _between(between: Between | None, step: int, run: _Run, stop: StopToken) -> Iterator[Event]:
    """Let others look at the network between two steps, for as long as a pause lasts."""
    while True:
        if between is not None:
            yield from between(step, run.network, partial(run.keeper.settled, step))
        stop.raise_if_cancelled()
        if not stop.paused:
            return
        stop.wait_while_paused(_PAUSE_SLICE_S)


class _Run:
    """The state of one run: network, optimiser, sampler, held-out pixels."""

    def __init__(
        self,
        frames: Sequence[NDArray[np.float32]],
        psf: NDArray[Any],
        config: TrainConfig,
        choice: Choice,
        bounds: tuple[float, float],
        weights: Mapping[str, Tensor] | None,
    ) -> None:
        self.config, self.choice, self.bounds = config, choice, bounds
        precision = str(choice.dtype).removeprefix("torch.")
        self.peak_bytes = training_bytes(
            config, frames[0].shape, psf.shape, precision=precision, frames=len(frames)
        )
        self.symmetries = psf_symmetries(psf) if config.augment else (IDENTITY,)
        # Where patches lie is drawn on the CPU, their masks and noise on the device: nothing is copied in a step.
        places = torch.Generator().manual_seed(config.seed)
        on_cpu = choice.device.type == "cpu"
        self.generator = places if on_cpu else torch.Generator(choice.device).manual_seed(config.seed)
        truths = [torch.from_numpy(frame) for frame in frames]
        filled, held = _hold_out(frames, config)
        on_device = [frame.to(choice.device) for frame in filled]
        self.sampler = Sampler(
            on_device, [pixels.to(choice.device) for pixels in held], config, self.symmetries, places
        )
        validator = Validator(filled, truths, held, config, choice) if config.held_out_percent else None
        self.network = build_network(config, psf)
        if weights is not None:
            self.network.load_state_dict(weights)
        place(self.network, choice, psf.ndim)
        self.first: ReferenceResult | None = None
        if config.loss.holds_on:
            self.first = ReferenceResult(copy.deepcopy(self.network).eval(), on_device, config, choice)
        self.blur = Blur(psf, boundary=config.boundary)
        self.camera = ClippedBlur(self.blur)
        if config.model_cut_off and validator is not None:
            self.camera = validator.camera(self.network, self.blur)
        begun = snapshot(self.network) if config.blend_start and weights is not None else None
        self.keeper = ModelSelector(self.network, validator, self.camera, config, begun)
        self.network.train()
        self.optimizer = torch.optim.Adam(
            self.network.parameters(), lr=config.learning_rate, fused=choice.device.type in _FUSED
        )
        self.schedule = Schedule(self.optimizer, config)
        self.history: dict[str, list[float]] = {}
        self.converged = False
        self._first_loss = math.nan
        self._last_f: Tensor | None = None

    def started(self) -> Started:
        return Started(
            device=str(self.choice.device),
            device_reason=self.choice.reason,
            precision=str(self.choice.dtype).removeprefix("torch."),
            parameters=sum(p.numel() for p in self.network.parameters()),
            steps=self.config.steps,
            symmetries=len(self.symmetries),
            remedy=self.choice.remedy,
            peak_bytes=self.peak_bytes,
        )

    def step(self) -> dict[str, Tensor]:
        """Do one optimiser step; return the loss terms as device tensors."""
        with repeatable(self.choice.device):
            return self._step()

    def _step(self) -> dict[str, Tensor]:
        drawn = self.sampler.draw()
        x = drawn.x
        percent = falling_percent(self.config.mask_percent_start, self.config.mask_percent, self.schedule.position)
        mask = stratified_mask(len(x), x.shape[2:], percent, self.generator) & ~drawn.held
        masked = fill_with_noise(x, mask, self.config.mask_sigma, self.generator)
        loss, values = total(self._passes(drawn, mask, masked), self.config.loss)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return {"total": loss.detach(), **values}

    def inspect(self, step: int, loss: Tensor, ending: bool) -> float | None:
        """Look at fixed steps, not at times, whether all is well, and return the held-out error then.

        Raises `Collapsed`; begins to end on a plateau.
        """
        every = min(max(5, self.config.steps // 10), _INSPECT_EVERY)
        if step % every and step > 1 and not ending:
            return None
        self._check_health(step, float(loss))
        if step % every and not ending:
            return None
        error = self.keeper.look(step)
        if self.config.auto_stop and not self.converged and not ending and self.keeper.watch.plateau:
            self.converged = True
            self.schedule.wind_up()
        return error

    def _check_health(self, step: int, loss: float) -> None:
        if step == 1:
            self._first_loss = loss
        # Early on a network may well be flat; a loss that is no longer finite is never well.
        early = step < max(_GRACE_STEPS, 0.3 * self.config.steps) and not self.converged
        if math.isfinite(loss) and early:
            return
        assert self._last_f is not None
        reason = collapsed(self._last_f, loss, self._first_loss)
        if reason:
            raise Collapsed(reason)

    def _passes(self, drawn: PatchBatch, mask: Tensor, masked: Tensor) -> Passes:
        x = drawn.x
        unmasked_pass, masked_pass = needed_passes(self.config.loss)
        # Both passes in one batch: one set of kernels, and batch-norm statistics over both.
        inputs = [x] * unmasked_pass + [masked] * masked_pass
        f_start = again = None
        recorded = self.config.recorded_anew
        if self.first is not None:
            f_start = self.first(drawn.places)
            if recorded:
                inputs.append(self.camera.record(f_start[:recorded], x[:recorded], self.generator))
        with autocast(self.choice):
            f = self.network(torch.cat(inputs)).float()
        if recorded:
            f, again = f[:-recorded], f[-recorded:]
        self._last_f = f.detach()
        g = self.camera(f)
        first, second = slice(0, len(x)), slice(-len(x), None)
        return Passes(
            x=x,
            mask=mask,
            f_x=f[first] if unmasked_pass else None,
            g_x=g[first] if unmasked_pass else None,
            f_masked=f[second] if masked_pass else None,
            g_masked=g[second] if masked_pass else None,
            low=self.bounds[0],
            high=self.bounds[1],
            delta=self.config.huber_delta if self.config.data_term == "huber" else None,
            f_start=f_start,
            f_again=again,
        )

    def record(self, values: dict[str, Tensor]) -> dict[str, float]:
        """Fetch the losses in one transfer and keep them."""
        numbers = torch.stack(list(values.values())).cpu().tolist()
        losses = dict(zip(values, numbers, strict=True))
        for name, number in losses.items():
            self.history.setdefault(name, []).append(number)
        return losses

    def finish(self, step: int) -> Trained:
        """Return the network that is kept when training ends now."""
        kept = self.keeper.settle(step)
        return Trained(
            network=self.network,
            losses=self.history,
            held_out=self.keeper.watch.history,
            steps_done=step,
            kept=kept,
            converged=self.converged,
        )


def _hold_out(frames: Sequence[NDArray[np.float32]], config: TrainConfig) -> tuple[list[Tensor], list[Tensor]]:
    """Return the frames with the held-out pixels replaced, and where those are."""
    pairs = [hold_out(frame, config.held_out_percent, config.seed + k) for k, frame in enumerate(frames)]
    return [torch.from_numpy(filled) for filled, _ in pairs], [torch.from_numpy(held) for _, held in pairs]
