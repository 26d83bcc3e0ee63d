"""Weights between those that training began with and those that it ended with.

The loss has no barrier between weights and the same weights after fine-tuning, and their mean often does better
than either: Wortsman et al. 2022, "Robust fine-tuning of zero-shot models".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_selfdeconv.holdout.held_out import first_not_worse

#: The shares that are compared: 0 are the initial weights, 1 those after training.
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


def copy_weights(network: nn.Module) -> dict[str, Tensor]:
    """Return a copy of the weights and statistics, on their device."""
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def interpolate_weights(
    initial: Mapping[str, Tensor], trained: Mapping[str, Tensor], share: float
) -> dict[str, Tensor]:
    """Return the weights ``share`` of the way from ``initial`` to ``trained``, and the counters of ``trained``."""
    return {
        name: torch.lerp(initial[name], value, share) if value.is_floating_point() else value
        for name, value in trained.items()
    }


def load_interpolated(
    network: nn.Module, initial: Mapping[str, Tensor], measure_errors: Callable[[], NDArray[np.float32]]
) -> float:
    """Load weights between ``initial`` and the network's own, selected by held-out pixels; return their share.

    ``measure_errors()`` returns the network's error at each held-out pixel. Held-out pixels do not see what the
    blur removes, and a small gain there was as often a loss in the result. So the smallest share is taken whose
    error is not measurably above the lowest one.
    """
    trained = copy_weights(network)
    errors = []
    for share in SHARES:
        network.load_state_dict(interpolate_weights(initial, trained, share))
        errors.append(measure_errors())
    share = SHARES[first_not_worse(errors)]
    network.load_state_dict(interpolate_weights(initial, trained, share))
    return share
