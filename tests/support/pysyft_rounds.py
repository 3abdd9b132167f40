"""A round that is asked for by PySyft's own call of an approved code, as the stub is meant to be called.

The researcher's side asks by a signed route of the datasite. PySyft's call is there too, and is held to the same rules.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import support.imported_pysyft  # noqa: F401

from policies.answers.runs import RunAnswer
from policies.contracts.inputs import Ticket
from researcher.hospitals.code_request import CodeRequest
from researcher.hospitals.code_requests import refusals_raised
from researcher.hospitals.connections.answered_errors import raise_answer
from researcher.hospitals.connections.answers import read_answer

if TYPE_CHECKING:
    from researcher.hospitals.pysyft_connection import SignedCalls


def call(calls: SignedCalls, asset: str, request: CodeRequest, ticket: Ticket) -> RunAnswer:
    """Asks for one round; returns the run's public fields.

    Args:
        calls: By the researcher's account.
        asset: Identifier of the dataset's PySyft asset.
        request: Approved.
        ticket: Of the round.

    Raises:
        WanwuError: What the datasite refused the round with.
    """
    from syft.types.uid import UID

    with refusals_raised():
        result = calls.make("code.call", uid=UID(request.code_id), asset=UID(asset), ticket=ticket.to_text())
    answer = json.loads(result.value)
    if "error" in answer:
        raise_answer(str(answer.get("code")), str(answer["error"]))
    return read_answer(RunAnswer, answer, "The datasite")
