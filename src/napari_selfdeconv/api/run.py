"""The run of one template on one file, for the command line and for a batch of files."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.api.apply import iter_apply_model
from napari_selfdeconv.api.camera import report_camera
from napari_selfdeconv.api.checkpoints import Checkpoint
from napari_selfdeconv.api.chromatic import unshift_channels
from napari_selfdeconv.api.classical import iter_classical
from napari_selfdeconv.api.corrections import evened, shifts_of
from napari_selfdeconv.api.deconvolution import iter_deconvolve
from napari_selfdeconv.api.image_part import channel_record
from napari_selfdeconv.api.inputs import ChosenPsf, choose_psf
from napari_selfdeconv.api.large_zarr import iter_deconvolve_zarr
from napari_selfdeconv.api.memory import memory_outlook
from napari_selfdeconv.api.outcome import Outcome, completed_record, origin
from napari_selfdeconv.api.provenance import applied_record
from napari_selfdeconv.api.series import iter_deconvolve_series
from napari_selfdeconv.config.checks import check_choice
from napari_selfdeconv.config.series import SeriesPlan, TrainOn
from napari_selfdeconv.config.template import MethodChoice, Template
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.errors import Cancelled, ConfigError
from napari_selfdeconv.events import Event, Noted, Warned
from napari_selfdeconv.inference.weigh import Weights, weighing_of
from napari_selfdeconv.io.images import ImageFile, read_image
from napari_selfdeconv.io.ome_zarr import record_provenance
from napari_selfdeconv.network.model import Model
from napari_selfdeconv.physics.camera import CameraReport
from napari_selfdeconv.restoration.methods import METHODS, Classical
from napari_selfdeconv.stop_token import StopToken

#: The name of the self-supervised network among the methods.
NETWORK = "network"


def classical_of(choice: MethodChoice) -> Classical:
    """Return the classical method that a template names.

    Parameters
    ----------
    choice : the part `Template.method`.

    Raises
    ------
    ConfigError
        If the method does not exist, or does not have one of the settings.

    Examples
    --------
    >>> from napari_selfdeconv import Template
    >>> classical_of(Template.from_dict({"method": {"name": "rl", "iterations": 5}}).method).label
    'RL 5'
    """
    check_choice("method", choice.name, (NETWORK, *METHODS))
    return Classical(
        method=str(choice.name),
        iterations=choice.iterations,
        regularisation=choice.regularisation,
        median_guard=bool(choice.median_guard),
        boundary=choice.boundary,  # type: ignore[arg-type]
        background=choice.background,  # type: ignore[arg-type]
        offset=choice.offset,
        gain=choice.gain,
        read_noise=choice.read_noise,
    )


def is_network(template: Template) -> bool:
    """Whether a template asks for the network, which is the default.

    Parameters
    ----------
    template : settings of a run.

    Examples
    --------
    >>> from napari_selfdeconv import Template
    >>> is_network(Template()), is_network(Template.from_dict({"method": {"name": "rl"}}))
    (True, False)
    """
    return template.method.name in (None, NETWORK)


def weights_of(choice: MethodChoice) -> Weights:
    """Return the weights that the mask of a template asks for. Without a mask, bad pixels are found.

    Parameters
    ----------
    choice : the part `Template.method`.

    Examples
    --------
    >>> from napari_selfdeconv import Template
    >>> weights_of(Template().method), weights_of(Template.from_dict({"method": {"mask": "none"}}).method)
    ('auto', None)
    """
    if choice.mask in (None, "auto"):
        return "auto"
    if choice.mask in ("auto+nan", "none"):
        return "auto+nan" if choice.mask == "auto+nan" else None
    counts: NDArray[Any] = read_image(Path(str(choice.mask))).data == 0
    return counts


def iter_run(
    file: ImageFile,
    template: Template,
    *,
    models: Sequence[Model] = (),
    into: str | os.PathLike[str] | None = None,
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
    models : existing models, one for each channel. They are applied, and nothing is trained.
    into : OME-Zarr folder that a network's result of a single image fills tile by tile. A run that was killed
        continues there (`iter_deconvolve_zarr`). Other results are not written.
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
    method = None if is_network(template) else classical_of(template.method)
    file, courses, corrected = evened(file, template)
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
    for number in range(0 if models else channels):
        one = _frame_file(file, number, spatial)
        whole = method is None or method.border == "open"
        chosen = choose_psf(one, template, whole=whole, frame_shape=spatial)
        of = f"channel {number}: " if channels > 1 else ""
        said += [Noted(f"{of}{stated}") for stated in chosen.stated if stated.source != "given"]
        said += [Noted(of + note) for note in chosen.notes]
        said += [Warned(of + warning) for warning in chosen.warnings]
        psfs.append(chosen)
    if models and len(models) != channels:
        raise ConfigError(f"the file has {channels} channels, and there are {len(models)} models: one for each")
    if method is not None:
        work = _classical(file, template, psfs, method, stop)
    elif models:
        work = _apply(file, template, models, stop)
    else:
        config = template.training.config(len(spatial)).replace(**_device(template))
        if psfs[0].psf.ndim == len(spatial):
            outlook = memory_outlook(config, spatial, psfs[0].psf.shape, tiles=template.training.tiles)
            said.append(Noted(f"memory: {outlook.sentence}"))
        if spatial == file.data.shape:
            work = _train(file, template, psfs[0], config, stop, into, checkpoint)
        else:
            plan = SeriesPlan(axes=file.axes.lower(), train_on=train_on, frames=frames)
            work = _series(file, template, psfs, config, plan, stop, checkpoint)
    shifts = shifts_of(file, template, psfs, channels)
    said += [Warned(sentence) for sentence in shifts.warnings]
    # An image that is written tile by tile may be too large to examine as a whole.
    camera = _camera(_frame_file(file, 0, spatial).data, template.method) if into is None else None
    if camera is not None:
        said.append(Noted(f"camera: {camera.describe()}"))
    done = yield from _said_with_first(work, said)
    if shifts.found and file.voxel_um is not None:
        moved = unshift_channels(done.image, file.axes, file.voxel_um, shifts.found)
        told = [None if one is None else one.to_dict() for one in shifts.found]
        done = done._replace(image=moved, provenance={**done.provenance, "chromatic_shifts": told})
    provenance = {**done.provenance, **origin(file, psfs), **corrected}
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


class _Done(NamedTuple):
    """The result of a method."""

    image: Any
    provenance: dict[str, Any]
    models: tuple[Model, ...] = ()
    losses: dict[str, list[float]] = {}  # noqa: RUF012
    written: bool = False


_Work = Generator[Event, None, _Done]


def _said_with_first(work: _Work, said: Sequence[Event]) -> _Work:
    """Yield ``said`` before the first event and then all events, so that a refused run only raises its error."""
    first = True
    while True:
        try:
            event = next(work)
        except StopIteration as end:
            done: _Done = end.value
            return done
        if first:
            yield from said
            first = False
        yield event


def _train(
    file: ImageFile,
    template: Template,
    chosen: ChosenPsf,
    config: TrainConfig,
    stop: StopToken,
    into: str | os.PathLike[str] | None,
    checkpoint: Checkpoint | None,
) -> _Work:
    tiles, voxel, weights = template.training.tiles, file.voxel_um, weights_of(template.method)
    if into is not None:
        record = completed_record(file, [chosen])
        filled = yield from iter_deconvolve_zarr(
            file.data,
            chosen.psf,
            into,
            config,
            weights=weights,
            record=record,
            tiles=tiles,
            voxel_um=voxel,
            stop=stop,
            checkpoint=checkpoint,
        )
        return _Done(filled.image, filled.provenance, (filled.model,), {}, written=True)
    result = yield from iter_deconvolve(
        file.data,
        chosen.psf,
        config,
        weights=weights,
        tiles=tiles,
        voxel_um=voxel,
        stop=stop,
        checkpoint=checkpoint,
    )
    return _Done(result.image, result.provenance, (result.model,), result.losses)


def _series(
    file: ImageFile,
    template: Template,
    psfs: Sequence[ChosenPsf],
    config: TrainConfig,
    plan: SeriesPlan,
    stop: StopToken,
    checkpoint: Checkpoint | None,
) -> _Work:
    arrays, tiles = [chosen.psf for chosen in psfs], template.training.tiles
    weights = weights_of(template.method)
    series = yield from iter_deconvolve_series(
        file.data,
        arrays,
        plan,
        config,
        weights=weights,
        tiles=tiles,
        voxel_um=file.voxel_um,
        stop=stop,
        checkpoint=checkpoint,
    )
    return _Done(series.image, series.provenance, series.models)


def _apply(file: ImageFile, template: Template, models: Sequence[Model], stop: StopToken) -> _Work:
    out = np.empty(file.data.shape, np.float32)
    weights, device = weights_of(template.method), template.method.device or "auto"
    for where, channel in _frames(file):
        one = file.data[where]
        out[where] = yield from iter_apply_model(
            models[channel], one, weights=weights, stop=stop, device_name=device
        )
    name = file.record.file if file.record is not None else ""
    return _Done(out, applied_record(models[0], name, weighing_of(weights)), tuple(models))


def _classical(
    file: ImageFile, template: Template, psfs: Sequence[ChosenPsf], method: Classical, stop: StopToken
) -> _Work:
    """Run a classical method on every frame. Settings chosen on the first frame of a channel hold for all."""
    out = np.empty(file.data.shape, np.float32)
    weights, device = weights_of(template.method), template.method.device or "auto"
    settled: dict[int, Classical] = {}
    provenance: dict[str, Any] = {}
    for where, channel in _frames(file):
        one = settled.get(channel, method)
        work = iter_classical(
            file.data[where], psfs[channel].psf, [one], weights=weights, stop=stop, device_name=device
        )
        results = yield from work
        if not results:
            raise Cancelled("stopped before the settings were chosen")
        out[where] = results[0].image
        settled.setdefault(channel, results[0].settings)
        provenance = provenance or results[0].provenance
    return _Done(out, provenance)


def _camera(frame: NDArray[Any], choice: MethodChoice) -> CameraReport | None:
    """Return the camera estimated from the first frame; None if its pixels cannot be used."""
    known = {"offset": choice.offset, "gain": choice.gain, "read_noise": choice.read_noise}
    try:
        return report_camera(frame, weights=weights_of(choice), **known)
    except ConfigError:
        return None


def _frames(file: ImageFile) -> list[tuple[tuple[int | slice, ...], int]]:
    """Return where each frame lies, and its channel."""
    plan = SeriesPlan(axes=file.axes.lower())
    times, channels = (plan.count(axis, file.data.shape) for axis in "tc")
    return [(plan.index(time, channel), channel) for channel in range(channels) for time in range(times)]


def _frame_file(file: ImageFile, channel: int, spatial: tuple[int, ...]) -> ImageFile:
    """Return the first frame of a channel with the record of that channel alone."""
    where = SeriesPlan(axes=file.axes.lower()).index(0, channel)
    axes = "".join(axis for axis in file.axes if axis in "ZYX")
    record = None
    if file.record is not None:
        record = dataclasses.replace(channel_record(file.record, channel), axes=axes, shape=spatial)
    return dataclasses.replace(file, data=file.data[where], axes=axes, record=record)


def _device(template: Template) -> dict[str, str]:
    return {} if template.method.device is None else {"device": template.method.device}
