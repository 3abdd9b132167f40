"""The path of an HTTP request as it was sent. Routes, limits, signatures and logs decide on it and on nothing else.

What a peer writes into its Host header, or as the target's scheme and host, has no part in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from policies.errors import RequestMalformed

_PLAIN = re.compile(r"/|(?:/[A-Za-z0-9._~@:+,=-]+)+/?")
_DOTS = re.compile(r"/\.{1,2}(?:/|$)")


def served_path(scope: Mapping[str, Any]) -> str:
    """The path that is served, the same to the last byte as the one that was sent.

    Guarantees:
        It holds nothing that two readers could take for two paths: no escape, no empty and no dot segment.

    Raises:
        RequestMalformed: It does.
    """
    path = bytes(scope["raw_path"]).decode("latin-1")
    if not _PLAIN.fullmatch(path) or _DOTS.search(path):
        raise RequestMalformed("A path has letters, digits and ._~@:+,=- between single slashes. Use the own client.")
    return path


def signed_path(scope: Mapping[str, Any]) -> str:
    """What a signature covers: the served path, with the query as it was sent."""
    query = bytes(scope["query_string"]).decode("latin-1")
    return f"{served_path(scope)}?{query}" if query else served_path(scope)
