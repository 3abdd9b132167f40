"""Text that somebody else wrote, made safe to show. All that comes from across the boundary is shown through here.

A terminal, a page, a log and a spreadsheet obey some characters instead of showing them. Only these are written as
escapes; letters of every script stay as they are.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

MOST_CHARACTERS = 500
_LINE = re.compile(r"\(at line (\d+),")
_CONTROLS = {"\0": "NULL", "\r": "CARRIAGE RETURN", "\x1a": "SUBSTITUTE"}  # which have no names of their own
_QUOTES = "“”„‟‘’‚‛«»‹›"
MOST_IN_A_CELL = 30_000
_ESCAPED_KINDS = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Unicode calls these letters, marks or signs, and no font draws anything for them.
_INVISIBLE = frozenset(
    map(ord, "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
) | frozenset([*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)])
_MARKS = frozenset({"Mn", "Me"})
_MOST_MARKS = 4  # on one letter, more than any language writes; a stack of them covers the lines around
_FORMULA_BEGINS = tuple("=+-@\uff1d\uff0b\uff0d\uff20")


def shown(value: object, *, most: int = MOST_CHARACTERS) -> str:
    """One line that shows `value` and in which nothing is obeyed: what was shown once can be shown again.

    Control characters, line ends, direction controls, characters of no width or no meaning, lone surrogates and piled
    up marks become escapes such as `\\x1b` and `\\u202e`. A backslash stays one, so an escape that somebody
    wrote looks the same as one that was made here.

    Args:
        value: Anything; what is not a text is shown as `str` writes it.
        most: Characters of the result; what is longer is cut, and its end says how long it was.
    """
    text = value if isinstance(value, str) else str(value)
    if len(text) <= most and text.isascii() and text.isprintable():
        return text
    written = _escaped(text[: most + 1])
    if len(text) <= most and len(written) <= most:
        return written
    mark = f"… ({len(text):,} characters)"
    return (written[: max(most - len(mark), 0)] + mark)[:most]


def is_plain(text: str) -> bool:
    """Whether `shown` leaves the text as it is, however long."""
    return _escaped(text) == text


def in_one_form(names: Iterable[str]) -> tuple[str, ...]:
    """Names with letters and marks in the one form of Unicode (NFC) that says whether two that look alike are the same.

    Some systems write a letter with a mark as one character and others as two. Where two of the names would become one,
    all stay as they are.
    """
    written = tuple(names)
    found = tuple(unicodedata.normalize("NFC", name) for name in written)
    return found if len(set(found)) == len(set(written)) else written


def csv_cell(value: object) -> str:
    """`shown` for a cell of a CSV file: what a spreadsheet would compute gets an apostrophe before it."""
    text = shown(value, most=MOST_IN_A_CELL)
    return f"'{text}" if text.lstrip().startswith(_FORMULA_BEGINS) else text


def _escaped(text: str) -> str:
    pieces, marks = [], _MOST_MARKS  # a mark at the beginning has no letter of its own
    for character in text:
        kind = unicodedata.category(character)
        marks = marks + 1 if kind in _MARKS else 0
        obeyed = kind in _ESCAPED_KINDS or ord(character) in _INVISIBLE or marks > _MOST_MARKS
        pieces.append(_escape(character) if obeyed else character)
    return "".join(pieces)


def _escape(character: str) -> str:
    number = ord(character)
    if number <= 0xFF:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"


def line_of(error: ValueError, text: str) -> str:
    """The line of a text that the error of its parser names, as `tomllib`'s do; empty if it names none."""
    found = _LINE.search(str(error))
    return text.split("\n")[int(found[1]) - 1] if found else ""


def odd_character(line: str) -> str:
    """The first character of a line that is taken for a plain one or not seen, `U+201C, LEFT DOUBLE QUOTATION MARK`.

    Such are quotation marks of letters, wide signs, spaces that are not the plain one, marks without width, and control
    characters but for tabs and the carriage return at the line's end. Empty if there is none.
    """
    odd = next(filter(_looks_like_another, line.removesuffix("\r")), "")
    return odd and f"U+{ord(odd):04X}, {_CONTROLS.get(odd) or unicodedata.name(odd, 'a character without a name')}"


def _looks_like_another(one: str) -> bool:
    if unicodedata.category(one) == "Cc":
        return one != "\t"
    is_wide = one != unicodedata.normalize("NFKC", one) and unicodedata.normalize("NFKC", one) in "=[]#.,{}-_'\""
    return not one.isascii() and (one in _QUOTES or is_wide or unicodedata.category(one) in ("Cf", "Zs", "Zl", "Zp"))
