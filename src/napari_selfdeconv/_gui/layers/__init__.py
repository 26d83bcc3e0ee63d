"""From napari layers to arrays, and back."""
