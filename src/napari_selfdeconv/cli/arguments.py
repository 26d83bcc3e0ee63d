"""The arguments of the commands that deconvolve, make PSFs, and look at files and results."""

from __future__ import annotations

import argparse
from pathlib import Path

from napari_selfdeconv.api import METHODS, describe_default
from napari_selfdeconv.cli import batch, deconvolve, info, psf, scores, settings
from napari_selfdeconv.cli.options import add_config, add_part, add_training, part_names

_READING = ("series", "axes", "voxel_um", "channel", "time", "z", "crop")


def add_info(p: argparse.ArgumentParser) -> None:
    p.add_argument("image", type=Path)
    add_part(p, "image", "series", "axes")
    p.add_argument("--json", action="store_true", help="print one JSON object")
    p.set_defaults(run=info.run_info, interrupt=None)


def add_light(p: argparse.ArgumentParser) -> None:
    p.add_argument("image", type=Path, help="a series or a stack")
    add_part(p, "image", *_READING)
    p.add_argument("--json", action="store_true", help="print one JSON object")
    p.set_defaults(run=info.run_light, interrupt=None)


def add_template(p: argparse.ArgumentParser) -> None:
    add_config(p)
    _add_all_parts(p)
    p.add_argument("--out", type=Path, metavar="FILE.toml", help="default: print it")
    p.add_argument("--overwrite", action="store_true", help="replace a file that exists already")
    p.set_defaults(run=settings.run_template, interrupt=None)


def add_psf(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--image", type=Path, help="image that the PSF is for; it gives the voxel size, the optics and the size"
    )
    p.add_argument(
        "--shape",
        type=int,
        nargs="+",
        metavar="N",
        help="[NZ] NY NX, voxels; default: compact, for --image, or for a large image without one",
    )
    add_config(p)
    add_part(p, "image", *_READING)
    add_part(p, "optics")
    _add_files(p)
    p.set_defaults(run=psf.run_psf, interrupt=None)


def add_prepare_psf(p: argparse.ArgumentParser) -> None:
    p.add_argument("psf", type=Path)
    p.add_argument(
        "--image", type=Path, help="image that the PSF is for; the PSF is compared with its voxel size and size"
    )
    p.add_argument("--leave", nargs="+", metavar="KEY", help="findings to leave as they are, such as centre")
    add_part(p, "image", "series", "axes", "voxel_um")
    p.add_argument("--out", type=Path, metavar="OUT.ome.tif", help="the repaired PSF; without it, only the report")
    p.add_argument("--overwrite", action="store_true", help="replace a file that exists already")
    p.add_argument("--json", action="store_true", help="print one JSON object")
    p.set_defaults(run=psf.run_prepare_psf, interrupt=None)


def add_beads(p: argparse.ArgumentParser) -> None:
    p.add_argument("image", type=Path, help="image of single beads that are smaller than the PSF")
    add_part(p, "image", *_READING)
    p.add_argument(
        "--window-um",
        type=float,
        nargs="+",
        metavar="UM",
        help="size of the PSF, [Z] Y X; default: from the beads",
    )
    p.add_argument(
        "--threshold", type=float, help="least height of a bead, in the image's units; default: from the image"
    )
    p.add_argument("--rotational", action="store_true", help="average over all angles about the optical axis")
    _add_out(p)
    p.set_defaults(run=psf.run_beads, interrupt="discard")


def add_shifts(p: argparse.ArgumentParser) -> None:
    p.add_argument("image", type=Path, help="beads that are seen in all channels")
    add_part(p, "image", "series", "axes", "voxel_um", "time", "z", "crop")
    p.add_argument(
        "--reference", type=int, default=0, metavar="N", help="channel that the others are aligned to; default: 0"
    )
    p.add_argument(
        "--within-um", type=float, default=1.5, metavar="UM", help="largest shift of a bead, um; default: 1.5"
    )
    p.add_argument("--save", type=Path, metavar="FILE.toml", help="file of the microscope to store the shifts in")
    p.add_argument("--json", action="store_true", help="print one JSON object")
    p.set_defaults(run=psf.run_shifts, interrupt="discard")


