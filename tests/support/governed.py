"""A datasite's governance in the test's own process: real PySyft, accounts and books, with no port and no process.

Calls go straight to the gate, as what a certificate of a researcher's own would bring there.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import support.imported_pysyft  # noqa: F401
from support.books import make_state, tenth_a_step
from support.hospitals import RESEARCHER, STRANGER, write_pictures

from datasites.access.enrolment import Enrolment, Peer, current_peer
from datasites.approvals.approvals import Approvals
from datasites.assets.store import open_store
from datasites.audit_log.counted_events import CountedEvents
from datasites.code_requests.books import Books
from datasites.code_requests.limits.hospital_limits import HospitalLimits
from datasites.config import DatasiteConfig
from datasites.files.state_folder import StateFolder
from datasites.pysyft.server import start_pysyft
from datasites.rehearsal.rehearsals import Rehearsals
from datasites.runs.entry import Admit
from datasites.state import identity
from datasites.state.kept_books import open_audit, open_ledger
from policies.answers.runs import RunAnswer
from policies.budget.membership import membership_bounds
from policies.budget.remaining import studies_left
from policies.plans.kinds import Plan
from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan

with warnings.catch_warnings():  # PySyft's own imports warn of what pydantic and others have deprecated
    warnings.simplefilter("ignore")
    from syft.client.api import SyftAPICall
    from syft.client.client import PythonConnection
    from syft.client.datasite_client import DatasiteClient
    from syft.serde import recursive, recursive_primitives
    from syft.server import routes

    from datasites.access.accounts import Accounts
    from datasites.code_requests.calculator import DeclaredShapes
    from datasites.code_requests.requests import RequestBook
    from datasites.pysyft import deserialiser
    from datasites.pysyft.guard import Call, Rules
    from datasites.pysyft.publish import publish
    from researcher.hospitals import code_requests
    from researcher.hospitals import deserialiser as researchers_deserialiser
    from researcher.hospitals.pysyft_connection import SignedCalls

SHAPES = DeclaredShapes({"w": (2,)}, {"w": (2,)})


def small_plan(study: str, **changes: Any) -> TrainingPlan:
    """A plan of two rounds of a step each that the governed datasites take.

    Args:
        study: Name of the study.
        changes: Fields that are to be otherwise.
    """
    model = ModelSpec("small_cnn", (16, 16, 1), 2, {"width": 4})
    plan = TrainingPlan(study, "pictures", model, 2, 1, 0.1, 0.5, privacy=PrivacySpec(2.0, 1.0, 1e-5))
    return replace(plan, **changes)


class Calculator:
    """Reckons by hand: a tenth of an epsilon for each step, and one small array for every plan."""

    def __init__(self) -> None:
        self.shown = SHAPES

    epsilon_spent = filter_epsilon = staticmethod(tenth_a_step)
    membership = staticmethod(membership_bounds)
    studies_left = staticmethod(studies_left)

    def shapes(self, plan: Plan) -> DeclaredShapes:
        return self.shown


class Straight(PythonConnection):
    """PySyft's connection within a process; what comes back is read as a researcher's client reads it."""

    __canonical_name__ = "StraightToTheGate"

    def make_call(self, signed_call: Any) -> Any:
        answer = self.server.handle_api_call(signed_call)
        with deserialiser.own_values():
            _ = answer.message
        return answer


@dataclass
class Governed:
    """One datasite, as far as it governs."""

    state: StateFolder
    server: Any
    accounts: Accounts
    books: Books
    book: RequestBook
    enrolment: Enrolment
    refused: list[str] = field(default_factory=list)
    arrived: list[str] = field(default_factory=list)
    rounds: list[tuple[str, str]] = field(default_factory=list)
    _connected: dict[str, Any] = field(default_factory=dict)

    @contextmanager
    def door(self, email: str = RESEARCHER) -> Iterator[None]:
        """Inside, calls come over a connection with this address's newest certificate."""
        listed = [entry for entry in self.enrolment._entries.values() if entry.email == email]
        newest = sorted(listed, key=lambda entry: entry.issued)[-1]  # of one second, the one that was listed last
        token = current_peer.set(Peer(email, newest.serial))
        try:
            yield
        finally:
            current_peer.reset(token)

    def key(self, email: str = RESEARCHER) -> Any:
        """An account's key, which it signs its calls with."""
        user = self.server.services.user.stash.get_by_email(self.server.verify_key, email=email).unwrap()
        return user.signing_key

    def calls(self, email: str = RESEARCHER) -> SignedCalls:
        """An account's calls, as the platform's own client makes them."""
        return SignedCalls(Straight(server=self.server), self.key(email))

    def kept(self) -> tuple[int, int, int]:
        """What a refusal must not change: how many requests, entries of the ledger and rounds there are."""
        return len(self.book._reader.ids()), len(self.books.ledger.entries()), len(self.rounds)

    def close_requests(self) -> None:
        """Denies what is pending and ends what is approved, so that no later test pays for it."""
        for row in self.book.index.page(state="pending").rows:
            self.book.deny(row.id, reason="the test is over", by="tests")
        for row in self.book.index.page(state="approved").rows:
            self.book.end(row.id, reason="the test is over", by="tests")

    @property
    def asset(self) -> str:
        """The identifier of the asset of the dataset `pictures`."""
        published = self.server.services.dataset.stash.get_all(self.server.verify_key).unwrap()
        return str(next(one for one in published if one.name == "pictures").asset_list[0].action_id)

    def client(self, email: str = RESEARCHER) -> Any:
        """PySyft's client of an account."""
        connection = Straight(server=self.server)
        metadata = connection.get_server_metadata(self.key(email))
        client = DatasiteClient(connection=connection, metadata=metadata, credentials=self.key(email))
        client._fetch_api(self.key(email))
        return client

    def call(self, path: str, *args: Any, email: str = RESEARCHER, blocking: bool = True, **kwargs: Any) -> Any:
        """What one signed call is answered with."""
        message = SyftAPICall(server_uid=self.server.id, path=path, args=list(args), kwargs=kwargs, blocking=blocking)
        return self.answer(message.sign(self.key(email)), email)

    def answer(self, signed: Any, email: str = RESEARCHER) -> Any:
        """What a call is answered with that comes through the door of an account."""
        with self.door(email):
            return Straight(server=self.server).make_call(signed).message.data

    def submit(self, plan: Plan, email: str = RESEARCHER, *, name: str = "") -> code_requests.CodeRequest:
        """Submits a plan as the platform's own client does, which connects once: all that PySyft keeps is read then."""
        with self.door(email):
            key = str(self.key(email))
            calls = self._connected[key] = self._connected.get(key) or self.calls(email)
            return code_requests.submit(calls, self.asset, plan, name)

    def events(self, name: str) -> list[dict[str, Any]]:
        """The audit log's entries of one kind, with what is still being counted."""
        self.books.counted.flush()
        return [one for one in self.books.audit.tail(10_000) if one["event"] == name]


