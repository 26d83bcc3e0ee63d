"""Fit the 90 % intervals on generated scenes, whose truth is known.

``python -m selfdeconv_tools.fit_intervals collect --kind 2d --count 60 --out DIR`` makes images of random scenes,
deconvolves them and stores the evidence. Every fifth model is trained on its image by the preset quick, and the
others have the initial weights. The scenes are of kinds that the weights did not learn from (`unlearned_scene`).
What they learned from they deconvolve better than a user's image. ``--kind 3d`` makes volumes and ``--kind haze``
widefield stacks. ``python -m selfdeconv_tools.fit_intervals fit DIR --out FILE.toml`` fits the numbers.
"""

from __future__ import annotations

import argparse
import math
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tomli_w
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.optimize import minimize
from scipy.signal import fftconvolve

from napari_selfdeconv.api import apply_model, deconvolve
from napari_selfdeconv.compute.device import choose_device
from napari_selfdeconv.config.presets import preset
from napari_selfdeconv.config.tiles import TileConfig
from napari_selfdeconv.events import drain
from napari_selfdeconv.inference.evidence import Evidence, gather_evidence
from napari_selfdeconv.inference.intervals import LEVEL, features, spread_of
from napari_selfdeconv.inference.make_ready import make_ready
from napari_selfdeconv.inference.predict import on_device
from napari_selfdeconv.inference.prepare import Problem
from napari_selfdeconv.network.initial_weights import initial_weights
from napari_selfdeconv.network.model import Model, build_network, takes_estimate
from napari_selfdeconv.physics.blur import Blur, convolved
from napari_selfdeconv.psf.generate import richards_wolf_psf
from napari_selfdeconv.psf.stack import psf_for_stack
from napari_selfdeconv.simulate.degrade import rescale_to_unit
from napari_selfdeconv.simulate.phantoms import cells_2d, microtubules_3d
from napari_selfdeconv.simulate.widefield import make_scene as make_bodies
from napari_selfdeconv.stop_token import StopToken
from selfdeconv_tools.numeric_arguments import above_zero
from selfdeconv_tools.pretraining.kernels import kernel
from selfdeconv_tools.pretraining.stacks import microscope

KINDS = ("2d", "3d", "haze")
# Of the random numbers: no scene of pre-training has it.
_SEED = 2027
# Side of a scene and of the image in its middle. The margin is as wide as a PSF reaches, so that light enters.
_SIDES = {2: (144, 96), 3: (66, 36)}
_FIELD = (16, 48, 48)
_PIXELS = 2000
_SMOOTH = 0.05
_FOLDS = 5
# Share of the scenes that are covered by at least 90 %: an interval that is too wide misleads less.
_IMAGES = 0.75

Array = NDArray[np.float32]


class Generated(NamedTuple):
    """A scene, its image and its PSF."""

    truth: Array
    image: Array
    psf: Array


def generate(kind: str, number: int, contrast: float = 1.0) -> Generated:
    """Return a random scene with a random PSF and random noise.

    With a ``contrast`` below 1 a scene that is no stack has a random one from there to 1, as parts of images have:
    the noise stays.

    Examples
    --------
    >>> made = generate("2d", 3)
    >>> made.image.shape == made.truth.shape == (96, 96)
    True
    """
    random = np.random.default_rng((_SEED, KINDS.index(kind), number))
    return _stack(random) if kind == "haze" else _plain(random, int(kind[0]), contrast)


