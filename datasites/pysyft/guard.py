"""A PySyft datasite narrowed to what the platform uses. Everything else that PySyft answers over the wire is refused.

Admins do not work through this port at all: the hospital's own tools call PySyft inside the datasite's process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from inspect import Parameter, Signature
from typing import Any

from syft.client.api import SignedSyftAPICall, SyftAPI, SyftAPICall
from syft.server.credentials import SyftVerifyKey
from syft.server.datasite import Datasite
from syft.service.code.user_code import SubmitUserCode
from syft.service.queue.queue_stash import QueueStash
from syft.service.request.request import Request
from syft.service.response import SyftError, SyftSuccess
from syft.service.user.user_roles import ServiceRole
from syft.types.errors import SyftException
from syft.types.uid import UID

from datasites.pysyft import deserialiser, own_errors, roles, rows, unreadable_rows
from datasites.pysyft.own_database import OwnDatabase, PlaceConfig
from datasites.pysyft.replays import SeenCalls
from datasites.pysyft.stub_call import run_stub
from datasites.pysyft.turns import Turns
from datasites.runs.entry import Admit, serving
from policies.errors import DatabaseUnavailable, NotAllowed, RequestError, RequestMalformed, WanwuError

_SUBMISSION = "code.request_code_execution"
# What a researcher's client calls in the platform's own way of working, path by path.
RESEARCHER_PATHS = frozenset(
    {
        "user.get_current_user",
        "metadata.get_metadata",
        "dataset.get_all",
        "action.get_mock",
        _SUBMISSION,
        "code.call",
    }
)
_CODE_CALL_ARGUMENTS = frozenset({"uid", "asset", "ticket", "communication_protocol"})


@dataclass(frozen=True)
class Call:
    """A researcher's call of a code request.

    Attributes:
        account: Public key of the calling account, hexadecimal.
        code_id: PySyft's identifier of the called code.
    """

    account: str
    code_id: str


# PySyft's client for the server's own key calls the same methods of the server as researchers do.
_by_the_hospital: ContextVar[bool] = ContextVar("by_the_hospital", default=False)


@dataclass(frozen=True)
class Rules:
    """What the gate asks about calls that are well made.

    Attributes:
        check_account: Raises unless the connection's certificate is of the account with this public key.
        check_submission: Raises for submitted code, of an account, that could not be approved.
        arrived: Told of a request that was submitted and is kept, by its identifier, before its researcher is.
        admission: Raises for a called code that is not approved as it stands now; else returns what decides about its
            round.
        refused: Told of each refusal, with the calling account's public key.
    """

    check_account: Callable[[str], object]
    check_submission: Callable[[SubmitUserCode, str], None]
    arrived: Callable[[str], None]
    admission: Callable[[Call], Admit]
    refused: Callable[[WanwuError, str], None]


@contextmanager
def by_the_hospital() -> Iterator[None]:
    """PySyft calls made inside, in this thread, are the datasite's own, and pass the gate. No route sets this."""
    token = _by_the_hospital.set(True)
    try:
        with deserialiser.own_values():
            yield
    finally:
        _by_the_hospital.reset(token)


