"""The method that a template names: its settings, its weights and its device."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from napari_selfdeconv.config.checks import check_choice
from napari_selfdeconv.config.template import MethodChoice, Template
from napari_selfdeconv.inference.weigh import Weights
from napari_selfdeconv.io.images import read_image
from napari_selfdeconv.restoration.methods import METHODS, Classical

#: The name of the self-supervised network among the methods.
NETWORK = "network"


def classical_of(choice: MethodChoice) -> Classical:
    """Return the classical method that a template names.

    Parameters
    ----------
    choice : the part `Template.method`.

    Raises
    ------
    ConfigError
        If the method does not exist, or does not have one of the settings.

    Examples
    --------
    >>> from napari_selfdeconv import Template
    >>> classical_of(Template.from_dict({"method": {"name": "rl", "iterations": 5}}).method).label
    'RL 5'
    """
    check_choice("method", choice.name, (NETWORK, *METHODS))
    return Classical(
        method=str(choice.name),
        iterations=choice.iterations,
        regularisation=choice.regularisation,
        median_guard=bool(choice.median_guard),
        boundary=choice.boundary,  # type: ignore[arg-type]
        background=choice.background,  # type: ignore[arg-type]
        offset=choice.offset,
        gain=choice.gain,
        read_noise=choice.read_noise,
    )


def is_network(template: Template) -> bool:
    """Whether a template asks for the network, which is the default.

    Parameters
    ----------
    template : settings of a run.

    Examples
    --------
    >>> from napari_selfdeconv import Template
    >>> is_network(Template()), is_network(Template.from_dict({"method": {"name": "rl"}}))
    (True, False)
    """
    return template.method.name in (None, NETWORK)


def weights_of(choice: MethodChoice) -> Weights:
    """Return the weights that the mask of a template asks for. Without a mask, bad pixels are found.

    Parameters
    ----------
    choice : the part `Template.method`.

    Examples
    --------
    >>> from napari_selfdeconv import Template
    >>> weights_of(Template().method), weights_of(Template.from_dict({"method": {"mask": "none"}}).method)
    ('auto', None)
    """
    if choice.mask in (None, "auto"):
        return "auto"
    if choice.mask in ("auto+nan", "none"):
        return "auto+nan" if choice.mask == "auto+nan" else None
    counts: NDArray[Any] = read_image(Path(str(choice.mask))).data == 0
    return counts
