"""The researcher's view of the hospitals: connect to them, look at what they publish, submit a study to them all."""

from __future__ import annotations

import glob
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Self

from policies import versions
from policies.errors import FederationError, VersionMismatch, WanwuError
from policies.plans.kinds import Plan
from policies.untrusted_text import shown
from researcher.hospitals.check import HospitalCheck, check_hospital, contract_problems, unreachable
from researcher.hospitals.code_request import CodeRequest
from researcher.hospitals.credentials import Credentials
from researcher.hospitals.hospital import DatasetInfo, Hospital


class Federation:
    """Hospitals that a researcher is connected to.

    Args:
        hospitals: Connected.
        came_from: Files or patterns of the credentials that they were connected with, as they can be found again from
            any folder; none where credentials themselves were given.
    """

    def __init__(self, hospitals: Iterable[Hospital], *, came_from: Iterable[str] = ()) -> None:
        self.hospitals = {hospital.name: hospital for hospital in hospitals}
        self.came_from = tuple(came_from)

    @classmethod
    def connect(cls, credentials: str | Path | Iterable[str | Path | Credentials]) -> Self:
        """Connects to the hospitals whose credentials are given, to all at the same time.

        Args:
            credentials: Files or a pattern such as `state/*/credentials/me@university.org.json`, or `Credentials`.

        Raises:
            ConfigError: No such file, or not a credentials file.
            SignInFailed: A datasite does not accept the account.
            CertificateRefused: A certificate is expired or revoked, or the datasite does not take it.
            DatasiteNotTrusted: What answers at an address is another hospital, or nobody's datasite.
            VersionMismatch: A datasite runs a version that this one does not work with.
            DatasiteUnreachable: Nothing answers there.
        """
        given: list[str | Path | Credentials] = (
            [credentials] if isinstance(credentials, str | Path) else list(credentials)
        )
        hospitals = _connect_to_all(list(read_credentials(given)))
        try:
            for hospital in hospitals:
                _check_versions(hospital)
        except BaseException:
            for hospital in hospitals:
                hospital.close()
            raise
        return cls(hospitals, came_from=(str(Path(one).absolute()) for one in given if isinstance(one, str | Path)))

    def datasets(self) -> list[DatasetInfo]:
        """What all hospitals publish."""
        return [dataset for hospital in self.hospitals.values() for dataset in hospital.datasets.values()]

    def only(self, *names: str) -> Self:
        """The same connections to some of the hospitals.

        Raises:
            FederationError: There is no connection to one of them.
        """
        if unknown := [name for name in names if name not in self.hospitals]:
            raise FederationError(
                f"No connection to a datasite {shown(unknown[0])!r}; there is to {', '.join(self.hospitals) or 'none'}."
            )
        return type(self)((self.hospitals[name] for name in names), came_from=self.came_from)

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
        """Submits the plan to every hospital; returns the request at each that takes it.

        Args:
            plan: What they are asked for.
            on_request: Called as soon as a hospital has taken the plan.
            on_refusal: Called when one has refused it.

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
        if refusals and not requests:
            raise refusals[0]
        return requests

    def close(self) -> None:
        """Closes all connections."""
        for hospital in self.hospitals.values():
            hospital.close()

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


def read_credentials(credentials: str | Path | Iterable[str | Path | Credentials]) -> Iterator[Credentials]:
    """The credentials in files, or in all that fit a pattern.

    Raises:
        ConfigError: No such file, or not a credentials file.
    """
    given: list[str | Path | Credentials] = [credentials] if isinstance(credentials, str | Path) else list(credentials)
    for one in given:
        if isinstance(one, Credentials):
            yield one
            continue
        files = sorted(glob.glob(str(one))) or [str(one)]  # noqa: PTH207 - a pattern may be absolute
        for file in files:
            yield Credentials.from_file(Path(file))


def _connect_to_all(credentials: list[Credentials]) -> list[Hospital]:
    """Connects side by side: most of the time goes by in the datasites. Raises the first one's error, in order."""
    with ThreadPoolExecutor(max(len(credentials), 1)) as pool:
        connecting = [pool.submit(Hospital, one) for one in credentials]
    failed = [error for one in connecting if (error := one.exception()) is not None]
    if failed:
        for one in connecting:
            if one.exception() is None:
                one.result().close()
        raise failed[0]
    return [one.result() for one in connecting]


def _check_versions(hospital: Hospital) -> None:
    """Warns of a difference that matters, refuses one that breaks; names both versions."""
    for mismatch in versions.compare(versions.installed(), hospital.versions):
        if mismatch.refused:
            raise VersionMismatch(
                f"Datasite '{hospital.name}' does not fit this researcher: {mismatch}. Install the same."
            )
        warnings.warn(shown(f"Datasite '{hospital.name}': {mismatch}."), stacklevel=3)