@contextmanager
def _parser_of_a_datasite() -> Iterator[None]:
    """Inside, PySyft's parser is a datasite's, whatever this process is besides; afterwards it is as it was."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deserialiser, "_parser", None)
        for module, name in (
            (recursive, "rs_bytes2object"),
            (recursive, "rs_proto2object"),
            (recursive_primitives, "iterable_schema"),
            (recursive_primitives, "kv_iterable_schema"),
            (routes, "deserialize"),
        ):
            patch.setattr(module, name, getattr(module, name))
        if researchers_deserialiser._parser is not None:
            patch.setattr(recursive, "rs_proto2object", researchers_deserialiser._parser._build)
        yield


@contextmanager
def governed(folder: Path) -> Iterator[Governed]:
    """A datasite called north, with 80 pictures and two researchers."""
    with _parser_of_a_datasite(), _opened(folder) as made:
        yield made


@contextmanager
def _opened(folder: Path) -> Iterator[Governed]:
    write_pictures(folder / "pictures.npz", sites=("north",), each=80)
    state = make_state(folder / "north", folder / "pictures.npz")
    config = DatasiteConfig.from_toml(state.config)
    own, audit, calculator = identity.load(state), open_audit(state), Calculator()
    books = Books(
        limits=HospitalLimits(state, config, audit),
        approvals=Approvals(state.approvals),
        ledger=open_ledger(state, tenth_a_step),
        calculator=calculator,  # type: ignore[arg-type]
        audit=audit,
        counted=CountedEvents(audit),
        rehearsals=Rehearsals(state.rehearsals),
    )
    enrolment = Enrolment(state)
    server = start_pysyft(state, own, name=config.name)
    accounts = Accounts(server, state, url=config.url, enrolment=enrolment, audit=audit)
    accounts.close_sign_up()
    accounts.enrol_first((RESEARCHER, STRANGER))
    store = state.store / "pictures"
    datasets = {"pictures": publish(server, open_store(store).manifest, store)}
    book = RequestBook(server, datasets, books)
    made = Governed(state, server, accounts, books, book, enrolment)
    _open_gate(made)
    try:
        yield made
    finally:
        books.counted.flush()
        books.close()


def _open_gate(made: Governed) -> None:
    """What a running datasite puts between its gate and its books; a round that is let in is noted, not queued."""

    def admission(call: Call) -> Admit:
        made.book.approved(call)

        def admit(plan: str, ticket: str) -> RunAnswer:
            made.rounds.append((plan, ticket))
            return RunAnswer("0" * 32, 0, "queued", "", "", "", 0, 0)

        return admit

    def arrived(request_id: str) -> None:
        made.book.arrived(request_id)
        made.books.rehearsals.arrived(request_id)
        made.arrived.append(request_id)

    made.server.open_gate(
        Rules(
            check_account=made.accounts.own_email,
            check_submission=made.book.check_submission,
            arrived=arrived,
            admission=admission,
            refused=lambda error, account: made.refused.append(error.code),
        )
    )
