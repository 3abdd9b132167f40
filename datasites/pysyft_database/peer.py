"""The account that a Unix socket's server runs as: others of this machine get neither a password nor a row."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from datasites.pysyft_database.address import DatabaseAddress
from policies.errors import DatabaseRefused, DatabaseUnavailable

UNREACHABLE = (
    "The hospital's database of accounts and requests cannot be reached. Try again later; no round is charged twice."
)
SERVERS = ("root", "postgres")


def peer_of(address: DatabaseAddress) -> str:
    """The name of the account that a socket belongs to, of which libpq then asks the kernel whether it answers.

    Raises:
        DatabaseUnavailable: There is no such socket.
        DatabaseRefused: It is of another account than root, postgres and the datasite's own.
    """
    socket = Path(address.host) / f".s.PGSQL.{address.port}"
    try:
        owner = socket.stat().st_uid
    except OSError as error:
        raise DatabaseUnavailable(
            UNREACHABLE,
            private=f"There is no socket {socket} ({error.strerror}). Is PostgreSQL running, and is this its folder?",
        ) from error
    name = _name(owner)
    if name is None or (owner != os.geteuid() and name not in SERVERS):
        raise DatabaseRefused(
            "The socket of the hospital's database is of another account than PostgreSQL's: nothing was sent there.",
            private=f"{socket} belongs to {name or owner}. It must belong to {' or '.join(SERVERS)}, or to the "
            "datasite's own account. Who made it? Name the folder of PostgreSQL's own socket in pysyft_database.",
        )
    return name


def _name(uid: int) -> str | None:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None
