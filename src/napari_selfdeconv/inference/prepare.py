"""Where every run begins: a checked image, a PSF with sum 1, and how the image is scaled and continued.

No other module checks an image or a PSF, evens a border or measures the scale. An entry makes a `Problem` and
hands it on, so no entry can forget a part.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.arrays.chunks import stored_pieces
from napari_selfdeconv.arrays.out_of_core import Mapped
from napari_selfdeconv.arrays.scaling import Standardizer, extremes
from napari_selfdeconv.config.presets import preset
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.events import Tick
from napari_selfdeconv.inference.weigh import Weights, weigh_pixels, weighing_of
from napari_selfdeconv.io.checks import as_array, check_layout
from napari_selfdeconv.network.model import Model
from napari_selfdeconv.physics.even_border import ends_in_darkness, even_border_of
from napari_selfdeconv.physics.pixel_weights import PixelWeights
from napari_selfdeconv.psf.validate import check_psf

DARK_BORDER = (
    "The image gets dark towards its border as if no light came from beyond it. It was made as bright there as "
    "further in, because the setting 'Even border' is on."
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Problem:
    """An image and its PSF, ready to be deconvolved.

    The noise is not part of it: estimating the noise needs a first result, so `calibrate` and `Refiner` do that.

    Attributes
    ----------
    image : 2D or 3D, finite, not constant, in the user's units. Its border is evened if ``border_evened``, and
        pixels of weight 0 have the value of the nearest one that counts.
    psf : float32, sum 1, with as many axes.
    scale : mean, standard deviation, lowest and highest value of ``image``, where it has a weight.
    border_evened : whether the image was brightened at its border (`even_border_of`).
    notes : sentences for the user about the image, its pixels and the PSF.
    weights : how much each pixel counts; None if all are measurements.
    weighing : "auto", "auto+nan", "given", or None: where the weights come from (`weigh_pixels`).

    Examples
    --------
    >>> problem = Problem.of(np.eye(8), 5 * np.ones((3, 3)))
    >>> round(float(problem.psf.sum()), 6), round(float(problem.standard.std()), 6)
    (1.0, 1.0)
    """

    image: NDArray[Any]
    psf: NDArray[np.float32]
    scale: Standardizer
    border_evened: bool = False
    notes: tuple[str, ...] = ()
    weights: PixelWeights | None = None
    weighing: str | None = None

    @classmethod
    def of(
        cls,
        image: NDArray[Any],
        psf: NDArray[Any],
        config: TrainConfig | None = None,
        *,
        weights: Weights = None,
        hot: NDArray[np.bool_] | None = None,
        psf_may_be_larger: bool = False,
    ) -> Self:
        """Check an image and a PSF.

        Parameters
        ----------
        image : 2D or 3D, any real dtype.
        psf : as many axes, at most as large unless it may be larger; it is divided by its sum.
        config : says whether a dark border is evened; None leaves the border as it is.
        weights, hot : as in `weigh_pixels`.
        psf_may_be_larger : as in `check_psf`.

        Raises
        ------
        ConfigError
            If the image or the PSF cannot be used.
        """
        image = as_array("the image", image)
        check_layout("the image", image)
        kernel, notes = check_psf(psf, image.shape, may_be_larger=psf_may_be_larger)
        may_be_evened = config is not None and config.result.even_border
        return cls._made(image, kernel, None if may_be_evened else False, weights, tuple(notes), hot)

    @classmethod
    def of_model(cls, model: Model, image: NDArray[Any], weights: Weights = None) -> Self:
        """Check an image that a trained model is applied to; the PSF is that of the model.

        Raises
        ------
        ConfigError
            If the image cannot be used, or has another number of axes than the model.
        """
        image = as_array("the image", image)
        check_layout("the image", image)
        if image.ndim != model.psf.ndim:
            raise ConfigError(f"the model is for {model.psf.ndim}D images, got an image of shape {image.shape}")
        return cls._made(image, model.psf, None if model.config.result.even_border else False, weights)

    def like(self, image: NDArray[Any], weights: Weights = None, hot: NDArray[np.bool_] | None = None) -> Self:
        """Check another frame of the same series: same PSF, and the same decision about the border.

        Every frame has its own scale. A border that is evened in some frames only would look like a change.

        Raises
        ------
        ConfigError
            If the frame cannot be used.
        """
        image = as_array("the image", image)
        check_layout("the image", image)
        return self._made(image, self.psf, self.border_evened, weights, hot=hot)

    @classmethod
    def _made(
        cls,
        image: NDArray[Any],
        psf: NDArray[np.float32],
        evens: bool | None,
        weights: Weights,
        notes: tuple[str, ...] = (),
        hot: NDArray[np.bool_] | None = None,
    ) -> Self:
        """Measure the image; ``evens`` is None if the image itself decides about its border."""
        image, pixels, found = weigh_pixels(image, weights, hot)
        notes += found
        scale = _scale_of(image, pixels)
        if evens is None:
            evens = ends_in_darkness(image, psf)
        if evens:
            image, notes = even_border_of(image, psf), (DARK_BORDER, *notes)
            scale = _scale_of(image, pixels)
        return cls(
            image=image,
            psf=psf,
            scale=scale,
            border_evened=evens,
            notes=notes,
            weights=pixels,
            weighing=weighing_of(weights),
        )

    @cached_property
    def standard(self) -> NDArray[np.float32]:
        """The standardised image, computed at the first use and then kept: training needs all of it."""
        return self.scale.apply(self.image)

    @property
    def pieces(self) -> Any:
        """The standardised image, to be read in pieces: `standard` if that exists already.

        A model that is applied needs one tile at a time, so no second array of the image's size is made.
        """
        return self.standard if "standard" in vars(self) else Mapped(self.image, self.scale.apply)


def _scale_of(image: NDArray[Any], weights: PixelWeights | None) -> Standardizer:
    return Standardizer.of(image if weights is None else image[weights.values > 0])


def settings_for(image: NDArray[Any], config: TrainConfig | None) -> TrainConfig:
    """Return ``config``, or for None the preset "quick" for this image.

    Raises
    ------
    ConfigError
        If the image has neither 2 nor 3 axes.
    """
    image = np.asarray(image)
    check_layout("the image", image)
    return preset("quick", image.ndim) if config is None else config


def check_pieces(image: Any) -> Generator[Tick, None, None]:
    """Read an image that need not fit into memory piece by piece and check every pixel; yield a `Tick` a piece.

    Whole numbers are not read: they are always finite.

    Raises
    ------
    UnusablePixels
        At the first piece with a NaN or infinite pixel; the message says where the piece lies.
    """
    if np.dtype(image.dtype).kind != "f":
        return
    pieces = stored_pieces(image)
    for done, where in enumerate(pieces, 1):
        place = ", ".join(f"{s.start} to {s.stop}" for s in where)
        extremes(np.asarray(image[where]), f"the part {place} of the image")
        yield Tick(done, len(pieces))
