"""The memory that one run takes, beside what `compute.memory_model` estimates. Each in a process of its own.

``python -m selfdeconv_tools.run_memory '{"kind": "train", ...}'`` prints the peak in bytes; see `measure`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.api.training import iter_train
from napari_selfdeconv.compute import device
from napari_selfdeconv.compute.malloc import retained_memory
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.events import drain
from napari_selfdeconv.inference.prepare import Problem
from napari_selfdeconv.inference.views import predictors
from napari_selfdeconv.network.model import Model, build_network, place
from napari_selfdeconv.stop_token import StopToken
from selfdeconv_tools.speed.memory import peak_of_call


def measure(point: Mapping[str, Any]) -> int:
    """Return the peak memory in bytes that a run takes beyond what the process held before.

    Parameters
    ----------
    point : kind ("train", or "predict" of one tile), shape of the image or the tile, psf_shape, device, and the
        settings of the run in ``config`` (see `TrainConfig.from_dict`).
    """
    config = TrainConfig.from_dict(point["config"]).replace(device=point["device"])
    ndim = len(point["shape"])
    warm = config.replace(batch_size=1, patch=16, features=4, pretrained=False)
    # Libraries, thread pools and the kernels' caches belong to the process, not to the run.
    _do(point["kind"], warm, (16,) * ndim, (3,) * ndim)
    where = str(device.choose_device(config.compute.device, config.compute.precision).device)
    shape, psf_shape = tuple(point["shape"]), tuple(point["psf_shape"])
    return peak_of_call(lambda: _do(point["kind"], config, shape, psf_shape), where, calls=1)


def _do(kind: str, config: TrainConfig, shape: tuple[int, ...], psf_shape: tuple[int, ...]) -> None:
    random = np.random.default_rng(0)
    image = random.random(shape, np.float32)
    psf = _blob(psf_shape)
    start = None
    if config.loss.weights.term_with_reference:
        start = Model(config=config, psf=psf, network=build_network(config, psf))
    if kind == "train":
        drain(iter_train([Problem.of(image, psf)], config, start_from=start, stop=StopToken()))
        return
    choice = device.choose_device(config.compute.device, config.compute.precision)
    model = Model(config=config, psf=psf, network=build_network(config, psf).eval())
    place(model.network, choice, psf.ndim)
    with retained_memory():
        for view in predictors(model, choice, average=True)[:2]:
            view(image)


def _blob(shape: tuple[int, ...]) -> NDArray[np.float32]:
    axes = [np.exp(-0.5 * ((np.arange(n) - n // 2) / (n / 6)) ** 2) for n in shape]
    psf: NDArray[Any] = axes[0]
    for axis in axes[1:]:
        psf = np.multiply.outer(psf, axis)
    blob: NDArray[np.float32] = (psf / psf.sum()).astype(np.float32)
    return blob


if __name__ == "__main__":
    print(measure(json.loads(sys.argv[1])))  # noqa: T201
