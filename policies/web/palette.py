"""The colours of the pages that this platform serves, at a hospital and at a researcher's: one file for both."""

from __future__ import annotations

from pathlib import Path

_FILE = Path(__file__).with_name("palette.css")


def in_colours(style_sheet: Path) -> bytes:
    """A style sheet behind the colours that it names, as one file.

    Args:
        style_sheet: Of a page; what it takes from the palette it names as custom properties, such as that of ink.
    """
    return _FILE.read_bytes() + style_sheet.read_bytes()
