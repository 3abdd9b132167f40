"""Harmless texts of every kind that a terminal, a page, a log, a spreadsheet or a file system would obey."""

from __future__ import annotations

import re
import unicodedata

HOSTILE = {
    "controls": "a\x07b\x08c\x1b[31md\x9b31me\x7f",
    "line ends": "first\r\nsecond\x0b\x0c\x1c\x85third\u2028\u2029",
    "directions": "a\u202eb\u202dc\u2066d\u2069e\u200f",
    "no width": "a\u200bb\u200c\u200dc\ufeffd\u2060e\u00adf",
    "fillers": "a\u3164b\u115f\u2800\U000e0100",
    "tags": "a\U000e0041\U000e0042",
    "surrogates": "a\ud800b\udfff",
    "private use": "a\ue000\U000f0000",
    "marks": "\u0301e" + "\u0301" * 50,
    "markup": "[red]a[/red] [/] [link=x]b[/link] [bold",
    "closing markup": "[/red]",
    "emoji code": ":warning: a",
    "html": "<b>a</b> &amp; <script>b</script> \" '",
    "template": "{{ a }} {% b %} ${c} %s {0}",
    "formula": "=1+1",
    "formula with a plus": "+1",
    "formula with a minus": "-1",
    "formula with an at": "@a",
    "path": "../../x",
    "absolute path": "/x/y",
    "long": "x" * 100_000,
    "long and wide": "\u202e" * 20_000,
}
PLAIN = (
    "你好医院",
    "Universitätsklinikum Köln",
    "Ελληνικά",
    "日本語の名前",
    "Đà Nẵng",
    "Mu\u0308nchen",
    "مستشفى",
    "a b",
)

_OBEYED = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_COLOUR = re.compile("\x1b\\[[0-9;]*m")


def raw_in(text: str, *, lines: bool = True) -> list[str]:
    """What is obeyed in a text, besides line ends and a terminal's own colours."""
    if lines:
        text = _COLOUR.sub("", text).replace("\n", "")
    return sorted({hex(ord(one)) for one in text if unicodedata.category(one) in _OBEYED})
