"""Words for the states that requests, runs, certificates and checks are in, and how a badge shows each."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from datasites.pages.languages.languages import to_translate


class StateWord(NamedTuple):
    """A state as a page shows it.

    Attributes:
        text: English, translated where it is shown.
        tone: `good`, `warn`, `bad`, `live` or `plain`; never the only sign, since the text stands there too.
    """

    text: str
    tone: str


_WORDS: Mapping[str, StateWord] = MappingProxyType(
    {
        "pending": StateWord(to_translate("pending"), "warn"),
        "approved": StateWord(to_translate("approved"), "good"),
        "denied": StateWord(to_translate("denied"), "bad"),
        "returned": StateWord(to_translate("returned for a change"), "plain"),
        "withdrawn": StateWord(to_translate("withdrawn"), "plain"),
        "ended": StateWord(to_translate("ended"), "plain"),
        "queued": StateWord(to_translate("queued"), "plain"),
        "running": StateWord(to_translate("running"), "live"),
        "done": StateWord(to_translate("done"), "good"),
        "failed": StateWord(to_translate("failed"), "bad"),
        "cancelled": StateWord(to_translate("cancelled"), "plain"),
        "valid": StateWord(to_translate("valid"), "good"),
        "expired": StateWord(to_translate("expired"), "bad"),
        "revoked": StateWord(to_translate("revoked"), "bad"),
        "ok": StateWord(to_translate("well"), "good"),
        "warning": StateWord(to_translate("look at it"), "warn"),
        "problem": StateWord(to_translate("problem"), "bad"),
    }
)


def state_word(state: str) -> StateWord:
    """How a state is shown; one that has no word here is shown as it is called."""
    return _WORDS.get(state, StateWord(state, "plain"))


_ROLES: Mapping[str, str] = MappingProxyType(
    {
        "admin": to_translate("admin"),
        "reviewer": to_translate("reviewer"),
        "auditor": to_translate("auditor"),
    }
)


def role_word(role: str) -> str:
    """A role's name, English, translated where it is shown."""
    return _ROLES.get(role, role)
