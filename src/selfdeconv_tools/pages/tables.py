"""The tables of docs/benchmarks.md, from the rows in docs/data."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import fmean

from selfdeconv_tools.pages.blocks import table
from selfdeconv_tools.pages.data import INSTANT, QUICK, STANDARD, TV, Quality, Row, read_table

_LESS = "RL less a constant"
_TRUSTED = ("quick", "RL auto", "TV auto", "RLGC auto", "RLGC as quick")
_PAPER_STEPS = (250, 500, 1000, 2000)
_SPEED = {
    "instant-image": "a whole image, `instant`",
    "instant-volume": "a volume, `instant`",
    "quick-image": "a whole image, `quick`",
    "quick-volume": "a volume, `quick`",
    "paper-step-2d": "training step, paper's network, 2D",
    "paper-step-3d": "training step, paper's network, 3D",
    "quick-step-2d": "training step, `quick`, 2D",
    "quick-step-3d": "training step, `quick`, 3D",
    "inference-2d": "inference, `quick`, one view",
    "richardson-lucy": "Richardson-Lucy, against scikit-image",
}


def blocks_of(data: Path) -> dict[str, Callable[[], str]]:
    """Return what writes each block of the page, for the tables in a folder."""
    tables = {
        "means": _means, "unseen": _unseen, "noise": _noise, "volumes": _volumes,
        "widefield": _widefield, "frames": _frames, "stack": _stack,
        "validation": _validation, "rivals": _rivals, "speed": _speed,
        "paper": _paper, "readme": _readme, "trust": _trust,
    }  # fmt: skip
    return {name: partial(write, data) for name, write in tables.items()}


def _means(data: Path) -> str:
    quality = Quality(read_table(data, "quality_2d"))
    names = {"input": "input"}
    for family, setting in (("RL", "number of iterations"), ("TV", "weight")):
        if method := quality.best_fixed(family):
            names[method] = f"{method}, the best fixed {setting}"
    for family in ("RL auto", "TV auto"):
        if method := quality.best_fixed(family):
            names[method] = f"{family}, its own setting for each image"
    names |= {INSTANT: "**`instant`**, no training", QUICK: "**`quick`**", STANDARD: "**`standard`**"}
    rows = [
        [label, f"{quality.mean(method, 'psnr'):.2f}", f"{quality.mean(method, 'ssim'):.3f}"]
        for method, label in names.items()
    ]
    return f"{table(['method', 'PSNR, dB', 'SSIM'], rows)}\n\n{_gains(quality)}"


def _gains(quality: Quality) -> str:
    sentences = []
    for family, name in (("RL", "Richardson-Lucy"), ("TV", "TV")):
        if rival := quality.best_fixed(family):
            psnr = {row["image"]: float(row["psnr"]) for row in quality.rows if row["method"] == rival}
            gains = [float(quality.best(image, QUICK)["psnr"]) - psnr[image] for image in quality.images]
            sentences.append(
                f"`quick` is {fmean(gains):.2f} dB above the best fixed {name} in the mean, and above it on "
                f"{sum(gain > 0 for gain in gains)} of {len(gains)} images."
            )
    chosen = [quality.gain(image, QUICK, "RL", *TV) for image in quality.images]
    return " ".join(sentences) + (
        f" With the setting of both chosen for each image with the truth, it is {min(chosen):.2f} to "
        f"{max(chosen):.2f} dB above the better of them."
    )


def _unseen(data: Path) -> str:
    quality = Quality(read_table(data, "quality_unseen"))
    rows = []
    for title, families in (
        ("best Richardson-Lucy", ("RL",)),
        ("best total variation", TV),
        ("better of the two", ("RL", *TV)),
    ):
        gains = sorted(quality.gain(image, QUICK, *families) for image in quality.images)
        rivals = fmean(float(quality.best(image, *families)["psnr"]) for image in quality.images)
        wins = f"{sum(gain > 0 for gain in gains)} of {len(gains)}"
        rows.append([f"the {title}", f"{rivals:.2f}", f"{fmean(gains):+.2f}", f"{gains[0]:+.2f}", wins])
    rows.append(["`quick`", f"{quality.mean(QUICK, 'psnr'):.2f}", "", "", ""])
    return table(["", "mean PSNR, dB", "`quick` is above by, dB", "at least by", "images"], rows)


def _noise(data: Path) -> str:
    quality = Quality(read_table(data, "quality_noise"))
    rows = []
    for image in quality.images:
        name, _, noise = image.partition(" ")
        kind, _, amount = noise.partition(":")
        text = f"Gaussian, sigma {amount}" if kind == "gaussian" else f"Poisson, {amount} photons at the peak"
        rows.append([name, text, *(_both(quality.best(image, family)) for family in ("RL", "TV", QUICK))])
    return table(["image", "noise", "best RL", "best TV", "`quick`"], rows)


def _volumes(data: Path) -> str:
    rows = read_table(data, "quality_3d")
    lines = []
    for image, shape in dict.fromkeys((row["image"], row["shape"]) for row in rows):
        quality = Quality([row for row in rows if (row["image"], row["shape"]) == (image, shape)])
        rl, quick = quality.best(image, "RL"), quality.best(image, "quick")
        instant, standard = quality.of(image, "instant"), quality.of(image, "standard")
        lines.append(
            [
                f"{image}, {shape.replace('x', ' x ')}",
                _both(quality.best(image, "input")),
                f"{_both(rl)} ({rl['method'].removeprefix('RL ')})",
                _both(instant[0]) if instant else "",
                _both(quick),
                _both(standard[0]) if standard else "",
                f"{float(quick['seconds']):.0f}" if quick["seconds"] else "",
            ]
        )
    head = ["volume", "input", "best RL (iterations)", "`instant`", "`quick`", "`standard`", "seconds of `quick`"]
    less = " and ".join(f"{float(r['psnr']):.2f} dB on {r['image']}" for r in rows if r["method"] == _LESS)
    return table(head, lines) + (
        "\n\nPart of the gain is background. The noise of these volumes is clipped at 0, which adds light, and RL "
        f"keeps that light. RL minus the best constant, chosen with the truth like its iterations, reaches {less}."
    )


def _widefield(data: Path) -> str:
    rows = [row for row in read_table(data, "widefield") if row["stack"] == "widefield"]
    seeds = sorted({row["seed"] for row in rows})
    lines = []
    for method in dict.fromkeys(row["method"] for row in rows):
        mine = {row["seed"]: row for row in rows if row["method"] == method}
        cells = [
            f"{float(row['psnr']):.2f} / {float(row['correlation']):.3f} / {float(row['haze']):.2f}"
            for row in (mine[seed] for seed in seeds)
        ]
        lines.append([_label(method), *cells])
    shown = table(["", *(f"seed {seed}" for seed in seeds)], lines)
    more = [row for row in read_table(data, "widefield") if row["stack"] == "widefield, more seeds"]
    by_method = {
        name: [float(row["psnr"]) for row in more if row["method"] == name] for name in ("RL auto", "instant")
    }
    gains = [ours - theirs for theirs, ours in zip(*by_method.values(), strict=True)]
    least, most = min(gains), max(gains)
    return f"{shown}\n\nOn {len(gains)} more seeds `instant` is {least:.2f} to {most:.2f} dB above RL auto."


def _frames(data: Path) -> str:
    rows = [row for row in read_table(data, "references") if row["kind"] == "frames"]
    methods = list(dict.fromkeys(row["method"] for row in rows))
    images = {method: {row["image"] for row in rows if row["method"] == method} for method in methods}
    common = set.intersection(*images.values())
    lines = []
    for method in methods:
        psnr = {row["image"]: float(row["psnr"]) for row in rows if row["method"] == method}
        everything = fmean(psnr.values()) if len(psnr) == max(map(len, images.values())) else None
        lines.append(
            [
                _label(method),
                f"{fmean(psnr[image] for image in common):.2f}",
                "" if everything is None else f"{everything:.2f}",
            ]
        )
    if len(common) == max(map(len, images.values())):
        return table(["", f"mean of {len(common)} pairs, dB"], [line[:2] for line in lines])
    return table(
        ["", f"mean of {len(common)} pairs, dB", f"mean of {max(map(len, images.values()))} pairs, dB"], lines
    )


def _stack(data: Path) -> str:
    rows = [row for row in read_table(data, "references") if row["kind"] == "stack"]
    lines = [
        [
            _label(row["method"]),
            f"{float(row['first']):.2f}",
            f"{float(row['last']):.2f}",
            f"{100 * float(row['equal']):.1f} %",
        ]
        for row in rows
    ]
    error = {row["method"]: row["error"] for row in read_table(data, "nucleus_held_out")}
    return table(["", "first plane", "last plane", "equal neighbours"], lines) + (
        "\n\nWith a compact PSF, 4 % of the voxels were kept from every method. There g(result) misses the image "
        f"by {error['quick']} units with `quick` and {error['RL auto']} with RL auto. The best other settings "
        f"give {error['RL 500']} (RL, 500 iterations) and {error['TV 0.0005']} (TV), the image {error['input']}."
    )


def _rivals(data: Path) -> str:
    planes, tubes = Quality(read_table(data, "quality_2d")), _tubes(data)

    def quick(images: str) -> str:
        if images.startswith("its"):
            return ""
        names = planes.images if images.startswith("the") else images.removesuffix(" (mean)").split(", ")
        rows = [planes.best(n, QUICK) if n in planes.images else tubes.best(n, "quick") for n in names]
        return f"{fmean(float(row['psnr']) for row in rows):.2f}"

    rows = [
        [row["method"], row["images"], f"{row['psnr']} / {row['ssim']}", quick(row["images"]), row["seconds"]]
        for row in read_table(data, "rivals")
    ]
    return table(["", "images", "PSNR, dB / SSIM", "`quick`, dB", "seconds an image"], rows)


def _validation(data: Path) -> str:
    columns = ("chosen", "images", "rank_correlation", "psnr_chosen", "psnr_best", "lost")
    head = ["what is chosen", "images", "rank correlation", "PSNR chosen by it", "best PSNR", "lost, dB"]
    return table(head, [[row[column] for column in columns] for row in read_table(data, "validation")])


def _speed(data: Path) -> str:
    rows = read_table(data, "speed")
    processors = list(dict.fromkeys(row["cpu"] for row in rows))
    lines = []
    for name, label in _SPEED.items():
        mine = {row["cpu"]: row for row in rows if row["name"] == name}
        cells = [_timing(mine[cpu]) if cpu in mine else "not measured" for cpu in processors]
        lines.append([label, next(iter(mine.values()))["size"], *cells])
    return table(["", "size", *processors], lines)


def _paper(data: Path) -> str:
    rows = read_table(data, "paper_curve")
    lines = []
    for method, image in dict.fromkeys((row["method"], row["image"]) for row in rows):
        mine = {int(row["step"]): row for row in rows if (row["method"], row["image"]) == (method, image)}
        end = mine[max(mine)]
        loss = method.removeprefix("paper:").partition(",")[0].replace("+bound", ", bound 0.1")
        points = [f"{float(mine[step]['psnr']):.2f}" if step in mine else "" for step in _PAPER_STEPS]
        took = f"{float(end['seconds']) / 3600:.1f}" if end["seconds"] else ""
        lines.append([_label(loss), image, *points, end["step"], _both(end), took])
    head = ["", "image", *(f"{step} steps" for step in _PAPER_STEPS), "steps", "end", "hours of a core"]
    return table(head, lines)


def _trust(data: Path) -> str:
    rows = {(row["scene"], row["method"]): row for row in read_table(data, "trust")}

    def found(row: Row) -> str:
        missed = f", {row['missed']}" if row["missed"] else ""
        outside = f" / {100 * float(row['outside']):.0f} %" if row["outside"] else ""
        return f"{row['false_peaks']}{missed} / {float(row['grain']):.2f}{outside}"

    def contrast(row: Row) -> str:
        return " / ".join(f"{float(row[name]):.2f}" for name in row if name.startswith("pair_"))

    scenes = dict.fromkeys(scene for scene, _ in rows)
    lines = [[scene, *(found(rows[scene, method]) for method in _TRUSTED)] for scene in scenes]
    pairs = ["pairs", *(contrast(rows["pairs", method]) for method in _TRUSTED)]
    return (
        table(["scene: false peaks, missed / grain / light outside", *_TRUSTED], lines)
        + "\n\n"
        + table(["contrast at 0.6 / 0.8 / 1.0 / 1.2 / 1.4 Rayleigh distances", *_TRUSTED], [pairs])
    )


def _readme(data: Path) -> str:
    planes, unseen = Quality(read_table(data, "quality_2d")), Quality(read_table(data, "quality_unseen"))
    tubes, stacks = _tubes(data), read_table(data, "widefield")
    rl = planes.best_fixed("RL") or "RL 3"
    gain = fmean(unseen.gain(image, QUICK, "RL") for image in unseen.images)
    # By the instructions of the processor, which its name ends with.
    quick_s = {
        row["cpu"].rpartition(", ")[2]: float(row["ours_s"])
        for row in read_table(data, "speed")
        if row["name"] == "quick-image"
    }

    def stack_mean(method: str, column: str) -> float:
        found = [float(r[column]) for r in stacks if (r["stack"], r["method"]) == ("widefield", method)]
        return fmean(found)

    rows = [
        [
            f"{len(planes.images)} images of the paper's benchmark, PSNR / SSIM",
            f"{planes.mean(QUICK, 'psnr'):.2f} dB / {planes.mean(QUICK, 'ssim'):.3f}",
            f"{planes.mean(rl, 'psnr'):.2f} dB / {planes.mean(rl, 'ssim'):.3f}, best fixed iterations",
        ],
        [
            f"{len(unseen.images)} images that were not tuned on, PSNR",
            f"{gain:+.2f} dB",
            "best iterations for each image",
        ],
        [
            "a volume of microtubules, PSNR / SSIM",
            f"{float(tubes.best('microtubules', 'quick')['psnr']):.2f} dB / "
            f"{float(tubes.best('microtubules', 'quick')['ssim']):.3f}",
            f"{float(tubes.best('microtubules', 'RL')['psnr']):.2f} dB / "
            f"{float(tubes.best('microtubules', 'RL')['ssim']):.3f}, best iterations",
        ],
        [
            "three simulated widefield stacks, PSNR / haze",
            f"{stack_mean('quick', 'psnr'):.2f} dB / {stack_mean('quick', 'haze'):.2f}",
            f"{stack_mean('RL auto', 'psnr'):.2f} dB / {stack_mean('RL auto', 'haze'):.2f}, automatic iterations",
        ],
        [
            "time for an image of 1024 x 1024",
            f"{quick_s['AVX512-BF16']:.0f} s; {quick_s['AVX2']:.0f} s with AVX2 alone",
            "below 1 s",
        ],
    ]
    return table(["", "`quick`", "Richardson-Lucy"], rows)


def _tubes(data: Path) -> Quality:
    """Return the rows of the smaller volume of microtubules."""
    volumes = read_table(data, "quality_3d")
    return Quality([row for row in volumes if (row["image"], row["shape"]) == ("microtubules", "64x128x128")])


def _timing(row: Row) -> str:
    seconds = float(row["ours_s"])
    shown = f"{1000 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"
    if row["note"]:
        shown += f" {row['note']}"
    return f"{shown}, {float(row['ratio_median']):.3g} times as fast" if row["ratio_median"] else shown


def _label(method: str) -> str:
    names = {"input": "image", "instant": "`instant`", "quick": "`quick`", "standard": "`standard`"}
    names["quick,far_light_training=true"] = "`quick` with training"
    return names.get(method, method)


def _both(row: Row) -> str:
    return f"{float(row['psnr']):.2f} / {float(row['ssim']):.3f}"


def _psnr(row: Row) -> str:
    return f"{float(row['psnr']):.2f}"
