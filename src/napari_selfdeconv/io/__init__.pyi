"""The public names of this package, one a line: for type checkers, and at run time for `public_names`."""

from napari_selfdeconv.io.images import ImageFile as ImageFile
from napari_selfdeconv.io.images import read_image as read_image
from napari_selfdeconv.io.images import read_psf as read_psf
from napari_selfdeconv.io.images import read_record as read_record
from napari_selfdeconv.io.images import write_ome_tiff as write_ome_tiff
from napari_selfdeconv.io.images import write_psf as write_psf
