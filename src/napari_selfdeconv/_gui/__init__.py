"""The dock widgets: they fill in the arguments of `napari_selfdeconv.api` and draw its events, no more."""
