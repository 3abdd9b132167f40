"""A packed graph: the text of an own model or an own loss as a plan carries it, so that its digest covers every byte.

It is deflated and written in Base64. Whoever unpacks it stops at the length that a graph's text may have, so a few
bytes that unfold to many are refused as soon as they do.
"""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from policies.errors import GraphError
from policies.plans.plan_json import ADDED_LATER, TOLD, sha256_text

MAX_PACKED_CHARACTERS = 500_000
MAX_TEXT_CHARACTERS = 12_000_000
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")


@dataclass(frozen=True)
class Packing:
    """What a field of a plan may hold.

    Attributes:
        field: Its name.
        packed_characters: Most that the field has.
        text_characters: Most that its text has.
        advice: Where to take what fits.
    """

    field: str
    packed_characters: int
    text_characters: int
    advice: str


MODEL = Packing(
    "model.graph",
    MAX_PACKED_CHARACTERS,
    MAX_TEXT_CHARACTERS,
    "Capture a smaller model, or one with fewer constants.",
)
LOSS = Packing("objective.loss_graph", 60_000, 1_000_000, "Capture a loss with fewer operators or constants.")
_CAPTURE_IT = "Take what `python -m researcher capture` wrote."


def pack(text: str, of: Packing = MODEL) -> str:
    """Returns a graph's text as a plan carries it.

    Args:
        text: What `Graph.to_json` wrote, or `LossGraph.to_json`.
        of: The field that it is for.

    Raises:
        GraphError: It is too long for a plan.
    """
    packed = base64.b64encode(zlib.compress(text.encode("ascii", "replace"), 9)).decode()
    if len(text) > of.text_characters or len(packed) > of.packed_characters:
        raise GraphError(
            f"A plan's {of.field} has at most {of.text_characters:,} characters, {of.packed_characters:,} packed; this "
            f"one has {len(text):,} and {len(packed):,}. {of.advice}"
        )
    return packed


def unpack(packed: str, of: Packing = MODEL) -> str:
    """Returns the text of a graph, which is checked by nobody yet.

    Guarantees:
        Never makes more than `of.text_characters` of it. Each packed graph has one text, and each byte of it counts.

    Args:
        packed: What `pack` returned.
        of: The field that holds it.

    Raises:
        GraphError: It is no packed graph, or too long.
    """
    check_form(packed, of)
    try:
        compressed = base64.b64decode(packed, validate=True)
        stream = zlib.decompressobj()
        text = stream.decompress(compressed, of.text_characters + 1).decode("ascii")
    except (binascii.Error, zlib.error, UnicodeDecodeError) as error:
        raise GraphError(f"{of.field} must be a packed graph, and cannot be unpacked. {_CAPTURE_IT}") from error
    if len(text) > of.text_characters:
        raise GraphError(f"The text of {of.field} has at most {of.text_characters:,} characters, this one has more.")
    if not stream.eof or stream.unused_data or base64.b64encode(compressed).decode() != packed:
        raise GraphError(f"{of.field} must be one packed graph with nothing behind it. {_CAPTURE_IT}")
    return text


def check_form(packed: Any, of: Packing = MODEL) -> None:
    """Refuses what cannot be a packed graph, without unpacking it.

    Raises:
        GraphError: It is no text in Base64, or too long.
    """
    if not isinstance(packed, str) or not _BASE64.fullmatch(packed):
        raise GraphError(f"{of.field} must be a packed graph, a text in Base64. {_CAPTURE_IT}")
    if len(packed) > of.packed_characters:
        raise GraphError(
            f"{of.field} has at most {of.packed_characters:,} characters, got {len(packed):,}. {of.advice}"
        )


@lru_cache(maxsize=32)
def digest_of(packed: str, of: Packing = MODEL) -> str:
    """SHA-256 of the graph's text, in hexadecimal, as `capture` prints it; empty for no graph.

    Raises:
        GraphError: As `unpack`.
    """
    return sha256_text(unpack(packed, of)) if packed else ""


IN_A_PLAN = {**ADDED_LATER, TOLD: digest_of}
"""Metadata of a plan's field that holds a packed graph: people are told its digest."""
LOSS_IN_A_PLAN = {**ADDED_LATER, TOLD: partial(digest_of, of=LOSS)}
"""Likewise of the field that holds a packed loss."""