def add_deconvolve(p: argparse.ArgumentParser) -> None:
    p.add_argument("image", type=Path)
    add_config(p)
    add_part(p, "image")
    add_part(p, "psf")
    add_part(p, "optics")
    add_training(p)
    add_part(p, "method", "mask", "device")
    p.add_argument("--save-model", type=Path, metavar="FILE.safetensors")
    _add_result(p)
    _add_resume(p)
    p.set_defaults(run=deconvolve.run_deconvolve, interrupt="keep")


def add_series(p: argparse.ArgumentParser) -> None:
    p.add_argument("image", type=Path, help="with time points, channels or both")
    add_config(p)
    _add_all_parts(p, output=False)
    p.add_argument(
        "--train-on", choices=("sampled", "current"), default="sampled",
        help="time points to train on: several, spread evenly (default), or the first alone",
    )  # fmt: skip
    p.add_argument("--frames", type=int, default=4, metavar="N", help="how many are sampled; default: 4")
    p.add_argument(
        "--save-model",
        type=Path,
        metavar="FILE.safetensors",
        help="models of further channels end in _c1, _c2, ...",
    )
    _add_result(p)
    _add_resume(p)
    p.set_defaults(run=deconvolve.run_series, interrupt="keep")


def add_apply(p: argparse.ArgumentParser) -> None:
    p.add_argument("model", type=Path)
    p.add_argument("image", type=Path)
    add_config(p)
    add_part(p, "image")
    add_part(p, "method", "mask", "device")
    _add_result(p)
    p.set_defaults(run=deconvolve.run_apply, interrupt="discard")


def add_uncertainty(p: argparse.ArgumentParser) -> None:
    p.add_argument("model", type=Path, help="trained on this image, by deconvolve --save-model")
    p.add_argument("image", type=Path)
    add_part(p, "image", *_READING)
    p.add_argument(
        "--samples", type=int, default=3, metavar="N", help="number of simulated recordings; default: 3"
    )
    p.add_argument("--seed", type=int, default=0, metavar="N", help="seed of their noise; default: 0")
    p.add_argument(
        "--other",
        type=Path,
        nargs="+",
        default=[],
        metavar="MODEL",
        help="further models for the same image, such as one of another seed; disagreement is masked",
    )
    add_part(p, "method", "mask", "device")
    _add_result(p, align=False)
    p.set_defaults(run=deconvolve.run_uncertainty, interrupt="discard")


def add_rl(p: argparse.ArgumentParser) -> None:
    p.add_argument("image", type=Path)
    add_config(p)
    add_part(p, "image", *_READING)
    add_part(p, "psf")
    add_part(p, "optics")
    p.add_argument(
        "--iterations", type=int, nargs="+", default=[2, 5, 10, 20], metavar="N", help="default: 2 5 10 20"
    )
    add_part(p, "method", "boundary", "background", "mask", "device")
    _add_result(p, "DIR", align=False)
    p.set_defaults(run=deconvolve.run_rl, interrupt="keep")


def add_classical(p: argparse.ArgumentParser) -> None:
    p.add_argument("image", type=Path)
    add_config(p)
    add_part(p, "image")
    add_part(p, "psf")
    add_part(p, "optics")
    p.add_argument(
        "--method", dest="method.name", choices=tuple(METHODS), help="must be given here or by --config; see below"
    )
    add_part(p, "method", *(name for name in part_names("method") if name != "name"))
    p.epilog = f"{_about_methods()}\n\n{p.epilog}"
    _add_result(p)
    p.set_defaults(run=deconvolve.run_classical, interrupt="keep")


