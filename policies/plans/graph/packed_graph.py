"""A packed graph: the text of an own model's graph as a plan carries it, so that the plan's digest covers every byte.

It is deflated and written in Base64. Whoever unpacks it stops at the length that a graph's text may have, so a few
bytes that unfold to many are refused as soon as they do.
"""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from functools import lru_cache
from typing import Any

from policies.errors import GraphError
from policies.plans.plan_json import ADDED_LATER, TOLD, sha256_text

MAX_PACKED_CHARACTERS = 500_000
MAX_TEXT_CHARACTERS = 12_000_000
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")
_CAPTURE_IT = "Take what `python -m researcher capture` wrote."


def pack(text: str) -> str:
    """Returns a graph's text as a plan carries it.

    Args:
        text: What `Graph.to_json` wrote.

    Raises:
        GraphError: It is too long for a plan.
    """
    packed = base64.b64encode(zlib.compress(text.encode("ascii", "replace"), 9)).decode()
    if len(text) > MAX_TEXT_CHARACTERS or len(packed) > MAX_PACKED_CHARACTERS:
        raise GraphError(
            f"A plan carries graphs of at most {MAX_TEXT_CHARACTERS:,} characters, {MAX_PACKED_CHARACTERS:,} packed; "
            f"this one has {len(text):,} and {len(packed):,}. Capture a smaller model, or one with fewer constants."
        )
    return packed


def unpack(packed: str) -> str:
    """Returns the text of a graph, which is checked by nobody yet.

    Guarantees:
        Never makes more than `MAX_TEXT_CHARACTERS` of it. Each packed graph has one text, and each byte of it counts.

    Args:
        packed: What `pack` returned.

    Raises:
        GraphError: It is no packed graph, or too long.
    """
    check_form(packed)
    try:
        compressed = base64.b64decode(packed, validate=True)
        stream = zlib.decompressobj()
        text = stream.decompress(compressed, MAX_TEXT_CHARACTERS + 1).decode("ascii")
    except (binascii.Error, zlib.error, UnicodeDecodeError) as error:
        raise GraphError(f"model.graph must be a packed graph, and cannot be unpacked. {_CAPTURE_IT}") from error
    if len(text) > MAX_TEXT_CHARACTERS:
        raise GraphError(f"The text of a graph has at most {MAX_TEXT_CHARACTERS:,} characters, this one has more.")
    if not stream.eof or stream.unused_data or base64.b64encode(compressed).decode() != packed:
        raise GraphError(f"model.graph must be one packed graph with nothing behind it. {_CAPTURE_IT}")
    return text


def check_form(packed: Any) -> None:
    """Refuses what cannot be a packed graph, without unpacking it.

    Raises:
        GraphError: It is no text in Base64, or too long.
    """
    if not isinstance(packed, str) or not _BASE64.fullmatch(packed):
        raise GraphError(f"model.graph must be a packed graph, a text in Base64. {_CAPTURE_IT}")
    if len(packed) > MAX_PACKED_CHARACTERS:
        raise GraphError(
            f"model.graph has at most {MAX_PACKED_CHARACTERS:,} characters, got {len(packed):,}. Capture a smaller "
            "model, or one with fewer constants."
        )


@lru_cache(maxsize=32)
def digest_of(packed: str) -> str:
    """SHA-256 of the graph's text, in hexadecimal, as `capture` prints it; empty for no graph.

    Raises:
        GraphError: As `unpack`.
    """
    return sha256_text(unpack(packed)) if packed else ""


IN_A_PLAN = {**ADDED_LATER, TOLD: digest_of}
"""Metadata of a plan's field that holds a packed graph: people are told its digest."""
