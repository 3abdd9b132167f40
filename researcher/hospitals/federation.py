"""The researcher's view of the hospitals: connect to them, look at what they publish, submit a study to them all."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from policies.errors import (
    ConfigError,
    DatasiteNotTrusted,
    DatasiteUnreachable,
    FederationError,
    NotEnoughDatasites,
    SignInFailed,
    VersionMismatch,
    WanwuError,
)
from policies.plans.kinds import Plan
from policies.untrusted_text import shown
from policies.versions import packages
from researcher.hospitals.check import HospitalCheck, check_hospital, contract_problems, unreachable
from researcher.hospitals.code_request import CodeRequest
from researcher.hospitals.credentials import Credentials, once_each, read_credentials
from researcher.hospitals.hospital import DatasetInfo, Hospital

# Wrong with what was given: whose file it is, what stands in it. Anything else is the hospital's, for a while.
_OF_THE_CREDENTIALS = (ConfigError, SignInFailed, DatasiteNotTrusted)
# So long a hospital that was just tried is not tried again.
_AGAIN_SECONDS = 2.0
# So long those that are enough wait for the others' answers.
_OTHERS_SECONDS = 0.5
_Given = str | Path | Credentials
_NOT_YET = DatasiteUnreachable("It has not answered yet; it is connected once it does.")


@dataclass
class Away:
    """A hospital that could not be connected.

    Attributes:
        credentials: To connect it with once it is back.
        error: Why it is not connected.
        tried: When that was tried last, by the monotonic clock.
        answering: It may still come of the first try; None once that has ended.
        connecting: Held by the one who tries.
    """

    credentials: Credentials
    error: WanwuError
    tried: float = field(default_factory=time.monotonic)
    answering: Future[Hospital] | None = field(default=None, repr=False)
    connecting: threading.Lock = field(default_factory=threading.Lock, repr=False)


class Federation:
    """Hospitals that a researcher is connected to, and those that could not be connected.

    Args:
        hospitals: Connected.
        away: Those that could not be; each is connected when it is asked for and answers.
        came_from: Files or patterns of the credentials that they were connected with, as they can be found again from
            any folder; none where credentials themselves were given.
    """

    def __init__(
        self, hospitals: Iterable[Hospital], *, away: Iterable[Away] = (), came_from: Iterable[str] = ()
    ) -> None:
        self.hospitals = {hospital.name: hospital for hospital in hospitals}
        self._away = {one.credentials.datasite: one for one in away}
        self._joining = threading.Lock()
        self.came_from = tuple(came_from)

    @classmethod
    def connect(cls, credentials: _Given | Iterable[_Given], *, enough: int | None = None, begun: bool = False) -> Self:
        """Connects to the hospitals whose credentials are given, to all at the same time.

        One that is out of reach, or cannot be worked with, stops nothing at the others: `missing` says why.

        Args:
            credentials: Files or a pattern such as `state/*/credentials/me@university.org.json`, or `Credentials`.
            enough: So many wait half a second more for the others, who are missing then and connected when they are
                asked for; None waits for every answer.
            begun: A study was submitted there before: a hospital that was installed anew since is missing, no error.

        Raises:
            ConfigError: No such file, or not a credentials file, or two are for one datasite.
            SignInFailed: A datasite does not accept the account.
            DatasiteNotTrusted: What answers at an address is another hospital, or nobody's datasite.
            DatasiteUnreachable: None of them is connected, and nothing answers at the first.
            CertificateRefused: None, and the first takes the certificate for expired or revoked.
            VersionMismatch: None, and the first runs a version that this one does not work with.
        """
        given = [credentials] if isinstance(credentials, str | Path | Credentials) else list(credentials)
        hospitals, away = _connect_to_all(once_each(read_credentials(given)), enough, begun)
        came_from = (str(Path(one).absolute()) for one in given if isinstance(one, str | Path))
        return cls(hospitals, away=away, came_from=came_from)

    @property
    def missing(self) -> dict[str, str]:
        """Datasite → why it is not connected."""
        return {name: shown(f"{one.error.code}: {one.error.public}", most=2000) for name, one in self._away.items()}

    def reconnect(self, name: str) -> Hospital:
        """A hospital that was not there before, connected now.

        Raises:
            FederationError: There are no credentials for it.
            WanwuError: Why it cannot be connected, still.
        """
        if name not in {**self.hospitals, **self._away}:
            raise self._unknown(name)
        if (away := self._away.get(name)) is not None:
            with away.connecting:
                if name not in self.hospitals:
                    self._join(away)
        return self.hospitals[name]

    def _join(self, away: Away) -> None:
        answering, away.answering = away.answering, None
        if answering is None and time.monotonic() - away.tried < _AGAIN_SECONDS:
            raise away.error
        try:
            hospital = answering.result() if answering else _connected(away.credentials)
        except WanwuError as error:
            away.error = error
            raise
        finally:
            away.tried = time.monotonic()
        with self._joining:  # others may be reading both: what they have stays as it is
            self.hospitals = {**self.hospitals, hospital.name: hospital}
            self._away = {name: one for name, one in self._away.items() if name != hospital.name}

    def check_enough(self, min_clients: int, names: Iterable[str]) -> None:
        """Returns if so many of these hospitals are connected.

        Raises:
            NotEnoughDatasites: Fewer are; it says which are not, and why.
        """
        names = list(names)
        answering = [name for name in names if name in self.hospitals]
        if len(answering) < min_clients:
            told = "; ".join(f"{name}: {reason}" for name, reason in self.missing.items() if name in names)
            raise NotEnoughDatasites(
                f"min_clients is {min_clients}, and {len(answering)} of {len(names)} hospitals are there ({told}). "
                "Nothing was lost or spent: run it again once they are back, or lower min_clients."
            )

    def datasets(self) -> list[DatasetInfo]:
        """What all hospitals publish."""
        return [dataset for hospital in self.hospitals.values() for dataset in hospital.datasets.values()]

    def only(self, *names: str) -> Self:
        """The same connections to some of the hospitals.

        Raises:
            FederationError: There is no connection to one of them.
        """
        if unknown := [name for name in names if name not in self.hospitals]:
            raise self._unknown(unknown[0])
        return type(self)((self.hospitals[name] for name in names), came_from=self.came_from)

    def _unknown(self, name: str) -> FederationError:
        return FederationError(
            f"No connection to a datasite {shown(name)!r}; there is to {', '.join(self.hospitals) or 'none'}."
        )

    def check(self) -> list[HospitalCheck]:
        """Looks at every hospital before anything is submitted; what is wrong stands in each one's `problems`."""
        contract = contract_problems(self.datasets())
        return [
            replace(check, problems=(*check.problems, *contract.get(check.datasite, ())))
            for check in (check_hospital(one, certificate=one.certificate) for one in self.hospitals.values())
        ]

    def submit(
        self,
        plan: Plan,
        *,
        on_request: Callable[[str, CodeRequest], None] = lambda name, request: None,
        on_refusal: Callable[[str, WanwuError], None] = lambda name, error: None,
    ) -> dict[str, CodeRequest]:
        """Submits the plan to every hospital; returns the request at each that is there and takes it.

        Args:
            plan: What they are asked for.
            on_request: Called as soon as a hospital has taken the plan.
            on_refusal: Called when one has refused it, or is not there.

        Raises:
            WanwuError: All refused it; what the first of them said, with its name.
        """
        requests: dict[str, CodeRequest] = {}
        refusals: list[WanwuError] = []
        for name, hospital in self.hospitals.items():
            try:
                requests[name] = hospital.submit(plan)
            except WanwuError as error:
                refusals.append(type(error)(f"{name}: {error.public}"))
                on_refusal(name, error)
            else:
                on_request(name, requests[name])
        for name, away in self._away.items():
            on_refusal(name, away.error)
        if refusals and not requests:
            raise refusals[0]
        return requests

    def close(self) -> None:
        """Closes all connections."""
        for hospital in self.hospitals.values():
            hospital.close()
        _close_later([one.answering for one in self._away.values() if one.answering])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def check_all(credentials: str | Path | Iterable[str | Path | Credentials]) -> list[HospitalCheck]:
    """As `Federation.check`, also where some hospitals cannot be reached: they are in the answer, with the reason.

    Raises:
        ConfigError: No such file, or not a credentials file.
    """
    connected: list[Hospital] = []
    failed: dict[str, HospitalCheck] = {}
    given = list(read_credentials(credentials))
    for one in given:
        try:
            connected.append(Hospital(one))
        except WanwuError as error:
            failed[one.datasite] = unreachable(one.datasite, one.url, error)
    with Federation(connected) as federation:
        checked = {check.datasite: check for check in federation.check()}
    return [checked.get(one.datasite) or failed[one.datasite] for one in given]


