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
_LEAST_PAIRS = 4


def text_of(content: bytes, encoding: str) -> str:
    """The text of a file.

    Args:
        content: Its bytes.
        encoding: One of `ENCODINGS`. `auto` takes what a byte order mark says, UTF-8, and GBK where all that is not
            ASCII are at least four different characters of GB2312: in no European encoding are letters like that.

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
    pairs, index = set(), 0
    while index < len(content):
        if content[index] < 0x80:
            index += 1
            continue
        pair = content[index : index + 2]
        if len(pair) < 2 or not 0xA1 <= pair[0] <= 0xF7 or not 0xA1 <= pair[1] <= 0xFE:
            return False
        pairs.add(pair)
        index += 2
    return len(pairs) >= _LEAST_PAIRS
