"""Image files in and out."""

from napari_selfdeconv.io.images import ImageFile, read_image, read_psf, read_record, write_ome_tiff, write_psf

__all__ = [
    "ImageFile",
    "read_image",
    "read_psf",
    "read_record",
    "write_ome_tiff",
    "write_psf",
]
