"""What each command does: read, check, compute through `api`, write. Raises; `cli` turns that into a line."""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from napari_selfdeconv.api import MODELS, Classical, model_key
from napari_selfdeconv.cli.inputs import read_input
from napari_selfdeconv.cli.optics import gives_optics, optics_for, optics_of
from napari_selfdeconv.cli.terminal import say, watch
from napari_selfdeconv.config.presets import preset
from napari_selfdeconv.config.tiles import TileConfig
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.errors import Cancelled, ConfigError
from napari_selfdeconv.events import Event, Started, mapped
from napari_selfdeconv.metrics.columns import COLUMNS
from napari_selfdeconv.stop_token import StopToken

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_selfdeconv.api import ImageFile, Output, OutputKind

_SAMPLING_TOLERANCE = 0.01


def run_psf(args: argparse.Namespace, _token: StopToken) -> None:
    from napari_selfdeconv.api import richards_wolf_psf, write_ome_tiff

    if len(args.voxel_um) != len(args.shape) or len(args.shape) not in (2, 3):
        raise ConfigError(
            f"--shape and --voxel-um need 2 or 3 numbers each, as many of one as of the other, got "
            f"{len(args.shape)} and {len(args.voxel_um)}"
        )
    optics = optics_of(args)
    _check_out(args)
    psf = richards_wolf_psf(tuple(args.shape), tuple(args.voxel_um), optics)
    write_ome_tiff(args.out, psf, voxel_um=tuple(args.voxel_um), provenance={"optics": optics.to_dict()})


def run_deconvolve(args: argparse.Namespace, token: StopToken) -> None:
    from napari_selfdeconv.api import Output, write_ome_tiff

    model = [Output("--save-model", args.save_model, "model")] if args.save_model is not None else []
    _check_out(args, *model, image=args.image, psf=args.psf, config=args.config)
    file = read_input(args)
    image = _layout_checked(file)
    config, tiles = _settings(args, image.ndim)
    voxel = _voxel(args.voxel_um, file, image.ndim)
    psf = _psf_for(args, file, voxel)
    from napari_selfdeconv import api

    def announced(event: Event) -> Event:
        if isinstance(event, Started):
            say(f"memory: {api.memory_outlook(config, image.shape, psf.shape, tiles=tiles).sentence}")
        return event

    work = api.iter_deconvolve(image, psf, config, tiles=tiles, voxel_um=voxel, stop=token)
    result = watch(mapped(work, announced))
    write_ome_tiff(
        args.out, result.image, voxel_um=voxel, provenance={**result.provenance, "source": args.image.name}
    )
    if args.save_model is not None:
        api.save_model(args.save_model, result.model)
    report = {
        "seconds": round(result.seconds, 3),
        "device": result.device,
        "precision": result.precision,
        "steps": result.steps_done,
        "kept_share": result.provenance["kept_share"],
        "refined_iterations": result.provenance["refined_iterations"],
        "stopped": result.stopped,
        "losses": {name: values[-1] for name, values in result.losses.items()},
        "output": str(args.out),
    }
    if args.save_model is not None:
        report["model"] = str(args.save_model)
    _finish(args, report)


def _settings(args: argparse.Namespace, ndim: int) -> tuple[TrainConfig, TileConfig]:
    """Return the settings: those of an earlier run, or those of a preset with what was given beside it."""
    given = _given(
        loss=args.loss,
        steps=args.steps,
        pretrained=False if args.random_start or args.loss else None,
        refine=False if args.no_refine else None,
        even_border=True if args.even_border else None,
        seed=args.seed,
        device=args.device,
    )
    if args.config is None:
        return preset(args.preset or "quick", ndim, **given), TileConfig()
    if given or args.preset:
        raise ConfigError(
            "--config holds all settings of the run: leave out --preset, --loss, --steps, --random-start, "
            "--no-refine, --even-border, --seed and --device"
        )
    from napari_selfdeconv.api import read_json

    found = read_json(args.config, "the settings of a run")
    if "config" not in found:
        raise ConfigError(f"{args.config} does not hold the settings of a run: it has no 'config'")
    try:
        return TrainConfig.from_dict(found["config"]), TileConfig.from_dict(found.get("tiles") or {})
    except ConfigError as error:
        raise ConfigError(f"{args.config} does not hold the settings of a run: {error}") from error


