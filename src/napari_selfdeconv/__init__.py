"""Self-supervised deconvolution of a single image, in napari and headless."""

__version__ = "0.1.0"
