"""Weights to start from, learned on generated scenes: no photograph and no micrograph has been seen.

``python -m selfdeconv_tools.pretraining`` makes the file that the package ships (`napari_selfdeconv.weights`).
"""