def _plain(random: np.random.Generator, ndim: int, contrast: float) -> Generated:
    """Noise is drawn from the same ranges as in pre-training."""
    whole, side = _SIDES[ndim]
    scene = unlearned_scene(random, (whole,) * ndim)
    if contrast < 1:
        scene = scene * np.float32(math.exp(random.uniform(math.log(contrast), 0)))
    psf = kernel(random, ndim)
    light = convolved(Blur(psf), scene)
    sigma = math.exp(random.uniform(math.log(0.008), math.log(0.2)))
    gain = math.exp(random.uniform(math.log(1e-4), math.log(3e-2))) * (random.random() < 0.6)
    image = light + np.sqrt(gain * light.clip(0) + sigma**2) * random.normal(size=light.shape)
    if random.random() < 0.4:
        hit = random.random(image.shape) < random.uniform(0, 0.02)
        image = np.where(hit, random.random(image.shape), image)
    if random.random() < 0.4:
        image = image.clip(0, 1)
    margin = (whole - side) // 2
    middle = (slice(margin, -margin),) * ndim
    return Generated(scene[middle], image[middle].astype(np.float32), psf)


def unlearned_scene(random: np.random.Generator, shape: Sequence[int]) -> Array:
    """Return a scene from 0 to 1 of a kind that no initial weights learned from.

    Kinds are cells, tubes, bodies with curves, bars as in print and test charts, and rough texture with detail
    down to the voxel. A third of the scenes are two of them together.

    Examples
    --------
    >>> scene = unlearned_scene(np.random.default_rng(0), (48, 48))
    >>> scene.shape, float(scene.min()), float(scene.max())
    ((48, 48), 0.0, 1.0)
    """
    kinds = [_tubes, _bodies, _bars, _rough, *([_cells] if len(shape) == 2 else [])]
    scene = kinds[random.integers(len(kinds))](random, shape)
    if random.random() < 1 / 3:
        scene = scene + random.uniform(0.3, 1) * kinds[random.integers(len(kinds))](random, shape)
    return rescale_to_unit(scene)


def _cells(random: np.random.Generator, shape: Sequence[int]) -> Array:
    return cells_2d((shape[0], shape[1]), seed=int(random.integers(2**31)))


def _tubes(random: np.random.Generator, shape: Sequence[int]) -> Array:
    """Volumes of microtubules, or in 2D the brightest of 8 planes."""
    deep = (*shape,) if len(shape) == 3 else (8, *shape)
    volume = microtubules_3d(
        (deep[0], deep[1], deep[2]), int(random.integers(2**31)), count=int(random.integers(6, 60))
    )
    return volume if len(shape) == 3 else rescale_to_unit(volume.max(0))


def _bodies(random: np.random.Generator, shape: Sequence[int]) -> Array:
    """Textured ellipsoids and curves (`simulate.widefield`); in 2D the middle of 12 planes."""
    deep = tuple(shape) if len(shape) == 3 else (12, *shape)
    volume = make_bodies(deep, int(random.integers(2**31)))
    return volume if len(shape) == 3 else volume[6]


def _bars(random: np.random.Generator, shape: Sequence[int]) -> Array:
    """Boxes of 1 to 9 voxels a side with sharp edges, dense or sparse, dark on bright or bright on dark."""
    scene = np.zeros(shape, np.float32)
    for _ in range(int(math.prod(shape) ** 0.5 * random.uniform(1, 12))):
        sides = random.integers(1, 10, len(shape))
        begin = [random.integers(-4, n) for n in shape]
        where = tuple(slice(max(0, b), max(0, b + s)) for b, s in zip(begin, sides, strict=True))
        scene[where] = random.uniform(0.3, 1)
    return 1 - scene if random.random() < 0.4 else scene


def _rough(random: np.random.Generator, shape: Sequence[int]) -> Array:
    """A cascade of noise at all scales, multiplied: bright and dark places, each with detail of its own."""
    total, width = np.zeros(shape), 0.6
    while width < min(shape) / 4:
        noise = gaussian_filter(random.normal(size=tuple(shape)), width)
        total += random.uniform(0.3, 1) * noise / noise.std()
        width *= 2
    scene: Array = np.exp(random.uniform(0.2, 0.6) * total).astype(np.float32)
    return rescale_to_unit(np.minimum(scene, np.quantile(scene, 0.995)))


