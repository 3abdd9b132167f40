"""PySyft's server as a datasite runs it: behind the gate, with its own secrets, no torch and no notebook."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datasites.files.state_folder import StateFolder
from datasites.pysyft.left_out import left_out
from datasites.pysyft_database.place import kept_place
from datasites.state import identity as identities
from datasites.state.identity import Identity
from policies.errors import ConfigError


def start_pysyft(state: StateFolder, identity: Identity, *, name: str) -> Any:
    """PySyft's server behind the gate. It reads its environment when it is imported, hence here.

    Raises:
        ConfigError: PySyft's development mode is on.
        DatabaseUnavailable: Its database is in PostgreSQL, which does not answer.
    """
    refuse_dev_mode()
    place = kept_place(state)
    environment = identities.environment(state, identity)
    os.environ.update(environment)
    with _as_a_datasite_needs_it():
        from datasites.pysyft.guard import GuardedDatasite
        from datasites.pysyft.own_database import engine_of
    server = GuardedDatasite(
        name=name,
        n_consumers=0,
        create_producer=False,
        dev_mode=False,
        log_level="ERROR",
        engine=engine_of(state, place) if place else None,
    )
    for variable in environment:
        os.environ.pop(variable)
    _make_private(state.syft)
    return server


def refuse_dev_mode() -> None:
    """PySyft's development mode weakens keys and shows exceptions; it is switched on by a variable of the environment.

    Raises:
        ConfigError: It is on.
    """
    if os.environ.get("DEV_MODE", "").lower() not in ("", "0", "false"):
        raise ConfigError("The variable DEV_MODE is set, with which PySyft is not safe. Unset it and start again.")


@contextlib.contextmanager
def _as_a_datasite_needs_it() -> Iterator[None]:
    """Imports inside find no torch, nor what else a datasite leaves out. PySyft takes torch when it is there, at half a
    gigabyte and three seconds a server, to read and write tensors, which no call on a datasite may carry anyway. No
    garbage is looked for meanwhile, nor afterwards among what came: the modules stay, and the search took a sixth of
    their import."""
    with left_out():
        if "torch" in sys.modules:
            yield
            return
        sys.modules["torch"] = None  # type: ignore[assignment]
        gc.disable()
        try:
            yield
        finally:
            gc.freeze()
            gc.enable()
            del sys.modules["torch"]


def _make_private(folder: Path) -> None:
    """PySyft writes its database, with the accounts' keys in it, readable by everyone on the machine."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
