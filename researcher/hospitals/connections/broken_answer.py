"""Answers that break the rules of HTTP, as one whose length is no number: told apart from a connection that ended."""

from __future__ import annotations

from policies.errors import DatasiteUnreachable
from policies.untrusted_text import shown

# How the transport's words begin where a connection ended; all others are of an answer that breaks a rule.
_ENDED = ("Server disconnected", "peer closed connection")


def is_broken(error: Exception) -> bool:
    """Whether an error of the transport's protocol is of an answer that came, and not of one that did not."""
    return not str(error).startswith(_ENDED)


def told_of(error: Exception, who: str) -> DatasiteUnreachable:
    """The error that a researcher can act on.

    Args:
        error: Of the transport.
        who: The datasite and its address.
    """
    return DatasiteUnreachable(
        f"{who} gave an answer that breaks the rules of HTTP ({shown(error, most=100)}). Something between you may "
        "have answered in its place, as a proxy or a firewall does. Try again; where it stays so, ask the hospital."
    )
