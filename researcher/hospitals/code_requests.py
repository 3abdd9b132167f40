"""From a plan to a PySyft code request, and from an approved request to one round of it."""

from __future__ import annotations

import contextlib
import inspect
import io
import json
import threading
from collections.abc import Iterator
from typing import Any

import syft as sy
from syft.client.api import SyftAPICall
from syft.service.code.user_code import SubmitUserCode
from syft.service.policy.policy import MixedInputPolicy, SingleExecutionExactOutput
from syft.service.response import SyftError
from syft.types.errors import SyftException
from syft.types.uid import UID

from policies.answers.runs import RunAnswer
from policies.contracts.inputs import Ticket
from policies.errors import DatasiteUnreachable, FederationError
from policies.plans import stub
from policies.plans.kinds import Plan
from researcher.hospitals.code_request import CodeRequest
from researcher.hospitals.datasite_client import raise_answer, read_answer

# PySyft's client keeps process-wide registries, so that submissions go one at a time. Asking for a round uses none.
_one_at_a_time = threading.RLock()


def submit(client: Any, asset: Any, plan: Plan) -> CodeRequest:
    """Submits the stub with this plan pinned to this asset.

    Args:
        client: PySyft client of the researcher's account.
        asset: The dataset's PySyft asset.
        plan: What to ask for.

    Raises:
        WanwuError: What the datasite refused it with.
    """
    name = stub.new_name(plan.digest())
    with quietly():
        policy = MixedInputPolicy(asset=asset, plan=sy.Constant(val=plan.to_json()), ticket=str, client=client)
        output = SingleExecutionExactOutput()
        code = SubmitUserCode(
            code=stub.source(name),
            func_name=name,
            signature=_signature(),
            input_policy_type=type(policy),
            input_policy_init_kwargs=policy.init_kwargs,
            output_policy_type=type(output),
            output_policy_init_kwargs=getattr(output, "init_kwargs", {}),
            input_kwargs=list(stub.ARGUMENTS),
        )
        request = client.code.request_code_execution(code)
    code_id = request.changes[0].linked_user_code.object_uid
    return CodeRequest(request_id=str(request.id), function=name, code_id=str(code_id))


def call(client: Any, asset: Any, request: CodeRequest, ticket: Ticket) -> RunAnswer:
    """Asks for one round; returns the run's public fields.

    Raises:
        WanwuError: What the datasite refused the round with.
    """
    api = client.api
    arguments = {"uid": UID(request.code_id), "asset": asset.action_id, "ticket": ticket.to_text()}
    with _refusals_raised():
        # Not through the client's own function, which takes four calls, one after the other, for what is one.
        result = api.make_call(
            SyftAPICall(
                server_uid=api.server_uid,
                path="code.call",
                args=[],
                kwargs={**arguments, "communication_protocol": api.communication_protocol},
                blocking=True,
            )
        )
        if isinstance(result, SyftError):
            raise SyftException(public_message=result.message)
    try:
        answer = json.loads(result.value)
    except (AttributeError, ValueError, TypeError, RecursionError):
        answer = None
    if isinstance(answer, dict) and "error" in answer:
        raise_answer(str(answer.get("code")), str(answer["error"]))
    return read_answer(RunAnswer, answer, "The datasite")


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """One PySyft call at a time, its printed output dropped and its refusals raised as the platform's errors.

    Raises:
        DatasiteUnreachable: The datasite does not answer.
        WanwuError: What the datasite refused the call with.
    """
    silent = io.StringIO()
    with _one_at_a_time, contextlib.redirect_stdout(silent), contextlib.redirect_stderr(silent), _refusals_raised():
        yield


@contextlib.contextmanager
def _refusals_raised() -> Iterator[None]:
    try:
        yield
    except SyftException as error:
        code, _, text = str(error.public_message).partition(": ")
        if code.startswith("WW"):
            raise_answer(code, text)
        raise FederationError(f"The datasite refused the call: {error.public_message}") from error
    except OSError as error:
        raise DatasiteUnreachable(f"The datasite cannot be reached ({type(error).__name__}).") from error
    except AttributeError as error:
        raise FederationError("The datasite does not offer this request to this account.") from error


def _signature() -> inspect.Signature:
    return inspect.Signature(
        [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in stub.ARGUMENTS]
    )
