"""XML from files of unknown origin."""

from __future__ import annotations

from xml.etree import ElementTree

from napari_selfdeconv.errors import ConfigError


def refuse_entities(text: str | bytes, name: str) -> None:
    """Raise ConfigError if XML declares entities, which can grow without limit or name other files.

    No microscope writes them.
    """
    data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    # XML in UTF-16 has a zero byte beside each character.
    head = data.replace(b"\0", b"").upper()
    if b"<!DOCTYPE" in head or b"<!ENTITY" in head:
        raise ConfigError(
            f"the XML in {name} declares a document type or entities, which can be an attack",
            "save the image again with a program that you trust",
        )


def parse_xml(text: str, name: str) -> ElementTree.Element:
    """Return the root of XML that declares no entities.

    Raises
    ------
    ConfigError
        If it declares entities.
    ElementTree.ParseError
        If it is not XML.
    """
    refuse_entities(text, name)
    # Bytes that are not UTF-8 are surrogates here, which the parser refuses.
    return ElementTree.fromstring(text.encode("utf-8", "replace").decode("utf-8"))