def _connect_to_all(given: list[Credentials], enough: int | None, begun: bool) -> tuple[list[Hospital], list[Away]]:
    """Connects side by side: most of the time goes by in the datasites."""
    pool = ThreadPoolExecutor(max(len(given), 1))
    connecting = [pool.submit(_connected, one) for one in given]
    pool.shutdown(wait=False)
    answering = _waited_for(connecting, enough)
    ended = [(one, future) for one, future in zip(given, connecting, strict=True) if future not in answering]
    hospitals = [future.result() for _, future in ended if future.exception() is None]
    errors = [error for _, future in ended if (error := future.exception()) is not None]
    stops = ConfigError if begun else _OF_THE_CREDENTIALS
    wrong = [one for one in errors if not isinstance(one, WanwuError) or isinstance(one, stops)]
    if wrong or (errors and not hospitals):
        _close_later(connecting)
        raise (wrong or errors)[0]
    away = [Away(one, error) for one, future in ended if isinstance(error := future.exception(), WanwuError)]
    asked = zip(given, connecting, strict=True)
    return hospitals, away + [Away(one, _NOT_YET, answering=future) for one, future in asked if future in answering]


def _waited_for(connecting: Collection[Future[Hospital]], enough: int | None) -> set[Future[Hospital]]:
    """Waits for the answers; returns those that have not come when enough are connected and it was waited for more."""
    left, needed = set(connecting), enough or len(connecting)
    while left and sum(one.exception() is None for one in connecting if one not in left) < needed:
        left = wait(left, return_when=FIRST_COMPLETED).not_done
    return wait(left, timeout=_OTHERS_SECONDS).not_done


def _close_later(connecting: Iterable[Future[Hospital]]) -> None:
    """Closes each that is connected, or will be."""
    for one in connecting:
        one.add_done_callback(lambda ended: ended.result().close() if ended.exception() is None else None)


def _connected(credentials: Credentials) -> Hospital:
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