def _about_methods() -> str:
    names = "\n".join(f"  {key}: {method.title}" for key, method in METHODS.items())
    defaults = "\n".join(f"  --{name}: {describe_default(name)}" for name in ("iterations", "regularisation"))
    return f"methods:\n{names}\n\nwithout a value:\n{defaults}"


def add_batch(p: argparse.ArgumentParser) -> None:
    p.add_argument("images", help="a folder, a pattern such as 'day1/*.czi', or a CSV with the column file")
    p.add_argument(
        "--template", "--config", dest="config", type=Path, metavar="FILE.toml",
        help="settings of all runs; other options replace its values",
    )  # fmt: skip
    p.add_argument(
        "--model", dest="sharing", choices=("file", "all", "channel"), default="file",
        help="a network for each file (default), one for all files, or one for each channel of all files; the "
        "last two are trained on the first file that can be used",
    )  # fmt: skip
    p.add_argument("--recursive", action="store_true", help="include files in subfolders")
    p.add_argument("--no-reports", action="store_true", help="no page for each file")
    _add_all_parts(p)
    p.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder for the results; results that exist already are skipped",
    )
    p.add_argument("--overwrite", action="store_true", help="make all results again")
    p.add_argument("--json", action="store_true", help="print one JSON object last")
    p.set_defaults(run=batch.run_batch, interrupt="keep")


def add_degrade(p: argparse.ArgumentParser) -> None:
    p.add_argument("truth", type=Path)
    add_part(p, "image", *_READING)
    p.add_argument("--psf", type=Path, required=True, help="PSF file")
    p.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the noise; default: 0")
    p.add_argument("--no-salt", action="store_true", help="no salt-and-pepper pixels (as in 3D)")
    _add_files(p)
    p.set_defaults(run=scores.run_degrade, interrupt=None)


def add_evaluate(p: argparse.ArgumentParser) -> None:
    p.add_argument("result", type=Path)
    p.add_argument("truth", type=Path, nargs="?")
    p.add_argument(
        "--units", choices=("auto", "truth", "unit"), default="auto",
        help="unit of the result: the truth's intensities, or 0 to 1 for its lowest to highest; default: auto, "
        "chosen from the values",
    )  # fmt: skip
    p.add_argument("--image", type=Path, help="without a truth: the recorded image")
    add_config(p)
    add_part(p, "image", *_READING)
    add_part(p, "psf")
    add_part(p, "optics")
    p.add_argument(
        "--json", action="store_true", help="print one JSON object; a score may be 'infinite', or null (undefined)"
    )
    p.set_defaults(run=scores.run_evaluate, interrupt=None)


def _add_all_parts(p: argparse.ArgumentParser, *, output: bool = True) -> None:
    for part in ("image", "psf", "optics", "method"):
        add_part(p, part)
    add_training(p)
    if output:
        add_part(p, "output")


def _add_result(p: argparse.ArgumentParser, metavar: str = "OUT.ome.tif", *, align: bool = True) -> None:
    """Add where a result goes and how it is stored."""
    add_part(p, "output", "dtype", "compression", *["align"] * align)
    _add_out(p, metavar)


def _add_resume(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--resume", action="store_true",
        help="continue a training that was killed, from OUT.checkpoint, which is written every 30 seconds; "
        "start from the beginning if there is no such file",
    )  # fmt: skip


def _add_out(p: argparse.ArgumentParser, metavar: str = "OUT.ome.tif") -> None:
    _add_files(p, metavar)
    p.add_argument("--json", action="store_true", help="print one JSON object last")


def _add_files(p: argparse.ArgumentParser, metavar: str = "OUT.ome.tif") -> None:
    about = "folder for the results" if metavar == "DIR" else "result; its ending is .tif, .tiff or .zarr"
    p.add_argument("--out", type=Path, required=True, metavar=metavar, help=about)
    p.add_argument("--overwrite", action="store_true", help="replace existing files, but never an input")
