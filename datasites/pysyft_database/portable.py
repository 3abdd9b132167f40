"""PySyft's rows as one file, whichever database keeps them: what a backup holds, and what any start can begin with."""

from __future__ import annotations

from pathlib import Path

from datasites.files.state_folder import StateFolder
from datasites.pysyft_database.owner import check_owner, owner_of
from datasites.pysyft_database.place import kept_place
from datasites.pysyft_database.postgresql import reading
from datasites.pysyft_database.tables import write_sqlite


def copy_rows(state: StateFolder, target: Path) -> Path | None:
    """Writes what PostgreSQL keeps, as it is at one moment, into the file that PySyft would keep itself.

    Args:
        state: The state folder, which may be served.
        target: The folder that stands for it in a backup.

    Returns:
        The file, mode 0600; None where the rows are in the state folder's own file.

    Raises:
        DatabaseUnavailable, DatabaseRefused: PostgreSQL does not answer, or what answers is not this datasite's.
        OSError, sqlite3.Error: The file cannot be written.
    """
    place = kept_place(state)
    if place is None:
        return None
    with reading(state, place.where, place.authority) as opened:
        check_owner(opened, place)
        server_uid = (owner_of(opened) or ("",))[0]
        file = StateFolder(target).syft / server_uid / "db" / f"{server_uid}_json.db"
        file.parent.mkdir(mode=0o700, parents=True)
        file.touch(mode=0o600, exist_ok=False)
        write_sqlite(opened, file)
    return file
