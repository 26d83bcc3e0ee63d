"""A page about one result, as one HTML file: parameters with their origin, projections, loss, warnings."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_selfdeconv.api.outcome import Outcome
from napari_selfdeconv.config.template import Template
from napari_selfdeconv.io.images import ImageFile
from napari_selfdeconv.io.template_files import template_dict

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse}td,th{padding:.2rem .8rem .2rem 0;text-align:left;vertical-align:top}"
    "th{border-bottom:1px solid #999}figure{display:inline-block;margin:0 1rem 1rem 0}"
    "img{image-rendering:pixelated;max-width:30rem;width:100%}.failed{color:#a00}pre{white-space:pre-wrap}"
)
# Largest size of a projection in pixels. Larger images are subsampled.
_SIDE = 512


def report_html(
    file: ImageFile,
    outcome: Outcome,
    template: Template,
    warnings: Sequence[str],
    *,
    output: Path,
    stored: Mapping[str, Any] | None = None,
) -> str:
    """Return the page of one result. Text from files is escaped, and the page loads nothing from elsewhere."""
    name = file.record.file if file.record is not None else output.name
    parts = [
        f"<h1>{_text(name)}</h1>",
        f"<p>Result: {_text(output.name)}, made in {outcome.seconds:.1f} s.</p>",
        "<h2>Warnings</h2>",
        _list(warnings) if warnings else "<p>No warnings.</p>",
        "<h2>Projections</h2>",
        *_figures(file, outcome),
    ]
    if outcome.losses:
        parts += ["<h2>Loss</h2>", _curve(outcome.losses.get("total") or next(iter(outcome.losses.values())))]
    parts += ["<h2>Parameters</h2>", _table(("parameter", "value", "source"), _parameters(file, outcome, stored))]
    settings, record = (
        json.dumps(values, indent=2, default=str) for values in (template_dict(template), outcome.provenance)
    )
    parts.append(f"<details><summary>Settings</summary><pre>{_text(settings)}</pre></details>")
    parts.append(f"<details><summary>Record</summary><pre>{_text(record)}</pre></details>")
    return _page(name, parts)


def index_html(rows: Iterable[Mapping[str, str]]) -> str:
    """Return the overview of a batch: a row for each image, with links to its page and its result."""
    lines = []
    for row in rows:
        link = f'<a href="{_link(row["report"])}">report</a>' if row["report"] else ""
        result = f'<a href="{_link(row["output"])}">{_text(row["output"])}</a>' if row["output"] else ""
        state = ' class="failed"' if row["status"] == "failed" else ""
        cells = [_text(row["file"]), _text(row["status"]), row["seconds"], result, link, _text(row["message"])]
        lines.append(f"<tr{state}>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    head = "".join(f"<th>{name}</th>" for name in ("file", "status", "seconds", "result", "page", "message"))
    return _page("Deconvolution", ["<h1>Deconvolution</h1>", f"<table><tr>{head}</tr>", *lines, "</table>"])


def _parameters(file: ImageFile, outcome: Outcome, stored: Mapping[str, Any] | None) -> list[tuple[str, str, str]]:
    """Return name, value and origin of all parameters of the result."""
    record, rows = file.record, [("image", f"{file.axes} {' x '.join(map(str, file.data.shape))}", "the file")]
    if outcome.voxel_um is not None:
        same = record is not None and outcome.voxel_um == record.voxel_um
        source = record.voxel_note.removeprefix("from ") if same and record is not None else "given"
        rows.append(("voxel size", " x ".join(f"{v:g}" for v in outcome.voxel_um) + " um", source))
    for number, chosen in enumerate(outcome.psfs):
        of = f" of channel {number}" if len(outcome.psfs) > 1 else ""
        size = " x ".join(map(str, chosen.psf.shape))
        rows.append((f"PSF{of}", f"{size} voxels", "computed" if chosen.optics else "read"))
        for one in chosen.stated:
            value = f"{one.value:g}" if isinstance(one.value, float) else str(one.value)
            rows.append((one.name + of, value, one.source))
    told = outcome.provenance
    method = told.get("label") or f"network, preset {told.get('config', {}).get('name', '')}"
    rows.append(("method", str(method), "the settings"))
    keys = ("steps_done", "device", "precision", "seed", "refined_iterations", "kept_share")
    rows += [(key.replace("_", " "), str(told[key]), "the run") for key in keys if told.get(key) is not None]
    if stored:
        rows.append(("value", f"number x {stored['scale']:.6g} + {stored['offset']:.6g}", "the result's uint16"))
        if lost := stored.get("not_finite"):
            rows.append(("NaN or infinite", f"{lost} values, NaN stored as 0", "the result's uint16"))
    return rows


def _figures(file: ImageFile, outcome: Outcome) -> list[str]:
    """Return maximum projections of the first time point along z and y, before and after, for each channel."""
    found = []
    pairs = zip(_stacks(file.data, file.axes), _stacks(outcome.image, outcome.axes), strict=True)
    for channel, (before, after) in enumerate(pairs):
        of = f", channel {channel}" if "C" in file.axes else ""
        views = [("xy", 0)] if before.shape[0] == 1 else [("xy", 0), ("xz", 1)]
        for view, axis in views:
            for title, data in (("before", before), ("after", after)):
                flat = data.max(axis)
                if view == "xz" and outcome.voxel_um is not None:
                    flat = np.repeat(flat, max(1, round(outcome.voxel_um[0] / outcome.voxel_um[-1])), axis=0)
                image = f"data:image/png;base64,{base64.b64encode(_png(flat)).decode()}"
                caption = f"{view}, {title}{of}"
                found.append(
                    f'<figure><img src="{image}" alt="{caption}"><figcaption>{caption}</figcaption></figure>'
                )
    found.append(
        "<p>Brightest voxel along the other axis; each picture from its 0.1 % to its 99.9 % quantile.</p>"
    )
    return found


def _stacks(data: Any, axes: str) -> list[NDArray[np.float64]]:
    """Return the first stack of each channel, always with a z axis."""
    array = np.asarray(data)
    if "T" in axes:
        array, axes = np.take(array, 0, axes.index("T")), axes.replace("T", "")
    channels = np.moveaxis(array, axes.index("C"), 0) if "C" in axes else array[None]
    return [np.asarray(one, np.float64).reshape(-1, *one.shape[-2:]) for one in channels]


def _png(flat: NDArray[np.float64]) -> bytes:
    """Return a grey PNG of a plane."""
    step = max(1, -(-max(flat.shape) // _SIDE))
    thin = np.nan_to_num(flat[::step, ::step])
    low, high = np.quantile(thin, [0.001, 0.999])
    grey = np.clip((thin - low) / max(high - low, 1e-30), 0, 1) * 255
    buffer = io.BytesIO()
    Image.fromarray(grey.round().astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def _curve(values: Sequence[float]) -> str:
    """Return the loss as a line, on a logarithmic scale where it is positive."""
    numbers = np.asarray(values, float)
    if numbers.size < 2 or not np.isfinite(numbers).all():
        return f"<p>{numbers.size} values.</p>"
    shown = np.log10(numbers) if (numbers > 0).all() else numbers
    span = float(np.ptp(shown)) or 1.0
    x = np.linspace(0, 600, numbers.size)
    y = 150 - 140 * (shown - shown.min()) / span
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    caption = f"first {numbers[0]:.4g}, last {numbers[-1]:.4g}, {numbers.size} values"
    return (
        f'<figure><svg viewBox="0 0 600 160" width="600" role="img" aria-label="loss"><polyline points="{points}" '
        f'fill="none" stroke="#06c" stroke-width="1.5"/></svg><figcaption>{caption}</figcaption></figure>'
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["".join(f"<th>{_text(name)}</th>" for name in head)]
    lines += ["".join(f"<td>{_text(cell)}</td>" for cell in row) for row in rows]
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _list(items: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{_text(item)}</li>" for item in items) + "</ul>"


def _page(title: str, parts: Iterable[str]) -> str:
    head = f'<meta charset="utf-8"><title>{_text(title)}</title><style>{_STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>' + "\n".join(parts) + "</body></html>\n"


def _text(value: object) -> str:
    return html.escape(str(value), quote=True)


def _link(path: str) -> str:
    """Return a relative path as a link; no name of a file can be the start of another scheme."""
    from urllib.parse import quote

    return "./" + quote(path)
