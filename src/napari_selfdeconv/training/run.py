"""The state of a training run, and its steps, without events, clock and files."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_selfdeconv.arrays.symmetry import IDENTITY, psf_symmetries
from napari_selfdeconv.compute.device import Choice, repeatable
from napari_selfdeconv.compute.memory_model import training_bytes
from napari_selfdeconv.config.loss_terms import Needs
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.events import Started
from napari_selfdeconv.holdout.guide import Guide
from napari_selfdeconv.holdout.held_out import hold_out
from napari_selfdeconv.network.model import build_network, place
from napari_selfdeconv.physics.blur import Blur
from napari_selfdeconv.physics.clipping import ClippedBlur
from napari_selfdeconv.physics.pixel_weights import PixelWeights
from napari_selfdeconv.training.blind_spot import BlindSpot
from napari_selfdeconv.training.collapse import Collapsed, find_collapse
from napari_selfdeconv.training.initial_or_trained import copy_weights
from napari_selfdeconv.training.learning_rate import Schedule
from napari_selfdeconv.training.losses import compute_loss
from napari_selfdeconv.training.model_selection import ModelSelector
from napari_selfdeconv.training.reference_result import ReferenceResult
from napari_selfdeconv.training.sampler import Sampler
from napari_selfdeconv.training.validation import Validator

_INSPECT_EVERY = 20
_GRACE_STEPS = 20
# Where torch has an optimiser that goes through memory once.
_FUSED = ("cpu", "cuda")
# After far light was subtracted: a thirteenth of the learning rate, and half of the way. At full rate the haze of
# the first estimate came back as light: on a simulated stack haze was .51 instead of .44, with 0.35 dB less.
# There is no trial: held-out pixels were predicted better on every stack, and most where the PSNR gained least,
# because haze explains them as well.
_CAUTIOUS_RATE, _CAUTIOUS_SHARE = 0.075, 0.5


class TrainingRun:
    """Network, optimiser, patches and held-out pixels of one run; makes its steps.

    Parameters
    ----------
    frames : 2D or 3D float32 of one shape, zero mean and unit variance.
    psf : same number of axes, unit sum.
    bounds : minimum and maximum of the frames, standardised units.
    weights : the initial weights; None for random ones.
    pixels : how much the pixels of each frame count; None if all are measurements.
    cautious : learn slowly, and return weights half way between the initial and the trained ones. For images with
        smooth errors of their own, which blind spots take for light: those whose far light was subtracted.
    guides : of the frames, for a network that takes the first estimate as well; None for one that does not.

    Attributes
    ----------
    network : in training mode.
    blur : from f(x) to the expected image.
    blind_spot : computes what the loss terms need.
    selector : measures the held-out error and selects weights by it.
    schedule : schedule of the learning rate.
    generators : every source of randomness.
    history : every loss term, as reported.
    first_loss : the total loss at the first step.
    converged : whether the run is being ended because the held-out error no longer falls.
    peak_bytes : memory that training is expected to take.
    """

    def __init__(
        self,
        frames: Sequence[NDArray[np.float32]],
        psf: NDArray[Any],
        config: TrainConfig,
        choice: Choice,
        bounds: tuple[float, float],
        weights: Mapping[str, Tensor] | None,
        pixels: Sequence[PixelWeights] | None = None,
        cautious: bool = False,
        guides: Sequence[Guide] | None = None,
    ) -> None:
        self.config, self.choice = config, choice
        self.peak_bytes = training_bytes(
            config, frames[0].shape, psf.shape, precision=choice.precision, frames=len(frames)
        )
        self.symmetries = psf_symmetries(psf) if config.optimiser.augment else (IDENTITY,)
        # Places of patches are drawn on the CPU, masks and noise on the device: nothing is copied in a step.
        places = torch.Generator().manual_seed(config.seed)
        on_cpu = choice.device.type == "cpu"
        masks = places if on_cpu else torch.Generator(choice.device).manual_seed(config.seed)
        self.generators = (places,) if on_cpu else (places, masks)
        truths = [torch.from_numpy(frame) for frame in frames]
        filled, held = _hold_out(frames, config, pixels)
        inputs = [frame[None] for frame in filled]
        hideable = None
        if guides is not None:
            estimates = [torch.from_numpy(guide.estimate) for guide in guides]
            inputs = [torch.stack(pair) for pair in zip(filled, estimates, strict=True)]
            hideable = [torch.from_numpy(guide.hidden).to(choice.device) for guide in guides]
        on_device = [one.to(choice.device) for one in inputs]
        self.sampler = Sampler(
            on_device, [one.to(choice.device) for one in held], config, self.symmetries, places, pixels, hideable
        )
        validator = Validator(inputs, truths, held, config, choice) if config.blind_spot.held_out_percent else None
        self.network = build_network(config, psf, guides is not None)
        if weights is not None:
            self.network.load_state_dict(weights)
        place(self.network, choice, psf.ndim)
        reference = None
        if Needs.REFERENCE in config.loss.weights.needs:
            reference = ReferenceResult(copy.deepcopy(self.network).eval(), on_device, config, choice)
        blur = Blur(psf, boundary=config.boundary)
        self.blur = ClippedBlur(blur)
        if config.start.model_clipping and validator is not None:
            self.blur = validator.estimate_clipping(self.network, blur)
        self.blind_spot = BlindSpot(self.network, self.blur, reference, config, choice, bounds, masks)
        cautious &= weights is not None
        returns = cautious or config.start.weight_interpolation or config.start.trial > 0
        initial = copy_weights(self.network) if returns and weights is not None else None
        share = _CAUTIOUS_SHARE if cautious else None
        self.selector = ModelSelector(self.network, validator, self.blur, config, initial, share)
        self.network.train()
        settings = config.optimiser
        if cautious:
            settings = replace(settings, learning_rate=_CAUTIOUS_RATE * settings.learning_rate)
        self.optimizer = torch.optim.Adam(
            self.network.parameters(), lr=settings.learning_rate, fused=choice.device.type in _FUSED
        )
        self.schedule = Schedule(self.optimizer, settings)
        self.history: dict[str, list[float]] = {}
        self.converged = False
        self.first_loss = math.nan

    def describe(self) -> Started:
        """Return the event with which the run begins."""
        return Started(
            device=str(self.choice.device),
            device_reason=self.choice.reason,
            precision=self.choice.precision,
            parameters=sum(p.numel() for p in self.network.parameters()),
            steps=self.config.optimiser.steps,
            symmetries=len(self.symmetries),
            remedy=self.choice.remedy,
            peak_bytes=self.peak_bytes,
        )

    def make_step(self) -> dict[str, Tensor]:
        """Do one optimiser step; return the loss terms as device tensors."""
        with repeatable(self.choice.device):
            passes = self.blind_spot.compute_passes(self.sampler.draw(), self.schedule.position)
            loss, values = compute_loss(passes, self.config.loss.weights)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
        self.schedule.advance()
        return {"total": loss.detach(), **values}

    def inspect(self, step: int, loss: Tensor, ending: bool) -> float | None:
        """Look for a collapse and measure the held-out error, at fixed steps; return the error then.

        The run begins to end where the error no longer falls.

        Raises
        ------
        Collapsed
            If the network learned nothing.
        """
        every = min(max(5, self.config.optimiser.steps // 10), _INSPECT_EVERY)
        if step % every and step > 1 and not ending:
            return None
        self._raise_if_collapsed(step, float(loss))
        if step % every and not ending:
            return None
        error = self.selector.measure(step)
        if self.config.optimiser.auto_stop and not self.converged and not ending and self.selector.curve.plateau:
            self.converged = True
            self.schedule.start_cooldown()
        return error

    def _raise_if_collapsed(self, step: int, loss: float) -> None:
        if step == 1:
            self.first_loss = loss
        # Early on a network may be flat; a loss that is not finite is wrong at any step.
        early = step < max(_GRACE_STEPS, 0.3 * self.config.optimiser.steps) and not self.converged
        if math.isfinite(loss) and early:
            return
        assert self.blind_spot.last_f is not None
        if reason := find_collapse(self.blind_spot.last_f, loss, self.first_loss):
            raise Collapsed(reason)

    def record_losses(self, values: dict[str, Tensor]) -> dict[str, float]:
        """Fetch the losses from the device in one transfer, and add them to the history."""
        numbers = torch.stack(list(values.values())).cpu().tolist()
        losses = dict(zip(values, numbers, strict=True))
        for name, number in losses.items():
            self.history.setdefault(name, []).append(number)
        return losses


def _hold_out(
    frames: Sequence[NDArray[np.float32]], config: TrainConfig, pixels: Sequence[PixelWeights] | None
) -> tuple[list[Tensor], list[Tensor]]:
    """Return the frames with the held-out pixels replaced, and where those are: pixels that hold the light."""
    pairs = [
        hold_out(frame, config.blind_spot.held_out_percent, config.seed + k) for k, frame in enumerate(frames)
    ]
    if pixels is not None:
        pairs = [(filled, held & one.measured) for (filled, held), one in zip(pairs, pixels, strict=True)]
    return [torch.from_numpy(filled) for filled, _ in pairs], [torch.from_numpy(held) for _, held in pairs]
