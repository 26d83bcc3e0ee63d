"""The Wiener filter of an image that continues by reflection at its border."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_selfdeconv.physics.blur import Blur
from napari_selfdeconv.physics.wiener import wiener_kernel


def apply_wiener_filter(
    image: NDArray[Any], psf: NDArray[Any], regularisation: float, device: torch.device
) -> Tensor:
    """Filter with ``conj(H) / (|H|^2 + l)``, scaled so that the mean of the light is kept.

    Parameters
    ----------
    image : 2D or 3D; it continues by reflection at its border, so nothing wraps around.
    psf : same number of axes, unit sum.
    regularisation : l > 0, in units of |H|^2 (H is 1 at frequency 0).
    device : where to compute.

    Returns
    -------
    float32 tensor, (1, 1, *space), in the image's own units and in the computer's memory; may be negative.

    Examples
    --------
    >>> flat = apply_wiener_filter(np.full((16, 16), 3.0), np.ones((3, 3)) / 9, 0.1, torch.device("cpu"))
    >>> bool(np.allclose(flat, 3.0, atol=1e-4))
    True
    """
    # A cropped kernel is another filter: its error no longer falls and rises smoothly with the regularisation.
    kernel = wiener_kernel(psf, regularisation, energy=1.0)
    x = torch.as_tensor(np.asarray(image, np.float32), device=device)[None, None]
    with torch.inference_mode():
        return Blur(kernel / kernel.sum())(x).cpu()
