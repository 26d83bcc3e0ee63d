"""A small image, its PSF, and a viewer with the dock open."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

SCALE = (0.2, 0.1)
UNITS = ("um", "um")


def blurred_spots(shape: tuple[int, ...] = (32, 32), seed: int = 0) -> np.ndarray:
    """A few blurred spots on a background, with noise."""
    from scipy.ndimage import gaussian_filter

    random = np.random.default_rng(seed)
    spots = (random.random(shape) > 0.97) * 500.0
    return (gaussian_filter(spots, 1.2) + 100 + random.normal(0, 5, shape)).astype(np.float32)


def small_psf(ndim: int = 2) -> np.ndarray:
    """A Gaussian of 5 voxels a side."""
    axes = np.meshgrid(*[np.arange(-2, 3)] * ndim, indexing="ij")
    psf = np.exp(-sum(axis**2 for axis in axes) / 2.0)
    return (psf / psf.sum()).astype(np.float32)


@pytest.fixture
def open_dock(make_napari_viewer: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that opens a viewer with 'spots' and 'spots PSF', and the dock, set to few steps."""

    def make(*, image: np.ndarray | None = None, steps: int = 3, show: bool = False, **placed: Any) -> Any:
        viewer = make_napari_viewer(show=show)
        image = blurred_spots() if image is None else image
        placed = placed or {"scale": SCALE[-image.ndim :], "units": UNITS}
        viewer.add_image(image, name="spots", **placed)
        viewer.add_image(small_psf(image.ndim), name="spots PSF", visible=False, **placed)
        _, dock = viewer.window.add_plugin_dock_widget("napari-selfdeconv", "Self-supervised deconvolution")
        dock.train_form.steps.setValue(steps)
        dock.train_form.patch.setValue(16)
        return dock

    return make


@pytest.fixture
def finish(qtbot: Any) -> Callable[..., None]:
    """Return a function that waits until the dock's run is over."""

    def wait(dock: Any) -> None:
        qtbot.waitUntil(lambda: not dock.busy, timeout=60_000)

    return wait


@pytest.fixture
def under_way(qtbot: Any) -> Callable[..., None]:
    """Return a function that waits until training has made its first steps."""

    def wait(dock: Any) -> None:
        qtbot.waitUntil(lambda: dock.run_panel.plot.points > 0, timeout=60_000)

    return wait
