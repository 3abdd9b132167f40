"""One hospital as a researcher sees it: what its datasite publishes, and the ways to speak with it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from policies.answers.hospital import DatasetSchema, HospitalAnswer
from policies.errors import FederationError
from policies.plans.picture_form import PictureForm
from policies.plans.tokeniser import TextForm
from policies.untrusted_text import shown
from researcher.hospitals import code_requests
from researcher.hospitals.credentials import Credentials
from researcher.hospitals.datasite_client import DatasiteClient
from researcher.hospitals.pysyft_connection import sign_in
from researcher.hospitals.secure_channel import SecureChannel


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
        form: How files became pictures; None where they came as arrays.
        label_kind: `single` or `multi`; see `DatasetSchema`.
        modality: What kind of pictures they are, as the hospital declares it.
        terms_of_use: What the hospital asks of who uses it; empty where it asks nothing more.
    """

    datasite: str
    name: str
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    unit: str
    public_size: int
    limits: Mapping[str, Any]
    text: TextForm | None = None
    form: PictureForm | None = None
    label_kind: str = "single"
    modality: str = "other"
    terms_of_use: str = ""

    @classmethod
    def of(cls, datasite: str, schema: DatasetSchema, limits: Mapping[str, Any], terms_of_use: str = "") -> Self:
        """What a datasite said of a dataset: its schema, and the limits and terms that the hospital set on it."""
        return cls(
            datasite=datasite,
            name=schema.name,
            class_names=schema.class_names,
            image_shape=schema.image_shape,
            unit=schema.unit,
            public_size=schema.public_size,
            limits=limits,
            text=schema.text,
            form=schema.form,
            label_kind=schema.label_kind,
            modality=schema.modality,
            terms_of_use=terms_of_use,
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
            self.routes = DatasiteClient(self.channel, seed)
            self._read(self.routes.info(), credentials.url)
        except BaseException:
            self.close()
            raise
        self._assets: dict[str, object] = {}

    def _read(self, info: HospitalAnswer, url: str) -> None:
        """Takes what the datasite says of itself, names first: files here are named after them, and they are shown."""
        if info.datasite != self.name:
            raise FederationError(f"{url} is datasite '{info.datasite}', the credentials are for '{self.name}'.")
        self.versions = {shown(name): shown(version) for name, version in info.versions.items()}
        self.public_key = info.public_key
        self.datasets = {
            schema.name: DatasetInfo.of(self.name, schema, info.limits, info.terms_of_use)
            for schema in info.datasets.values()
        }

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
