"""The context of the hospital's own calls to PySyft's services, inside the datasite's process."""

from __future__ import annotations

from typing import Any

from syft.service.context import AuthedServiceContext
from syft.service.user.user_roles import ServiceRole


def admin_context(server: Any) -> AuthedServiceContext:
    """The context in which the hospital's own process calls PySyft's services."""
    return AuthedServiceContext(server=server, credentials=server.verify_key, role=ServiceRole.ADMIN)
