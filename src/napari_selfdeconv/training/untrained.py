"""A run without a training step: the initial weights are used as they are."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from napari_selfdeconv.arrays.symmetry import psf_symmetries
from napari_selfdeconv.compute.device import Choice
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.events import Event, Started
from napari_selfdeconv.network.model import Deconvolver, build_network, place, takes_estimate
from napari_selfdeconv.training.loop import Trained
from napari_selfdeconv.training.model_selection import INITIAL


def build_initial(
    psf: NDArray[Any], config: TrainConfig, choice: Choice, weights: Mapping[str, Tensor]
) -> Deconvolver:
    """Return a network with ``weights``, on the device and in evaluation mode."""
    network = build_network(config, psf, takes_estimate(weights, config))
    network.load_state_dict(weights)
    place(network, choice, psf.ndim)
    return network.eval()


def use_initial(
    psf: NDArray[Any], config: TrainConfig, choice: Choice, weights: Mapping[str, Tensor]
) -> Generator[Event, None, Trained]:
    """Return the initial weights instead of trained ones. No patch is drawn and no pixel is held out.

    Parameters
    ----------
    psf : unit sum.
    weights : the initial weights.

    Yields
    ------
    Started, with 0 steps.
    """
    network = build_initial(psf, config, choice, weights)
    yield Started(
        device=str(choice.device),
        device_reason=choice.reason,
        precision=choice.precision,
        parameters=sum(p.numel() for p in network.parameters()),
        steps=0,
        symmetries=len(psf_symmetries(psf)),
        remedy=choice.remedy,
    )
    return Trained(network=network, losses={}, held_out=[], steps_done=0, selected=INITIAL, converged=False)
