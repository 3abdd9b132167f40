"""Calls from a command to the console of the running datasite, with a person's token."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from datasites.cli.commands import STAFF_VARIABLE, Chosen
from datasites.cli.state_option import chosen_state
from policies.errors import ConfigError, WanwuError
from policies.terminal.commands import path
from policies.terminal.printing import say, say_json

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

ANSWER_SECONDS = 120.0
MAY_BE_DONE = "It may have done what it was asked all the same: look what stands there before you ask again."
_AT_ONCE = 500


class _Answered(WanwuError):
    """What the running datasite answered, under its own code."""

    def __init__(self, code: str, public: str) -> None:
        super().__init__(public)
        self.code = code


def call(chosen: Chosen, method: str, route: str, body: dict[str, Any] | None = None) -> Any:
    """Asks the running datasite's admin API.

    Raises:
        WanwuError: What the datasite answered.
        ConfigError: It is not running, or has not answered; then it may have done what it was asked.
    """
    import httpx

    access = _access(chosen)
    changes = method != "GET"
    try:
        answer = httpx.request(
            method,
            f"{access['url']}/admin/v1{route}",
            json=body,
            headers={"authorization": f"Bearer {access['token']}"},
            timeout=ANSWER_SECONDS,
            trust_env=False,
            verify=_trusted(access),
        )
    except (httpx.ReadTimeout, httpx.ReadError, httpx.RemoteProtocolError) as error:  # it had been asked by then
        why = "has not answered in time" if isinstance(error, httpx.ReadTimeout) else "ended before it had answered"
        raise ConfigError(f"The datasite {why}. {MAY_BE_DONE if changes else 'Try again.'}") from error
    except (OSError, httpx.TransportError) as error:
        raise ConfigError("The datasite is not running. Start it, then try again.") from error
    except KeyboardInterrupt:
        if changes:
            say(f"The datasite had been asked already. {MAY_BE_DONE}", to_errors=True)
        raise
    content = answer.json()
    if answer.status_code >= 400:
        raise _Answered(content["code"], content["error"])
    return content


def pages(chosen: Chosen, route: str, every: bool, **asked: object) -> Any:
    """A page of a list, or all of them as one: rows the newest first, and `next` for what is older."""
    page = call(chosen, "GET", f"{route}{query(**asked)}")
    while every and page["next"] is not None:
        more = call(chosen, "GET", f"{route}{query(**{**asked, 'after': page['next'], 'count': _AT_ONCE})}")
        page = {**more, "rows": [*page["rows"], *more["rows"]]}
    return page


def show(chosen: Chosen, content: Any, table: Callable[[Any], Any], *, rows: bool = False) -> None:
    """Prints an answer as a table, or with --json as it came; of a page of a list its rows alone, the newest last."""
    if chosen.json:
        say_json(content["rows"][::-1] if rows else content, indent=2)
        return
    from policies.terminal.rich_terminal import PlainConsole

    PlainConsole().print(table(content))


def token_file(chosen: Chosen) -> Path:
    """The file with the token that calls carry: the person's own if one is given, else the state folder's."""
    own = chosen.as_file or os.environ.get(STAFF_VARIABLE)
    return path(str(own)) if own else chosen_state(chosen).console


def query(**values: object) -> str:
    """What follows a path to ask for a part of a list; what is None or empty is left out."""
    from urllib.parse import urlencode

    given = {name: str(value) for name, value in values.items() if value not in (None, "", False)}
    return f"?{urlencode(given, errors='replace')}" if given else ""  # bytes of a command line that are no text


def _access(chosen: Chosen) -> dict[str, str]:
    """Address and token: of the person whose file is given, else of the state folder's owner.

    Raises:
        ConfigError: The person's file is not one, or the datasite is not running.
    """
    import json

    own = chosen.as_file or os.environ.get(STAFF_VARIABLE)
    if not own:
        state = chosen_state(chosen)
        try:
            return dict(json.loads(state.console.read_text()))
        except OSError as error:
            raise ConfigError(f"Datasite '{state.name}' is not running. Start it, then try again.") from error
    try:
        access = dict(json.loads(path(str(own)).read_text(encoding="utf-8-sig")))
    except OSError as error:
        told = f"The token file {own} cannot be read ({error.strerror}). Give one that you may read."
        raise ConfigError(told) from error
    except ValueError as error:
        raise ConfigError(f"{own} is not a token file. Ask the hospital's admin for one.") from error
    if chosen.state is not None or chosen.name:
        with contextlib.suppress(OSError, ConfigError):
            running = json.loads(chosen_state(chosen).console.read_text())
            access |= {name: running[name] for name in ("url", "certificate") if name in running}
    return access


def _trusted(access: dict[str, str]) -> ssl.SSLContext | bool:
    """Whose certificates a call trusts: those that the system does, and the console's own where its file has it."""
    if not access["url"].startswith("https:"):
        return True  # there is none on loopback
    import ssl

    context = ssl.create_default_context()
    if "certificate" in access:
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.load_verify_locations(cadata=access["certificate"])
    return context
