"""The network over a whole image: in tiles, against one plain pass over all of it for each view."""

from __future__ import annotations

from math import prod
from typing import Any

import torch

from napari_selfdeconv.arrays.symmetry import psf_symmetries
from napari_selfdeconv.compute import device
from napari_selfdeconv.config.parts import Precision
from napari_selfdeconv.config.tiles import TileConfig
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.events import drain
from napari_selfdeconv.inference.predict import predict
from napari_selfdeconv.inference.views import predictors
from napari_selfdeconv.network.model import Model, build_network, place
from napari_selfdeconv.stop_token import StopToken
from selfdeconv_tools.speed.figure import Pair, Setting
from selfdeconv_tools.speed.inputs import gaussian_psf, precision_name, size_text, standard_image
from selfdeconv_tools.speed.reference import plain_inference
from selfdeconv_tools.speed.steps import psf_shape, step_config
from selfdeconv_tools.speed.timing import Call

# A little more than the largest tile holds, so that there are tiles.
_IMAGE = {2: (2048, 2048), 3: (64, 256, 256)}
_SMALL_IMAGE = {2: (40, 40), 3: (12, 24, 24)}


def figures(setting: Setting) -> list[Pair]:
    """Return the network of the preset quick, 2D and 3D, one view and averaged as the preset asks."""
    return [_pair(ndim, average, setting) for ndim in (2, 3) for average in (False, True)]


def _pair(ndim: int, average: bool, setting: Setting) -> Pair:
    shape = (_SMALL_IMAGE if setting.small else _IMAGE)[ndim]
    config = step_config("quick", ndim, setting, average_symmetries=average)

    def ours() -> Call:
        model, choice = _model(config, ndim, setting, "auto")
        image, tiles = standard_image(shape), TileConfig()
        return lambda: drain(predict(model, image, choice, tiles, StopToken()))[0]

    def baseline() -> Call:
        model, choice = _model(config, ndim, setting, "float32")
        symmetries = psf_symmetries(model.psf)
        count = len(predictors(model, choice, average=average, most=config.result.views))
        views = [symmetries[i % len(symmetries)] for i in range(count)]
        image = torch.from_numpy(standard_image(shape))[None, None].to(choice.device)
        return plain_inference(model.network, views, image)

    return Pair(
        name=f"inference-{ndim}d" + ("-averaged" if average else ""),
        size=size_text(shape),
        compares="the network over an image in tiles, against whole float32 passes",
        ours=ours,
        baseline=baseline,
        precision=precision_name(device.choose_device(setting.device, "auto").dtype),
        work=prod(shape),
        unit="voxels/s",
    )


def _model(config: TrainConfig, ndim: int, setting: Setting, precision: Precision) -> tuple[Model, Any]:
    psf = gaussian_psf(psf_shape(ndim, setting)).astype("float32")
    choice = device.choose_device(setting.device, precision)
    network = build_network(config, psf)
    place(network, choice, ndim)
    return Model(config=config, psf=psf, network=network.eval()), choice
