"""One microscope for a viewer: optics and voxel size typed in one dock stand in all, and outlive each of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from napari.layers import Image
from qtpy.QtCore import QObject, Signal

Sizes = tuple[float, ...]


@dataclass(frozen=True)
class Lens:
    """What every PSF of a microscope needs: numerical aperture, emission (um), index of the immersion."""

    na: float
    wavelength_um: float
    refractive_index: float


class Microscope(QObject):
    """What was typed of the microscope last. Signal ``changed`` says that it is another one now.

    Attributes
    ----------
    lens : None until something is typed, or an image says it.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.lens: Lens | None = None
        self._filled_from = ""
        self._voxel_um: dict[str, tuple[Sizes, Sizes | None]] = {}

    def set_lens(self, lens: Lens) -> None:
        """Take what was typed."""
        if lens != self.lens:
            self.lens = lens
            self.changed.emit()

    def fill(self, image: Image, lens: Lens) -> None:
        """Take what ``image`` says of its microscope, unless something was typed for this image since."""
        if self._filled_from != str(image.unique_id):
            self._filled_from = str(image.unique_id)
            self.set_lens(lens)

    def voxel_um(self, image: Image | None, of_layer: Sizes | None, ndim: int) -> Sizes:
        """Return the voxel size (last ``ndim`` axes, um) that was typed for ``image``; 0 is unknown.

        ``of_layer`` is what the layer says now. It counts where nothing was typed, or the layer was changed since.
        """
        typed, then = ((), None) if image is None else self._voxel_um.get(str(image.unique_id), ((), None))
        if len(typed) == ndim and then == of_layer:
            return typed
        return of_layer or (0.0,) * ndim

    def set_voxel_um(self, image: Image, of_layer: Sizes | None, sizes: Sizes) -> None:
        """Take the voxel size typed for ``image``, whose layer says ``of_layer``."""
        if sizes != self.voxel_um(image, of_layer, len(sizes)):
            self._voxel_um[str(image.unique_id)] = sizes, of_layer
            self.changed.emit()


_OF_VIEWERS: WeakKeyDictionary[Any, Microscope] = WeakKeyDictionary()


def microscope_of(viewer: Any) -> Microscope:
    """Return the microscope of a viewer, the same one for all its docks."""
    return _OF_VIEWERS.setdefault(viewer, Microscope())
