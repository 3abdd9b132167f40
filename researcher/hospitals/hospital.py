"""One hospital as a researcher sees it: what its datasite publishes, and the ways to speak with it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from policies import validate
from policies.errors import FederationError, PlanError
from policies.plans.tokeniser import TextForm
from policies.plans.training import UNITS, ModelSpec
from policies.untrusted_text import shown
from researcher.hospitals import code_requests
from researcher.hospitals.credentials import Credentials
from researcher.hospitals.pysyft_connection import sign_in
from researcher.hospitals.secure_channel import SecureChannel
from researcher.hospitals.wire import Wire


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
        text: The form of the reports beside the pictures; None where there are none.
    """

    datasite: str
    name: str
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    unit: str
    public_size: int
    limits: dict[str, Any]
    text: TextForm | None = None

    @classmethod
    def read(cls, datasite: str, name: str, schema: Mapping[str, Any], limits: dict[str, Any]) -> Self:
        """Reads what a datasite says of a dataset, and checks that its names can be shown and its sizes can be.

        Args:
            datasite: Who says it.
            name: Of the dataset.
            schema: The dataset's schema, as the datasite gives it.
            limits: What the hospital allows.

        Raises:
            PlanError, LookupError, TypeError, ValueError, AttributeError: It is something else.
        """
        classes = [validate.label("a class name", one) for one in schema["class_names"]]
        shape = ModelSpec("of_a_dataset", schema["image_shape"], len(classes))  # the same bounds as in a plan
        return cls(
            datasite=datasite,
            name=validate.name("a dataset's name", name),
            class_names=tuple(classes),
            image_shape=shape.image_shape,
            unit=validate.choice("unit", schema["unit"], UNITS),
            public_size=validate.integer("public_size", schema["public_size"], low=1, high=10**9),
            limits=limits,
            text=TextForm.from_dict(schema.get("text")),
        )


@dataclass(frozen=True)
class Mock:
    """A dataset's mock twin: invented pictures, and reports where it has some, of the right shape, to rehearse on."""

    images: np.ndarray
    labels: np.ndarray
    reports: tuple[str, ...] | None = None


class Hospital:
    """One connected datasite: PySyft for governance, its own routes for bytes and progress."""

    def __init__(self, credentials: Credentials) -> None:
        self.name = credentials.datasite
        self.email = credentials.email
        self.certificate = credentials.certificate
        self.channel = SecureChannel(credentials)
        try:
            self.client, seed = sign_in(self.channel, credentials)
            self.wire = Wire(self.channel, seed)
            self._read(self.wire.info(), credentials.url)
        except BaseException:
            self.close()
            raise
        self._assets: dict[str, Any] = {}

    def _read(self, info: dict[str, Any], url: str) -> None:
        """Takes what the datasite says of itself, names first: files here are named after them, and they are shown."""
        try:
            if info["datasite"] != self.name:
                raise FederationError(f"{url} is datasite '{info['datasite']}', the credentials are for '{self.name}'.")
            self.versions = {shown(name): shown(version) for name, version in dict(info["versions"]).items()}
            self.public_key = validate.digest("public_key", info["public_key"])
            self.datasets = {
                name: DatasetInfo.read(self.name, name, schema, info["limits"])
                for name, schema in info["datasets"].items()
            }
        except (PlanError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise FederationError(
                f"Datasite '{self.name}' says something of itself that this version does not understand: {error}"
            ) from error

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
        reports = twin.get("reports")
        return Mock(
            images=np.asarray(twin["images"]),
            labels=np.asarray(twin["labels"]),
            reports=None if reports is None else tuple(json.loads(str(reports))),
        )

    def close(self) -> None:
        """Closes the connections."""
        self.channel.close()
