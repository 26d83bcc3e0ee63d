"""A part of an image as the initial weights deconvolve it, in less than a second."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from napari_selfdeconv.compute.device import choose_device
from napari_selfdeconv.config.presets import preset
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.events import Preview, drain
from napari_selfdeconv.inference.make_ready import with_independent_noise, without_bright_points
from napari_selfdeconv.inference.predict import computing
from napari_selfdeconv.inference.prepare import Problem
from napari_selfdeconv.inference.preview import Previewer, Region
from napari_selfdeconv.inference.weigh import Weights
from napari_selfdeconv.io.checks import as_array, check_layout
from napari_selfdeconv.network.initial_weights import initial_weights
from napari_selfdeconv.stop_token import StopToken
from napari_selfdeconv.training.untrained import build_initial


def preview_region(
    image: NDArray[Any],
    psf: NDArray[Any],
    config: TrainConfig | None = None,
    *,
    region: Region | None = None,
    extra: bool = False,
    weights: Weights = None,
    stop: StopToken | None = None,
) -> Preview:
    """Return a part of an image as the initial weights deconvolve it.

    It is one view of the network, neither calibrated nor refined. Light from far planes stays in it as haze,
    because estimating it takes too long for a preview.

    Parameters
    ----------
    image, psf, weights : as in `iter_deconvolve`.
    stop : ``cancel()`` ends the computation.
    config : settings with ``pretrained``; the preset "instant" by default.
    region : part of the image, of which a centre of at most 262144 voxels is previewed; None means all of it.
    extra : whether the preview also has g(f(x)) and x - g(f(x)).

    Raises
    ------
    ConfigError, ComputeError, Cancelled
        As `iter_deconvolve`.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.random.default_rng(0).random((32, 40))
    >>> part = (slice(8, 24), slice(10, 30))
    >>> preview = preview_region(image, np.ones((3, 3)) / 9, region=part)
    >>> preview.image.shape, preview.offset
    ((16, 20), (8, 10))
    """
    image = as_array("the image", image)
    check_layout("the image", image)
    config = config or preset("instant", image.ndim)
    problem = with_independent_noise(Problem.of(image, psf, config, weights=weights).with_compact_psf())
    choice = choose_device(config.compute.device, config.compute.precision)
    learned = initial_weights(config, image.ndim)
    stop = stop or StopToken()
    with computing():
        problem = drain(without_bright_points(problem, choice, stop))
        network = build_initial(problem.psf, config, choice, learned)
        previewer = Previewer(problem, choice, config, 0.0, lambda: region, lambda: extra)
        preview = previewer.make_preview(0, network, stop)
    assert preview is not None  # the first one is never too early
    return preview
