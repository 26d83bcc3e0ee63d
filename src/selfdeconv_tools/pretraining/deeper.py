"""An additional level or input channel for a trained network, which does not change its output at first."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.network.unet import UNet


def deepened(unet: UNet, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights for ``unet`` with which it computes what a U-Net of a level less does with ``state``.

    The block that joins the new level to what was the lowest one passes the latter on through its shortcut, and
    the rest of it adds nothing until it is trained. What ``state`` does not have is as it is in ``unet``.

    Raises
    ------
    ConfigError
        If ``state`` is not that of such a network.

    Examples
    --------
    >>> small, large = (UNet(2, features=4, levels=n).eval() for n in (2, 3))
    >>> _ = large.load_state_dict(deepened(large, small.state_dict()))
    >>> x = torch.randn(1, 1, 16, 16)
    >>> torch.equal(small(x), large(x))
    True
    """
    new = len(unet.down) - 1
    prefixes = (f"encoder.{new + 1}.", f"down.{new}.", f"up.{new}.", f"decoder.{new}.")
    weights = unet.state_dict()
    old = {name: value.shape for name, value in weights.items() if not name.startswith(prefixes)}
    if old != {name: value.shape for name, value in state.items()}:
        raise ConfigError("weights of a network with a level less, of the same width and skips, are needed")
    shortcut = f"decoder.{new}.shortcut.weight"
    width = len(weights[shortcut])
    passed_on = torch.eye(width)
    silent = [f"decoder.{new}.conv2.weight"]
    if unet.skip == "concat":
        # The upper half of its input comes from the new level, the lower half over the skip.
        passed_on = torch.cat([torch.zeros(width, width), passed_on], 1)
    else:
        silent += [f"up.{new}.weight", f"up.{new}.bias"]
    return {
        **weights,
        **state,
        **{name: torch.zeros_like(weights[name]) for name in silent},
        shortcut: passed_on.reshape(weights[shortcut].shape),
    }


def widened(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights for a network with more input channels than those of ``state``; it ignores them at first.

    Parameters
    ----------
    state : weights of a whole network.
    wanted : those of the network that they are for; only shapes are used.

    Examples
    --------
    >>> old = {"unet.stem.weight": torch.ones(2, 1, 3, 3)}
    >>> widened(old, {"unet.stem.weight": torch.zeros(2, 2, 3, 3)})["unet.stem.weight"].sum((0, 2, 3))
    tensor([18.,  0.])
    """
    stem = "unet.stem.weight"
    weight = torch.zeros_like(wanted[stem])
    weight[:, : state[stem].shape[1]] = state[stem]
    return {**state, stem: weight}
