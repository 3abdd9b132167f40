"""The headers by which each side tells its release and protocol, and the check whether the two can go on.

Two headers: the release, and the versions of the protocol that it speaks. They are not signed. They say what to update,
and let nothing through that would be refused without them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import policies
from policies.errors import VersionMismatch
from policies.versions.releases import MINORS, Minor, Release, is_too_old, own, span, told

RELEASE, PROTOCOL = "x-wanwu-release", "x-wanwu-protocol"
PROTOCOLS = (1,)
"""Versions of the protocol that this program speaks. A researcher's side sends the last, a datasite tells them all."""
MOST_PROTOCOLS = 8
_PROTOCOLS = re.compile(r"[1-9]\d{0,3}(?:,[1-9]\d{0,3})*", re.ASCII)


@dataclass(frozen=True)
class Told:
    """What the other side tells of itself.

    Attributes:
        release: Its release; None where it names none.
        protocols: Versions of the protocol that it speaks; empty where it names none.
    """

    release: Release | None
    protocols: tuple[int, ...]


def of_researcher() -> dict[str, str]:
    """The headers of a researcher's requests."""
    return {RELEASE: policies.__version__, PROTOCOL: str(PROTOCOLS[-1])}


def of_datasite() -> dict[str, str]:
    """The headers of a datasite's answers."""
    return {RELEASE: policies.__version__, PROTOCOL: ",".join(map(str, PROTOCOLS))}


def read(headers: Mapping[str, str]) -> Told:
    """What the headers of a request or an answer tell; what does not read tells nothing.

    Args:
        headers: Name → value; names in small letters, or found in whatever letters.
    """
    protocols = headers.get(PROTOCOL, "")
    listed = protocols.split(",") if _PROTOCOLS.fullmatch(protocols) else []
    return Told(
        Release.parse(headers.get(RELEASE, "")), tuple(map(int, listed)) if len(listed) <= MOST_PROTOCOLS else ()
    )


def check_researcher(
    it: Told, *, here: Release | None = None, minors: Sequence[Minor] = MINORS, protocols: Sequence[int] = PROTOCOLS
) -> None:
    """Returns if a datasite can go on with what a researcher's side told of itself.

    Args:
        it: What it told.
        here: The datasite's own release; the program's if None.
        minors: As of `releases.worked_with`.
        protocols: Versions of the protocol that the datasite speaks.

    Raises:
        VersionMismatch: With both releases, and what to update where.
    """
    here = here or own()
    if it.release is None or is_too_old(it.release, minors):
        yours = f"yours is {it.release}" if it.release else f"yours is from before {told(MINORS[0])}, the first release"
        raise VersionMismatch(
            f"This datasite runs Wanwu {here} and works with researchers' sides of {span(minors)}; {yours}. Nothing "
            f"was asked for or charged. Install Wanwu {told(minors[-1])} on the researcher's side and run it again."
        )
    if not set(it.protocols) & set(protocols):
        raise VersionMismatch(
            f"This datasite runs Wanwu {here} and speaks {_spoken(protocols)}; yours is {it.release} and speaks "
            f"{_spoken(it.protocols)}. Nothing was asked for or charged. Ask the hospital to update to Wanwu "
            f"{told(it.release.minor_version)}, or use Wanwu {told(minors[-1])} on the researcher's side."
        )


def check_datasite(
    it: Told,
    datasite: str,
    *,
    here: Release | None = None,
    minors: Sequence[Minor] = MINORS,
    protocols: Sequence[int] = PROTOCOLS,
) -> Release:
    """Returns a datasite's release if a researcher's side can go on with what it told of itself.

    Args:
        it: What it told.
        datasite: Its name.
        here: The researcher's side's own release; the program's if None.
        minors: As of `releases.worked_with`.
        protocols: Versions of the protocol that the researcher's side speaks.

    Raises:
        VersionMismatch: With both releases, and what to update where.
    """
    here = here or own()
    if it.release is None or is_too_old(it.release, minors):
        theirs = str(it.release) if it.release else f"from before {told(MINORS[0])}, the first release"
        there = f", or use Wanwu {told(it.release.minor_version)} here" if it.release else ""
        raise VersionMismatch(
            f"Datasite '{datasite}' runs Wanwu {theirs}; the researcher's side here is {here} and works with "
            f"datasites of {span(minors)}. Nothing more was submitted or spent. Ask the hospital to update to Wanwu "
            f"{told(minors[-1])}{there}."
        )
    if not set(it.protocols) & set(protocols):
        raise VersionMismatch(
            f"Datasite '{datasite}' runs Wanwu {it.release} and speaks {_spoken(it.protocols)}; the researcher's side "
            f"here is {here} and speaks {_spoken(protocols)}. Nothing more was submitted or spent. Install Wanwu "
            f"{told(it.release.minor_version)} here."
        )
    return it.release


def _spoken(protocols: Sequence[int]) -> str:
    return f"protocol {' and '.join(map(str, protocols))}" if protocols else "no protocol that it names"
