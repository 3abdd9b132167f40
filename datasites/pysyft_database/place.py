"""The place of PySyft's rows, as the state folder itself knows it, for commands that read no settings.

A folder and a database in PostgreSQL are tied by a number drawn when the rows came there: a copy of a database, or
another datasite's, does not have it. The file is in no backup, since a backup holds the rows themselves.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from datasites.files.private_file import write_private
from datasites.files.state_folder import StateFolder
from datasites.pysyft_database.address import DatabaseAddress
from policies.errors import ConfigError

FILE = "identity/pysyft-database.json"
FILES = "*_json.db"  # what PySyft calls its SQLite file


@dataclass(frozen=True)
class Place:
    """A database in PostgreSQL that holds a datasite's rows.

    Attributes:
        address: Where it is, as `DatabaseAddress.parse` reads it.
        authority: File of the authority that its server is known by; empty on this machine.
        copy: The number that the database has too.
        moving: Whether the rows are on their way there: until it is certain that they arrived, the file counts.
    """

    address: str
    authority: str
    copy: str
    moving: bool = False

    @property
    def where(self) -> DatabaseAddress:
        """Its address, taken apart."""
        return DatabaseAddress.parse(self.address)


def kept_place(state: StateFolder) -> Place | None:
    """Where PostgreSQL has the rows; None where they are in the state folder.

    Raises:
        ConfigError: The file that says so cannot be read.
    """
    place = written_place(state)
    return None if place is None or place.moving else place


def written_place(state: StateFolder) -> Place | None:
    """What the state folder says, also while rows are on their way. Raises as `kept_place`."""
    file = state.path / FILE
    try:
        place = Place(**json.loads(file.read_text()))
        _ = place.where
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, ConfigError) as error:
        raise ConfigError(
            f"{file.name} in the state folder's identity cannot be read: it says where PySyft's rows are. Restore the "
            "folder from a backup.",
            private=repr(error),
        ) from error
    return place


def write_place(state: StateFolder, place: Place) -> None:
    """Writes it in the old one's place."""
    write_private(state.path / FILE, json.dumps(asdict(place), indent=2))


def sqlite_files(state: StateFolder) -> list[Path]:
    """PySyft's databases in the state folder: one, or none."""
    return sorted(state.syft.rglob(FILES))
