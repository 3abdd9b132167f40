"""One hospital as a researcher sees it: what its datasite publishes, and the ways to speak with it."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from policies.answers.hospital import DatasetSchema, HospitalAnswer
from policies.errors import DatasiteNotTrusted, FederationError
from policies.graphs.losses.needs import check_operators
from policies.plans.picture_form import PictureForm
from policies.plans.tokeniser import TextForm
from policies.untrusted_text import in_one_form, shown
from policies.versions.needs import check_plan
from researcher.hospitals.credentials import Credentials
from researcher.hospitals.datasite_client import DatasiteClient
from researcher.hospitals.secure_channel import SecureChannel
from researcher.hospitals.sign_in import sign_in

if TYPE_CHECKING:
    from policies.answers.runs import RunAnswer
    from policies.contracts.inputs import Ticket
    from policies.plans.kinds import Plan
    from researcher.hospitals.code_request import CodeRequest
    from researcher.hospitals.pysyft_account import PysyftAccount

# PySyft's modules import one another in circles: two threads that import it at once would each find half of it.
_importing_pysyft = threading.Lock()


@dataclass(frozen=True)
class DatasetInfo:
    """What a hospital publishes about a dataset.

    Attributes:
        datasite: Who publishes it.
        name: Its name there.
        class_names: In label order, in one form of letters with marks, whichever the hospital's store has.
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
        """What a datasite said of a dataset: its schema, the hospital's limits on it, and its `terms_of_use`."""
        return cls(
            datasite=datasite,
            name=schema.name,
            class_names=in_one_form(schema.class_names),
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
    """A dataset's mock twin to rehearse on: invented pictures, labels and, where it has some, reports of its form."""

    images: np.ndarray
    labels: np.ndarray
    reports: tuple[str, ...] | None = None


class Hospital:
    """One connected datasite: PySyft for governance, its own routes for bytes, progress and all that is read.

    PySyft is imported, and its client opened, when a request is submitted or a mock asked for, and not before.
    """

    def __init__(self, credentials: Credentials) -> None:
        self.name = credentials.datasite
        self.credentials = credentials
        self.email = credentials.email
        self.certificate = credentials.certificate
        self.channel = SecureChannel(credentials)
        try:
            self._seed = sign_in(self.channel, credentials)
            self.routes = DatasiteClient(self.channel, self._seed)
            self._read(self.routes.info(), credentials.url)
        except BaseException:
            self.close()
            raise
        self._opening = threading.Lock()
        self._opened: PysyftAccount | None = None

    def _read(self, info: HospitalAnswer, url: str) -> None:
        """Takes what the datasite says of itself, names first: files here are named after them, and they are shown."""
        if info.datasite != self.name:
            raise DatasiteNotTrusted(f"{url} is datasite '{info.datasite}', the credentials are for '{self.name}'.")
        self.versions = {shown(name): shown(version) for name, version in info.versions.items()}
        self.public_key = info.public_key
        self._assets = dict(info.assets)
        self.datasets = {
            schema.name: DatasetInfo.of(self.name, schema, info.limits, info.terms_of_use)
            for schema in info.datasets.values()
        }

    def mock(self, dataset: str) -> Mock:
        """The dataset's mock twin.

        Raises:
            FederationError: The datasite publishes no such dataset.
            DatasiteUnreachable: The datasite does not answer.
        """
        self._check_published(dataset)
        twin = self._pysyft().mock(dataset)
        reports = twin.get("reports")
        return Mock(
            images=np.asarray(twin["images"]),
            labels=np.asarray(twin["labels"]),
            reports=None if reports is None else tuple(json.loads(str(reports))),
        )

    def submit(self, plan: Plan, name: str = "") -> CodeRequest:
        """Submits the plan as a PySyft code request; under a name that it was submitted with, the same once more.

        Args:
            plan: What to ask for.
            name: The stub's; a new one if empty.

        Raises:
            VersionMismatch: The plan holds what the hospital's release does not know; nothing was sent.
            WanwuError: As `mock`, and what the datasite refuses the plan with.
        """
        self._check_published(plan.dataset)
        if self.channel.release is not None:
            check_plan(plan, self.channel.release, self.name)
            check_operators(plan, self.channel.release, self.name)
        asset = self._assets.get(plan.dataset)
        if asset is None:
            raise FederationError(
                f"Datasite '{self.name}' did not say which of PySyft's assets the dataset '{plan.dataset}' is, so "
                "nothing was submitted there. Ask the hospital to look with its doctor."
            )
        return self._pysyft().submit(asset, plan, name)

    def ask(self, dataset: str, request: CodeRequest, ticket: Ticket) -> RunAnswer:
        """Asks for one round of an approved request; returns the run's public fields.

        Raises:
            WanwuError: As `mock`, and what the datasite refuses the round with.
        """
        self._check_published(dataset)
        return self.routes.ask(request.request_id, ticket.to_text())

    def ask_with(self, dataset: str, request: CodeRequest, ticket: Ticket, weights: bytes) -> RunAnswer:
        """As `ask`, with the weights that the ticket names, where the hospital `takes_together` so many bytes."""
        self._check_published(dataset)
        return self.routes.ask_with(request.request_id, ticket, weights)

    @property
    def client(self) -> Any:
        """The account's PySyft client."""
        return self._pysyft().client

    def _pysyft(self) -> PysyftAccount:
        """The account as PySyft knows it; opened at the first call, by one of the threads that need it."""
        with self._opening:
            if self._opened is None:
                with _importing_pysyft:
                    from researcher.hospitals.pysyft_account import PysyftAccount
                self._opened = PysyftAccount(self.channel, self._seed)
            return self._opened

    def _check_published(self, dataset: str) -> None:
        if dataset not in self.datasets:
            raise FederationError(
                f"Datasite '{self.name}' has no dataset '{dataset}'; it has {', '.join(self.datasets) or 'none'}."
            )

    def close(self) -> None:
        """Closes the connections."""
        self.channel.close()
