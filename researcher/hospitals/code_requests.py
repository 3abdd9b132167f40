"""From a plan to a PySyft code request, and from PySyft's refusals to the platform's errors."""

from __future__ import annotations

import contextlib
import inspect
import io
import re
import threading
from collections.abc import Iterator

import syft as sy
from syft.service.code.user_code import SubmitUserCode
from syft.service.policy.policy import Matches, MixedInputPolicy, SingleExecutionExactOutput, UserOwned
from syft.service.response import SyftSuccess
from syft.types.errors import SyftException
from syft.types.uid import UID

from policies.errors import DatasiteUnreachable, FederationError
from policies.plans import stub
from policies.plans.kinds import Plan
from researcher.hospitals.code_request import CodeRequest
from researcher.hospitals.connections.answered_errors import raise_answer
from researcher.hospitals.pysyft_connection import SignedCalls

# What PySyft answers where this very text was submitted before by this account; its own name of an identifier.
_THERE = re.compile(r"Request <?(?:UID: )?([0-9a-f]{32})>? already exists for this UserCode")
_NOT_TOLD = "not-told"
# PySyft's client keeps process-wide registries, so that what uses it goes one at a time. The calls below use none.
_one_at_a_time = threading.RLock()


def submit(calls: SignedCalls, asset: str, plan: Plan, name: str = "") -> CodeRequest:
    """Submits the stub with this plan pinned to this asset.

    Submitted again under one name, a request is not made anew: the one that is there is found.

    Args:
        calls: By the researcher's account.
        asset: Identifier of the dataset's PySyft asset.
        plan: What to ask for.
        name: The stub's, as `stub.new_name` makes it for this plan; a new one if empty.

    Raises:
        WanwuError: What the datasite refused it with.
    """
    name = name or stub.new_name(plan.digest())
    rules = {
        "asset": Matches(kw="asset", val=UID(asset)),
        "plan": sy.Constant(val=plan.to_json()).to_policy_rule("plan"),
        "ticket": UserOwned(kw="ticket", type=str),
    }
    with refusals_raised():
        code = SubmitUserCode(
            code=stub.source(name),
            func_name=name,
            signature=_signature(),
            input_policy_type=MixedInputPolicy,
            input_policy_init_kwargs={calls.identity: rules},
            output_policy_type=SingleExecutionExactOutput,
            output_policy_init_kwargs={},
            input_kwargs=list(stub.ARGUMENTS),
        )
        try:
            answer = calls.make("code.request_code_execution", code=code)
        except SyftException as error:
            if (there := _THERE.search(str(error.public_message))) is None:
                raise
            return CodeRequest(request_id=there[1], function=name, code_id=_NOT_TOLD)
    request = answer.value if isinstance(answer, SyftSuccess) else answer
    try:
        code_id = request.changes[0].linked_user_code.object_uid
        return CodeRequest(request_id=str(request.id), function=name, code_id=str(code_id))
    except (AttributeError, IndexError, TypeError) as error:
        raise FederationError("The datasite answered a submission with something else than a code request.") from error


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """One PySyft call at a time, its printed output dropped and its refusals raised as the platform's errors.

    Raises:
        DatasiteUnreachable: The datasite does not answer.
        WanwuError: What the datasite refused the call with.
    """
    silent = io.StringIO()
    with _one_at_a_time, contextlib.redirect_stdout(silent), contextlib.redirect_stderr(silent), refusals_raised():
        try:
            yield
        except AttributeError as error:  # what an account may not ask for, PySyft's client has no attribute for
            raise FederationError("The datasite does not offer this request to this account.") from error


@contextlib.contextmanager
def refusals_raised() -> Iterator[None]:
    """Raises what PySyft's calls are refused with as the platform's errors.

    Raises:
        DatasiteUnreachable: The datasite does not answer.
        WanwuError: What the datasite refused the call with.
    """
    try:
        yield
    except SyftException as error:
        code, _, text = str(error.public_message).partition(": ")
        if code.startswith("WW"):
            raise_answer(code, text)
        raise FederationError(f"The datasite refused the call: {error.public_message}") from error
    except OSError as error:
        raise DatasiteUnreachable(f"The datasite cannot be reached ({type(error).__name__}).") from error


def _signature() -> inspect.Signature:
    return inspect.Signature(
        [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in stub.ARGUMENTS]
    )
