"""The commands that deconvolve: read, check, compute through `api`, write. `cli` prints their errors."""

from __future__ import annotations

import argparse
import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_selfdeconv.cli.options import template_of
from napari_selfdeconv.cli.outputs import check_out, finish, say_stored
from napari_selfdeconv.cli.terminal import say, watch
from napari_selfdeconv.errors import Cancelled, ConfigError
from napari_selfdeconv.stop_token import StopToken

if TYPE_CHECKING:
    from napari_selfdeconv.api import ImageFile, Outcome, Output, OutputKind
    from napari_selfdeconv.config.template import Template

_SAMPLING_TOLERANCE = 0.01


def read_input(
    args: argparse.Namespace, template: Template, path: Path | None = None, *, chooses_psf: bool = True
) -> ImageFile:
    """Read the image of a command. Print doubts about its axes, and about its voxel size unless that is given.

    Choosing a PSF says that a given voxel size is not that of the file. It is said here for other commands.
    """
    from napari_selfdeconv.api import open_input, voxel_doubts

    file = open_input(path or args.image, template)
    about = ("axes", "file") if template.image.voxel_um else ("axes", "file", "voxel")
    for doubt in file.record.doubts if file.record is not None else ():
        if doubt.field.startswith(about):
            say(f"warning: {doubt}")
    for sentence in () if chooses_psf else voxel_doubts(file):
        say(f"warning: {sentence}")
    return file


def run_deconvolve(args: argparse.Namespace, token: StopToken) -> None:
    from napari_selfdeconv.api import check_one_image, is_network

    template = template_of(args)
    if not is_network(template):
        raise ConfigError(f"the settings name the method {template.method.name}", "selfdeconv classical runs it")
    _check_inputs(args, template, *_model_outputs(args), continues=_fills_zarr(args, template))
    file = read_input(args, template)
    check_one_image(file, args.image)
    outcome = _run(args, template, file, token)
    provenance = outcome.provenance
    report = {
        "seconds": round(outcome.seconds, 3),
        "device": provenance["device"],
        "precision": provenance["precision"],
        "steps": provenance["steps_done"],
        "kept_share": provenance["kept_share"],
        "refined_iterations": provenance["refined_iterations"],
        "stopped": provenance["stopped"],
        "losses": {name: values[-1] for name, values in outcome.losses.items()},
        "camera": provenance.get("camera"),
        "output": str(args.out),
    }
    if args.save_model is not None:
        report["model"] = str(args.save_model)
    finish(args, report)


def run_series(args: argparse.Namespace, token: StopToken) -> None:
    from napari_selfdeconv.api import check_outputs, is_network

    template = template_of(args)
    if args.save_model is not None and not is_network(template):
        raise ConfigError(f"the method {template.method.name} has no model: leave --save-model out")
    _check_inputs(args, template, *_model_outputs(args))
    file = read_input(args, template)
    channels = file.data.shape[file.axes.index("C")] if "C" in file.axes else 1
    check_outputs(_model_outputs(args, channels), {}, overwrite=args.overwrite)
    outcome = _run(args, template, file, token, train_on=args.train_on, frames=args.frames)
    report = {"seconds": round(outcome.seconds, 3), "axes": outcome.axes, "output": str(args.out)}
    if "nan_frames" in outcome.provenance:
        report["nan_frames"] = outcome.provenance["nan_frames"]
    finish(args, report)


def run_classical(args: argparse.Namespace, token: StopToken) -> None:
    from napari_selfdeconv.api import check_one_image, classical_of

    template = template_of(args)
    if template.method.name in (None, "network"):
        raise ConfigError("a classical method is needed: --method, or 'name' in the table [method] of --config")
    classical_of(template.method)
    _check_inputs(args, template)
    file = read_input(args, template)
    check_one_image(file, args.image)
    outcome = _run(args, template, file, token)
    settings = {key: value for key, value in outcome.provenance["settings"].items() if value is not None}
    say(f"{outcome.provenance['label']}: {', '.join(f'{key} {value}' for key, value in settings.items())}")
    finish(args, {"seconds": round(outcome.seconds, 3), "output": str(args.out), **outcome.provenance})


