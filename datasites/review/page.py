"""A decision record as one page that needs nothing else: for the file, to print, and to check years later.

What it shows is rendered from the signed values that stand at its end, and from nothing else: a page of which one byte
differs from that rendering is refused.
"""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from datasites.review.record import DecisionRecord
from datasites.review.review import MOST_LAYERS
from policies.answers.odds import percent
from policies.answers.plain_values import from_plain, to_plain
from policies.errors import ReceiptInvalid
from policies.graphs.overview.drawing import drawing_of
from policies.untrusted_text import shown

_DOMAIN = b"wanwu-decision-record-v1\n"
_MOST_IN_A_PLACE = 10_000
_SIGNED = re.compile(r'<pre id="signed">(.*?)</pre>', re.DOTALL)
_SIGNATURE = re.compile(r'<code id="signature">([0-9a-f]{128})</code>')


class _Signed(str):
    """The signed values, printable ASCII as long as they are."""


def _finalize(value: object) -> str:
    """What every value on the page passes through, before it is escaped for HTML."""
    return value if isinstance(value, _Signed) else shown(value, most=_MOST_IN_A_PLACE)


_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    finalize=_finalize,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def signed_page(record: DecisionRecord, seed: bytes) -> str:
    """The page of a record, signed.

    Guarantees:
        The same record under the same key gives the same page. It holds no script and asks nothing of a network.

    Args:
        record: What it tells.
        seed: The datasite's ed25519 seed, 32 bytes.
    """
    text = _text(record)
    return _rendered(record, text, Ed25519PrivateKey.from_private_bytes(seed).sign(_DOMAIN + text.encode()).hex())


def read_page(page: str, public_key: str) -> DecisionRecord:
    """Reads a record from its page.

    Guarantees:
        What is returned is what the holder of the key signed, and the page is, to the last byte, what it renders to by
        this version of the platform.

    Args:
        page: The page's text.
        public_key: The datasite's key, hexadecimal, learnt from the hospital and not from the page.

    Raises:
        ReceiptInvalid: Anything else, with what was wrong.
    """
    signed, signature = _SIGNED.search(page), _SIGNATURE.search(page)
    if signed is None or signature is None:
        _refuse("it holds no signed values")
    text = html.unescape(signed[1])
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key)).verify(
            bytes.fromhex(signature[1]), _DOMAIN + text.encode()
        )
        values = json.loads(text)
    except (InvalidSignature, ValueError, RecursionError) as error:
        raise ReceiptInvalid(_refusal("it is not what was signed with this key")) from error
    record = from_plain(DecisionRecord, values, lambda what: ReceiptInvalid(_refusal(what)))
    if _rendered(record, text, signature[1]) != page:
        _refuse("what it shows is not what was signed, or another version wrote it")
    return record


def _text(record: DecisionRecord) -> str:
    return json.dumps(to_plain(record), ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def _rendered(record: DecisionRecord, text: str, signature: str) -> str:
    cost, own_model = record.review.cost, record.review.own_model
    tests = [] if cost is None else [("this request", cost.membership), ("everything so far", cost.membership_in_all)]
    return _TEMPLATES.get_template("page.html.jinja").render(
        record=record,
        review=record.review,
        tests=[(name, [percent(power) for power in bounds.powers]) for name, bounds in tests if bounds],
        settings=_flat(record.review.plan),
        drawing=drawing_of(own_model.blocks) if own_model and own_model.blocks else None,
        most_layers=MOST_LAYERS,
        signed=_Signed(text),
        signature=signature,
    )


def _flat(values: object, prefix: str = "") -> list[tuple[str, str]]:
    if not isinstance(values, dict):
        return [(prefix, str(values))]
    return [row for name, one in values.items() for row in _flat(one, f"{prefix}.{name}".lstrip("."))]


def _refusal(what: str) -> str:
    return f"The record cannot be trusted: {what}. Export it again from the datasite."


def _refuse(what: str) -> NoReturn:
    raise ReceiptInvalid(_refusal(what))
