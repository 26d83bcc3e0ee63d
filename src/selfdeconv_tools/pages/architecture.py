"""The drawing of docs/architecture.md: the rooms on their floors, and the way of one image through them."""

from __future__ import annotations

from selfdeconv_tools.pages import svg

#: The rooms, top floor first; a module imports from its own floor and from those below.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("cli", "_gui", "benchmark"),
    ("api",),
    ("inference",),
    ("restoration", "training"),
    ("network", "metrics", "simulate"),
    ("physics", "holdout", "psf"),
    ("arrays", "compute", "io"),
    ("_version", "errors", "events", "public_names", "stop_token", "config"),
)
#: The way of one image: what is done, and in which room.
WAY = (
    ("read the file: pixels, voxel size, optics", "io"),
    ("choose or compute the PSF", "api, psf"),
    ("check, weigh and scale: one Problem", "inference"),
    ("subtract background and far light (widefield)", "restoration"),
    ("choose device, precision and batch", "compute"),
    ("load the initial weights", "network"),
    ("hold out pixels, train, select weights", "holdout, training"),
    ("predict tile by tile, average the views", "inference, arrays"),
    ("fit gain and offset, refine", "inference"),
    ("record settings, write the result", "api, io"),
)
_ROOM, _HEIGHT, _GAP, _LEFT, _TOP = 88, 30, 8, 16, 46
_WAY_LEFT, _STEP = 530, 36


def draw_house() -> str:
    """Return the drawing as SVG."""
    parts = [
        svg.text(_LEFT, 26, "Rooms: imports go down only", size=14),
        svg.text(_WAY_LEFT, 26, "The way of one image", size=14),
    ]
    for floor, rooms in enumerate(FLOORS):
        y = _TOP + floor * (_HEIGHT + 14)
        for place, room in enumerate(rooms):
            x = _LEFT + place * (_ROOM + _GAP)
            parts.append(svg.box(x, y, _ROOM, _HEIGHT, fill="#eef3f8"))
            parts.append(svg.text(x + _ROOM / 2, y + 20, room, anchor="middle"))
    bottom = _TOP + len(FLOORS) * (_HEIGHT + 14) - 14
    parts.append(svg.line(_LEFT - 8, _TOP, _LEFT - 8, bottom, color=svg.INK, arrow=True))
    for number, (what, where) in enumerate(WAY):
        y = _TOP + number * _STEP
        parts.append(svg.box(_WAY_LEFT, y, 300, 26))
        parts.append(svg.text(_WAY_LEFT + 8, y + 18, what, size=12))
        parts.append(svg.text(_WAY_LEFT + 310, y + 18, where, size=12, color=svg.ACCENT))
        if number:
            parts.append(svg.line(_WAY_LEFT + 150, y - _STEP + 26, _WAY_LEFT + 150, y, color=svg.INK, arrow=True))
    return svg.picture(
        980, _TOP + len(WAY) * _STEP + 4, parts, "The rooms of the package, and the way of one image"
    )
