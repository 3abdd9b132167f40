"""Takes a PySyft code request apart and refuses whatever is not exactly the platform's stub with a plan.

A request is canonical when its code is the stub to the last character, what PySyft would execute is what the stub
parses to, and its input policy pins one of this datasite's assets, one readable plan, and a ticket, nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from syft.service.code.user_code import SubmitUserCode, UserCode, parse_user_code
from syft.service.policy.policy import Constant, Matches, MixedInputPolicy, SingleExecutionExactOutput, UserOwned
from syft.types.errors import SyftException
from syft.types.uid import UID

from datasites.approvals.approvals import digest
from datasites.assets.published import PublishedDataset
from datasites.pysyft.context import admin_context
from policies.errors import RequestNotCanonical, RequestUnknown
from policies.plans import stub
from policies.plans.kinds import Plan, parse
from policies.plans.plan_json import sha256_text

_NOT_CANONICAL = (
    "The request is not the platform's stub with a plan, and cannot be approved. Submit it with Federation.submit()."
)


@dataclass(frozen=True)
class CanonicalRequest:
    """A canonical request, taken apart.

    Attributes:
        request_id: PySyft's identifier of the request.
        code_id: PySyft's identifier of its code.
        account: Public key of the account that submitted it, hexadecimal.
        researcher: That account's e-mail address.
        plan: The pinned plan.
        dataset: The dataset that the pinned asset belongs to.
        digest: Over all of it, the code as written and as it would run included.
    """

    request_id: str
    code_id: str
    account: str
    researcher: str
    plan: Plan
    dataset: PublishedDataset
    digest: str


class RequestReader:
    """Reads the code requests that PySyft keeps.

    Guarantees:
        `read` and `read_submission` return only for canonical requests; anything else raises.
    """

    def __init__(self, server: Any, datasets: Mapping[str, PublishedDataset]) -> None:
        self._server, self._datasets = server, datasets

    def ids(self) -> frozenset[str]:
        """The identifiers of all requests that PySyft keeps; none of them is read."""
        stash = self._server.services.request.stash
        with self._server.lock, stash.sessionmaker() as session:
            columns = stash.table.c
            return frozenset(str(row[0]) for row in session.query(columns.id).filter(columns._deleted_at.is_(None)))

    def find(self, request_id: str) -> Any:
        """The request with that whole identifier.

        Raises:
            RequestUnknown: There is none.
        """
        try:
            with self._server.lock:
                return self._server.services.request.stash.get_by_uid(self._server.verify_key, UID(request_id)).unwrap()
        except (SyftException, ValueError) as error:
            raise RequestUnknown(f"There is no request {request_id!r}.") from error

    def codes_named(self, name: str, account: str) -> tuple[str, ...]:
        """The identifiers of an account's codes whose function has that name.

        Args:
            name: Whatever the account says.
            account: Public key of the account, hexadecimal.
        """
        stash = self._server.services.user_code.stash
        with self._server.lock:
            found = stash.get_by_service_func_name(self._server.verify_key, name).unwrap()
        return tuple(str(code.id) for code in found if str(code.user_verify_key) == account)

    def read_submission(self, code: SubmitUserCode) -> tuple[Plan, PublishedDataset]:
        """Plan and dataset of code that is being submitted.

        Raises:
            RequestNotCanonical: It is not the stub over one of this datasite's assets.
            PlanError: The plan does not read.
        """
        _require(code.input_policy_type is MixedInputPolicy)
        _require(_is_plain_output(code))
        plan, dataset = self._read_rules(code.input_policy_init_kwargs)
        _require(code.worker_pool_name is None and list(code.input_kwargs) == list(stub.ARGUMENTS))
        _require(stub.is_canonical(code.func_name, code.code, plan.digest()))
        return plan, dataset

    def read(self, request: Any, *, version: int | None = None) -> CanonicalRequest:
        """A kept request, taken apart.

        Args:
            request: PySyft's request object.
            version: Which version of its dataset it is about; the newest by default.

        Raises:
            RequestNotCanonical, PlanError: As for `read_submission`.
            StoreBroken: That version is not kept any more.
        """
        with self._server.lock:
            code = self._code(request)
            policy = code.get_input_policy(admin_context(self._server))
        _require(code.input_policy_type is MixedInputPolicy and isinstance(policy, MixedInputPolicy))
        plan, dataset = self._read_rules(code.input_policy_init_kwargs)
        _require(_is_plain_output(code))
        _require((plan, dataset) == self._read_rules(policy.kwarg_rules))
        account = str(request.requesting_user_verify_key)
        _require(account == str(code.user_verify_key))
        _require(stub.is_canonical(code.service_func_name, code.raw_code, plan.digest()))
        _require(code.unique_func_name == _executed_name(code) and code.parsed_code == _parsed(code))
        _require(not code.nested_codes and not code.uses_datasite)
        dataset = dataset.at(version)
        return CanonicalRequest(
            request_id=str(request.id),
            code_id=str(code.id),
            account=account,
            researcher=str(request.requesting_user_email),
            plan=plan,
            dataset=dataset,
            digest=digest(
                plan=plan.to_json(),
                raw_code=code.raw_code,
                parsed_code=code.parsed_code,
                policies=f"{code.input_policy_type.__name__}/{code.output_policy_type.__name__}",
                asset=dataset.asset_uid,
                store=sha256_text(dataset.manifest.to_json()),
                account=account,
            ),
        )

    def _read_rules(self, rules_by_server: Any) -> tuple[Plan, PublishedDataset]:
        """Plan and dataset from an input policy's rules, which must be exactly asset, plan and ticket."""
        _require(isinstance(rules_by_server, dict) and len(rules_by_server) == 1)
        (identity, rules), *_ = rules_by_server.items()
        _require(getattr(identity, "server_id", None) == self._server.id)
        _require(isinstance(rules, dict) and set(rules) == set(stub.ARGUMENTS))
        asset, plan, ticket = (rules[name] for name in stub.ARGUMENTS)
        _require(type(asset) is Matches and isinstance(asset.val, UID))
        _require(type(plan) is Constant and isinstance(plan.val, str) and plan.requires_input is False)
        _require(type(ticket) is UserOwned and ticket.type is str)
        parsed = parse(plan.val)
        _require(parsed.to_json() == plan.val)
        dataset = self._datasets.get(parsed.dataset)
        if dataset is None or dataset.asset_uid != str(asset.val):
            raise RequestNotCanonical(
                f"The plan names the dataset '{parsed.dataset}', but the request's asset is not that dataset's. "
                "Take the asset from the dataset that the plan names."
            )
        return parsed, dataset

    def _code(self, request: Any) -> UserCode:
        _require(len(request.changes) == 1)
        code = code_id(request)
        _require(code is not None)
        return self._server.services.user_code.stash.get_by_uid(self._server.verify_key, code).unwrap()


def code_id(request: Any) -> UID | None:
    """PySyft's identifier of the code that a request asks to run, if it names one."""
    change = request.changes[0] if request.changes else None
    return getattr(getattr(change, "linked_user_code", None), "object_uid", None)


def _require(holds: bool) -> None:
    if not holds:
        raise RequestNotCanonical(_NOT_CANONICAL)


def _is_plain_output(code: SubmitUserCode | UserCode) -> bool:
    """Whether the output policy is PySyft's own, with nothing set in it."""
    return code.output_policy_type is SingleExecutionExactOutput and set(code.output_policy_init_kwargs) <= {"id"}


def _executed_name(code: UserCode) -> str:
    """The name under which PySyft would call the stub."""
    code_hash = sha256_text(f"{code.raw_code}{code.user_verify_key}")
    return f"user_func_{code.service_func_name}_{code.user_verify_key}_{code_hash}"


def _parsed(code: UserCode) -> str:
    """What PySyft makes of the stub when it is left alone."""
    return str(
        parse_user_code(
            raw_code=code.raw_code,
            func_name=_executed_name(code),
            original_func_name=code.service_func_name,
            function_input_kwargs=list(stub.ARGUMENTS),
        )
    )