def _stack(random: np.random.Generator) -> Generated:
    """A widefield stack: light from outside the field, photons, read noise and an offset."""
    optics, voxel = microscope(random)
    shape = tuple(2 * n for n in _FIELD)
    with warnings.catch_warnings():
        # Coarse voxels and cut-off halos are wanted here: recorded stacks have them too.
        warnings.simplefilter("ignore")
        blurring = richards_wolf_psf(tuple(n - 1 for n in shape), voxel, optics)
        psf, _ = psf_for_stack(optics, voxel, _FIELD)
    middle = tuple(slice(n // 2, n // 2 + n) for n in _FIELD)
    scene = unlearned_scene(random, shape)
    light = np.maximum(fftconvolve(scene, blurring, mode="same"), 0)[middle]
    photons = math.exp(random.uniform(math.log(20), math.log(1500))) / float(light.max())
    image = random.poisson(photons * light) + random.normal(100, random.uniform(0.5, 4), _FIELD)
    return Generated((photons * scene[middle]).astype(np.float32), image.astype(np.float32), psf)


def collect(made: Generated, *, trained: bool, samples: int = 3) -> Evidence:
    """Deconvolve an image and return the evidence of its error."""
    begun = initial_model(made)
    model = deconvolve(made.image, made.psf).model if trained else begun
    initial = apply_model(begun, made.image) if trained else None
    problem = drain(make_ready(Problem.of_model(model, made.image), model.config, StopToken()))
    choice = choose_device("auto", model.config.compute.precision)
    with on_device(model, choice):
        work = gather_evidence(
            model, problem, choice, TileConfig(), StopToken(), initial=initial, samples=samples, seed=0
        )
        return drain(work)


def initial_model(made: Generated) -> Model:
    """Return the model with the initial weights for an image."""
    config = preset("quick", made.image.ndim)
    problem = Problem.of(made.image, made.psf, config)
    learned = initial_weights(config, made.image.ndim, hazy=problem.whole_psf is not None)
    network = build_network(config, problem.psf, takes_estimate(learned, config))
    network.load_state_dict(learned)
    return Model(config=config, psf=problem.psf, network=network.eval(), whole_psf=problem.whole_psf)


class Scores(NamedTuple):
    """Of some pixels of one scene: their features, and the logarithm of the error as a share of the spread."""

    features: NDArray[np.float64]
    error: NDArray[np.float64]


def scores(path: Path) -> Scores:
    """Read what `collect` found of one scene, and draw pixels."""
    with np.load(path, allow_pickle=False) as file:
        names = ("result", "change", "departure")
        numbers = {name: float(file[name]) for name in ("noise", "width")}
        evidence = Evidence(
            **{name: file[name] for name in names}, **numbers, hazy=bool(file["hazy"]), outliers=False
        )
        error = np.abs(file["truth"] - evidence.result) / spread_of(evidence.result)
    chosen = np.random.default_rng(0).choice(error.size, min(_PIXELS, error.size), replace=False)
    table = features(evidence)
    return Scores(table.reshape(len(table), -1)[:, chosen], np.log(np.maximum(error.ravel()[chosen], 1e-9)))


def fit(scenes: Sequence[Scores]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the coefficients of the 90 % quantile of the error, and the coverage of scenes that were left out.

    Quantile regression gives the slopes. The constant is conformal. Each fifth of the scenes is left out. For each
    scene the 90 % quantile of its errors above the regression of the others is taken. Three of four scenes have
    less than what is added, so these are covered by at least 90 %.

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> tables = [np.stack([np.ones(2000), random.normal(size=2000)]) for _ in range(10)]
    >>> made = [Scores(x, 2 * x[1] + np.log(np.abs(random.normal(size=2000)))) for x in tables]
    >>> (constant, slope), covered = fit(made)
    >>> round(float(np.exp(constant)), 1), round(float(slope), 1), round(float(covered.mean()), 2)
    (1.7, 2.0, 0.9)
    """
    excess: list[NDArray[np.float64]] = [np.zeros(0)] * len(scenes)
    for fold in range(min(_FOLDS, len(scenes))):
        rest = [scene for number, scene in enumerate(scenes) if number % _FOLDS != fold]
        found = _regress(rest)
        for number in range(fold, len(scenes), _FOLDS):
            excess[number] = scenes[number].error - found @ scenes[number].features
    beyond = float(np.quantile([np.quantile(one, LEVEL) for one in excess], _IMAGES))
    covered = np.array([float((one <= beyond).mean()) for one in excess])
    coefficients = _regress(scenes)
    coefficients[0] += beyond
    return coefficients, covered


def _regress(scenes: Sequence[Scores]) -> NDArray[np.float64]:
    """Return the coefficients of the quantile regression over the pixels of all scenes."""
    x, y = (np.concatenate(parts, -1) for parts in zip(*scenes, strict=True))

    def loss(beta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        left = y - beta @ x
        # The slope of the quantile loss turns within a few hundredths, so that it has a gradient everywhere.
        below = 1 / (1 + np.exp(np.clip(left / _SMOOTH, -50, 50)))
        value = LEVEL * left + _SMOOTH * np.logaddexp(0, -left / _SMOOTH)
        return float(value.mean()), -((LEVEL - below) * x).mean(1)

    begin = np.zeros(len(x))
    begin[0] = np.quantile(y, LEVEL)
    found: NDArray[np.float64] = minimize(loss, begin, jac=True, method="BFGS").x
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m selfdeconv_tools.fit_intervals")
    commands = parser.add_subparsers(dest="command", required=True)
    collecting = commands.add_parser("collect", help="deconvolve generated scenes")
    collecting.add_argument("--kind", choices=KINDS, required=True)
    collecting.add_argument("--first", type=int, default=0)
    collecting.add_argument("--count", type=above_zero(int), default=60)
    collecting.add_argument(
        "--trained-every", type=above_zero(int), default=5, metavar="N", help="of the scenes; default: 5"
    )
    collecting.add_argument("--contrast", type=float, default=1.0, help="lowest contrast of a scene; default: 1")
    collecting.add_argument("--seconds", type=float, default=math.inf, help="begin no scene after so long")
    collecting.add_argument("--out", type=Path, required=True)
    fitting = commands.add_parser("fit", help="fit the numbers to what was collected")
    fitting.add_argument("folder", type=Path)
    fitting.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    if args.command == "collect":
        _collect_all(args)
    else:
        _fit_all(args)


def _collect_all(args: argparse.Namespace) -> None:
    args.out.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    for number in range(args.first, args.first + args.count):
        path = args.out / f"{args.kind}_{number:04d}.npz"
        if path.exists() or time.perf_counter() - started > args.seconds:
            continue
        made = generate(args.kind, number, args.contrast)
        found = collect(made, trained=number % args.trained_every == 0)
        np.savez(path, truth=made.truth, **vars(found))
        error = float(np.sqrt(np.mean((made.truth - found.result) ** 2))) / spread_of(found.result)
        print(f"{path.name}: error {error:.2f} of the spread, {time.perf_counter() - started:.0f} s", flush=True)  # noqa: T201


def _fit_all(args: argparse.Namespace) -> None:
    tables = {}
    for kind in KINDS:
        scenes = [scores(path) for path in sorted(args.folder.glob(f"{kind}_*.npz"))]
        if not scenes:
            continue
        found, covered = fit(scenes)
        inside = float(np.mean((covered >= 0.85) & (covered <= 0.95)))
        print(f"{kind}: {len(scenes)} scenes, left out {inside:.0%} of them are covered by 85 to 95 %")  # noqa: T201
        tables[kind] = {"scenes": len(scenes), "coefficients": [round(float(value), 4) for value in found]}
    args.out.write_text(tomli_w.dumps(tables), "utf-8")


if __name__ == "__main__":
    main()
