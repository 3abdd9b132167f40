"""Forms as browsers send them: bounded, plain, and only from a page that this datasite made for this browser."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import parse_qs

from starlette.requests import Request

from policies.errors import FormRefused, RequestMalformed

TOKEN_FIELD = "form_token"  # noqa: S105 - the field's name
MOST_FIELDS = 200
# Of a text that it does not fit, each sign is looked at a few times only: anybody may send one.
_PLACE = re.compile(r"/(?:[A-Za-z0-9._~@:+,=-]+/)*[A-Za-z0-9._~@:+,=-]*(?:\?[A-Za-z0-9._~@:+,=&%-]*)?")


class Form:
    """The fields of a form, or of an address after its question mark."""

    def __init__(self, fields: Mapping[str, list[str]] = MappingProxyType({})) -> None:
        self._fields = fields

    def get(self, name: str, default: str = "") -> str:
        """The last value of a field; `default` where it was not sent."""
        return self._fields.get(name, [default])[-1]

    def all(self, name: str) -> tuple[str, ...]:
        """Every value of a field, such as of boxes that were ticked."""
        return tuple(self._fields.get(name, ()))

    def line(self, name: str) -> str:
        """The last value of a field, without blanks around it."""
        return self.get(name).strip()


async def read_form(request: Request) -> Form:
    """The fields that a request brings.

    Raises:
        RequestMalformed: It is no form, or has too many fields, or not in UTF-8.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise RequestMalformed("A form comes as application/x-www-form-urlencoded. Use the console's own pages.")
    return read_fields(await request.body())


def read_fields(content: bytes) -> Form:
    """As `read_form`, of a form's or an address's content."""
    try:
        fields = parse_qs(content.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
    except ValueError as error:
        raise RequestMalformed(f"A form has at most {MOST_FIELDS} fields, in UTF-8.") from error
    return Form(fields)


class FormTokens:
    """Tokens that say for which browser a page was made.

    Guarantees:
        A token fits one cookie of one start of the datasite, and is compared in constant time.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of(self, cookie: str) -> str:
        """The token of whoever holds this cookie."""
        return hmac.new(self._key, cookie.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()

    def check(self, request: Request, form: Form, cookie: str) -> None:
        """Returns if the form was sent by a page of this datasite that was made for this browser.

        Raises:
            FormRefused: It was not, or the page is from before a sign-in or a new start.
        """
        from_here = request.headers.get("origin") == own_origin(request)
        if not from_here or request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
            raise FormRefused("This form was not sent from a page of this console. Nothing was changed.")
        given = form.get(TOKEN_FIELD).encode("utf-8", "surrogatepass")
        if not hmac.compare_digest(given, self.of(cookie).encode()):
            raise FormRefused("This page is too old to be sent. Nothing was changed. Load it again, then send it.")


def own_origin(request: Request) -> str:
    """The origin of this console's pages as the browser that asks has it; its host was checked before."""
    return f"{request.scope['scheme']}://{request.headers.get('host', '')}"


def own_place(text: str) -> str:
    """The path on this console that a page asks to go back to; its first page where that is no plain path."""
    return text if _PLACE.fullmatch(text) and not text.startswith("//") else "/"
