"""Addresses of a database: read, refused, and never with a password in them or in what is said of them."""

from __future__ import annotations

import pytest

from datasites.config import DatasiteConfig
from datasites.pysyft_database.address import DatabaseAddress
from datasites.pysyft_database.settings import DatabaseSettings
from policies.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "user", "host", "port", "database"),
    [
        ("postgresql://wanwu@db.hospital.org:5433/hospital_a", "wanwu", "db.hospital.org", 5433, "hospital_a"),
        ("postgresql://wanwu@127.0.0.1/a", "wanwu", "127.0.0.1", 5432, "a"),
        ("postgresql://wanwu@[::1]:5432/a", "wanwu", "::1", 5432, "a"),
        ("postgresql://wanwu@/a?host=/run/postgresql", "wanwu", "/run/postgresql", 5432, "a"),
        ("postgresql://wanwu@:5433/a?host=/run/postgresql", "wanwu", "/run/postgresql", 5433, "a"),
    ],
)
def test_an_address_is_read_and_written_back(text: str, user: str, host: str, port: int, database: str) -> None:
    read = DatabaseAddress.parse(text)
    assert (read.user, read.host, read.port, read.database) == (user, host, port, database)
    assert DatabaseAddress.parse(str(read)) == read


@pytest.mark.parametrize(
    "text",
    [
        "wanwu",
        "sqlite:///a",
        "postgresql://db.hospital.org/a",
        "postgresql://wanwu@db.hospital.org",
        "postgresql://wanwu@db.hospital.org:99999/a",
        "postgresql://wanwu@db.hospital.org:0/a",
        "postgresql://wanwu@:0/a?host=/run/postgresql",
        "postgresql://wanwu@db.hospital.org/a?sslmode=disable",
        "postgresql://wanwu@db.hospital.org/a?host=/run/postgresql",
        "postgresql://wanwu@db.hospital.org/a?host=10.0.0.1",
        "postgresql://wanwu@/a?host=/run&host=/tmp2",
        "postgresql://wanwu@db.hospital.org/a#b",
        "postgresql://wanwu@db.hospital.org,10.0.0.1/a",
        "postgresql://wanwu@db.hospital.org/a b",
        "postgresql://wan%20wu@db.hospital.org/a",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="pysyft_database must be empty, or an address"):
        DatabaseAddress.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://wanwu:correct-horse@db.hospital.org/a",
        "postgresql://wanwu:@db.hospital.org/a",
        "postgresql://wanwu@db.hospital.org/a?password=correct-horse",
        "postgresql://wanwu@db.hospital.org/a?sslpassword=correct-horse",
    ],
)
def test_a_password_in_an_address_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ConfigError, match="holds a password") as error:
        DatasiteConfig(name="north", pysyft_database=text, pysyft_database_authority="ca.pem")
    assert "correct-horse" not in error.value.public + error.value.private


def test_nothing_crosses_a_network_in_clear() -> None:
    address = "postgresql://wanwu@db.hospital.org/a"
    with pytest.raises(ConfigError, match="without TLS"):
        DatasiteConfig(name="north", pysyft_database=address)
    DatasiteConfig(name="north", pysyft_database=address, pysyft_database_authority="ca.pem")
    for local in ("localhost", "127.0.0.1", "[::1]"):
        DatasiteConfig(name="north", pysyft_database=f"postgresql://wanwu@{local}/a")


def test_an_authority_alone_and_what_is_no_text_are_refused() -> None:
    with pytest.raises(ConfigError, match="Set both, or none"):
        DatasiteConfig(name="north", pysyft_database_authority="ca.pem")
    with pytest.raises(ConfigError, match="must be a text, got int"):
        DatasiteConfig(name="north", pysyft_database=5)  # type: ignore[arg-type]


def test_settings_come_back_from_their_file() -> None:
    config = DatasiteConfig(name="north", pysyft_database="postgresql://wanwu@127.0.0.1/a")
    assert "pysyft_database = " in config.to_toml()
    assert isinstance(config, DatabaseSettings)
