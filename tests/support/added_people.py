"""People of a hospital that tests add, by its state folder's owner alone, as where requests take one person."""

from __future__ import annotations

from pathlib import Path

from datasites.access.people import ADMIN
from datasites.access.staff import Person, Staff

BY_OWNER = Person("admin@clinic.org", ADMIN, named=False)


def add_person(staff: Staff, name: str, role: str, *, url: str = "") -> Path:
    """Adds a person and returns the file to hand over."""
    return staff.add(name, role, by=BY_OWNER, needed=1, url=url).file