def run_apply(args: argparse.Namespace, token: StopToken) -> None:
    from napari_selfdeconv import api
    from napari_selfdeconv.api import write_ome_tiff

    _check_out(args, image=args.image, model=args.model)
    model = api.load_model(args.model)
    file = read_input(args)
    ndim = model.psf.ndim
    voxel = file.voxel_um if file.voxel_um and len(file.voxel_um) == ndim else None
    if voxel and model.voxel_um and _differ(voxel, model.voxel_um):
        say(
            f"warning: the image's voxels are {_lengths(voxel)}, the model was trained on "
            f"{_lengths(model.voxel_um)}: its PSF does not fit this image"
        )
    started = time.perf_counter()
    image = _layout_checked(file)
    result = watch(api.iter_apply_model(model, image, stop=token, device_name=args.device))
    provenance = api.applied_record(model, args.image.name)
    write_ome_tiff(args.out, result, voxel_um=voxel or model.voxel_um, provenance=provenance)
    _finish(args, {"seconds": round(time.perf_counter() - started, 3), "output": str(args.out)})


def run_rl(args: argparse.Namespace, token: StopToken) -> None:
    from napari_selfdeconv.api import Output, write_ome_tiff

    counts = list(dict.fromkeys(args.iterations))
    methods = [
        Classical(method="rl", iterations=count, boundary=args.boundary, background=args.background)
        for count in counts
    ]
    files = [Output(f"the result of {count} iterations", _rl_path(args, count)) for count in counts]
    _check_out(args, *files, kind="folder", image=args.image, psf=args.psf)
    file = read_input(args)
    image = _layout_checked(file)
    voxel = _voxel(args.voxel_um, file, image.ndim)
    psf = _psf_for(args, file, voxel, whole=methods[0].border == "open")
    from napari_selfdeconv import api

    started = time.perf_counter()
    results = watch(
        api.iter_classical(image, psf, methods, weights=_weights(args), stop=token, device_name=args.device)
    )
    paths = {}
    for result in results:
        count = result.provenance["iterations"]
        path = _rl_path(args, count)
        if count not in counts and path.exists() and not args.overwrite:
            say(f"warning: {path} is there already, the result of {count} iterations was not written")
            continue
        provenance = {**result.provenance, "source": args.image.name}
        write_ome_tiff(path, result.image, voxel_um=voxel, provenance=provenance)
        paths[str(count)] = path
    seconds = round(time.perf_counter() - started, 3)
    _finish(args, {"seconds": seconds, "output": {count: str(path) for count, path in paths.items()}})


def _rl_path(args: argparse.Namespace, count: int) -> Path:
    stem = args.image.name
    for ending in (".ome.tiff", ".ome.tif", args.image.suffix):
        stem = stem.removesuffix(ending)
    path: Path = args.out / f"{stem}_rl_n{count:04d}.ome.tif"
    return path


def run_classical(args: argparse.Namespace, token: StopToken) -> None:
    from napari_selfdeconv.api import write_ome_tiff

    method = Classical(
        method=args.method,
        iterations=args.iterations,
        regularisation=args.regularisation,
        median_guard=args.median_guard,
        boundary=args.boundary,
        background=args.background,
    )
    _check_out(args, image=args.image, psf=args.psf)
    file = read_input(args)
    image = _layout_checked(file)
    voxel = _voxel(args.voxel_um, file, image.ndim)
    psf = _psf_for(args, file, voxel, whole=method.border == "open")
    from napari_selfdeconv import api

    started = time.perf_counter()
    results = watch(
        api.iter_classical(image, psf, [method], weights=_weights(args), stop=token, device_name=args.device)
    )
    if not results:
        raise Cancelled("stopped before the settings were chosen")
    result = results[0]
    say(f"{result.label}: {', '.join(f'{k} {v}' for k, v in result.settings.to_dict().items() if v is not None)}")
    write_ome_tiff(
        args.out, result.image, voxel_um=voxel, provenance={**result.provenance, "source": args.image.name}
    )
    _finish(
        args, {"seconds": round(time.perf_counter() - started, 3), "output": str(args.out), **result.provenance}
    )


def run_degrade(args: argparse.Namespace, _token: StopToken) -> None:
    from napari_selfdeconv.api import degrade, read_psf, write_ome_tiff

    _check_out(args, truth=args.truth, psf=args.psf)
    file = read_input(args, args.truth)
    truth = _layout_checked(file)
    noisy = degrade(truth, read_psf(args.psf).data, seed=args.seed, salt=not args.no_salt)
    provenance = {"simulated": {"seed": args.seed, "salt": not args.no_salt, "truth": args.truth.name}}
    write_ome_tiff(args.out, noisy, voxel_um=_voxel(None, file, noisy.ndim), provenance=provenance)


def run_evaluate(args: argparse.Namespace, _token: StopToken) -> None:
    scores = _scores(args)
    if args.json:
        # An infinite PSNR (equal images) is no JSON number: null says "no error at all".
        print(json.dumps({k: v if math.isfinite(v) else None for k, v in scores.items()}))  # noqa: T201
    else:
        for name, value in scores.items():
            column = COLUMNS[name]
            print(f"{column.title:12s} {column.show(value)} {column.unit}".rstrip())  # noqa: T201


