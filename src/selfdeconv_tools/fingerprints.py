"""Fingerprints of what the package computes, to show that a change of the code changes no number.

Run ``python -m selfdeconv_tools.fingerprints`` before and after the change, on the same machine, and compare the
lines. Each line is a name and the SHA-256 of the arrays, numbers and texts that one small computation returns.

The processor, the number of threads and the version of PyTorch also decide the last digits. Hashes from two
machines are therefore not comparable.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

import napari_selfdeconv as sd

# As in the command line, and before torch is loaded: on a busy machine, waiting threads that spin cost minutes.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if TYPE_CHECKING:
    from napari_selfdeconv import Deconvolution, LossWeights, Optics, TrainConfig

Array = NDArray[Any]
Value = Array | str | Mapping[str, Any] | Sequence[Any]
Computation = Callable[[], Iterable[Value]]
_T = TypeVar("_T")

#: All computations, in the order in which they run.
COMPUTATIONS: dict[str, Computation] = {}

# These entries of a record differ between two runs, or between two versions.
_CHANGING = {"date", "seconds", "version", "torch"}
_VOXEL_3D = (0.3, 0.13, 0.13)


def digest(values: Iterable[Value]) -> str:
    """Return the SHA-256 of arrays, texts and JSON-ready values, in their order.

    Examples
    --------
    >>> digest([np.zeros(2)]) == digest([np.zeros((2, 1))]), digest(["a"])[:8]
    (False, 'eb138647')
    """
    total = hashlib.sha256()
    for value in values:
        if isinstance(value, np.ndarray):
            total.update(f"array {value.shape} {value.dtype.str}\0".encode())
            total.update(np.ascontiguousarray(value).tobytes())
        elif isinstance(value, str):
            total.update(f"text {len(value)}\0{value}".encode())
        else:
            total.update(f"json {json.dumps(value, sort_keys=True)}\0".encode())
    return total.hexdigest()


def main(argv: Sequence[str] | None = None) -> int:
    """Compute and print the fingerprints; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m selfdeconv_tools.fingerprints",
        description="Print a hash of each of a list of computations.",
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", default=list(COMPUTATIONS), help="run only these")
    parser.add_argument("--list", action="store_true", help="print the names and compute nothing")
    args = parser.parse_args(argv)
    unknown = [name for name in args.only if name not in COMPUTATIONS]
    if unknown:
        parser.error(f"there is no computation {', '.join(unknown)}; --list prints the names")
    width = max(map(len, COMPUTATIONS))
    for name in args.only:
        line = name if args.list else f"{name:{width}}  {_quietly(COMPUTATIONS[name])}"
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    return 0


def _quietly(computation: Computation) -> str:
    """Return the digest of a computation and hide what it says."""
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        return digest(computation())


def _listed(computation: Computation) -> Computation:
    """Put a function into the list under its own name."""
    COMPUTATIONS[computation.__name__] = computation
    return computation


# --- What the computations share ---


def _finish(work: Generator[Any, None, _T], events: list[Any] | None = None) -> _T:
    """Run a generator of events to its end, collect the events, and return its result."""
    while True:
        try:
            event = next(work)
        except StopIteration as end:
            result: _T = end.value
            return result
        if events is not None:
            events.append(event)


