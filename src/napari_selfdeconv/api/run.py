"""The run of one template on one file, for the command line and for a batch of files."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Generator, Sequence
from typing import Any

from numpy.typing import NDArray

from napari_selfdeconv.api.camera import report_camera
from napari_selfdeconv.api.checkpoints import Checkpoint
from napari_selfdeconv.api.chosen_method import classical_of, is_network, weights_of
from napari_selfdeconv.api.chosen_psf import ChosenPsf
from napari_selfdeconv.api.chromatic import unshift_channels
from napari_selfdeconv.api.corrections import evened, shifts_of
from napari_selfdeconv.api.every_frame import (
    apply_models,
    first_frame,
    run_classical,
    train_on_image,
    train_on_series,
)
from napari_selfdeconv.api.image_part import voxel_doubts
from napari_selfdeconv.api.inputs import choose_psf
from napari_selfdeconv.api.memory import memory_outlook
from napari_selfdeconv.api.outcome import Outcome, origin, part_used
from napari_selfdeconv.config.series import SeriesPlan, TrainOn
from napari_selfdeconv.config.template import MethodChoice, Template
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.events import Event, Noted, Warned, expanded
from napari_selfdeconv.io.images import ImageFile
from napari_selfdeconv.io.ome_zarr import record_provenance
from napari_selfdeconv.network.model import Model
from napari_selfdeconv.physics.camera import CameraReport
from napari_selfdeconv.stop_token import StopToken


def iter_run(
    file: ImageFile,
    template: Template,
    *,
    models: Sequence[Model] = (),
    into: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    train_on: TrainOn = "sampled",
    frames: int = 4,
    stop: StopToken | None = None,
    checkpoint: Checkpoint | None = None,
) -> Generator[Event, None, Outcome]:
    """Deconvolve the image of a file with the settings of a template. Every channel has its own PSF.

    Parameters
    ----------
    file : from `read_selected`. It may have time points and channels.
    template : method, PSF, optics and training.
    models : existing models, one for each channel. They are applied, whatever the method, and nothing is trained.
    into : OME-Zarr folder that a network's result of a single image fills tile by tile. A run that was killed
        continues there (`iter_deconvolve_zarr`). Other results are not written.
    overwrite : as in `iter_deconvolve_zarr`, for ``into``.
    train_on, frames : for a series, as in `SeriesPlan`.
    stop : token that stops or cancels the run.
    checkpoint : file for the training of a network, as in `iter_deconvolve`.

    Yields
    ------
    Noted and Warned about the PSF, then the events of the method.

    Raises
    ------
    ConfigError, ComputeError, Cancelled
        As `iter_deconvolve`; also if values of the PSF are missing in the template and in the file.

    Examples
    --------
    >>> import tempfile
    >>> from napari_selfdeconv import Template, read_selected, write_ome_tiff
    >>> from napari_selfdeconv.api import write_psf
    >>> from napari_selfdeconv.events import drain
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_ome_tiff(f"{folder}/a.ome.tif", np.random.default_rng(0).random((16, 16)), (0.1, 0.1))
    ...     write_psf(f"{folder}/psf.tif", np.full((3, 3), 1 / 9, np.float32), (0.1, 0.1))
    ...     settings = {"method": {"name": "rl", "iterations": 2}, "psf": {"file": f"{folder}/psf.tif"}}
    ...     template = Template.from_dict(settings)
    ...     drain(iter_run(read_selected(f"{folder}/a.ome.tif", template.image), template)).image.shape
    (16, 16)
    """
    started = time.perf_counter()
    stop = stop or StopToken()
    if set(file.axes) - set("TCZYX"):
        raise ConfigError(f"the axes {file.axes} are not known", "name them with --axes, by letters of TCZYX")
    spatial = tuple(n for n, axis in zip(file.data.shape, file.axes, strict=True) if axis in "ZYX")
    method = None if models or is_network(template) else classical_of(template.method)
    file, courses, corrected, left = evened(file, template)
    channels = file.data.shape[file.axes.index("C")] if "C" in file.axes else 1
    psfs: list[ChosenPsf] = []
    several = file.axes.count("C")
    said: list[Event] = [
        (Warned if course.matters and not corrected else Noted)(
            f"{f'channel {course.channel}: ' if several else ''}{course.sentence}"
            + ("" if corrected or not course.matters else "; --correct-light makes it even")
        )
        for course in courses
    ]
    said += [Warned(sentence) for sentence in left]
    for number in range(0 if models else channels):
        one = first_frame(file, number, spatial)
        whole = method is None or method.border == "open"
        chosen = choose_psf(one, template, whole=whole, frame_shape=spatial)
        of = f"channel {number}: " if channels > 1 else ""
        said += [Noted(f"{of}{stated}") for stated in chosen.stated if stated.source != "given"]
        said += [Noted(of + note) for note in chosen.notes]
        said += [Warned(of + warning) for warning in chosen.warnings]
        psfs.append(chosen)
    said += [Warned(doubt) for doubt in (voxel_doubts(file) if models else ())]
    if models and len(models) != channels:
        raise ConfigError(f"the file has {channels} channels, and there are {len(models)} models: one for each")
    if method is not None:
        work = run_classical(file, template, psfs, method, stop)
    elif models:
        work = apply_models(file, template, models, stop)
    else:
        config = template.training.config(len(spatial))
        if template.method.device is not None:
            config = config.replace(device=template.method.device)
        if psfs[0].psf.ndim == len(spatial):
            outlook = memory_outlook(config, spatial, psfs[0].psf.shape, tiles=template.training.tiles)
            said.append(Noted(f"memory: {outlook.sentence}"))
        if spatial == file.data.shape:
            work = train_on_image(file, template, psfs[0], config, stop, into, overwrite, checkpoint)
        else:
            plan = SeriesPlan(axes=file.axes.lower(), train_on=train_on, frames=frames)
            work = train_on_series(file, template, psfs, config, plan, stop, checkpoint)
    shifts = shifts_of(file, template, psfs, channels)
    said += [Warned(sentence) for sentence in shifts.warnings]
    # An image that is written tile by tile may be too large to examine as a whole.
    camera = _camera(first_frame(file, 0, spatial).data, template.method) if into is None else None
    if camera is not None:
        said.append(Noted(f"camera: {camera.describe()}"))
    # Once, with the first event: a refused run only raises its error.
    waiting = iter(said)
    done = yield from expanded(work, lambda event: (*waiting, event))
    if shifts.found and file.voxel_um is not None:
        moved = unshift_channels(done.image, file.axes, file.voxel_um, shifts.found)
        told = [None if one is None else one.to_dict() for one in shifts.found]
        done = done._replace(image=moved, provenance={**done.provenance, "chromatic_shifts": told})
    provenance = {**done.provenance, **origin(file, psfs), **part_used(template.image), **corrected}
    if camera is not None:
        provenance["camera"] = dataclasses.asdict(camera)
    record_provenance(done.image, provenance)
    return Outcome(
        image=done.image,
        axes=file.axes,
        voxel_um=file.voxel_um or (models[0].voxel_um if models else None),
        provenance=provenance,
        models=done.models,
        psfs=tuple(psfs),
        losses=done.losses,
        written=done.written,
        seconds=time.perf_counter() - started,
    )


def _camera(frame: NDArray[Any], choice: MethodChoice) -> CameraReport | None:
    """Return the camera estimated from the first frame; None if its pixels cannot be used."""
    known = {"offset": choice.offset, "gain": choice.gain, "read_noise": choice.read_noise}
    try:
        return report_camera(frame, weights=weights_of(choice), **known)
    except ConfigError:
        return None
