"""Every error has a code of its own, a status, and two texts of which only one is public."""

from __future__ import annotations

import re
import textwrap

from support import error_tree

from policies import errors
from policies.errors import LedgerBroken, WanwuError


def every_error() -> list[type[WanwuError]]:
    found = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, WanwuError)]
    assert len(found) > 20
    return found


def test_codes_have_one_form_and_name_the_family_they_are_in() -> None:
    for kind in every_error():
        assert re.fullmatch(r"WW\d{3}", kind.code), kind
        family = kind.__mro__[-4] if len(kind.__mro__) > 4 else kind
        assert family is WanwuError or family.code[:3] == kind.code[:3], kind


def test_no_two_errors_share_a_code() -> None:
    codes = [kind.code for kind in every_error()]
    assert len(set(codes)) == len(codes)


def test_the_modules_drawing_is_the_tree_of_all_errors() -> None:
    assert textwrap.indent(error_tree.draw(), "    ") in (errors.__doc__ or "")
    assert len(error_tree.draw().splitlines()) == len(every_error())


def test_statuses_are_refusals() -> None:
    assert all(400 <= kind.status < 600 for kind in every_error())


def test_every_error_says_what_it_is() -> None:
    assert all(kind.__doc__ and kind.__doc__.endswith(".") for kind in every_error() if kind is not WanwuError)


def test_only_the_public_text_is_shown() -> None:
    error = LedgerBroken("public text", private="private text")
    assert str(error) == "public text"
    assert error.to_json() == {"code": "WW303", "error": "public text"}
    assert "private" not in repr(error)
    assert error.private == "private text"
