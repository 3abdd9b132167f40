"""A server on another machine is known by its certificate, for its name, by the hospital's authority; or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.certificates import server_certificate
from support.postgresql import ROLE, Server

from datasites.files.state_folder import StateFolder
from datasites.pysyft_database.address import DatabaseAddress
from datasites.pysyft_database.settings import DatabaseSettings
from datasites.pysyft_database.settling import check_reachable
from policies.errors import DatabaseUnavailable


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes every server for one on another machine."""
    monkeypatch.setattr(DatabaseAddress, "is_local", property(lambda _: False))


def refused(north: StateFolder, address: str, authority: Path) -> str:
    """Why libpq does not connect."""
    with pytest.raises(DatabaseUnavailable) as error:
        check_reachable(north, DatabaseSettings(pysyft_database=address, pysyft_database_authority=str(authority)))
    return error.value.private


def test_a_server_is_known_by_certificate_and_name(
    north: StateFolder, postgres: Server, database: str, tmp_path: Path
) -> None:
    certificate, key = server_certificate("localhost")
    own, other = tmp_path / "own.pem", tmp_path / "other.pem"
    own.write_bytes(certificate)
    other.write_bytes(server_certificate("localhost")[0])
    named = f"postgresql://{ROLE}@localhost:{postgres.port}/{database}"
    assert "does not support SSL" in refused(north, named, own)
    with postgres.secured(certificate, key):
        check_reachable(north, DatabaseSettings(pysyft_database=named, pysyft_database_authority=str(own)))
        assert "does not match host name" in refused(north, postgres.address(database), own)
        assert "certificate verify failed" in refused(north, named, other)
        assert "does not exist" in refused(north, named, tmp_path / "none.pem")


def test_no_variable_of_the_environment_sends_it_elsewhere_or_in_clear(
    north: StateFolder, postgres: Server, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = server_certificate("db.hospital.example")
    authority = tmp_path / "authority.pem"
    authority.write_bytes(certificate)
    address = f"postgresql://{ROLE}@db.hospital.example:{postgres.port}/{database}"
    with postgres.secured(certificate, key), monkeypatch.context() as patch:
        for name, value in (("PGHOSTADDR", "127.0.0.1"), ("PGSSLMODE", "disable"), ("PGSSLROOTCERT", "none")):
            patch.setenv(name, value)
        assert "translate host name" in refused(north, address, authority)
