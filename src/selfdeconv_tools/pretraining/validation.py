"""The quality of weights on generated images that pre-training has not used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from napari_selfdeconv.compute.device import Choice
from napari_selfdeconv.network.model import Deconvolver, autocast
from selfdeconv_tools.pretraining.problems import Example


def validate(network: Deconvolver, examples: Mapping[str, Sequence[Example]], choice: Choice) -> dict[str, float]:
    """Return for each condition the mean PSNR of the network's result in dB.

    The peak of the PSNR is the range of the truth.
    """
    was_training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            return {name: _psnr(network, images, choice) for name, images in examples.items()}
    finally:
        network.train(was_training)


def _psnr(network: Deconvolver, images: Sequence[Example], choice: Choice) -> float:
    values = []
    for inputs, truth in images:
        with autocast(choice):
            result = network.unet(inputs.to(choice.device)).float().cpu()
        error = float((result - truth).square().mean())
        span = float(truth.max() - truth.min())
        values.append(10 * np.log10(span**2 / error))
    return float(np.mean(values))
