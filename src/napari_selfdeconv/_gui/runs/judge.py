"""What is computed with a trained model or from a result: apply it, the residual, the uncertainty."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image

from napari_selfdeconv._gui.layers.exchange import LayerSnapshot
from napari_selfdeconv._gui.runs.camera import weights_of
from napari_selfdeconv._gui.runs.psf_choice import GeneratedPsf, Psf
from napari_selfdeconv._gui.runs.worker import Job
from napari_selfdeconv.config.tiles import TileConfig
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.events import Event, Warned
from napari_selfdeconv.stop_token import StopToken

if TYPE_CHECKING:
    from napari_selfdeconv.api import Model


def apply_job(
    model: Model,
    image: LayerSnapshot,
    psf: Psf | ConfigError,
    tiles: TileConfig,
    device: str,
    weights: Any = None,
) -> Job:
    """Return the job that applies ``model``, after saying where PSF or voxels differ from the model's.

    The model has its own PSF: if the forms have one that cannot be used, this is a warning, and the job runs.
    ``weights`` say which pixels count.
    """

    def job(token: StopToken) -> Generator[Event, None, Any]:
        from napari_selfdeconv import api

        yield from map(Warned, _differences(model, image, psf))
        data, pixels = np.asarray(image.data), weights_of(weights)
        work = api.iter_apply_model(model, data, weights=pixels, tiles=tiles, stop=token, device_name=device)
        return (yield from work)

    return job


def _differences(model: Model, image: LayerSnapshot, psf: Psf | ConfigError) -> list[str]:
    from napari_selfdeconv import api

    try:
        if isinstance(psf, ConfigError):
            raise psf
        kernel, _ = psf.kernel(image)
    except ConfigError as error:
        unknown = f"The PSF above was not compared with the PSF of the model, which is used: {error}"
        return [unknown, *api.model_differences(model, None, image.voxel_um)]
    return api.model_differences(model, kernel, psf.voxels(image))


def check_one_frame(what: str, source: Image, name: str, record: Mapping[str, Any]) -> None:
    """Raise ConfigError if a result is one of a series or of several channels, with what to do.

    Parameters
    ----------
    what : what is made for one frame, as the subject of a sentence.
    source : the layer that the result was made from.
    name, record : name and record of the result.
    """
    axes = (record.get("series") or {}).get("axes")
    if axes:
        raise ConfigError(
            f"{what} of one frame only, and '{name}' has several (axes {', '.join(axes)}). Right-click the image "
            f"'{source.name}', choose '{'Split RGB' if source.rgb else 'Split Stack'}', and train on one frame. "
            "Then select its result."
        )


def residual_job(image: LayerSnapshot, result: Any, psf: np.ndarray, record: Mapping[str, Any]) -> Job:
    """Return the job that computes x − g(result), with the whole PSF and the background of the result's record.

    The PSF that a result was made with may be the compact part of one that is known from the optics.
    """

    def job(token: StopToken) -> Generator[Event, None, Any]:
        from napari_selfdeconv import api

        voxel = record.get("voxel_um") or image.voxel_um
        kernel = psf
        if voxel and (optics := api.optics_of(record)):
            kernel, _ = GeneratedPsf(optics[0], tuple(voxel)).whole_kernel(image)
        weights = record.get("mask", {}).get("from")
        return (
            yield from api.iter_residual(
                np.asarray(image.data),
                np.asarray(result),
                kernel,
                weights=None if weights == "given" else weights,
                background=api.background_of(record),
                stop=token,
            )
        )

    return job


def uncertainty_job(
    model: Model, image: LayerSnapshot, tiles: TileConfig, device: str, weights: Any = None
) -> Job:
    """Return the job that computes the 90 % intervals of the model's result for ``image``.

    ``weights`` say which pixels count.
    """

    def job(token: StopToken) -> Generator[Event, None, Any]:
        from napari_selfdeconv import api

        data, pixels = np.asarray(image.data), weights_of(weights)
        work = api.iter_uncertainty(model, data, weights=pixels, tiles=tiles, stop=token, device_name=device)
        return (yield from work)

    return job
