"""Between the weights that training began with and those it ended with: the mixture that predicts best.

Between weights and what fine-tuning makes of them the loss has no barrier, and a mean of the two often does better
than either: Wortsman et al. 2022, "Robust fine-tuning of zero-shot models".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_selfdeconv.holdout.held_out import first_not_worse

#: How far from the first weights to the last: what is looked at.
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


def snapshot(network: nn.Module) -> dict[str, Tensor]:
    """Return a copy of the weights and statistics, on their device."""
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def interpolated(begun: Mapping[str, Tensor], ended: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """Return the weights that lie ``share`` of the way from ``begun`` to ``ended``; the counters of ``ended``."""
    return {
        name: torch.lerp(begun[name], end, share) if end.is_floating_point() else end
        for name, end in ended.items()
    }


def interpolate_weights(
    network: nn.Module, begun: Mapping[str, Tensor], errors: Callable[[], NDArray[np.float32]]
) -> float:
    """Load the mixture of ``begun`` and the network's weights that held-out pixels ask for; return its share.

    ``errors()`` returns the network's error at each of them. They do not see what the blur removes, and a small
    gain there was as often a loss in the result: the smallest share not measurably worse than the best is taken.
    """
    ended = snapshot(network)
    found = []
    for share in SHARES:
        network.load_state_dict(interpolated(begun, ended, share))
        found.append(errors())
    share = SHARES[first_not_worse(found)]
    network.load_state_dict(interpolated(begun, ended, share))
    return share
