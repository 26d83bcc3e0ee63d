"""The check of memory before an allocation, against one budget. This file does not import torch."""

from __future__ import annotations

from napari_selfdeconv.errors import ConfigError

# The rest is for other data of the request, and for other programs.
_SHARE = 0.8


def free_bytes() -> int:
    """Return the memory of the computer that is free."""
    import psutil

    return int(psutil.virtual_memory().available)


def check_allocation(what: str, needed_bytes: float, remedy: str) -> None:
    """Refuse a request that needs more than 80 % of the computer's free memory.

    Parameters
    ----------
    what : what would be allocated; the message begins with it.
    needed_bytes : at its peak. An estimate is enough: it is there to refuse what is far too large.
    remedy : what the user can do about it.

    Raises
    ------
    ConfigError
        If it does not fit.

    Examples
    --------
    >>> check_allocation("the PSF", 1e18, "give less")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    napari_selfdeconv.errors.ConfigError: the PSF needs about 1 EB of memory, and ... are free: give less
    """
    free = free_bytes()
    if not needed_bytes <= _SHARE * free:
        needed = size_words(needed_bytes)
        raise ConfigError(f"{what} needs about {needed} of memory, and {size_words(free)} are free: {remedy}")


def size_words(count: float) -> str:
    """Return a number of bytes in a readable unit.

    Examples
    --------
    >>> size_words(14.2e9), size_words(1.23e9), size_words(8.4e7), size_words(3e15)
    ('14 GB', '1.2 GB', '84 MB', '3000 TB')
    """
    if count >= 9.95e17:
        return f"{count / 1e18:.0f} EB"
    if count >= 9.95e12:
        return f"{count / 1e12:.0f} TB"
    if count >= 9.95e9:
        return f"{count / 1e9:.0f} GB"
    return f"{count / 1e9:.1f} GB" if count >= 0.95e9 else f"{count / 1e6:.0f} MB"