def _scores(args: argparse.Namespace) -> dict[str, float]:
    from napari_selfdeconv.api import read_image

    if args.truth is not None:
        from napari_selfdeconv.api import evaluate

        return evaluate(read_image(args.result).data, read_image(args.truth).data, units=args.units)
    if args.image is None or args.psf is None:
        raise ConfigError("give a truth, or --image and --psf: something to score the result against")
    from napari_selfdeconv import api

    file, result = read_input(args), read_image(args.result)
    image = _layout_checked(file)
    voxel = _voxel(None, file, image.ndim)
    return api.evaluate_without_truth(_layout_checked(result), image, _psf_from_file(args.psf, voxel), voxel)


def _layout_checked(file: ImageFile) -> NDArray[Any]:
    """Return the image of a file if it has the axes of one; `Problem` checks its pixels."""
    from napari_selfdeconv.api import check_layout

    check_layout("the image", file.data, file.axes)
    return file.data


def _check_out(args: argparse.Namespace, *more: Output, kind: OutputKind = "image", **inputs: Path | None) -> None:
    """Refuse outputs that cannot be written or would destroy something, before anything is computed."""
    from napari_selfdeconv.api import Output, check_outputs

    called = {"psf": "--psf", "config": "--config"}
    read = {called.get(name, f"the {name}"): path for name, path in inputs.items()}
    check_outputs([Output("--out", args.out, kind), *more], read, overwrite=args.overwrite)


def _psf_for(
    args: argparse.Namespace, file: ImageFile, voxel: tuple[float, ...] | None, *, whole: bool = False
) -> NDArray[Any]:
    """Return the PSF: read from its file, or computed from the optics, compact or as large as its light."""
    if args.psf is not None:
        if gives_optics(args):
            raise ConfigError("give either --psf or the optics (--na, --wavelength-um, ...), not both")
        return _psf_from_file(args.psf, voxel)
    if voxel is None:
        raise ConfigError(f"the voxel size of {args.image} is not in the file: give --voxel-um [DZ] DY DX")
    optics = optics_for(args, file.record)
    from napari_selfdeconv.api import psf_for_image, psf_for_stack, share_in_stack

    shape = file.data.shape
    psf, notes = (psf_for_stack if whole else psf_for_image)(optics, voxel, shape)
    holds = ""
    if len(shape) == 3:
        share = share_in_stack(psf.shape, optics, voxel, shape)
        holds = f"; it holds {share:.0%} of the light inside the stack"
    kind, size = MODELS[model_key(optics)].title.lower(), "x".join(map(str, psf.shape))
    say(f"PSF: {kind}, {size} voxels of {_lengths(voxel)}{holds}")
    for note in notes:
        say(f"warning: {note}")
    return psf


def _weights(args: argparse.Namespace) -> NDArray[Any] | Literal["auto"] | None:
    """Return the weights that ``--mask`` asks for."""
    from napari_selfdeconv.api import read_image

    if args.mask in (None, "auto"):
        return "auto" if args.mask else None
    counts: NDArray[Any] = read_image(Path(args.mask)).data == 0
    return counts


def _psf_from_file(path: Path, voxel: tuple[float, ...] | None) -> NDArray[Any]:
    """Read a PSF; resample it to the image's voxels where both sizes are known and differ."""
    from napari_selfdeconv.api import fit_to_voxels, read_psf

    file = read_psf(path)
    psf, notes = fit_to_voxels(file.data, file.voxel_um, voxel)
    for note in notes:
        say(note)
    return psf


def _voxel(given: Sequence[float] | None, file: ImageFile, ndim: int) -> tuple[float, ...] | None:
    """Return the voxel size in um: as given, else as the file says, else None."""
    if given is None:
        known = file.voxel_um
        return tuple(known) if known is not None and len(known) == ndim else None
    if len(given) != ndim:
        raise ConfigError(f"--voxel-um needs {ndim} numbers for a {ndim}D image, got {len(given)}")
    if not all(0 < value < 1000 for value in given):
        raise ConfigError(f"--voxel-um must be above 0 and below 1000 um, got {' '.join(map(str, given))}")
    return tuple(given)


def _differ(a: Sequence[float], b: Sequence[float]) -> bool:
    return any(abs(x - y) > _SAMPLING_TOLERANCE * y for x, y in zip(a, b, strict=True))


def _lengths(voxel: Sequence[float]) -> str:
    return " x ".join(f"{v:g}" for v in voxel) + " um"


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _finish(args: argparse.Namespace, report: dict[str, Any]) -> None:
    if args.json:
        print(json.dumps(report))  # noqa: T201
    else:
        say(f"wrote {report['output']} after {report['seconds']:.1f} s")
