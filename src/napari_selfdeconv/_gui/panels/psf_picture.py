"""A small picture of a PSF: the plane through its middle, and for a stack the section along z."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import QRectF, Qt
from qtpy.QtGui import QImage, QPainter, QPaintEvent
from qtpy.QtWidgets import QSizePolicy, QWidget

_HEIGHT = 150
#: Rings have a hundredth of the peak's light: without this they would not be seen.
_GAMMA = 0.4


class PsfPreview(QWidget):
    """xy and xz sections, side by side, in true proportions."""

    def __init__(self) -> None:
        super().__init__()
        self.setFixedHeight(_HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setToolTip("Sections through the middle voxel; brightness to the power 0.4, so that rings show")
        self._pictures: list[tuple[str, QImage, float]] = []

    @property
    def sections(self) -> list[str]:
        """Names of the sections shown."""
        return [name for name, _, _ in self._pictures]

    def show_psf(self, psf: np.ndarray, voxel_um: tuple[float, ...]) -> None:
        """Show a 2D or 3D PSF; ``voxel_um`` gives the proportions."""
        dy, dx = voxel_um[-2:]
        middle = psf if psf.ndim == 2 else psf[psf.shape[0] // 2]
        size = " × ".join(f"{n * d:.3g}" for n, d in zip(middle.shape, (dy, dx), strict=True))
        self._pictures = [(f"xy, {size} µm", _picture(middle), middle.shape[1] * dx / (middle.shape[0] * dy))]
        if psf.ndim == 3 and psf.shape[0] > 1:
            section, dz = psf[:, psf.shape[1] // 2], voxel_um[0]
            aspect = section.shape[1] * dx / (section.shape[0] * dz)
            self._pictures.append((f"xz, {section.shape[0] * dz:.3g} µm high", _picture(section), aspect))
        self.update()

    def clear(self) -> None:
        """Show nothing."""
        self._pictures = []
        self.update()

    def paintEvent(self, _event: QPaintEvent | None) -> None:
        if not self._pictures:
            return
        painter = QPainter(self)
        width = self.width() / len(self._pictures)
        for i, (name, picture, aspect) in enumerate(self._pictures):
            room = QRectF(i * width + 2, 2, width - 4, self.height() - 20)
            high = min(room.height(), room.width() / aspect)
            wide = high * aspect
            box = QRectF(room.center().x() - wide / 2, room.center().y() - high / 2, wide, high)
            painter.drawImage(box, picture)
            painter.setPen(self.palette().color(self.foregroundRole()))
            text = QRectF(i * width, self.height() - 17, width, 16)
            painter.drawText(text, Qt.AlignmentFlag.AlignCenter, name)
        painter.end()


def _picture(section: np.ndarray) -> QImage:
    top = float(section.max()) or 1.0
    grey = np.ascontiguousarray(255 * np.clip(section / top, 0, 1) ** _GAMMA, dtype=np.uint8)
    height, width = grey.shape
    # copy: the image must not outlive the bytes that it was made over.
    return QImage(grey.tobytes(), width, height, width, QImage.Format.Format_Grayscale8).copy()