class GuardedDatasite(Datasite):
    """PySyft's datasite with one gate in front of every call.

    Guarantees:
        Only signed, blocking calls, addressed to this server, by a researcher's account over a connection with that
        account's own certificate, of a path in `RESEARCHER_PATHS`, seen for the first time and made of the types that
        such calls are made of, reach PySyft. Submitted code passes `check_submission`, called code `admission`. Before
        the gate is opened no call does.
    """

    def __init__(self, *args: Any, engine: Any = None, **kwargs: Any) -> None:
        deserialiser.install()
        unreadable_rows.install()
        self._engine = engine
        if engine is not None:
            kwargs["db_config"] = PlaceConfig()
        self.lock = Turns()
        self._seen_calls = SeenCalls()
        self._rules: Rules | None = None
        super().__init__(*args, **kwargs)
        roles.install(self)
        rows.install(self)

    def init_stores(self, db_config: Any) -> Any:
        """Opens PySyft's database: its own file, or the platform's connections to PostgreSQL."""
        if self._engine is None:
            return super().init_stores(db_config)
        db = OwnDatabase(self._engine, self.id, self.verify_key)
        self.queue_stash = QueueStash(store=db)
        return db

    def get_service_method(self, path_or_func: Any) -> Callable[..., Any]:
        """One of PySyft's methods; the platform's errors come out of it as they are."""
        return own_errors.with_its_code(super().get_service_method(path_or_func))

    def open_gate(self, rules: Rules) -> None:
        """Lets researchers' calls in, under these rules."""
        self._rules = rules

    def get_api(self, for_user: Any = None, communication_protocol: Any = None) -> SyftAPI:
        """The calls that an account may make, as its client learns them: the platform's paths and its own requests.

        Raises:
            NotAllowed: The key belongs to no researcher's account.
            RequestMalformed: The protocol is not the one that this server speaks.
        """
        if _by_the_hospital.get():
            return super().get_api(for_user, communication_protocol)
        if str(communication_protocol) != str(self.current_protocol):
            raise RequestMalformed("A datasite speaks the one protocol of its PySyft. Install the same version.")
        with self.lock:
            if for_user is None or self.get_role_for_credentials(for_user) is not ServiceRole.DATA_SCIENTIST:
                raise NotAllowed("This port serves researchers' accounts only, added by the hospital's admin.")
            api = super().get_api(for_user, communication_protocol)
        api.endpoints = {
            name: endpoint.model_copy(update={"warning": None, "signature": _without_types(endpoint.signature)})
            for name, endpoint in api.endpoints.items()
            if endpoint.service_path in RESEARCHER_PATHS
        }
        api.lib_endpoints = {}
        return api

    def handle_api_call_with_unsigned_result(self, api_call: Any, *args: Any, **kwargs: Any) -> Any:
        """Refuses what is not allowed, with a reason; serves the rest one call at a time."""
        if _by_the_hospital.get():
            with self.lock:
                return super().handle_api_call_with_unsigned_result(api_call, *args, **kwargs)
        try:
            with self.lock, roles.looked_up_once():
                return self._serve_if_allowed(api_call, *args, **kwargs)
        except DatabaseUnavailable as error:
            return own_errors.refusal(error)

    def _serve_if_allowed(self, api_call: Any, *args: Any, **kwargs: Any) -> Any:
        rules = self._rules
        if rules is None:
            return SyftError(message=f"{NotAllowed.code}: The datasite is not open yet. Try again in a moment.")
        try:
            admit = self._gate(rules, api_call)
        except WanwuError as error:
            rules.refused(error, str(getattr(api_call, "credentials", "")))
            return own_errors.refusal(error)
        except Exception:  # noqa: BLE001 - the gate fails closed, whatever went wrong
            return SyftError(message=f"{NotAllowed.code}: The call could not be checked and is refused.")
        if admit is not None:
            return self._serve_code(admit, api_call, *args, **kwargs)
        result = super().handle_api_call_with_unsigned_result(api_call, *args, **kwargs)
        if api_call.message.path == _SUBMISSION:
            _tell_arrived(result, rules)
        return result

    def _serve_code(self, admit: Admit, api_call: Any, *args: Any, **kwargs: Any) -> Any:
        """The stub's answer: at once where the ticket came as text, else as a pointer, as PySyft does it."""
        called = api_call.message.kwargs
        if not isinstance(called.get("ticket"), str):
            with serving(admit):
                return super().handle_api_call_with_unsigned_result(api_call, *args, **kwargs)
        try:
            if not isinstance(called.get("asset"), UID):
                raise NotAllowed("A round passes the asset and its ticket, nothing else.")
            answer = self._run(admit, api_call.credentials, called["uid"], called["ticket"], called["asset"])
        except WanwuError as error:
            return own_errors.refusal(error)
        return SyftSuccess(message="", value=answer)

    def serve_round(self, account: str, code_id: str, ticket: str) -> str:
        """Asks for a round as `code.call` does, for a researcher who came by the datasite's own signed routes.

        Args:
            account: The account that signed, whose certificate the connection has.
            code_id: Of the request's code.
            ticket: The round's, as text.

        Returns:
            What the stub answers, as JSON: the run's public fields, or a code and a public reason.

        Raises:
            WanwuError: Why the gate or PySyft refuses it.
        """
        if (rules := self._rules) is None:
            raise NotAllowed("The datasite is not open yet. Try again in a moment.")
        key = SyftVerifyKey.from_string(account)
        with self.lock, roles.looked_up_once():
            self._check_role(key)
            rules.check_account(account)
            return self._run(rules.admission(Call(account, code_id)), key, UID(code_id), ticket, None)

    def _run(self, admit: Admit, account: SyftVerifyKey, code_id: UID, ticket: str, asset: UID | None) -> str:
        try:
            with serving(admit) as answers:
                run_stub(self, account, code_id, ticket, asset=asset)
            (answer,) = answers
        except WanwuError:
            raise
        except SyftException as error:
            raise RequestError(str(error.public_message)) from error
        except Exception as error:  # an exception's text may hold anything, so none leaves
            raise NotAllowed("The call could not be served and is refused.") from error
        return answer

    def _check_role(self, account: SyftVerifyKey) -> None:
        if self.get_role_for_credentials(account) is not ServiceRole.DATA_SCIENTIST:
            raise NotAllowed("This port serves researchers' accounts only, added by the hospital's admin.")

    def _gate(self, rules: Rules, api_call: Any) -> Admit | None:
        """Returns what decides about the round of a called code; None for any other call that may pass."""
        message = self._signed_message(api_call)
        if message.server_uid != self.id:
            raise NotAllowed("The call is addressed to another datasite. Connect to this one.")
        self._check_role(api_call.credentials)
        rules.check_account(str(api_call.credentials))
        self._seen_calls.check(str(api_call.credentials), api_call.serialized_message)
        if message.path not in RESEARCHER_PATHS:
            raise NotAllowed(f"The path {message.path!r} is not open to researchers. Use the platform's own client.")
        if not message.blocking:
            raise NotAllowed("Queued calls are closed; training runs through approved code requests.")
        if message.path == _SUBMISSION:
            rules.check_submission(_submitted_code(message), str(api_call.credentials))
        if message.path == "code.call":
            return rules.admission(_code_call(message, str(api_call.credentials)))
        return None

    def _signed_message(self, api_call: Any) -> SyftAPICall:
        """What the signature covers, read from the signed bytes and from nothing else."""
        if type(api_call) is not SignedSyftAPICall or not api_call.is_valid:
            raise NotAllowed("A call must be signed with the account's key. Sign in again.")
        message = deserialiser.parse_call(api_call.serialized_message)
        if type(message) is not SyftAPICall:
            raise NotAllowed("A signed message must be a call. Use the platform's own client.")
        # PySyft made the call and serves what is cached here: so it serves what the gate has read, and nothing else.
        api_call.cached_deseralized_message = message
        return message


