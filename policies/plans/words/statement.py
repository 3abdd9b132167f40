"""The statement of a request: who asks, what for, under which approval, and what shall be published.

It crosses the boundary inwards, in the plan, so that digest, approval and receipt cover it. Nobody has verified it: no
figure and no decision of the platform rests on what it says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any

from policies import validate
from policies.errors import PlanError
from policies.settings import Declared, declared, setting

HEADING = "In the researcher's own words, which nobody has verified"
STATEMENT = Declared("statement", "TOML file with a table [statement] of who asks and what for", None)
# Field → most characters, in one line.
MOST_CHARACTERS = MappingProxyType(
    {"name": 120, "institution": 120, "contact": 120, "purpose": 2000, "protocol": 120, "publication": 400}
)


@dataclass(frozen=True)
class Statement:
    """What the researcher says of a request. Each text is one plain line; an empty one says nothing."""

    name: str = setting("who asks, as the hospital will read it", default="")
    institution: str = setting("where the person who asks works", default="")
    contact: str = setting("how the hospital reaches that person", default="")
    purpose: str = setting("what the study is for", default="")
    protocol: str = setting("study protocol or number of the ethics approval", default="")
    publication: str = setting("what is to be published, and where", default="")

    def __post_init__(self) -> None:
        for name, most in MOST_CHARACTERS.items():
            validate.text(f"statement.{name}", getattr(self, name), most=most)

    @property
    def missing(self) -> tuple[str, ...]:
        """The fields that say nothing."""
        return tuple(one.name for one in fields(self) if not getattr(self, one.name).strip())


def statement_of(texts: Mapping[str, Any]) -> Statement | None:
    """The statement that texts make, each put into one line; None where they say nothing.

    Args:
        texts: Field → text; a missing one says nothing.

    Raises:
        PlanError: A field that no statement has, or a text that is too long or not plain.
    """
    if unknown := sorted(set(texts) - set(declared(Statement))):
        raise PlanError(f"A statement has no {unknown[0]!r}; it has {', '.join(declared(Statement))}.")
    lines = {name: " ".join(text.split()) if isinstance(text, str) else text for name, text in texts.items()}
    said = Statement(**lines)
    return None if said == Statement() else said


def check_statement(value: Any) -> None:
    """Returns if a plan can carry this: a statement, or None.

    Raises:
        PlanError: It is anything else.
    """
    if value is not None and not isinstance(value, Statement):
        raise PlanError(f"statement must be a Statement or None, got {type(value).__name__}.")
