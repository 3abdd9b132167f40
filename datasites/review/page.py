"""A decision record as one page that needs nothing else: for the file, to print, and to check years later.

What it shows is rendered from the signed values that stand at its end, its language among them, and from nothing else:
a page of which one byte differs from that rendering is refused.
"""

from __future__ import annotations

import html
import json
import re
from functools import cache
from pathlib import Path
from typing import NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import escape

from datasites.pages.languages.in_templates import speak
from datasites.pages.languages.languages import CODES, read_language
from datasites.review import card_words
from datasites.review.record import DecisionRecord
from datasites.review.review import MOST_LAYERS, found_by_tests
from policies.answers import rounded
from policies.answers.plain_values import from_plain, to_plain
from policies.errors import ReceiptInvalid, RequestError
from policies.graphs.overview.drawing import drawing_of

TEMPLATES = Path(__file__).parent / "templates"
_DOMAIN = b"wanwu-decision-record-v1\n"
_MOST_IN_A_PLACE = 10_000
_SIGNED = re.compile(r'<pre id="signed">(.*?)</pre>', re.DOTALL)
_SIGNATURE = re.compile(r'<code id="signature">([0-9a-f]{128})</code>')


@cache
def _template(language: str) -> Template:
    """The record's template in one language."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        extensions=["jinja2.ext.i18n"],
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    speak(environment, read_language(language), _MOST_IN_A_PLACE)
    return environment.get_template("page.html.jinja")


def signed_page(record: DecisionRecord, seed: bytes) -> str:
    """The page of a record, signed.

    Guarantees:
        The same record under the same key gives the same page. It holds no script and asks nothing of a network.

    Args:
        record: What it tells.
        seed: The datasite's ed25519 seed, 32 bytes.

    Raises:
        RequestError: There are no records in its language.
    """
    if record.language not in CODES:
        raise RequestError(f"There are no records in '{record.language}'. Ask for one of: {', '.join(CODES)}.")
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
    if record.language not in CODES or _rendered(record, text, signature[1]) != page:
        _refuse("what it shows is not what was signed, or another version wrote it")
    return record


def _text(record: DecisionRecord) -> str:
    return json.dumps(to_plain(record), ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def _rendered(record: DecisionRecord, text: str, signature: str) -> str:
    cost, own_model = record.review.cost, record.review.own_model
    return _template(record.language).render(
        tag=read_language(record.language).tag,
        record=record,
        review=record.review,
        words=card_words,
        found=found_by_tests(cost) if cost else [],
        settings=_flat(record.review.plan),
        drawing=drawing_of(own_model.blocks) if own_model and own_model.blocks else None,
        most_layers=MOST_LAYERS,
        signed=escape(text),
        signature=signature,
    )


def _flat(values: object, prefix: str = "") -> list[tuple[str, str]]:
    if not isinstance(values, dict):
        return [(prefix, rounded.setting(values))]
    return [row for name, one in values.items() for row in _flat(one, f"{prefix}.{name}".lstrip("."))]


def _refusal(what: str) -> str:
    return f"The record cannot be trusted: {what}. Export it again from the datasite."


def _refuse(what: str) -> NoReturn:
    raise ReceiptInvalid(_refusal(what))
