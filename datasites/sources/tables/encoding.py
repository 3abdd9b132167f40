"""The letters of a table that was saved as text. Which encoding it has is declared, or certain; it is never guessed."""

from __future__ import annotations

import codecs

from policies.errors import DataError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins with the mark of UTF-16
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_MARKS_BETWEEN = "·—…‘’“”×±°℃"


def text_of(content: bytes, encoding: str) -> str:
    """The text of a file.

    Args:
        content: Its bytes.
        encoding: One of `ENCODINGS`. `auto` takes what a byte order mark says, UTF-8, and GBK where all that is not
            ASCII is Chinese and three quarters of it are common characters: other languages' letters look unlike that.

    Raises:
        DataError: It is not that, or it is not certain which encoding it has. Neither text holds anything of it.
    """
    for mark, marked in _MARKS:
        if content.startswith(mark):
            return _decoded(content, marked)
    if encoding != "auto":
        return _decoded(content, {"gbk": "gb18030"}.get(encoding, encoding))
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        if not _is_chinese(content):
            raise DataError(
                "The table is not UTF-8. Set table_encoding to 'gbk', 'cp1252' (of Excel in western Europe) or "
                "'utf-16', or save it as UTF-8."
            ) from None
        return _decoded(content, "gb18030")
    if "\0" in text:
        raise DataError("The table seems to be UTF-16 without its mark. Set table_encoding to 'utf-16'.")
    return text


def _decoded(content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:  # its text names bytes of a row
        name = {"utf-8-sig": "UTF-8", "gb18030": "GBK"}.get(encoding, encoding)
        raise DataError(f"The table is not {name} throughout. Save it anew, or set table_encoding.") from None


def _is_chinese(content: bytes) -> bool:
    """Whether all that is not ASCII is Chinese, most of it common: letters of other languages make rare characters."""
    try:
        text = content.decode("gb18030")
    except UnicodeDecodeError:
        return False
    others = [one for one in text if not one.isascii()]
    characters = [one for one in others if "\u4e00" <= one <= "\u9fff"]
    marks = [
        one for one in others if "\u3000" <= one <= "\u303f" or "\uff00" <= one <= "\uffef" or one in _MARKS_BETWEEN
    ]
    common = sum(map(_is_common, characters))
    return len(characters) + len(marks) == len(others) and 0 < 3 * len(characters) <= 4 * common


def _is_common(character: str) -> bool:
    """Whether it is one of the 3,755 characters of GB2312's first level."""
    return 0xB0 <= character.encode("gb2312", "replace")[0] <= 0xD7
