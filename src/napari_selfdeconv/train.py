"""The training loop: a generator of events that returns the trained model. No files, no scaling, no tiles."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_selfdeconv.config import TrainConfig
from napari_selfdeconv.device import Choice
from napari_selfdeconv.errors import ComputeError
from napari_selfdeconv.events import Event, Progress, Started, StopToken
from napari_selfdeconv.forward import Blur
from napari_selfdeconv.losses import Passes, needed_passes, total
from napari_selfdeconv.masks import fill_with_noise, stratified_mask
from napari_selfdeconv.model import Deconvolver, autocast, build_network, place
from napari_selfdeconv.symmetry import IDENTITY, Symmetry, psf_symmetries

# At most ten reports a second: each one waits for the device.
_REPORT_EVERY_S = 0.1


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What a run returns: the network in evaluation mode, the history of the losses, the steps done."""

    network: Deconvolver
    losses: dict[str, list[float]]
    steps_done: int


class Sampler:
    """Draws random patches of one standardised image, turned by symmetries of the PSF."""

    def __init__(
        self, image: Tensor, config: TrainConfig, symmetries: Sequence[Symmetry], generator: torch.Generator
    ) -> None:
        self._image = image
        self._patch = [min(n, config.patch) for n in image.shape]
        # A patch that is not square in yx cannot be swapped and stacked with the others.
        square = self._patch[-1] == self._patch[-2]
        self._symmetries = [s for s in symmetries if square or not s.swap]
        self._batch = config.batch_size
        self._generator = generator

    def draw(self) -> Tensor:
        """Return (batch, 1, *patch)."""
        patches = []
        for _ in range(self._batch):
            starts = [self._integer(n - p + 1) for n, p in zip(self._image.shape, self._patch, strict=True)]
            where = tuple(slice(s, s + p) for s, p in zip(starts, self._patch, strict=True))
            symmetry = self._symmetries[self._integer(len(self._symmetries))]
            patches.append(symmetry.apply(self._image[where]))
        return torch.stack(patches)[:, None]

    def _integer(self, below: int) -> int:
        return int(torch.randint(below, (), generator=self._generator))


def train(
    image: NDArray[np.float32],
    psf: NDArray[Any],
    config: TrainConfig,
    choice: Choice,
    *,
    bounds: tuple[float, float],
    stop: StopToken,
    watch: Callable[[int, Deconvolver], Event | None] | None = None,
) -> Generator[Event, None, Trained]:
    """Train on one standardised image.

    Parameters
    ----------
    image : 2D or 3D float32, zero mean and unit variance.
    psf : same number of axes, unit sum.
    bounds : the image's own minimum and maximum in standardised units.
    stop : read after every step.
    watch : called as ``watch(step, network)`` after every step; an event it returns is yielded.

    Raises
    ------
    ComputeError
        If the loss stops being finite.
    Cancelled
        If ``stop.cancel()`` was called.
    """
    run = _Run(image, psf, config, choice, bounds)
    yield run.started()
    start = last = time.perf_counter()
    for step in range(1, config.steps + 1):
        values = run.step()
        stop.raise_if_cancelled()
        now = time.perf_counter()
        ending = stop.stopped or step == config.steps
        if ending or step == 1 or now - last >= _REPORT_EVERY_S:
            last = now
            losses = run.record(values)
            eta = (now - start) / step * (config.steps - step)
            yield Progress(
                stage="train", step=step, steps=config.steps, seconds=now - start, eta_s=eta, losses=losses
            )
        if watch is not None:
            event = watch(step, run.network)
            if event is not None:
                yield event
        if ending:
            break
    return Trained(network=run.finish(), losses=run.history, steps_done=step)


class _Run:
    """The state of one run: network, optimiser, sampler."""

    def __init__(
        self,
        image: NDArray[np.float32],
        psf: NDArray[Any],
        config: TrainConfig,
        choice: Choice,
        bounds: tuple[float, float],
    ) -> None:
        self.config, self.choice, self.bounds = config, choice, bounds
        self.symmetries = psf_symmetries(psf) if config.augment else (IDENTITY,)
        # Patches and masks come from the CPU generator: the same on every device.
        self.generator = torch.Generator().manual_seed(config.seed)
        self.sampler = Sampler(torch.from_numpy(image), config, self.symmetries, self.generator)
        self.blur = Blur(psf, boundary=config.boundary)
        self.network = build_network(config, psf)
        place(self.network, choice, image.ndim)
        self.network.train()
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=config.learning_rate)
        self.schedule = _schedule(self.optimizer, config)
        self.history: dict[str, list[float]] = {}

    def started(self) -> Started:
        return Started(
            device=str(self.choice.device),
            device_reason=self.choice.reason,
            precision=str(self.choice.dtype).removeprefix("torch."),
            parameters=sum(p.numel() for p in self.network.parameters()),
            steps=self.config.steps,
            symmetries=len(self.symmetries),
        )

    def step(self) -> dict[str, Tensor]:
        """Do one optimiser step; return the loss terms as device tensors."""
        x = self.sampler.draw()
        size = x.shape[2:]
        mask = stratified_mask(len(x), size, self.config.mask_percent, self.generator)
        masked = fill_with_noise(x, mask, self.config.mask_sigma, self.generator)
        device = self.choice.device
        x, mask, masked = x.to(device), mask.to(device), masked.to(device)
        loss, values = total(self._passes(x, mask, masked), self.config.loss)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.schedule.step()
        return {"total": loss.detach(), **values}

    def _passes(self, x: Tensor, mask: Tensor, masked: Tensor) -> Passes:
        unmasked_pass, masked_pass = needed_passes(self.config.loss)
        # Both passes in one batch: one set of kernels, and batch-norm statistics over both.
        inputs = [x] * unmasked_pass + [masked] * masked_pass
        with autocast(self.choice):
            f = self.network(torch.cat(inputs)).float()
        g = self.blur(f)
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
        )

    def record(self, values: dict[str, Tensor]) -> dict[str, float]:
        """Fetch the losses in one transfer and keep them."""
        numbers = torch.stack(list(values.values())).cpu().tolist()
        losses = dict(zip(values, numbers, strict=True))
        if not math.isfinite(losses["total"]):
            raise ComputeError(
                "training diverged (the loss is no longer finite): try another seed or a lower learning rate"
            )
        for name, number in losses.items():
            self.history.setdefault(name, []).append(number)
        return losses

    def finish(self) -> Deconvolver:
        """Return the network, in evaluation mode."""
        self.network.eval()
        return self.network


def _schedule(optimizer: torch.optim.Optimizer, config: TrainConfig) -> torch.optim.lr_scheduler.LRScheduler:
    if config.schedule == "halving":
        return torch.optim.lr_scheduler.StepLR(optimizer, config.halve_every, gamma=0.5)
    # The cycle has at least two steps: OneCycleLR divides by the length of its phases.
    return torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=config.learning_rate, total_steps=max(2, config.steps) + 1, pct_start=0.3
    )
