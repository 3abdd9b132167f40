"""The researcher's view of the hospitals: connect to them, look at what they publish, submit a study to them all."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Self, TypeVar

from policies.errors import ConfigError, DatasiteUnreachable, FederationError, NotEnoughDatasites, WanwuError
from policies.plans.kinds import Plan
from policies.untrusted_text import shown
from researcher.hospitals.check import HospitalCheck, check_hospital, contract_problems, unreachable
from researcher.hospitals.code_request import CodeRequest
from researcher.hospitals.connections.connecting import (
    NOT_LET_IN,
    Away,
    close_later,
    connect_to_all,
    connected,
    pause_after,
)
from researcher.hospitals.credentials import Credentials, CredentialsFiles, once_each, read_credentials
from researcher.hospitals.hospital import DatasetInfo, Hospital

_T = TypeVar("_T")
_Given = str | Path | Credentials


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
        self._files = CredentialsFiles(self.came_from)
        self._renewing = defaultdict[str, threading.Lock](threading.Lock)
        self._refused: dict[Credentials, tuple[WanwuError, float]] = {}  # and when, by the monotonic clock
        self._replaced: list[Hospital] = []  # which others may be reading from, still

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
        hospitals, away = connect_to_all(once_each(read_credentials(given)), enough, begun)
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
        hospital = away.connect(self._files)
        with self._joining:  # others may be reading both: what they have stays as it is
            self.hospitals = {**self.hospitals, hospital.name: hospital}
            self._away = {name: one for name, one in self._away.items() if name != hospital.name}

    def asked(self, name: str, ask: Callable[[Hospital], _T]) -> _T:
        """What a hospital answers; connected now, if it was not there before.

        Where it does not take the credentials that it was connected with any more, or is not at their address, and
        others of the same account lie in the files now, it is connected with those and asked again: from then on they
        are this federation's. Credentials that it refused are not shown to it again for a minute.

        Args:
            name: The datasite's.
            ask: What it is asked.

        Raises:
            WanwuError: It refuses, or is not there, and no other credentials help.
        """
        hospital = self.hospitals.get(name) or self.reconnect(name)
        if not self.came_from:
            return ask(hospital)
        try:
            if (refused := self._still_refused(hospital.credentials)) is not None:
                raise refused
            return ask(hospital)
        except (*NOT_LET_IN, DatasiteUnreachable) as error:
            self._note(hospital.credentials, error)
            renewed = self._renewed(hospital)
            if renewed is None:
                raise
        return ask(renewed)

    def _renewed(self, hospital: Hospital) -> Hospital | None:
        """The hospital, connected with other credentials that lie in the files; None where there are none to try."""
        with self._renewing[hospital.name]:
            if (other := self.hospitals[hospital.name]) is not hospital:
                return other
            besides = {one for one in self._refused if self._still_refused(one) is not None} | {hospital.credentials}
            while (found := self._files.another(hospital.credentials, besides=besides)) is not None:
                try:
                    renewed = connected(found)
                except ConfigError:  # of a certificate that can be shown to nobody, as where a file was torn
                    besides.add(found)
                except WanwuError as error:
                    self._note(found, error)
                    raise
                else:
                    with self._joining:
                        self.hospitals = {**self.hospitals, hospital.name: renewed}
                        self._replaced.append(hospital)
                    return renewed
            return None

    def _note(self, credentials: Credentials, error: WanwuError) -> None:
        if isinstance(error, NOT_LET_IN) and self._still_refused(credentials) is None:
            self._refused[credentials] = error, time.monotonic()

    def _still_refused(self, credentials: Credentials) -> WanwuError | None:
        error, at = self._refused.get(credentials, (None, 0.0))
        return None if error is None or time.monotonic() - at >= pause_after(error) else error

    def join(self, credentials: _Given | Iterable[_Given]) -> None:
        """Connects to further hospitals too; those that are connected stay so, by the credentials that they have.

        Args:
            credentials: As of `connect`.

        Raises:
            WanwuError: As `connect`.
        """
        more = type(self).connect(credentials, begun=True)
        with self._joining:
            self._replaced += [hospital for name, hospital in more.hospitals.items() if name in self.hospitals]
            self.hospitals = {**self.hospitals, **{**more.hospitals, **self.hospitals}}
            away = {**self._away, **more._away}
            self._away = {name: one for name, one in away.items() if name not in self.hospitals}
            self.came_from = tuple(dict.fromkeys((*self.came_from, *more.came_from)))
            self._files = CredentialsFiles(self.came_from)

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
        there = ", ".join(self.hospitals) or "none"
        return FederationError(f"No connection to a datasite {shown(name)!r}; there is to {there}.")

    def check(self) -> list[HospitalCheck]:
        """Looks at every hospital before anything is submitted; what is wrong stands in each one's `problems`."""
        contract = contract_problems(self.datasets())
        checks = (check_hospital(one, certificate=one.certificate) for one in self.hospitals.values())
        return [replace(one, problems=(*one.problems, *contract.get(one.datasite, ()))) for one in checks]

    def submit(
        self,
        plan: Plan,
        *,
        named: Callable[[str], str] = lambda name: "",
        on_request: Callable[[str, CodeRequest], None] = lambda name, request: None,
        on_refusal: Callable[[str, WanwuError], None] = lambda name, error: None,
    ) -> dict[str, CodeRequest]:
        """Submits the plan to every hospital, beside each other; returns the request at each that takes it.

        Args:
            plan: What they are asked for.
            named: Makes the name of a hospital's stub, before any is asked; not asked is one that it cannot reach.
            on_request: Called as soon as a hospital has taken the plan.
            on_refusal: Called when one has refused it, or is not there.

        Raises:
            WanwuError: All refused it; what the first of them said, with its name.
        """
        requests, refusals = dict[str, CodeRequest](), dict[str, WanwuError]()
        names: dict[str, str] = {}
        for name in self.hospitals:
            try:
                names[name] = named(name)
            except DatasiteUnreachable as error:
                refusals[name] = type(error)(f"{name}: {error.public}")
                on_refusal(name, error)
        with ThreadPoolExecutor(max(len(names), 1)) as pool:
            asked = {pool.submit(self.hospitals[at].submit, plan, stub_name): at for at, stub_name in names.items()}
            for answer, name in ((one, asked[one]) for one in as_completed(asked)):
                try:
                    requests[name] = answer.result()
                except WanwuError as error:
                    refusals[name] = type(error)(f"{name}: {error.public}")
                    on_refusal(name, error)
                else:
                    on_request(name, requests[name])
        for name, away in self._away.items():
            on_refusal(name, away.error)
        if refusals and not requests:
            raise next(refusals[name] for name in self.hospitals if name in refusals)
        return {name: requests[name] for name in names if name in requests}

    def close(self) -> None:
        """Closes all connections."""
        for hospital in (*self.hospitals.values(), *self._replaced):
            hospital.close()
        close_later([one.answering for one in self._away.values() if one.answering])

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
