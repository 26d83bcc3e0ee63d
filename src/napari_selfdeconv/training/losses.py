"""The loss of a training step: the weighted sum of its terms (`napari_selfdeconv.config.loss_terms`)."""

from __future__ import annotations

import torch
from torch import Tensor

from napari_selfdeconv.config.loss_terms import LOSS_TERMS, LossWeights, Passes


def compute_loss(p: Passes, weights: LossWeights) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the weighted sum of the active terms, and each of them unweighted and detached."""
    active = weights.active
    values = {name: LOSS_TERMS[name].formula(p) for name in active}
    terms = [active[name] * value for name, value in values.items()]
    return torch.stack(terms).sum(), {name: value.detach() for name, value in values.items()}
