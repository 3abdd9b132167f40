"""The researcher's view of the hospitals: connect to them, look at what they publish, submit a study to them all."""

from __future__ import annotations

import contextlib
import glob
import io
import json
import urllib.parse
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import syft as sy

from policies import versions
from policies.errors import (
    ConfigError,
    DatasiteUnreachable,
    FederationError,
    SignInFailed,
    VersionMismatch,
    WanwuError,
)
from policies.plans import Plan
from researcher import code_requests
from researcher.hospital_check import HospitalCheck, check_hospital, contract_problems, unreachable
from researcher.wire import Wire


@dataclass(frozen=True)
class Credentials:
    """What a hospital's admin hands to a researcher."""

    datasite: str
    url: str
    email: str
    password: str

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """Reads a credentials file.

        Raises:
            ConfigError: It is missing or not a credentials file.
        """
        try:
            return cls(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise ConfigError(f"{path} is not a credentials file of a datasite.") from error

    def __repr__(self) -> str:
        return f"Credentials(datasite={self.datasite!r}, url={self.url!r}, email={self.email!r})"


@dataclass(frozen=True)
class DatasetInfo:
    """What a hospital publishes about a dataset.

    Attributes:
        datasite: Who publishes it.
        name: Its name there.
        class_names: In label order.
        image_shape: (height, width, channels).
        unit: The privacy unit, `picture` or `patient`.
        public_size: The declared size.
        limits: What the hospital allows, as `DatasetLimits.to_dict` gives it.
    """

    datasite: str
    name: str
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    unit: str
    public_size: int
    limits: dict[str, Any]


@dataclass(frozen=True)
class Mock:
    """A dataset's mock twin: invented pictures of the right shape, to rehearse on."""

    images: np.ndarray
    labels: np.ndarray


class Hospital:
    """One connected datasite: PySyft for governance, its own routes for bytes and progress."""

    def __init__(self, credentials: Credentials) -> None:
        self.client, seed = _sign_in(credentials)
        self.wire = Wire(credentials.url, seed)
        self.name = credentials.datasite
        self.email = credentials.email
        self.certificate = str(getattr(credentials, "certificate", ""))
        info = self.wire.info()
        if info["datasite"] != self.name:
            raise FederationError(
                f"{credentials.url} is datasite '{info['datasite']}', the credentials are for '{self.name}'."
            )
        self.versions: dict[str, str] = info["versions"]
        self.public_key = str(info["public_key"])
        self.datasets = {
            name: DatasetInfo(
                datasite=self.name,
                name=name,
                class_names=tuple(schema["class_names"]),
                image_shape=tuple(schema["image_shape"]),
                unit=schema["unit"],
                public_size=int(schema["public_size"]),
                limits=info["limits"],
            )
            for name, schema in info["datasets"].items()
        }
        self._assets: dict[str, Any] = {}

    def asset(self, dataset: str) -> Any:
        """The dataset's PySyft asset.

        Raises:
            FederationError: The datasite publishes no such dataset.
            DatasiteUnreachable: The datasite does not answer.
        """
        if dataset not in self._assets:
            if dataset not in self.datasets:
                raise FederationError(
                    f"Datasite '{self.name}' has no dataset '{dataset}'; it has {', '.join(self.datasets) or 'none'}."
                )
            with code_requests.quietly():
                self._assets[dataset] = self.client.datasets[dataset].assets[0]
        return self._assets[dataset]

    def mock(self, dataset: str) -> Mock:
        """The dataset's mock twin.

        Raises:
            WanwuError: As `asset`.
        """
        asset = self.asset(dataset)
        with code_requests.quietly():
            twin = asset.mock
        return Mock(images=np.asarray(twin["images"]), labels=np.asarray(twin["labels"]))

    def close(self) -> None:
        """Closes the connections."""
        self.wire.close()


class Federation:
    """Hospitals that a researcher is connected to."""

    def __init__(self, hospitals: Iterable[Hospital]) -> None:
        self.hospitals = {hospital.name: hospital for hospital in hospitals}

    @classmethod
    def connect(cls, credentials: str | Path | Iterable[str | Path | Credentials]) -> Self:
        """Connects to the hospitals whose credentials are given.

        Args:
            credentials: Files or a pattern such as `state/*/credentials/me@university.org.json`, or `Credentials`.

        Raises:
            ConfigError: No such file, or not a credentials file.
            SignInFailed: A datasite does not accept them.
            VersionMismatch: A datasite runs a version that this one does not work with.
            FederationError: A datasite cannot be reached.
        """
        hospitals: list[Hospital] = []
        try:
            for one in _all(credentials):
                hospitals.append(Hospital(one))
                _check_versions(hospitals[-1])
        except BaseException:
            for hospital in hospitals:
                hospital.close()
            raise
        return cls(hospitals)

    def datasets(self) -> list[DatasetInfo]:
        """What all hospitals publish."""
        return [dataset for hospital in self.hospitals.values() for dataset in hospital.datasets.values()]

    def only(self, *names: str) -> Federation:
        """The same connections to some of the hospitals."""
        return Federation(self.hospitals[name] for name in names)

    def check(self) -> list[HospitalCheck]:
        """Looks at every hospital before anything is submitted; what is wrong stands in each one's `problems`."""
        contract = contract_problems(self.datasets())
        return [
            replace(check, problems=(*check.problems, *contract.get(check.datasite, ())))
            for check in (check_hospital(one, certificate=one.certificate) for one in self.hospitals.values())
        ]

    def submit(self, plan: Plan) -> dict[str, code_requests.CodeRequest]:
        """Submits the plan to every hospital; returns the request at each.

        Raises:
            WanwuError: What the first hospital that refuses it says, with its name.
        """
        requests = {}
        for name, hospital in self.hospitals.items():
            try:
                requests[name] = code_requests.submit(hospital.client, hospital.asset(plan.dataset), plan)
            except WanwuError as error:
                raise type(error)(f"{name}: {error.public}") from error
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
    given = list(_all(credentials))
    for one in given:
        try:
            connected.append(Hospital(one))
        except WanwuError as error:
            failed[one.datasite] = unreachable(one.datasite, one.url, error)
    with Federation(connected) as federation:
        checked = {check.datasite: check for check in federation.check()}
    return [checked.get(one.datasite) or failed[one.datasite] for one in given]


def _all(credentials: str | Path | Iterable[str | Path | Credentials]) -> Iterator[Credentials]:
    given: list[str | Path | Credentials] = [credentials] if isinstance(credentials, str | Path) else list(credentials)
    for one in given:
        if isinstance(one, Credentials):
            yield one
            continue
        files = sorted(glob.glob(str(one))) or [str(one)]  # noqa: PTH207 - a pattern may be absolute
        for file in files:
            yield Credentials.from_file(Path(file))


def _sign_in(credentials: Credentials) -> tuple[Any, bytes]:
    """A PySyft client of the account and the account's ed25519 seed."""
    url = urllib.parse.urlsplit(credentials.url)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            client = sy.login(
                url=f"{url.scheme}://{url.hostname}",
                port=url.port,
                email=credentials.email,
                password=credentials.password,
            )
    except sy.SyftException as error:
        raise SignInFailed(f"Datasite '{credentials.datasite}' did not accept the credentials.") from error
    except OSError as error:
        raise DatasiteUnreachable(
            f"Datasite '{credentials.datasite}' at {credentials.url} cannot be reached. Is it running?"
        ) from error
    if client is None:
        raise SignInFailed(f"Datasite '{credentials.datasite}' did not accept the credentials.")
    return client, bytes(client.credentials.signing_key)


def _check_versions(hospital: Hospital) -> None:
    """Warns of a difference that matters, refuses one that breaks; names both versions."""
    for mismatch in versions.compare(versions.installed(), hospital.versions):
        if mismatch.refused:
            raise VersionMismatch(
                f"Datasite '{hospital.name}' does not fit this researcher: {mismatch}. Install the same."
            )
        warnings.warn(f"Datasite '{hospital.name}': {mismatch}.", stacklevel=3)
