"""The blind spot: pixels are hidden from the network, and the network's output there is compared with them."""

from __future__ import annotations

import torch
from torch import Tensor

from napari_selfdeconv.compute.device import Choice
from napari_selfdeconv.config.loss_terms import Needs, Passes
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.holdout.guide import HIDDEN_PERCENT
from napari_selfdeconv.holdout.masks import falling_percent, fill_with_noise, stratified_mask
from napari_selfdeconv.network.model import Deconvolver, autocast
from napari_selfdeconv.physics.clipping import ClippedBlur
from napari_selfdeconv.training.reference_result import ReferenceResult
from napari_selfdeconv.training.sampler import PatchBatch


class BlindSpot:
    """Computes the outputs that the loss terms compare, for a batch of patches.

    Parameters
    ----------
    network : in training mode.
    blur : from f(x) to the expected image.
    reference : f(x) with the initial weights; None if no loss term needs it.
    bounds : minimum and maximum of the images, standardised units.
    generator : source of randomness, on the device.

    Attributes
    ----------
    last_f : f of the last batch, without its gradient.
    """

    def __init__(
        self,
        network: Deconvolver,
        blur: ClippedBlur,
        reference: ReferenceResult | None,
        config: TrainConfig,
        choice: Choice,
        bounds: tuple[float, float],
        generator: torch.Generator,
    ) -> None:
        self.network, self.blur, self.reference = network, blur, reference
        self.config, self.choice, self.bounds = config, choice, bounds
        self.generator = generator
        self.last_f: Tensor | None = None

    def hide_pixels(self, batch: PatchBatch, position: int) -> tuple[Tensor, Tensor]:
        """Return which pixels are hidden at a ``position`` of the schedule, and the patches without them."""
        x, config = batch.x, self.config
        settings = config.blind_spot
        percent = falling_percent(settings.mask_percent_start, settings.mask_percent, position)
        if batch.hideable is None:
            mask = stratified_mask(len(x), x.shape[2:], percent, self.generator)
        else:
            drawn = torch.rand(x.shape, generator=self.generator, device=x.device)
            mask = (drawn < percent / HIDDEN_PERCENT) & batch.hideable
        mask &= ~batch.held
        return mask, fill_with_noise(x, mask, settings.mask_sigma, self.generator)

    def compute_passes(self, batch: PatchBatch, position: int) -> Passes:
        """Hide pixels of a batch and compute the passes through the network that the loss terms need."""
        mask, masked = self.hide_pixels(batch, position)
        x = batch.x
        needs = self.config.loss.weights.needs
        unmasked_pass, masked_pass = Needs.UNMASKED in needs, Needs.MASKED in needs
        # All passes in one batch: one set of kernels, and batch-norm statistics over all of them.
        inputs = [x] * unmasked_pass + [masked] * masked_pass
        reference = simulated = None
        count = self.config.simulated_patches
        if self.reference is not None:
            reference = self.reference(batch.places)
            if count:
                inputs.append(self.blur.record(reference[:count], x[:count], self.generator))
        images = torch.cat(inputs)
        # A simulated record has the estimate of the patch that it was made from.
        estimates = torch.cat([batch.estimate] * (len(images) // len(x) + 1))[: len(images)]
        with autocast(self.choice):
            f = self.network(torch.cat([images, estimates], 1)).float()
        if count:
            f, simulated = f[:-count], f[-count:]
        self.last_f = f.detach()
        g = self.blur(f)
        first, last = slice(0, len(x)), slice(-len(x), None)
        return Passes(
            x=x,
            mask=mask,
            f_x=f[first] if unmasked_pass else None,
            g_x=g[first] if unmasked_pass else None,
            f_masked=f[last] if masked_pass else None,
            g_masked=g[last] if masked_pass else None,
            low=self.bounds[0],
            high=self.bounds[1],
            delta=self.config.loss.delta,
            reference=reference,
            simulated=simulated,
            weights=batch.weights,
            at_least=batch.at_least,
        )
