"""PySyft's server as a datasite runs it: its own secrets, no torch, and of its routes those that researchers need."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import Depends, FastAPI

from datasites import identity as identities
from datasites.identity import Identity, StateFolder
from policies.errors import ConfigError

if TYPE_CHECKING:
    from datasites.accounts import Accounts

SYFT_PREFIX = "/api/v2"
# Of PySyft's routes, those that a researcher's client needs. The others do not exist here; signing in is our own.
SYFT_ROUTES = frozenset({"/metadata", "/api", "/api_call"})


def start_pysyft(state: StateFolder, identity: Identity, *, name: str) -> Any:
    """PySyft's server behind the gate. It reads its environment when it is imported, hence here.

    Raises:
        ConfigError: PySyft's development mode is on.
    """
    refuse_dev_mode()
    environment = identities.environment(state, identity)
    os.environ.update(environment)
    with _without_torch():
        from datasites.guard import GuardedDatasite
    GuardedDatasite.lock = threading.RLock()
    server = GuardedDatasite(name=name, n_consumers=0, create_producer=False, dev_mode=False, log_level="ERROR")
    for variable in environment:
        os.environ.pop(variable)
    _make_private(state.syft)
    return server


def add_pysyft_routes(app: FastAPI, server: Any, accounts: Accounts) -> None:
    """Adds those of PySyft's routes that are open, each for the researcher's own account only."""
    from syft.server.routes import make_routes

    from datasites.own_account import own_account_only

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        routes = make_routes(worker=server)
        routes.routes = [route for route in routes.routes if getattr(route, "path", "") in SYFT_ROUTES]
        app.include_router(routes, prefix=SYFT_PREFIX, dependencies=[Depends(own_account_only(accounts))])


def refuse_dev_mode() -> None:
    """PySyft's development mode weakens keys and shows exceptions; it is switched on by a variable of the environment.

    Raises:
        ConfigError: It is on.
    """
    if os.environ.get("DEV_MODE", "").lower() not in ("", "0", "false"):
        raise ConfigError("The variable DEV_MODE is set, with which PySyft is not safe. Unset it and start again.")


@contextlib.contextmanager
def _without_torch() -> Iterator[None]:
    """Imports inside find no torch. PySyft takes it when it is there, at half a gigabyte and three seconds a server,
    to read and write tensors, which no call on a datasite may carry anyway."""
    if "torch" in sys.modules:
        yield
        return
    sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["torch"]


def _make_private(folder: Path) -> None:
    """PySyft writes its database, with the accounts' keys in it, readable by everyone on the machine."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
