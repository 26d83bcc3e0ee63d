"""The page Self-supervised deconvolution of File > Preferences: read when it is needed, never stored here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari.settings import get_plugin_settings

PLUGIN = "napari-selfdeconv"


@dataclass(frozen=True)
class Preferences:
    """What the user set for all runs: default device, share of the free memory, folder for results on disk."""

    device: str
    memory_share: float
    cache_folder: Path


def preferences() -> Preferences:
    """Return the present values of the Preferences page."""
    compute = get_plugin_settings(PLUGIN).compute
    folder = str(compute.cache_folder).strip()
    return Preferences(
        device=str(compute.device),
        memory_share=float(compute.memory_percent) / 100.0,
        cache_folder=Path(folder).expanduser() if folder else Path.home() / "napari-selfdeconv",
    )
