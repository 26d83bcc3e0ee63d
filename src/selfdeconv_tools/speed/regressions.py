"""The comparison of a newer table of speed figures with an older one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari_selfdeconv.config.checks import check_number
from napari_selfdeconv.errors import ConfigError
from selfdeconv_tools.speed.records import Row, read_rows, same_machine

# A smaller difference of seconds without a baseline is random: an import takes a millisecond.
_NOISE_S = 0.01


def find_regressions(old: Path, new: Path, tolerance: float = 0.15) -> tuple[list[str], int]:
    """Compare two tables, figure by figure.

    With a baseline the median ratios are compared, because they hold from machine to machine. Without one the
    seconds are compared, on the same machine only. Shares of a profile are not speed, and are left out.

    Parameters
    ----------
    old, new : speed.csv files.
    tolerance : share by which a figure may be slower, 0 to 1.

    Returns
    -------
    One sentence for each figure that became slower, and how many could be compared.

    Raises
    ------
    ConfigError
        For a file that is no such table, or tables without a figure in common.
    """
    check_number("tolerance", tolerance, 0.0, 1.0)
    before = {_key(row): row for row in _rows(old)}
    slower, compared = [], 0
    for row in _rows(new):
        earlier = before.get(_key(row))
        found = None if earlier is None else _times_slower(earlier, row)
        if found is None:
            continue
        compared += 1
        times, text = found
        if times > 1 + tolerance:
            slower.append(f"{row['name']} ({row['size']}, {row['device']}): {text}, {times:.2f} times slower")
    if compared == 0:
        raise ConfigError(f"{old} and {new} have no figure in common that can be compared")
    return slower, compared


def _rows(table: Path) -> Sequence[Row]:
    if not table.exists():
        raise ConfigError(f"{table} is not there")
    return [row for row in read_rows(table) if not row["name"].startswith("profile-")]


def _key(row: Row) -> tuple[str, ...]:
    kind = row["device"].partition(" ")[0].partition(":")[0]
    return row["name"], row["size"], kind, row["precision"]


def _times_slower(old: Row, new: Row) -> tuple[float, str] | None:
    if old["ratio_median"] and new["ratio_median"]:
        before, after = float(old["ratio_median"]), float(new["ratio_median"])
        return before / after, f"{before:.3g} times the baseline's speed before, {after:.3g} now"
    if old["ours_s"] and new["ours_s"] and not new["baseline_s"] and same_machine(old, new):
        before, after = float(old["ours_s"]), float(new["ours_s"])
        return 1.0 if after - before < _NOISE_S else after / before, f"{before:.3g} s before, {after:.3g} s now"
    return None