def _image(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    """Return spots on a background, with noise."""
    from scipy.ndimage import gaussian_filter

    random = np.random.default_rng(seed)
    spots = gaussian_filter((random.random(shape) > 0.98) * 900.0, 1.2)
    return np.asarray(100 + spots + random.normal(0, 4, shape), np.float32)


def _kernel(*shape: int, lopsided: bool = False) -> NDArray[np.float32]:
    """Return a Gaussian PSF of unit sum; a lopsided one has no symmetry."""
    axes = np.meshgrid(*[np.arange(n) - n // 2 for n in shape], indexing="ij")
    bell = np.exp(-sum((axis / (0.22 * n)) ** 2 for axis, n in zip(axes, shape, strict=True)))
    if lopsided:
        bell = bell * (1 + sum(0.1 * (k + 1) * axis / axis.max() for k, axis in enumerate(axes)))
    return np.asarray(bell / bell.sum(), np.float32)


def _inputs(ndim: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return a tiny image and its PSF."""
    return (_image(56, 48), _kernel(9, 9)) if ndim == 2 else (_image(12, 28, 24), _kernel(5, 7, 7))


def _tiles(ndim: int) -> sd.TileConfig:
    """Return tiles smaller than the image, so that free memory decides nothing and borders are blended."""
    return sd.TileConfig(tile=32) if ndim == 2 else sd.TileConfig(tile=(12, 20, 20))


def _settings(name: str, ndim: int, **changes: Any) -> TrainConfig:
    """Return a preset with few steps, on the processor, in float32."""
    return sd.preset(name, ndim, **{"steps": 4, "device": "cpu", "precision": "float32", **changes})


def _tiny(ndim: int, **changes: Any) -> TrainConfig:
    """Return the settings of a very small network with random initial weights."""
    small = {"steps": 3, "patch": 24, "features": 4, "levels": 2, "batch_size": 2, "inverse_channels": (0.1,)}
    return _settings("quick", ndim, **{**small, "pretrained": False, **changes})


def _run(name: str, ndim: int, **changes: Any) -> list[Value]:
    """Deconvolve the tiny image with a preset."""
    image, psf = _inputs(ndim)
    return _of_run(sd.deconvolve(image, psf, _settings(name, ndim, **changes), tiles=_tiles(ndim)))


def _of_run(made: Deconvolution) -> list[Value]:
    """Return all numbers of a result: the image, the errors and the record."""
    # Progress in between is reported by time; the first and the last step always are.
    losses = {name: [values[0], values[-1]] for name, values in made.losses.items()}
    return [made.image, losses, made.held_out, _record(made.provenance)]


def _record(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record without dates, times and versions, with flat settings."""
    record = {
        key: _record(value) if isinstance(value, Mapping) else value
        for key, value in provenance.items()
        if key not in _CHANGING
    }
    if "settings" in record:
        record["settings"] = _classical_settings(record["settings"])
    return {**record, "config": _flat(record["config"])} if "config" in record else record


def _classical_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a classical method without those that version 0.1 did not have."""
    return {key: value for key, value in settings.items() if key not in ("boundary", "background")}


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as version 0.1 wrote them, so that hashes can be compared with those of that version."""
    from napari_selfdeconv.config.flat_names import OLD_NAMES, PLACES

    old = {new: name for name, new in OLD_NAMES.items()}
    nested = sd.TrainConfig.from_dict(settings).to_dict()
    flat = {old.get(name, name): nested[part][inner] for name, (part, inner) in PLACES.items()}
    return {**flat, **{name: nested[name] for name in ("name", "boundary", "seed")}}


def _tiny_run(ndim: int = 2, **changes: Any) -> Deconvolution:
    """Train the very small network."""
    image, psf = _inputs(ndim)
    return sd.deconvolve(image, psf, _tiny(ndim, **changes), tiles=_tiles(ndim), voxel_um=_VOXEL_3D[-ndim:])


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """Give a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="fingerprints-") as name:
        yield Path(name)


def _model_file(path: Path) -> list[Value]:
    """Return the weights and the settings that a model file holds."""
    import safetensors
    from safetensors.numpy import load_file

    with safetensors.safe_open(path, framework="numpy") as file:
        header = file.metadata()
    values: list[Value] = [header["format"], _flat(json.loads(header["config"])), header["voxel_um"]]
    values.append(_record(json.loads(header["provenance"])))
    for name, array in sorted(load_file(path).items()):
        values += [name, array]
    return values


def _weights(model: Any) -> list[Value]:
    """Return the weights and the settings of a model, by way of its file."""
    with _folder() as folder:
        sd.save_model(folder / "model.safetensors", model)
        return _model_file(folder / "model.safetensors")


def _tiff(path: Path, *left_out: str) -> list[Value]:
    """Return the pixels, the voxel size and the record of a written file; without the entries ``left_out``."""
    import tifffile

    with tifffile.TiffFile(path) as file:
        pixels = file.asarray()
        image = tifffile.xml2dict(file.ome_metadata or "")["OME"]["Image"]
    sizes = {key: value for key, value in image["Pixels"].items() if key.startswith("PhysicalSize")}
    record = image.get("Description", "{}")
    known = json.loads(record) if isinstance(record, str) else record
    return [pixels, sizes, {key: value for key, value in _record(known).items() if key not in left_out}]


def _command(*words: object) -> str:
    """Run the command line in this process and return what it printed."""
    from napari_selfdeconv.cli import main as command_line

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        status = command_line([str(word) for word in words])
    if status != 0:
        raise RuntimeError(f"the command line ended with status {status}: {words}")
    return printed.getvalue()


# --- Settings ---


@_listed
def preset_settings() -> Iterator[Value]:
    """Return every setting of every preset."""
    for name in ("quick", "standard", "paper", "ssi"):
        for ndim in (2, 3):
            yield _flat(sd.preset(name, ndim).to_dict())
            yield _flat(sd.preset(name, ndim, pretrained=False).to_dict())
            for loss in ("noise2self", "noise2same", "noise2same_d"):
                yield _flat(sd.preset(name, ndim, loss=loss, pretrained=False).to_dict())


# --- Training and deconvolving ---


@_listed
def quick_2d() -> Iterable[Value]:
    return _run("quick", 2)


@_listed
def quick_2d_random_start() -> Iterable[Value]:
    return _run("quick", 2, pretrained=False, batch_size=4)


@_listed
def quick_2d_auto_precision() -> Iterable[Value]:
    return _run("quick", 2, precision="auto")


@_listed
def quick_2d_plain() -> Iterable[Value]:
    """Switch off everything that is done around the network."""
    off = {
        "average_symmetries": False,
        "calibrate": False,
        "refine": False,
        "even_border": False,
        "augment": False,
    }
    return _run("quick", 2, seed=3, blend_start=False, model_cut_off=False, **off)


@_listed
def quick_3d() -> Iterable[Value]:
    return _run("quick", 3)


@_listed
def quick_3d_random_start() -> Iterable[Value]:
    return _run("quick", 3, pretrained=False)


@_listed
def quick_3d_auto_precision() -> Iterable[Value]:
    return _run("quick", 3, precision="auto", steps=3)


@_listed
def standard_2d() -> Iterable[Value]:
    return _run("standard", 2)


@_listed
def standard_3d() -> Iterable[Value]:
    return _run("standard", 3)


@_listed
def paper_2d() -> Iterable[Value]:
    return _run("paper", 2, steps=2, batch_size=2)


@_listed
def paper_3d() -> Iterable[Value]:
    return _run("paper", 3, steps=2, batch_size=2)


@_listed
def ssi_2d() -> Iterable[Value]:
    return _run("ssi", 2, batch_size=4)


@_listed
def ssi_3d() -> Iterable[Value]:
    return _run("ssi", 3)


@_listed
def named_losses() -> Iterator[Value]:
    for loss in ("noise2self", "noise2same", "noise2same_d"):
        image, psf = _inputs(2)
        config = _settings("paper", 2, loss=loss, features=4, batch_size=2, steps=3)
        yield from _of_run(sd.deconvolve(image, psf, config, tiles=_tiles(2)))


@_listed
def every_loss_term() -> Iterator[Value]:
    """Train with all terms at once, on the learned weights, and with a lopsided PSF."""
    every: LossWeights = sd.LossWeights(
        bsp=1, rec=0.5, inv=0.3, inv_d=0.2, bound=0.1, bound_d=0.1, tv=0.02, anchor=0.1, bootstrap=0.5
    )
    image, psf = _image(48, 48, seed=1), _kernel(9, 9, lopsided=True)
    config = _settings("quick", 2, loss=every, pretrained=True, batch_size=4)
    yield from _of_run(sd.deconvolve(image, psf, config, tiles=_tiles(2)))


@_listed
def clipped_noise() -> Iterator[Value]:
    """Deconvolve an image whose noise is clipped at its lowest value."""
    image, psf = _inputs(2)
    clipped = np.maximum(image - 100, 0)
    yield from _of_run(sd.deconvolve(clipped, psf, _settings("quick", 2), tiles=_tiles(2)))


@_listed
def dark_border() -> Iterator[Value]:
    """Deconvolve an image that was blurred with nothing beyond its border."""
    from scipy.signal import fftconvolve

    psf = _kernel(15, 15)
    image = np.asarray(fftconvolve(_image(56, 56), psf, mode="same"), np.float32)
    yield from _of_run(sd.deconvolve(image, psf, _tiny(2), tiles=_tiles(2)))


@_listed
def started_numbers() -> Iterator[Value]:
    """Return what a run announces before its first step, without the texts."""
    for name, ndim in (("quick", 2), ("quick", 3)):
        image, psf = _inputs(ndim)
        events: list[Any] = []
        work = sd.iter_deconvolve(image, psf, _settings(name, ndim, steps=1), tiles=_tiles(ndim))
        _finish(work, events)
        for event in events:
            if type(event).__name__ == "Started":
                yield [event.precision, event.parameters, event.steps, event.symmetries, event.peak_bytes]


@_listed
def previews() -> Iterator[Value]:
    """Return the previews after each step, with g(f(x)) and the residual."""
    image, psf = _inputs(2)
    events: list[Any] = []
    work = sd.iter_deconvolve(
        image,
        psf,
        _tiny(2),
        tiles=_tiles(2),
        preview_every_s=0.0,
        preview_region=lambda: (slice(8, 40), slice(4, 36)),
        preview_extra=lambda: True,
    )
    _finish(work, events)
    for event in events:
        if type(event).__name__ == "Preview":
            yield from ([event.step, event.offset], event.image, event.reblurred, event.residual)


@_listed
def interim_result() -> Iterator[Value]:
    """Ask for the whole image while training goes on."""
    image, psf = _inputs(2)
    token = sd.StopToken()
    token.request_result()
    events: list[Any] = []
    made = _finish(sd.iter_deconvolve(image, psf, _tiny(2), tiles=_tiles(2), stop=token), events)
    for event in events:
        if type(event).__name__ == "Interim":
            yield from ([event.step], event.image, _record(event.provenance))
    yield from _of_run(made)


@_listed
def stopped_early() -> Iterator[Value]:
    """Stop training after the second step and keep the result."""
    image, psf = _inputs(2)
    token = sd.StopToken()

    def stop_at_once() -> None:
        token.stop()

    work = sd.iter_deconvolve(
        image,
        psf,
        _tiny(2, steps=6),
        tiles=_tiles(2),
        stop=token,
        preview_every_s=0.0,
        preview_region=stop_at_once,
    )
    yield from _of_run(_finish(work))


@_listed
def trained_further() -> Iterator[Value]:
    """Train a model further."""
    image, psf = _inputs(2)
    first = _tiny_run()
    work = sd.iter_deconvolve(image, psf, _tiny(2, seed=5), tiles=_tiles(2), start_from=first.model)
    made = _finish(work)
    yield from _of_run(made)
    yield from _weights(made.model)


# --- Series, channels and large images ---


@_listed
def series_in_time() -> Iterator[Value]:
    image = np.stack([_image(40, 36, seed=k) * (1 - 0.1 * k) for k in range(4)])
    plan = sd.SeriesPlan(axes="tyx", train_on="sampled", frames=2)
    made = _finish(sd.iter_deconvolve_series(image, _kernel(7, 7), plan, _tiny(2), tiles=_tiles(2)))
    yield from (np.asarray(made.image), _record(made.provenance))


@_listed
def channels() -> Iterator[Value]:
    """Deconvolve two channels, each with its own PSF, with the channel axis last."""
    image = np.stack([_image(40, 36, seed=k) for k in range(2)], axis=-1)
    plan = sd.SeriesPlan(axes="yxc")
    psfs = [_kernel(7, 7), _kernel(9, 9)]
    made = _finish(sd.iter_deconvolve_series(image, psfs, plan, _tiny(2), tiles=_tiles(2)))
    yield from (np.asarray(made.image), _record(made.provenance))
    for model in made.models:
        yield from _weights(model)


@_listed
def stacks_in_time() -> Iterator[Value]:
    """Deconvolve a series of stacks and train on its second frame."""
    image = np.stack([_image(8, 24, 24, seed=k) for k in range(3)])
    plan = sd.SeriesPlan(axes="tzyx", current=1)
    made = _finish(sd.iter_deconvolve_series(image, _kernel(3, 5, 5), plan, _tiny(3), tiles=_tiles(3)))
    yield from (np.asarray(made.image), _record(made.provenance))


@_listed
def large_image_to_zarr() -> Iterator[Value]:
    for ndim in (2, 3):
        image, psf = _inputs(ndim)
        with _folder() as folder:
            out = sd.create_zarr(folder / "result.zarr", image.shape, {"made_by": "fingerprints"})
            work = sd.iter_deconvolve_large(image, psf, _tiny(ndim), out=out, tiles=_tiles(ndim))
            made = _finish(work)
            yield from (np.asarray(out[...]), _record(made.provenance), list(out.chunks), _record(dict(out.attrs)))


# --- Models ---


@_listed
def applied_model() -> Iterator[Value]:
    for ndim in (2, 3):
        model = _tiny_run(ndim).model
        other = _image(64, 40, seed=7) if ndim == 2 else _image(14, 24, 30, seed=7)
        yield sd.apply_model(model, other, tiles=_tiles(ndim), device_name="cpu")


@_listed
def model_file() -> Iterator[Value]:
    """Save a model, load it, and apply it."""
    with _folder() as folder:
        path = folder / "model.safetensors"
        sd.save_model(path, _tiny_run().model)
        yield from _model_file(path)
        yield sd.apply_model(sd.load_model(path), _image(48, 48, seed=7), tiles=_tiles(2), device_name="cpu")


@_listed
def spread_of_answers() -> Iterator[Value]:
    """Return the uncertainty."""
    for ndim in (2, 3):
        image, _ = _inputs(ndim)
        model = _tiny_run(ndim).model
        work = sd.iter_uncertainty(model, image, samples=2, tiles=_tiles(ndim), device_name="cpu", seed=1)
        yield _finish(work).channels


@_listed
def residual_of_a_result() -> Iterator[Value]:
    for ndim in (2, 3):
        image, psf = _inputs(ndim)
        yield sd.residual(image, _image(*image.shape, seed=2), psf)


@_listed
def scores_without_a_truth() -> Iterator[Value]:
    for ndim in (2, 3):
        image, psf = _inputs(ndim)
        result = sd.richardson_lucy(image, psf, 5, boundary="reflect", device_name="cpu")
        yield sd.evaluate_without_truth(result, image, psf, _VOXEL_3D[-ndim:])


# --- Classical methods ---


def _classical(**settings: Any) -> Iterator[Value]:
    """Run one classical method in 2D and 3D."""
    for ndim in (2, 3):
        image, psf = _inputs(ndim)
        # Version 0.1 knew no other border.
        method = sd.Classical(**settings, boundary="reflect")
        made = sd.classical_method(image, psf, method, device_name="cpu")
        yield from (made.image, _classical_settings(made.settings.to_dict()), _record(made.provenance))


@_listed
def lucy() -> Iterator[Value]:
    """Run Richardson-Lucy and keep several counts."""
    for ndim in (2, 3):
        image, psf = _inputs(ndim)
        results = _finish(sd.iter_richardson_lucy(image, psf, (2, 5, 10), boundary="reflect", device_name="cpu"))
        for count, array in sorted(results.items()):
            yield from ([count], array)


@_listed
def lucy_automatic() -> Iterable[Value]:
    return _classical(method="rl")


@_listed
def lucy_guarded() -> Iterable[Value]:
    return _classical(method="rl", iterations=10, median_guard=True)


@_listed
def lucy_tv() -> Iterable[Value]:
    return _classical(method="rl-tv", iterations=8, regularisation=0.004)


@_listed
def lucy_tv_automatic() -> Iterable[Value]:
    return _classical(method="rl-tv")


@_listed
def tv_automatic() -> Iterable[Value]:
    return _classical(method="tv", iterations=40)


@_listed
def wiener_automatic() -> Iterable[Value]:
    return _classical(method="wiener")


# --- PSFs ---


def _optics(**changes: Any) -> Optics:
    """Return the optics of a water-immersion objective."""
    return sd.Optics(**{"na": 1.0, "wavelength_um": 0.52, "refractive_index": 1.33, **changes})


@_listed
def widefield_psf() -> Iterator[Value]:
    yield sd.richards_wolf_psf((9, 21, 21), _VOXEL_3D, _optics())
    yield sd.richards_wolf_psf((21, 23), (0.1, 0.12), _optics(defocus_um=0.4, pixel_integration=False))


@_listed
def confocal_psf() -> Iterator[Value]:
    for pinhole in (0.0, 1.0):
        optics = _optics(excitation_um=0.488, pinhole_au=pinhole, pixel_integration=False)
        yield sd.richards_wolf_psf((7, 17, 17), (0.2, 0.08, 0.08), optics)


@_listed
def layered_psf() -> Iterator[Value]:
    """Compute the PSF of an oil objective that looks into a watery sample."""
    layers = sd.CoverslipLayers(sample_index=1.38, sample_depth_um=5.0, coverslip_um=165.0)
    optics = _optics(na=1.3, refractive_index=1.515, layers=layers)
    yield sd.richards_wolf_psf((9, 17, 17), (0.2, 0.08, 0.08), optics)


@_listed
def psf_of_suggested_size() -> Iterator[Value]:
    for voxel, shape in (((0.12, 0.12), (64, 64)), (_VOXEL_3D, (16, 48, 48))):
        psf, notes = sd.psf_for_image(_optics(), voxel, shape)
        yield from (psf, [len(notes)], list(sd.suggest_psf_shape(_optics(), voxel, shape)))


def _measured() -> NDArray[np.float64]:
    """Return a bead as recorded: off the centre, on a background, with noise and one bad pixel."""
    z, y, x = np.meshgrid(*[np.arange(n) for n in (18, 34, 30)], indexing="ij")
    bead = 1500 * np.exp(-((z - 8.3) ** 2) / 18 - ((y - 18.6) ** 2) / 8 - ((x - 13.2) ** 2) / 8)
    noisy = 100 + bead + np.random.default_rng(3).normal(0, 3, bead.shape)
    noisy[2, 3, 4] = np.nan
    return np.asarray(noisy, np.float64)


@_listed
def prepared_psf() -> Iterator[Value]:
    for target in (None, (0.3, 0.2, 0.2)):
        voxel = None if target is None else (0.2, 0.1, 0.1)
        psf, report = sd.prepare_psf(_measured(), voxel_um=voxel, target_voxel_um=target, max_shape=(15, 25, 25))
        yield from (psf, [report.background, report.noise, report.peak, report.centre, report.fwhm, report.border])
        yield [report.gained, report.energy_kept, report.shape, report.non_finite]


@_listed
def psf_findings() -> Iterator[Value]:
    """Return the sentences of the PSF doctor."""
    from napari_selfdeconv.api import Context, examine_psf

    context = Context(voxel_um=(0.2, 0.1, 0.1), image_shape=(16, 28, 64), image_voxel_um=(0.2, 0.2, 0.2))
    for psf in (_measured(), np.moveaxis(_measured(), 0, 2), _kernel(9, 9, lopsided=True)):
        for finding in examine_psf(psf, context if psf.ndim == 3 else None):
            yield [finding.key, finding.severity, finding.text, finding.fix]


@_listed
def psf_repair() -> Iterator[Value]:
    """Return what the PSF doctor finds and repairs, without its sentences."""
    from napari_selfdeconv.api import Context, examine_psf, repair_psf

    context = Context(voxel_um=(0.2, 0.1, 0.1), image_shape=(16, 28, 64), image_voxel_um=(0.2, 0.2, 0.2))
    for psf in (_measured(), np.moveaxis(_measured(), 0, 2)):
        found = examine_psf(psf, context)
        repaired, voxel, _ = repair_psf(psf, [finding.key for finding in found if finding.fix], context)
        yield from ([[finding.key, finding.severity] for finding in found], repaired, list(voxel or ()))


@_listed
def psf_from_beads() -> Iterator[Value]:
    from napari_selfdeconv.simulate.beads import sample_beads

    beads = sample_beads(1)
    yield from (beads.image, beads.psf, beads.positions)
    for settings in (None, sd.BeadSettings(average="median", rotational=True, window_um=(4.0, 3.0, 3.0))):
        made = sd.beads_psf(beads.image, beads.voxel_um, settings=settings)
        yield from (made.psf, [made.fwhm_um, made.threshold, made.noise, made.rejected], _record(made.provenance))
        yield [[bead.position, bead.height, bead.reason] for bead in made.beads]


# --- Simulation ---


@_listed
def simulated_samples() -> Iterator[Value]:
    from napari_selfdeconv.simulate import sample_2d, sample_3d

    for sample in (sample_2d(1), sample_3d(1)):
        yield from (sample.image, sample.psf, sample.truth, list(sample.voxel_um), sample.optics.to_dict())


@_listed
def simulated_measurements() -> Iterator[Value]:
    from napari_selfdeconv.simulate import degrade, measure, paper_psf

    for ndim in (2, 3):
        truth, psf = _inputs(ndim)
        yield degrade(truth, psf, seed=4, salt=ndim == 2)
        yield measure(truth, psf, sigma=0.05, photons=200, seed=4)
        yield paper_psf(ndim)


@_listed
def generated_scenes() -> Iterator[Value]:
    """Return the scenes and PSFs that the weights were learned on."""
    from selfdeconv_tools.pretraining.kernels import kernel
    from selfdeconv_tools.pretraining.scenes import packed_scene

    for ndim, side in ((2, 64), (3, 24)):
        random = np.random.default_rng(5)
        for number in range(3):
            yield from (packed_scene(ndim, side, 5, number), kernel(random, ndim))


# --- The command line ---


@_listed
def command_psf() -> Iterator[Value]:
    optics = ("--na", 1.0, "--wavelength-um", 0.52, "--refractive-index", 1.33)
    confocal = ("--excitation-um", 0.488, "--pinhole-au", 1)
    grid = ("--voxel-um", *_VOXEL_3D, "--shape", 7, 15, 15)
    with _folder() as folder:
        for extra in ((), confocal):
            _command("psf", *optics, *extra, *grid, "--out", folder / "psf.ome.tif")
            yield from _tiff(folder / "psf.ome.tif")
            (folder / "psf.ome.tif").unlink()  # commands replace no file


def _write_inputs(folder: Path, ndim: int) -> tuple[Path, Path]:
    """Write the tiny image and its PSF as files."""
    import tifffile

    image, psf = _inputs(ndim)
    paths = folder / "image.tif", folder / "psf.npy"
    sizes = {f"PhysicalSize{axis}": size for axis, size in zip("ZYX"[-ndim:], _VOXEL_3D[-ndim:], strict=True)}
    tifffile.imwrite(paths[0], image, ome=True, metadata={"axes": "ZYX"[-ndim:], **sizes})
    np.save(paths[1], psf)
    return paths


@_listed
def command_rl() -> Iterator[Value]:
    with _folder() as folder:
        image, psf = _write_inputs(folder, 3)
        words = ("--psf", psf, "--iterations", 2, 6, "--boundary", "reflect", "--device", "cpu")
        _command("rl", image, *words, "--out", folder / "rl")
        for path in sorted((folder / "rl").iterdir()):
            yield path.name
            yield from _tiff(path)


@_listed
def command_classical() -> Iterator[Value]:
    with _folder() as folder:
        image, psf = _write_inputs(folder, 2)
        out = folder / "out.ome.tif"
        for method in ("wiener", "rl"):
            words = ("--psf", psf, "--method", method, "--boundary", "reflect", "--device", "cpu")
            _command("classical", image, *words, "--out", out)
            yield from _tiff(out)
            out.unlink()


@_listed
def command_deconvolve() -> Iterator[Value]:
    """Deconvolve with options, save the model, and apply it."""
    with _folder() as folder:
        image, psf = _write_inputs(folder, 2)
        out, model = folder / "out.ome.tif", folder / "model.safetensors"
        options = ("--steps", 3, "--random-start", "--seed", 2, "--device", "cpu", "--save-model", model)
        _command("deconvolve", image, "--psf", psf, *options, "--out", out)
        # The tile follows from the free memory; here it is the whole image either way.
        yield from _tiff(out, "tiles")
        out.unlink()
        yield from _model_file(model)
        _command("apply", model, image, "--device", "cpu", "--out", out)
        yield from _tiff(out)


@_listed
def command_deconvolve_config() -> Iterator[Value]:
    """Deconvolve with the settings in a file, and tiles."""
    with _folder() as folder:
        image, psf = _write_inputs(folder, 3)
        out, config = folder / "out.ome.tif", folder / "run.json"
        run = {"config": _settings("quick", 3, steps=2).to_dict(), "tiles": _tiles(3).to_dict()}
        config.write_text(json.dumps(run), "utf-8")
        _command("deconvolve", image, "--psf", psf, "--config", config, "--out", out)
        yield from _tiff(out)


@_listed
def command_degrade_and_evaluate() -> Iterator[Value]:
    with _folder() as folder:
        image, psf = _write_inputs(folder, 2)
        out = folder / "out.ome.tif"
        _command("degrade", image, "--psf", psf, "--seed", 3, "--out", out)
        yield from _tiff(out)
        yield json.loads(_command("evaluate", out, image, "--json"))
        yield json.loads(_command("evaluate", out, "--image", image, "--psf", psf, "--json"))


if __name__ == "__main__":
    sys.exit(main())
