"""Checks whether the values of a file can be those of a light microscope and agree with each other."""

from __future__ import annotations

from napari_selfdeconv.io.facts import Facts, label

# A value outside these limits has a wrong unit or is a placeholder. Lengths are in micrometres.
_LATERAL_UM = (0.001, 20.0)
_AXIAL_UM = (0.001, 200.0)
_WAVELENGTH_UM = (0.2, 2.0)
_NA = (0.01, 1.7)
_INDEX = (1.0, 2.0)
# Refractive indices of what is sold under these names.
_INDEX_OF = {
    "air": (1.0, 1.01),
    "water": (1.32, 1.36),
    "silicone": (1.39, 1.42),
    "glycerol": (1.41, 1.48),
    "oil": (1.47, 1.56),
}


def check_facts(facts: Facts, axes: str, channels: int) -> None:
    """Discard values that cannot be right, and note values that contradict each other.

    Parameters
    ----------
    facts : changed in place.
    axes : axes of the image, one letter for each.
    channels : how many there are.
    """
    for axis in "xyz":
        _check_length(facts, f"voxel_{axis}_um", _AXIAL_UM if axis == "z" else _LATERAL_UM)
    _check_step(facts)
    _check_range(facts, "na", _NA, "it is engraved on the objective; --na")
    _check_range(facts, "refractive_index", _INDEX, "see the bottle of the immersion; --refractive-index")
    _check_immersion(facts)
    for number in range(channels):
        _check_channel(facts, f"channels.{number}.")
    if "T" in axes and "Z" not in axes and "voxel_z_um" in facts.values and "time_step_s" not in facts.values:
        facts.doubt(
            "axes",
            "the file states a step along z and no time step, but its planes are time points",
            "if it is a z-stack, relabel it with --axes " + axes.replace("T", "Z"),
        )


def _check_length(facts: Facts, field: str, limits: tuple[float, float]) -> None:
    size = facts.values.get(field)
    if size is None or limits[0] <= size <= limits[1]:
        return
    hint = f"nanometres? then it is {size / 1000:g} um; " if limits[0] <= size / 1000 <= limits[1] else ""
    flag = "--voxel-um [DZ] DY DX" if field.startswith("voxel") else f"--{field.split('.')[-1].replace('_', '-')}"
    if field.endswith("emission_um"):
        flag = "--wavelength-um"
    facts.drop(
        field,
        f"{label(field)} is {size:g} um by {facts.sources[field]}, which no light microscope has",
        f"{hint}give it with {flag}",
    )


def _check_step(facts: Facts) -> None:
    """Doubt a step along z that is much larger or smaller than the pixel."""
    z, x = facts.values.get("voxel_z_um"), facts.values.get("voxel_x_um")
    if z is None or x is None or 0.2 <= z / x <= 50:
        return
    facts.doubt(
        "voxel_z_um",
        f"the step along z ({z:g} um) is {z / x:.3g} times the pixel ({x:g} um)",
        "check both; correct them with --voxel-um DZ DY DX",
    )


def _check_range(facts: Facts, field: str, limits: tuple[float, float], remedy: str) -> None:
    value = facts.values.get(field)
    if value is not None and not limits[0] <= value <= limits[1]:
        problem = f"{label(field)} is {value:g} by {facts.sources[field]}, which no objective has"
        facts.drop(field, problem, remedy)


def _check_immersion(facts: Facts) -> None:
    values = facts.values
    na, index, immersion = values.get("na"), values.get("refractive_index"), values.get("immersion")
    low, high = _INDEX_OF.get(immersion or "", (_INDEX[0], _INDEX[1]))
    if index is not None and not low - 0.01 <= index <= high + 0.01:
        facts.doubt(
            "refractive_index",
            f"the file states a refractive index of {index:g} and the immersion {immersion}",
            f"{immersion} has {low:g} to {high:g}; give the right one with --refractive-index",
        )
    if na is not None and na >= (high if index is None else index):
        medium = f"the immersion {immersion}" if index is None else f"a refractive index of {index:g}"
        facts.doubt(
            "na",
            f"a numerical aperture of {na:g} is not possible with {medium}",
            "give the right ones with --na and --refractive-index",
        )


def _check_channel(facts: Facts, key: str) -> None:
    for name in ("emission_um", "excitation_um"):
        _check_length(facts, key + name, _WAVELENGTH_UM)
    emission, excitation = facts.values.get(key + "emission_um"), facts.values.get(key + "excitation_um")
    if emission is None or excitation is None or "photon" in facts.values.get(key + "modality", ""):
        return
    if excitation >= emission:
        facts.doubt(
            key + "excitation_um",
            f"{label(key + 'excitation_um')} ({excitation:g} um) is not below that of the emission "
            f"({emission:g} um)",
            "give the right ones with --wavelength-um and --excitation-um",
        )