def run_rl(args: argparse.Namespace, token: StopToken) -> None:
    from napari_selfdeconv import api

    template = without_corrections(template_of(args), "rl")
    counts = list(dict.fromkeys(args.iterations))
    methods = [api.classical_of(dataclasses.replace(template.method, name="rl", iterations=n)) for n in counts]
    files = [api.Output(f"the result of {count} iterations", _rl_path(args, count)) for count in counts]
    _check_inputs(args, template, *files, kind="folder")
    file = read_input(args, template)
    image = api.check_one_image(file, args.image)
    chosen = api.choose_psf(file, template, whole=methods[0].border == "open")
    _say_psf(chosen)
    started = time.perf_counter()
    weights, device = api.weights_of(template.method), template.method.device or "auto"
    results = watch(
        api.iter_classical(image, chosen.psf, methods, weights=weights, stop=token, device_name=device)
    )
    if not results:
        raise Cancelled("stopped before the first iteration")
    paths = {}
    for result in results:
        count = result.provenance["iterations"]
        path = _rl_path(args, count)
        if count not in counts and path.exists() and not args.overwrite:
            say(f"warning: {path} exists already, the result of {count} iterations was not written")
            continue
        outcome = api.Outcome(
            image=result.image,
            axes=file.axes,
            voxel_um=file.voxel_um,
            provenance={**result.provenance, **api.origin(file, [chosen])},
            psfs=(chosen,),
        )
        say_stored({"stored": api.save_outcome(path, outcome, file, template.output)})
        paths[str(count)] = path
    seconds = round(time.perf_counter() - started, 3)
    known = {name: getattr(template.method, name) for name in ("offset", "gain", "read_noise")}
    camera = api.report_camera(image, weights=weights, **known)
    say(f"camera: {camera.describe()}")
    written = {count: str(path) for count, path in paths.items()}
    finish(args, {"seconds": seconds, "output": written, "camera": dataclasses.asdict(camera)})


def _rl_path(args: argparse.Namespace, count: int) -> Path:
    from napari_selfdeconv.api import stem

    path: Path = args.out / f"{stem(args.image)}_rl_n{count:04d}.ome.tif"
    return path


def run_apply(args: argparse.Namespace, token: StopToken) -> None:
    from napari_selfdeconv import api

    template = template_of(args)
    _check_inputs(args, template, model=args.model)
    model = api.load_model(args.model)
    file = read_input(args, template)
    api.check_one_image(file, args.image)
    stated = file.voxel_um or (() if file.record is None else file.record.stated_um)
    if model.voxel_um and len(stated) == len(model.voxel_um):
        # Along the axes that the image states: often y and x alone.
        both = [(own, of) for own, of in zip(stated, model.voxel_um, strict=True) if own is not None]
        if any(abs(own - of) > _SAMPLING_TOLERANCE * of for own, of in both):
            voxel, trained = zip(*both, strict=True)
            say(
                f"warning: the voxels of the image are {_lengths(voxel)}, and the model was trained on "
                f"{_lengths(trained)}: the PSF of the model does not fit this image"
            )
    outcome = _run(args, template, file, token, models=[model])
    finish(args, {"seconds": round(outcome.seconds, 3), "output": str(args.out)})


def run_uncertainty(args: argparse.Namespace, token: StopToken) -> None:
    import numpy as np

    from napari_selfdeconv import api

    template = without_corrections(template_of(args), "uncertainty")
    others = {f"model {number}": path for number, path in enumerate(args.other, 1)}
    _check_inputs(args, template, model=args.model, **others)
    model = api.load_model(args.model)
    file = read_input(args, template, chooses_psf=False)
    image = api.check_one_image(file, args.image)
    started = time.perf_counter()
    device = template.method.device or "auto"
    found = watch(
        api.iter_uncertainty(
            model,
            image,
            weights=api.weights_of(template.method),
            samples=args.samples,
            others=[api.load_model(path) for path in args.other],
            stop=token,
            device_name=device,
            seed=args.seed,
        )
    )
    outcome = api.Outcome(
        image=found.channels,
        axes=f"C{file.axes}",
        voxel_um=file.voxel_um or model.voxel_um,
        provenance={**found.provenance, "applied_to": args.image.name},
    )
    if file.record is not None:
        channels = tuple(api.ChannelRecord(name=name) for name in found.CHANNELS)
        file = dataclasses.replace(file, record=dataclasses.replace(file.record, channels=channels))
    say_stored({"stored": api.save_outcome(args.out, outcome, file, template.output)})
    numbers = {
        "median": float(np.median(found.half_width)),
        "unsupported": round(float(found.unsupported.mean()), 4),
    }
    seconds = round(time.perf_counter() - started, 3)
    finish(args, {"seconds": seconds, **numbers, "output": str(args.out)})


