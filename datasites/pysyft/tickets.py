"""Puts a round's ticket, which comes in as text, where PySyft looks for the arguments of a call."""

from __future__ import annotations

from typing import Any

from syft.service.action.action_object import ActionObject
from syft.service.context import AuthedServiceContext
from syft.service.user.user_roles import ServiceRole
from syft.types.uid import UID

from policies.contracts.inputs import MAX_TICKET_BYTES
from policies.errors import InputRefused


def keep_ticket(server: Any, api_call: Any) -> UID:
    """Keeps the ticket of a call as the calling account's own object, and returns its identifier.

    Raises:
        InputRefused: It is longer than any ticket.
    """
    text = api_call.message.kwargs["ticket"]
    if len(text) > MAX_TICKET_BYTES:
        raise InputRefused(f"A ticket must be ASCII JSON text of at most {MAX_TICKET_BYTES} bytes.")
    context = AuthedServiceContext(server=server, credentials=api_call.credentials, role=ServiceRole.DATA_SCIENTIST)
    ticket = ActionObject.from_obj(
        syft_action_data=str(text), syft_client_verify_key=api_call.credentials, syft_server_location=server.id
    )
    # PySyft's constructor takes neither; its own services set both like this.
    ticket.syft_server_uid = server.id
    ticket.syft_action_saved_to_blob_store = False
    return server.services.action.set(context, ticket).id
