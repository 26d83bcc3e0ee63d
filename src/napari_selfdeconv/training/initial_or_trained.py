"""The choice between initial and trained weights, by held-out pixels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn


def copy_weights(network: nn.Module) -> dict[str, Tensor]:
    """Return a copy of the weights and statistics, on their device."""
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def load_between(network: nn.Module, initial: Mapping[str, Tensor], share: float) -> None:
    """Load weights that lie ``share`` of the way from the initial to the trained ones.

    Examples
    --------
    >>> import torch
    >>> layer = torch.nn.Linear(1, 1, bias=False)
    >>> _ = layer.load_state_dict({"weight": torch.tensor([[3.0]])})
    >>> load_between(layer, {"weight": torch.tensor([[1.0]])}, 0.25)
    >>> layer.weight.tolist()
    [[1.5]]
    """
    trained = copy_weights(network)
    mixed = {n: v.lerp(initial[n], 1 - share) if v.is_floating_point() else v for n, v in trained.items()}
    network.load_state_dict(mixed)


def load_better(
    network: nn.Module,
    initial: Mapping[str, Tensor],
    before: NDArray[np.float32],
    after: NDArray[np.float32],
) -> float:
    """Load the initial weights unless training gained something; return the share of it that is kept, 0 or 1.

    ``before`` and ``after`` are the errors of the initial and of the network's weights at each held-out pixel. The
    trained weights are used if their mean error is lower. On eleven images each such gain, however small, was one
    of the result as well. Without a gain the trained weights were -0.07 to +0.13 dB better on four crops. Weights
    between the two were tried: they changed no result.
    """
    if after.mean(dtype=np.float64) >= before.mean(dtype=np.float64):
        network.load_state_dict(initial)
        return 0.0
    return 1.0
