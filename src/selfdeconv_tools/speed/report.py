"""The speed figures as a Markdown table."""

from __future__ import annotations

from collections.abc import Sequence

from selfdeconv_tools.speed.records import Row

_HEAD = (
    "| figure | size | ours | baseline | times faster (range) | rate | peak memory, ours / baseline | to reach | "
    "reached | remark |"
)


def markdown(rows: Sequence[Row]) -> str:
    """Return one table for each machine, what is compared above it, and where a step's time goes."""
    machines = list(dict.fromkeys(_machine(row) for row in rows))
    parts = []
    for machine in machines:
        mine = [row for row in rows if _machine(row) == machine]
        figures = [row for row in mine if not row["name"].startswith("profile-")]
        profiled = [row for row in mine if row["name"].startswith("profile-")]
        parts += [f"## {machine}", _figures(figures) if figures else "", _profile(profiled) if profiled else ""]
    return "\n\n".join(part for part in parts if part) + "\n"


def _machine(row: Row) -> str:
    return (
        f"{row['device']}; {row['cpu']}, {row['cores']} cores, {row['threads']} threads; torch {row['torch']}; "
        f"napari-selfdeconv {row['version']}; {row['date']}"
    )


def _figures(rows: Sequence[Row]) -> str:
    lines = [_HEAD, "|---" * 10 + "|"]
    for row in rows:
        spread = f"{row['ratio_median']} ({row['ratio_min']} to {row['ratio_max']})" if row["ratio_median"] else ""
        rate = f"{row['rate']} {row['rate_unit']}" if row["rate"] else ""
        precision = f", {row['precision']}" if row["precision"] == "bfloat16" else ""
        cells = [
            row["name"], row["size"] + precision, _seconds(row["ours_s"]), _seconds(row["baseline_s"]), spread,
            rate, _peaks(row), row["to_reach"], row["reached"], row["note"],
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    compared = dict.fromkeys(row["compares"] for row in rows)
    legend = [
        f"- {', '.join(row['name'] for row in rows if row['compares'] == text)}: {text}" for text in compared
    ]
    return "\n".join(lines) + "\n\n" + "\n".join(legend)


def _profile(rows: Sequence[Row]) -> str:
    """One column a network, one line a group of operations."""
    networks = list(dict.fromkeys(row["name"].split("/")[0] for row in rows))
    groups = list(dict.fromkeys(row["name"].split("/")[1] for row in rows))
    share = {tuple(row["name"].split("/")): float(row["rate"]) for row in rows}
    lines = ["| share of a training step, % | " + " | ".join(networks) + " |", "|---" * (len(networks) + 1) + "|"]
    for group in groups:
        cells = [f"{share[network, group]:.1f}" if (network, group) in share else "" for network in networks]
        lines.append(f"| {group} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _seconds(text: str) -> str:
    if not text:
        return ""
    seconds = float(text)
    return f"{1000 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def _peaks(row: Row) -> str:
    peaks = [row["ours_peak_bytes"], *([row["baseline_peak_bytes"]] if row["baseline_s"] else [])]
    if not any(peaks):
        return ""
    return " / ".join(f"{int(peak) / 2**20:.0f} MiB" if peak else "?" for peak in peaks)
