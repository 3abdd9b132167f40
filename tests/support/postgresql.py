"""A PostgreSQL of the tests' own: a server from Debian's package, on a folder and a port of this process."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from support.ports import free_port
from support.waiting import CEILING_SECONDS, wait_for

PASSWORD = "correct horse battery 4711"
ROLE = "wanwu"
_ACCOUNT = "postgres"


def programs() -> Path:
    """Where the newest server's programs are; skips a test where none is installed, or none can be run."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda one: int(one.parts[-3]))
    if not found:
        pytest.skip("no PostgreSQL server is installed: Debian's package 'postgresql'")
    return found[-1].parent


def _as_server() -> dict[str, Any]:
    """Whom the server runs as: it refuses root."""
    if os.geteuid() != 0:
        return {}
    account = pwd.getpwnam(_ACCOUNT)
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


@dataclass
class Server:
    """One server, whose role signs in with a password, also on loopback."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        command = [programs() / "postgres", "-D", self.folder / "data", "-p", str(self.port), "-k", self.folder]
        given = ["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "max_connections=60"]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen([*command, *given], stdout=log, stderr=log, cwd="/", **_as_server())
        wait_for(self._answers)

    def stop(self, number: int = signal.SIGINT) -> None:
        """Stops it, by default as an administrator does in haste: every connection is cut."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(timeout=CEILING_SECONDS)
            self.process = None

    def run(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """What a statement gives, as the server's own administrator."""
        with closing(self._connected(database)) as opened:
            opened.autocommit = True
            with opened.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []

    def new_database(self, name: str, encoding: str = "UTF8") -> str:
        """Makes an empty database of the role; its address on loopback."""
        self.run(f"CREATE DATABASE {name} OWNER {ROLE} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
        return self.address(name)

    @contextmanager
    def replaced(self, name: str) -> Iterator[None]:
        """Inside, another database has this one's name, an empty one to begin with; each time connections are cut."""
        self._named(name, f"{name}_before")
        self.new_database(name)
        try:
            yield
        finally:
            self._named(name, f"{name}_other")
            self._named(f"{name}_before", name)
            self.run(f"DROP DATABASE {name}_other")

    def _named(self, name: str, now: str) -> None:
        self.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        self.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        wait_for(lambda: self.run(f"SELECT 1 FROM pg_stat_activity WHERE datname = '{name}'") == [])
        self.run(f"ALTER DATABASE {name} RENAME TO {now}")
        self.run(f"ALTER DATABASE {now} ALLOW_CONNECTIONS true")

    def copy_of(self, template: str, name: str) -> None:
        """Puts a copy of a database, to which nobody is connected, in the place of another."""
        self.run(f"DROP DATABASE {name}")
        self.run(f"CREATE DATABASE {name} TEMPLATE {template} OWNER {ROLE}")

    @contextmanager
    def secured(self, certificate: bytes, key: bytes) -> Iterator[None]:
        """Inside, it speaks TLS with this certificate."""
        for name, text in (("server.crt", certificate), ("server.key", key)):
            file = self.folder / "data" / name
            file.write_bytes(text)
            file.chmod(0o600)
            if as_server := _as_server():
                os.chown(file, as_server["user"], as_server["group"])
        self._set("SET ssl = on")
        wait_for(lambda: self.run("SHOW ssl") == [("on",)])
        try:
            yield
        finally:
            self._set("RESET ssl")
            wait_for(lambda: self.run("SHOW ssl") == [("off",)])

    @contextmanager
    def letting_in(self, method: str, kind: str = "host") -> Iterator[None]:
        """Inside, who comes by TCP (`host`) or by the socket (`local`) signs in by this method of `pg_hba.conf`."""
        file = self.folder / "data" / "pg_hba.conf"
        before = file.read_text()
        where = "" if kind == "local" else "127.0.0.1/32"
        try:
            self._let_in(f"local all {_ACCOUNT} trust\n{kind} all all {where} {method}\n")
            yield
        finally:
            self._let_in(before)

    def _let_in(self, text: str) -> None:
        """Changes who may sign in how, and waits until the server has read it."""
        (self.folder / "data" / "pg_hba.conf").write_text(text)
        since = self.run("SELECT pg_conf_load_time()")
        self.run("SELECT pg_reload_conf()")
        wait_for(lambda: self.run("SELECT pg_conf_load_time()") != since)

    def _set(self, change: str) -> None:
        self.run(f"ALTER SYSTEM {change}")
        self.run("SELECT pg_reload_conf()")

    def address(self, name: str) -> str:
        return f"postgresql://{ROLE}@127.0.0.1:{self.port}/{name}"

    def _connected(self, database: str) -> Any:
        return psycopg2.connect(host=str(self.folder), port=self.port, user=_ACCOUNT, dbname=database)

    def _answers(self) -> bool:
        assert self.process and self.process.poll() is None, (self.folder / "server.log").read_text()
        try:
            self._connected("postgres").close()
        except psycopg2.OperationalError:
            return False
        return True


@contextmanager
def postgresql() -> Iterator[Server]:
    """A running server, removed afterwards."""
    tools = programs()
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    server = Server(folder, free_port())
    try:
        if as_server := _as_server():
            os.chown(folder, as_server["user"], as_server["group"])
        folder.chmod(0o755)
        made = [tools / "initdb", "-D", folder / "data", "-U", _ACCOUNT, "--locale=C", "--encoding=UTF8", "--no-sync"]
        subprocess.run(
            [*made, "--auth-local=trust", "--auth-host=scram-sha-256"],
            check=True,
            capture_output=True,
            cwd="/",
            **as_server,
        )
        server.start()
        server.run(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'")
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def write_password(state: Path, password: str = PASSWORD) -> Path:
    """The file from which a datasite takes the role's password."""
    file = state / "identity" / "database-password"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(password + "\n")
    file.chmod(0o600)
    return file
