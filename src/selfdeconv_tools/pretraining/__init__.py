"""The initial weights, learned on generated scenes without photographs and micrographs.

``python -m selfdeconv_tools.pretraining`` makes the file that the package ships (`napari_selfdeconv.weights`).
"""
