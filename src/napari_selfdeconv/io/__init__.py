"""Image files in and out. A name is imported when it is first used, so that docks open quickly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_selfdeconv.io.images import ImageFile, read_image, read_psf, read_record, write_ome_tiff, write_psf

__all__ = [
    "ImageFile",
    "read_image",
    "read_psf",
    "read_record",
    "write_ome_tiff",
    "write_psf",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from napari_selfdeconv.io import images

    return getattr(images, name)
