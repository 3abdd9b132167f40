"""Connections that do not come about: what keeps them from it, in words for who asked for one."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Iterator

_NO_WAY = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN)


def why_unreachable(error: Exception, *, timed_out: bool = False) -> str:
    """What keeps a connection from being made, and who can help.

    Args:
        error: Of the transport.
        timed_out: Whether it is that no answer came in time, as the transport tells it.
    """
    causes = list(causes_of(error))
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return (
            "its name is not known here. Compare it with what the hospital told you; a hospital's own network may need "
            "a VPN."
        )
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return "nothing listens at that port. Ask the hospital whether the datasite runs, and at which port."
    if timed_out or any(isinstance(cause, TimeoutError) for cause in causes):
        return (
            "no answer came in time. A firewall between you may drop what is sent: ask the hospital's network people "
            "to let you through."
        )
    if any(isinstance(cause, ssl.SSLEOFError | ConnectionResetError) for cause in causes):
        return (
            "the connection was ended before anything was said. The datasite may be just starting or stopping, or a "
            "firewall between you cuts what it does not know: ask the hospital."
        )
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return (
            "what listens at that port does not speak TLS as a datasite does. Compare the port with what the hospital "
            "told you."
        )
    if any(isinstance(cause, OSError) and cause.errno in _NO_WAY for cause in causes):
        return (
            "no way leads from this machine to that network. Look at your own connection; a hospital's own network may "
            "need a VPN."
        )
    return f"the network gives an error ({type(error).__name__}). Ask the hospital whether the datasite runs."


def proxy_note() -> str:
    """A sentence, after a blank, where a proxy is set that connections to a datasite do not take; else nothing."""
    named = [name for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy") if os.environ.get(name)]
    return f" {named[0]} is set here: connections to a datasite do not go through a proxy." if named else ""


def causes_of(error: BaseException) -> Iterator[BaseException]:
    """An error and what caused it, each once."""
    seen: set[int] = set()
    next_one: BaseException | None = error
    while next_one is not None and id(next_one) not in seen:
        seen.add(id(next_one))
        yield next_one
        next_one = next_one.__cause__ or next_one.__context__
