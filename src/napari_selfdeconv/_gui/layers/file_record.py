"""What the file of an image layer states about the microscope, and where the layer keeps it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari.layers import Image

from napari_selfdeconv._gui.layers.exchange import about

if TYPE_CHECKING:
    from napari_selfdeconv.api import ChannelRecord, ImageRecord

#: Our reader puts the record of the file here, in its entry of the layer's metadata.
RECORD_KEY = "record"


def record_of(layer: Image) -> ImageRecord | None:
    """Return the record that our reader has put into the layer's metadata, or None."""
    found: ImageRecord | None = about(layer).get(RECORD_KEY)
    return found


def file_of(layer: Image) -> Path | None:
    """Return the file or folder that a layer was opened from, by whichever reader; None for other layers."""
    source = layer.source.path
    if not isinstance(source, str):
        return None
    path = Path(source)
    return path if path.exists() else None


def channel_of(layer: Image, record: ImageRecord) -> ChannelRecord | None:
    """Return the channel of the file that a layer shows; None for several, or where that is not known.

    Readers that make a layer of each channel put the channel's name into the layer's.
    """
    if len(record.channels) == 1:
        return record.channels[0]
    named = [one for one in record.channels if one.name and one.name.lower() in layer.name.lower()]
    return named[0] if len(named) == 1 else None