def _tell_arrived(result: Any, rules: Rules) -> None:
    """Tells of the request that PySyft has made of a submission, if it has."""
    made = result.value if isinstance(result, SyftSuccess) else result
    if isinstance(made, Request):
        rules.arrived(str(made.id))


def _code_call(message: Any, account: str) -> Call:
    if message.args or not set(message.kwargs) <= _CODE_CALL_ARGUMENTS or "uid" not in message.kwargs:
        raise NotAllowed("A round passes the asset and its ticket, nothing else.")
    return Call(account=account, code_id=str(message.kwargs["uid"]))


def _without_types(signature: Signature) -> Signature:
    """Names, kinds and defaults of the arguments: a client then builds no type that only an annotation names."""
    empty = Parameter.empty
    return Signature([one.replace(annotation=empty) for one in signature.parameters.values()])


def _submitted_code(message: Any) -> SubmitUserCode:
    if message.kwargs.get("reason") or len(message.args) > 1:
        raise RequestError("A code request says nothing beside its plan. Use the platform's own client.")
    sent = [value for value in (*message.args, *message.kwargs.values()) if isinstance(value, SubmitUserCode)]
    if len(sent) != 1:
        raise RequestError("A code request carries exactly one piece of code. Use the platform's own client.")
    return sent[0]
