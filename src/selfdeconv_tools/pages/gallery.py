"""The text of the gallery for each picture: the image, the settings of the result, and the command for it."""

from __future__ import annotations

from dataclasses import dataclass

_SECTIONS = "python -m selfdeconv_tools.sections"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A picture of the gallery.

    Attributes
    ----------
    title : heading on the page.
    picture : name of its file in docs/images, without the ending.
    about : what the image is, and where it comes from.
    settings : optics, preset and what else decides the result.
    command : what makes the picture.
    """

    title: str
    picture: str
    about: str
    settings: str
    command: str


ENTRIES = (
    Entry(
        title="Cells, and microtubules",
        picture="methods",
        about="Generated: a plane of 512 x 512, 2.5 µm out of focus, and a volume of 64 x 128 x 128, its "
        "brightest voxels along z. Both have the noise of the paper's benchmark. They are the samples "
        "of the plugin. The settings of RL and TV are the best, chosen with the truth.",
        settings="Cells: NA 0.5, emission 0.6 µm, air, pixels of 0.25 µm. Microtubules: NA 1.0, emission 0.52 "
        "µm, water, voxels of 0.3 x 0.13 x 0.13 µm. Both `quick`, seed 0.",
        command="python -m selfdeconv_tools.picture docs/images/methods.png",
    ),
    Entry(
        title="A recorded widefield nucleus",
        picture="nucleus",
        about="40 x 201 x 101, DAPI, without a ground truth. A plane above, a section along z below. The "
        "light above and below the nucleus is haze.",
        settings="NA 1.45, emission 0.461 µm, index 1.512, voxels of 0.3 x 0.13 x 0.13 µm, a PSF as large as "
        "the light of the stack; `quick`, far light subtracted first.",
        command=f"{_SECTIONS} docs/images/nucleus.png --stack FILE --voxel-um 0.3 0.13 0.13 --na 1.45 \\\n"
        "  --wavelength-um 0.461 --refractive-index 1.512 --methods input rl-auto quick",
    ),
    Entry(
        title="Recorded lines of a calibration slide",
        picture="lines",
        about="Confocal, 21 x 150 x 150, at most 8 counts a pixel. A plane above, a section along z below: the "
        "lines are straight. The image is from the BioImageAnalysisNotebooks of R. Haase (CC-BY 4.0).",
        settings="NA 1.4 (assumed), emission 0.52 µm, excitation 0.488 µm, pinhole 1 AU, index 1.515, voxels of "
        "0.125 x 0.022 x 0.022 µm; `quick`.",
        command=f"{_SECTIONS} docs/images/lines.png --stack FILE --voxel-um 0.125 0.022 0.022 --na 1.4 \\\n"
        "  --wavelength-um 0.52 --refractive-index 1.515 --excitation-um 0.488 --pinhole-au 1 \\\n"
        "  --methods input rl-auto quick",
    ),
    Entry(
        title="A simulated widefield stack",
        picture="widefield",
        about="Generated, 40 x 112 x 112, in a scene twice as large on every axis, 200 photons at the "
        "brightest pixel. The haze is light from other planes and from outside the field.",
        settings="A PSF as large as the light of the stack, 79 x 223 x 223. RL auto: open border, background and "
        "count estimated. `quick`: far light subtracted first.",
        command=f"{_SECTIONS} docs/images/widefield.png --seed 0 --methods input rl-auto quick",
    ),
    Entry(
        title="Beads",
        picture="beads",
        about="Generated: 14 good beads and six bad ones, and the PSF averaged from the good ones. It is "
        "the bead sample of the plugin.",
        settings="Found automatically, window of automatic size, mean that leaves out odd voxels.",
        command="make screenshots",
    ),
    Entry(
        title="A movie",
        picture="series",
        about="Generated: four frames of the 2D sample, each moved by six pixels.",
        settings="`quick`, one network for all frames, trained on the frame in view.",
        command="make screenshots",
    ),
)


def page() -> str:
    """Return the entries as Markdown."""
    parts = []
    for entry in ENTRIES:
        parts += [
            f"## {entry.title}",
            f"![{entry.title}](images/{entry.picture}.png)",
            entry.about,
            f"*Settings*: {entry.settings}",
            f"```\n{entry.command}\n```",
        ]
    return "\n\n".join(parts)
