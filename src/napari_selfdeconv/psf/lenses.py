"""Common objectives and immersions, as proposals for the form."""

from __future__ import annotations

from typing import NamedTuple


class Objective(NamedTuple):
    """An objective, as it is engraved on the barrel.

    Attributes
    ----------
    magnification : such as 63.
    na : numerical aperture.
    immersion : a key of `IMMERSIONS`.

    Examples
    --------
    >>> objective = Objective(magnification=63, na=1.4, immersion="oil")
    >>> IMMERSIONS[objective.immersion]
    1.515
    """

    magnification: float
    na: float
    immersion: str

    @property
    def label(self) -> str:
        return f"{self.magnification:g}× / {self.na:g} {self.immersion}"


#: Refractive indices at about 23 degrees C and 550 nm; the manufacturer's figure for the oil in use is better.
IMMERSIONS = {"air": 1.0, "water": 1.33, "glycerol": 1.45, "silicone": 1.406, "oil": 1.515}

OBJECTIVES = (
    Objective(4, 0.16, "air"),
    Objective(10, 0.3, "air"),
    Objective(10, 0.45, "air"),
    Objective(16, 0.8, "water"),
    Objective(20, 0.5, "air"),
    Objective(20, 0.8, "air"),
    Objective(25, 1.05, "water"),
    Objective(40, 0.95, "air"),
    Objective(40, 1.15, "water"),
    Objective(40, 1.25, "silicone"),
    Objective(40, 1.3, "oil"),
    Objective(60, 1.2, "water"),
    Objective(60, 1.3, "silicone"),
    Objective(60, 1.4, "oil"),
    Objective(60, 1.42, "oil"),
    Objective(63, 1.2, "water"),
    Objective(63, 1.3, "glycerol"),
    Objective(63, 1.4, "oil"),
    Objective(100, 1.4, "oil"),
    Objective(100, 1.45, "oil"),
    Objective(100, 1.49, "oil"),
)
