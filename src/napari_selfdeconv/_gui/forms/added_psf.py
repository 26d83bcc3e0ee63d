"""A PSF layer that a dock adds becomes the PSF of all docks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from napari.layers import Image

from napari_selfdeconv._gui.forms.microscope import PsfSource, microscope_of

#: What a dock says that has added a PSF, if another was chosen by hand.
STAYS = "The PSF that you have chosen stays: to use the new one, choose it where the PSF is asked for."


def use_psf(viewer: Any, layer: Image, repaired: Image | None = None) -> bool:
    """Let all docks take the PSF from ``layer``, which a dock has added; return whether they do.

    A PSF that the user has chosen by hand for the image at hand stays, unless ``layer`` is that PSF ``repaired``.
    """
    shared = microscope_of(viewer)
    source = shared.source or PsfSource(generated=False)
    there = {str(other.unique_id) for other in viewer.layers if other is not repaired}
    by_hand = bool(source.chosen_for) and source.chosen_for == shared.image_id
    if by_hand and (source.generated or source.layer_id in there):
        return False
    shared.set_source(replace(source, generated=False, layer_id=str(layer.unique_id), chosen_for=""))
    return True
