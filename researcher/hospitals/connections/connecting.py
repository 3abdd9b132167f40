"""Connecting to hospitals: to all at the same time, and again to those that were not there or took no credentials."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Collection, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextvars import copy_context
from dataclasses import dataclass, field

from policies.errors import (
    CertificateRefused,
    ConfigError,
    DatasiteNotTrusted,
    DatasiteUnreachable,
    SignInFailed,
    VersionMismatch,
    WanwuError,
)
from policies.untrusted_text import shown
from policies.versions import packages
from researcher.hospitals.credentials import Credentials, CredentialsFiles
from researcher.hospitals.hospital import Hospital

NOT_LET_IN = (CertificateRefused, SignInFailed, DatasiteNotTrusted)
"""What other credentials may mend, and nothing else: the hospital is there, or another one is."""
# Wrong with what was given: whose file it is, what stands in it. Anything else is the hospital's, for a while.
_OF_THE_CREDENTIALS = (ConfigError, SignInFailed, DatasiteNotTrusted)
# So long a hospital that was just tried is not tried again, and so long one that did not take these credentials: it
# holds what it refuses against whoever comes from the same address.
_AGAIN_SECONDS, _REFUSED_AGAIN_SECONDS = 2.0, 60.0
# So long those that are enough wait for the others' answers.
_OTHERS_SECONDS = 0.5
_NOT_YET = DatasiteUnreachable("It has not answered yet; it is connected once it does.")


@dataclass
class Away:
    """A hospital that could not be connected.

    Attributes:
        credentials: What it was tried with last, or, where a file has none that can be used, before.
        error: Why it is not connected.
        tried: When it was tried first, by the monotonic clock.
        answering: It may still come of the first try; None once that has ended.
        connecting: Held by the one who tries.
    """

    credentials: Credentials
    error: WanwuError
    tried: float = field(default_factory=time.monotonic)
    answering: Future[Hospital] | None = field(default=None, repr=False)
    connecting: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _answers: dict[Credentials, tuple[WanwuError, float]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self._answers[self.credentials] = self.error, self.tried

    def connect(self, files: CredentialsFiles) -> Hospital:
        """The hospital, connected now.

        Args:
            files: Where other credentials for it may lie than it was tried with: they are tried at once.

        Raises:
            WanwuError: Why it is not, still.
        """
        answering, self.answering = self.answering, None
        just = {one for one, (error, at) in self._answers.items() if _holds(error, at)}
        wanted = self.credentials if answering else files.another(self.credentials, besides=just)
        if wanted is None and self.credentials in just:
            raise self.error
        wanted = wanted or self.credentials
        try:
            return answering.result() if answering else connected(wanted)
        except WanwuError as error:
            self._answers[wanted] = error, time.monotonic()
            if isinstance(error, ConfigError) and wanted != self.credentials:
                raise self.error from error  # it was shown to nobody
            self.credentials, self.error = wanted, error
            raise


def _holds(error: WanwuError, at: float) -> bool:
    """Whether credentials that were answered so, then, are not to be tried now; what can be shown to nobody, never."""
    return isinstance(error, ConfigError) or time.monotonic() - at < pause_after(error)


def pause_after(error: WanwuError) -> float:
    """Seconds until a hospital is tried again with the credentials that it answered so to."""
    return _REFUSED_AGAIN_SECONDS if isinstance(error, NOT_LET_IN) else _AGAIN_SECONDS


def connect_to_all(given: list[Credentials], enough: int | None, begun: bool) -> tuple[list[Hospital], list[Away]]:
    """Connects side by side: most of the time goes by in the datasites."""
    connecting = [_connecting(one) for one in given]
    answering = _waited_for(connecting, enough)
    ended = [(one, future) for one, future in zip(given, connecting, strict=True) if future not in answering]
    hospitals = [future.result() for _, future in ended if future.exception() is None]
    errors = [error for _, future in ended if (error := future.exception()) is not None]
    stops = ConfigError if begun else _OF_THE_CREDENTIALS
    wrong = [one for one in errors if not isinstance(one, WanwuError) or isinstance(one, stops)]
    if wrong or (errors and not hospitals):
        close_later(connecting)
        raise (wrong or errors)[0]
    away = [Away(one, error) for one, future in ended if isinstance(error := future.exception(), WanwuError)]
    asked = zip(given, connecting, strict=True)
    return hospitals, away + [Away(one, _NOT_YET, answering=future) for one, future in asked if future in answering]


def _connecting(credentials: Credentials) -> Future[Hospital]:
    """A hospital that is being connected, in a thread that the end of the process does not wait for, as of a pool's."""
    coming = Future[Hospital]()

    def connect() -> None:
        try:
            coming.set_result(connected(credentials))
        except BaseException as error:  # noqa: BLE001 - whoever takes the result gets it
            coming.set_exception(error)

    threading.Thread(target=copy_context().run, args=(connect,), name="connecting", daemon=True).start()
    return coming


def _waited_for(connecting: Collection[Future[Hospital]], enough: int | None) -> set[Future[Hospital]]:
    """Waits for the answers; returns those that have not come when enough are connected and it was waited for more."""
    left, needed = set(connecting), enough or len(connecting)
    while left and sum(one.exception() is None for one in connecting if one not in left) < needed:
        left = wait(left, return_when=FIRST_COMPLETED).not_done
    return wait(left, timeout=_OTHERS_SECONDS).not_done


def close_later(connecting: Iterable[Future[Hospital]]) -> None:
    """Closes each that is connected, or will be."""
    for one in connecting:
        one.add_done_callback(lambda ended: ended.result().close() if ended.exception() is None else None)


def connected(credentials: Credentials) -> Hospital:
    """A hospital whose version works with this one's."""
    hospital = Hospital(credentials)
    try:
        _check_versions(hospital)
    except BaseException:
        hospital.close()
        raise
    return hospital


def _check_versions(hospital: Hospital) -> None:
    """Warns of a difference that matters, refuses one that breaks; names both versions."""
    for mismatch in packages.compare(packages.installed(), hospital.versions):
        if mismatch.refused:
            raise VersionMismatch(
                f"Datasite '{hospital.name}' does not fit this researcher: {mismatch}. Install the same."
            )
        warnings.warn(shown(f"Datasite '{hospital.name}': {mismatch}."), stacklevel=2)
