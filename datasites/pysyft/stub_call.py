"""An approved stub, run by PySyft from its row of code, with the round's ticket as the text that came.

PySyft's own way to the same execution stores ticket and answer as objects, reads each of them three times, makes the
policies anew five times, and notes every answer in a list that it reads at each further round: 0.2 s of processor time
a round, more with every round. What it checks on that way, beside what the gate has checked, is checked here.
"""

from __future__ import annotations

from typing import Any

from syft.server.credentials import SyftVerifyKey
from syft.service.code.user_code import execute_byte_code
from syft.service.context import AuthedServiceContext
from syft.service.user.user_roles import ServiceRole
from syft.types.errors import SyftException
from syft.types.uid import UID

from policies.contracts.inputs import MAX_TICKET_BYTES
from policies.errors import InputRefused

_PRIVATE = {"kind": "private"}  # the stub's asset is a pointer: pictures are opened by the hospital's runner alone


def run_stub(server: Any, account: SyftVerifyKey, code_id: UID, ticket: str, *, asset: UID | None = None) -> None:
    """Runs a request's code, as its account may see it, if PySyft holds it for approved.

    The gate has read the same row: its code is the stub in every character, its policy pins asset and plan.

    Args:
        server: The PySyft server, in this process.
        account: The key of the researcher's account.
        code_id: The code's identifier.
        ticket: The round's.
        asset: The asset that the call names; None where the way in names none.

    Raises:
        InputRefused: The ticket is longer than any, or the asset is not the one that was approved.
        SyftException: The account may not read the code, it is not approved, or it failed.
    """
    if len(ticket) > MAX_TICKET_BYTES:
        raise InputRefused(f"A ticket must be ASCII JSON text of at most {MAX_TICKET_BYTES} bytes.")
    context = AuthedServiceContext(server=server, credentials=account, role=ServiceRole.DATA_SCIENTIST)
    code = server.services.user_code.stash.get_by_uid(account, code_id).unwrap()
    if not code.get_status(context).unwrap().get_is_approved(context):
        raise SyftException(public_message="Execution denied: the code is waiting for approval.")
    (rules,) = code.input_policy_init_kwargs.values()
    if asset is not None and asset != rules["asset"].val:
        raise InputRefused("The call's asset is not the one that was approved. Take the approved request's dataset.")
    arguments = {"asset": _PRIVATE, "plan": rules["plan"].val, "ticket": str(ticket)}
    executed = execute_byte_code(code, arguments, context)
    if executed.errored:
        raise SyftException(public_message=executed.safe_error_message)