def _run(
    args: argparse.Namespace, template: Template, file: ImageFile, token: StopToken, **settings: Any
) -> Outcome:
    """Run a template on a file and write the result."""
    from napari_selfdeconv import api

    # The state of the training of an interrupted run. Other methods store nothing.
    checkpoint = api.Checkpoint(
        args.out.with_name(f"{args.out.name}.checkpoint"), resume=getattr(args, "resume", False), remove=False
    )
    unfinished = args.out.is_dir() and api.is_unfinished(args.out)
    if checkpoint.resume and not (Path(checkpoint.path).exists() or unfinished):
        say(f"there is no interrupted run in {checkpoint.path}, so this one starts from the beginning")
    into = args.out if _fills_zarr(args, template) else None
    work = api.iter_run(
        file, template, into=into, overwrite=args.overwrite, stop=token, checkpoint=checkpoint, **settings
    )
    outcome = watch(work)
    say_stored({"stored": api.save_outcome(args.out, outcome, file, template.output)})
    if getattr(args, "save_model", None) is not None:
        _save_models(args, outcome)
    # Not before, so that nothing is lost if a file cannot be written. Other commands leave that of a training.
    if api.is_network(template) and "models" not in settings:
        checkpoint.discard()
    return outcome


def _fills_zarr(args: argparse.Namespace, template: Template) -> bool:
    """Whether the result of a network fills an OME-Zarr folder tile by tile."""
    whole = template.output.dtype == "uint16" or template.output.align is not None
    return bool(args.out.suffix.lower() == ".zarr") and not whole


def _save_models(args: argparse.Namespace, outcome: Outcome) -> None:
    """Write the model that was trained; of several channels, one file for each."""
    from napari_selfdeconv import api

    for output, model in zip(_model_outputs(args, len(outcome.models)), outcome.models, strict=False):
        api.save_model(output.path, model)


def _model_outputs(args: argparse.Namespace, channels: int = 1) -> list[Output]:
    """Return the file of the model of each channel; none if no model is saved."""
    from napari_selfdeconv.api import Output

    first: Path | None = args.save_model
    if first is None:
        return []
    names = [first.name, *(f"{first.stem}_c{number}{first.suffix}" for number in range(1, channels))]
    return [Output("--save-model", first.with_name(name), "model") for name in names]


def without_corrections(template: Template, command: str) -> Template:
    """Return a template; ConfigError if it names a correction that the command does not make."""
    for part, name in (("image", "correct_light"), ("output", "align")):
        if getattr(getattr(template, part), name) is not None:
            raise ConfigError(f"selfdeconv {command} does not use {name}", f"leave it out of the table [{part}]")
    return template


def _check_inputs(
    args: argparse.Namespace,
    template: Template,
    *more: Output,
    kind: OutputKind = "image",
    continues: bool = False,
    **inputs: Path | str | None,
) -> None:
    mask = None if template.method.mask in ("auto", "auto+nan", "none") else template.method.mask
    inputs |= {"image": args.image, "psf": template.psf.file, "mask": mask}
    check_out(args, *more, kind=kind, continues=continues, config=getattr(args, "config", None), **inputs)


def _say_psf(chosen: Any) -> None:
    for stated in chosen.stated:
        if stated.source != "given":
            say(str(stated))
    for note in chosen.notes:
        say(note)
    for warning in chosen.warnings:
        say(f"warning: {warning}")


def _lengths(voxel: Any) -> str:
    return " x ".join(f"{v:g}" for v in voxel) + " um"
