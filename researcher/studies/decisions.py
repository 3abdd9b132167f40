"""Waiting for the hospitals' decisions on one study: as long as they may still matter, and no longer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from policies.answers.requests import with_reason
from policies.errors import RequestDenied, WanwuError
from researcher.hospitals.connections.connecting import NOT_LET_IN
from researcher.studies.taking_part.roster import FOR_NOW

Told = tuple[str, str]
OnChange = Callable[[dict[str, Told]], None]
UNDECIDED = ("pending", "unreachable")
"""States in which a hospital may still approve."""


def wait_for(
    names: Iterable[str],
    ask: Callable[[str], Told],
    *,
    apart: Mapping[str, str],
    min_clients: int | None,
    grace_seconds: float,
    timeout_seconds: float,
    poll_seconds: float,
    on_change: OnChange,
) -> dict[str, Told]:
    """Returns hospital → (state, reason) once all have decided, enough approved, or the time is up.

    Args:
        names: The study's hospitals.
        ask: Asks one of them.
        apart: Hospital → why it took no request, of those that could have taken part.
        min_clients: So many approvals are enough, after `grace_seconds` more; None waits for every hospital.
        grace_seconds: How long further decisions are waited for then.
        timeout_seconds: How long to wait at most.
        poll_seconds: Pause between two questions to the hospitals.
        on_change: Called with the decisions at first, and whenever one of them has changed.

    Raises:
        RequestDenied: `min_clients` cannot be met any more.
    """
    names = list(names)
    deadline, enough_since, last = time.monotonic() + timeout_seconds, None, None
    with ThreadPoolExecutor(len(names)) as pool:
        while True:
            told = dict(zip(names, pool.map(lambda name: told_by(ask, name), names), strict=True))
            if told != last:
                on_change(told)
                last = told
            now = time.monotonic()
            if min_clients is not None and approvals(told, apart, min_clients) >= min_clients:
                enough_since = now if enough_since is None else enough_since
                if now - enough_since >= grace_seconds:
                    return told
            if all(state not in UNDECIDED for state, _ in told.values()) or now > deadline:
                return told
            time.sleep(poll_seconds)


def approvals(told: Mapping[str, Told], apart: Mapping[str, str], min_clients: int) -> int:
    """How many approved; arguments as of `wait_for`.

    Raises:
        RequestDenied: `min_clients` cannot do so any more.
    """
    refused = {name: with_reason(*one) for name, one in told.items() if one[0] not in ("approved", *UNDECIDED)}
    if (left := len(told) - len(refused)) < min_clients:
        raise RequestDenied(
            f"min_clients is {min_clients}, and only {left} of {len(told) + len(apart)} hospitals can take part "
            f"({_named({**apart, **refused})}). Lower min_clients, or submit a study to more."
        )
    return sum(state == "approved" for state, _ in told.values())


def check_enough(approved: int, needed: int, left_out: Mapping[str, str]) -> None:
    """Checks that enough hospitals approved.

    Args:
        approved: How many did.
        needed: How many have to.
        left_out: Hospital → what is told of it, of all others, those that took no request too.

    Raises:
        RequestDenied: Fewer did.
    """
    if approved < needed:
        raise RequestDenied(
            f"{approved} of the {needed} hospitals that min_clients asks for approved ({_named(left_out)}). Wait for "
            "more decisions, or lower min_clients."
        )


def _named(told: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {what}" for name, what in told.items()) or "the study has no more"


def told_by(ask: Callable[[str], Told], name: str) -> Told:
    """What a hospital answers; one that does not answer, or takes no question from this account, is told as that."""
    try:
        return ask(name)
    except NOT_LET_IN as error:
        return "refused", f"{error.code}: {error.public}"
    except FOR_NOW as error:  # it may be starting again; deciding takes people longer than that
        return "unreachable", error.public
    except WanwuError as error:
        return "refused", f"{error.code}: {error.public}"
