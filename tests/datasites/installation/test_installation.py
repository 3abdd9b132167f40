"""A datasite becomes a service of its machine by files that say who wrote them, and by nothing that was not told."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from datasites.cli import main
from datasites.installation import service, steps
from datasites.installation.service import Service
from datasites.installation.service_manager import tell_service_manager
from datasites.installation.written_files import is_marked, is_unchanged, marked, remove_each, write_each
from policies.errors import ConfigError

SERVICE = Service(
    "north", Path("/var/lib/wanwu/north"), Path("/opt/wanwu/.venv/bin/python"), Path("/opt/wanwu"), "wanwu"
)
CONFIG = 'name = "north"\nport = 8081\n\n[dataset]\ndata_path = "/var/lib/pictures"\n'


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A described datasite; temporary folders and this project count as seen by the service."""
    monkeypatch.setattr(service, "_HIDDEN", ("/nowhere",))
    folder = tmp_path / "north"
    folder.mkdir()
    (folder / "config.toml").write_text(CONFIG)
    return folder


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A machine that was booted with systemd, whose programs only note what they are told."""
    commands: list[str] = []
    monkeypatch.setattr(steps, "_BOOTED", tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(steps, "do", lambda step, of: commands.append(" ".join(step.command) or f"chown {of.account}"))
    return commands


# --- the files ---------------------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd's own check is not on this machine")
def test_systemd_finds_no_fault_in_the_unit(tmp_path: Path) -> None:
    unit = SERVICE.files(tmp_path)
    write_each(unit)
    file = tmp_path / "etc/systemd/system/wanwu-north.service"
    file.write_text(file.read_text().replace(str(SERVICE.python), sys.executable))
    ran = subprocess.run(["systemd-analyze", "verify", str(file)], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_the_unit_says_how_a_datasite_is_run() -> None:
    unit, rights, account = SERVICE.files().values()
    lines = unit.splitlines()
    for line in (
        "User=wanwu",
        "ExecStart=/opt/wanwu/.venv/bin/python -m datasites serve --state /var/lib/wanwu/north",
        "KillMode=mixed",
        "Delegate=yes",
        "ProtectSystem=strict",
        "ReadWritePaths=/var/lib/wanwu/north",
        "WantedBy=multi-user.target",
    ):
        assert line in lines
    assert rights == "d /var/lib/wanwu/north 0700 wanwu - -\n"
    assert account == 'u wanwu - "Wanwu datasite" /var/lib/wanwu -\n'
    assert not any(line.startswith(("RestrictNamespaces", "PrivateDevices", "DeviceAllow")) for line in lines)
    covers = ("ProtectKernelLogs", "ProtectKernelTunables", "ProtectHostname", "ProtectProc", "ProcSubset")
    assert not any(line.startswith(covers) for line in lines), "runs with a GPU mount a /proc of their own"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"account": "root"}, "does not run as root"),
        ({"account": "wan wu"}, "--account must be"),
        ({"account": "wanwu\nExecStart=/bin/sh"}, "--account must be"),
        ({"state": Path("state/north")}, "absolute path"),
        ({"state": Path("/var/lib/wan wu/north")}, "absolute path"),
        ({"state": Path("/var/lib/%h/north")}, "absolute path"),
        ({"state": Path("/home") / "north"}, "below /home"),
        ({"program": Path("/root") / "wanwu"}, "below /root"),
        ({"python": Path("/tmp/python")}, "environment .* below /tmp"),
    ],
)
def test_what_the_service_could_not_read_or_would_read_as_something_else_is_refused(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        Service(**{**vars(SERVICE), **changes})  # type: ignore[arg-type]


def test_an_environment_of_an_interpreter_that_the_service_does_not_see_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden, environment = tmp_path / "hidden", tmp_path / "environment"
    hidden.mkdir(), environment.mkdir()
    (hidden / "python3.11").write_text("")
    (environment / "python").symlink_to(hidden / "python3.11")
    monkeypatch.setattr(service, "_HIDDEN", (str(hidden),))
    with pytest.raises(ConfigError, match=r"The interpreter .*python3\.11 lies below"):
        replace(SERVICE, python=environment / "python")


def test_an_environment_behind_a_link_into_what_the_service_does_not_see_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hidden" / "bin").mkdir(parents=True)
    (tmp_path / "hidden" / "bin" / "python").symlink_to("/usr/bin/env")
    (tmp_path / "environment").symlink_to(tmp_path / "hidden")
    monkeypatch.setattr(service, "_HIDDEN", (str(tmp_path / "hidden"),))
    with pytest.raises(ConfigError, match=r"The environment's folder .*bin lies below"):
        replace(SERVICE, python=tmp_path / "environment" / "bin" / "python")


def test_what_lies_behind_a_link_beside_a_file_is_not_written(tmp_path: Path) -> None:
    file, outside = tmp_path / "etc" / "a.conf", tmp_path / "outside"
    file.parent.mkdir()
    outside.write_text("mine")
    file.with_name(".a.conf.new").symlink_to(outside)
    write_each({file: "one\n"})
    assert outside.read_text() == "mine" and file.read_text() == marked("one\n")
    assert [entry.name for entry in file.parent.iterdir()] == ["a.conf"]


def test_a_file_that_cannot_be_put_in_place_leaves_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fails)
    with pytest.raises(ConfigError, match="cannot be written"):
        write_each({tmp_path / "etc" / "a.conf": "one\n"})
    assert list((tmp_path / "etc").iterdir()) == []


def test_the_service_manager_is_told_once_and_nobody_else_knows_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        tell_service_manager("READY=1")
        tell_service_manager("READY=1")
        assert manager.recv(100) == b"READY=1" and "NOTIFY_SOCKET" not in os.environ
        with pytest.raises(BlockingIOError):
            manager.recv(100)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    tell_service_manager("READY=1")  # a datasite serves, whoever is not there to hear of it


def test_a_file_of_somebody_else_is_neither_written_over_nor_removed(tmp_path: Path) -> None:
    files = {tmp_path / "etc" / "a.conf": "one\n", tmp_path / "etc" / "b.conf": "two\n"}
    first, second = files
    second.parent.mkdir()
    second.write_text("somebody's\n")
    with pytest.raises(ConfigError, match=r"b\.conf is not of an installation"):
        write_each(files)
    assert not first.exists() and second.read_text() == "somebody's\n"
    second.unlink()
    write_each(files)
    assert first.read_text() == marked("one\n") and first.stat().st_mode & 0o777 == 0o644
    write_each({first: "another version's\n"})
    second.write_text(second.read_text() + "changed\n")
    with pytest.raises(ConfigError, match="was changed since it was installed"):
        write_each(files)
    assert first.read_text() == marked("another version's\n")
    assert remove_each(files) == ([first], [second])
    assert not first.exists() and is_marked(second.read_text()) and not is_unchanged(second.read_text())
    assert remove_each({first: ""}) == ([], [])


# --- the commands ------------------------------------------------------------------------------------------------


def test_a_dry_run_shows_every_line_and_writes_nothing(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "root"
    assert main(["install", "--state", str(state), "--root", str(root), "--dry_run"]) == 0
    printed = capsys.readouterr().out
    assert f"ExecStart={sys.executable} -m datasites serve --state {state}" in printed
    assert not root.exists()


def test_what_undoes_an_installation_can_be_pasted_from_any_folder(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["install", "--state", str(state), "--root", "an image", "--yes"]) == 0
    undo = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("To undo it: "))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert main([*shlex.split(undo.partition(" -m datasites ")[2]), "--yes"]) == 0
    assert not [path for path in (tmp_path / "an image").rglob("*") if path.is_file()]


def test_what_was_installed_below_a_root_is_taken_away_again(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "root"
    given = ["--state", str(state), "--root", str(root), "--yes"]
    assert main(["uninstall", *given]) == 1
    assert "is not installed" in capsys.readouterr().err
    assert main(["install", *given, "--account", "north"]) == 0
    undo = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("To undo it: "))
    assert undo.endswith(f" uninstall --state {state} --account north --root {root}")
    unit = root / "etc/systemd/system/wanwu-north.service"
    assert is_unchanged(unit.read_text())
    unit.write_text(unit.read_text() + "Environment=OMP_NUM_THREADS=2\n")
    capsys.readouterr()
    assert main(["uninstall", *given]) == 1
    printed = capsys.readouterr().out
    assert "Files removed: 2." in printed and f"{unit} was changed since it was installed, and stays." in printed
    assert [path for path in root.rglob("*") if path.is_file()] == [unit]


def test_the_machine_is_told_in_order(
    state: Path, told: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    written: list[Path] = []
    monkeypatch.setattr("datasites.installation.installing.write_each", lambda files: written.extend(files))
    assert main(["install", "--state", str(state), "--yes"]) == 0
    assert [str(path) for path in written] == [
        "/etc/systemd/system/wanwu-north.service",
        "/etc/tmpfiles.d/wanwu-north.conf",
        "/etc/sysusers.d/wanwu-north.conf",
    ]
    assert told == [
        "systemd-sysusers wanwu-north.conf",
        "chown wanwu",
        "systemd-tmpfiles --create wanwu-north.conf",
        "systemctl daemon-reload",
        "systemctl enable wanwu-north.service",
        "systemctl start wanwu-north.service",
    ]


@pytest.mark.parametrize("command", ["install", "uninstall"])
def test_nobody_to_ask_is_no_yes(state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    given = ["--state", str(state), "--root", str(tmp_path / "root")]
    if command == "uninstall":
        assert main(["install", *given, "--yes"]) == 0
    assert main([command, *given]) == 1
    assert "Nobody is there to be asked" in capsys.readouterr().err
    assert (tmp_path / "root").exists() == (command == "uninstall")


def test_a_running_datasite_is_not_made_a_service(
    state: Path, told: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    from datasites.files.state_folder import StateFolder
    from datasites.state.lock import hold

    lock = hold(StateFolder(state))
    try:
        assert main(["install", "--state", str(state), "--yes"]) == 1
    finally:
        os.close(lock)
    assert "is running. Stop it first" in capsys.readouterr().err and told == []


def test_a_machine_without_systemd_is_told_what_to_do(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(steps, "_BOOTED", tmp_path / "nothing")
    assert main(["install", "--state", str(state), "--yes"]) == 1
    assert "--root FOLDER" in capsys.readouterr().err


def test_a_step_that_fails_says_what_the_machine_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "systemctl"
    program.write_text("#!/bin/sh\necho no such unit >&2\nexit 5\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="failed with status 5") as refused:
        steps.do(steps.Step(("systemctl", "daemon-reload"), ""), SERVICE)
    assert refused.value.private == "no such unit"
    with pytest.raises(ConfigError, match="is not on this machine"):
        steps.do(steps.Step(("systemd-sysusers", "x.conf"), ""), SERVICE)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_the_state_folder_is_the_accounts_and_links_are_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_HIDDEN", ())
    outside, inside = tmp_path / "outside", tmp_path / "state"
    outside.write_text("mine")
    (inside / "store").mkdir(parents=True)
    (inside / "store" / "file").write_text("")
    (inside / "link").symlink_to(outside)
    for folder in (tmp_path, *tmp_path.parents):
        if not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o001)  # pytest's own, made for this run
    steps.do(steps.Step((), ""), Service("north", inside, Path("/usr/bin/python3"), Path("/opt"), "nobody"))
    owner = (inside / "store" / "file").stat().st_uid
    assert owner != 0 and inside.stat().st_uid == owner and outside.stat().st_uid == 0
    tmp_path.chmod(0o700)
    with pytest.raises(ConfigError, match=f"{tmp_path} lets nobody not through"):
        steps.do(steps.Step((), ""), Service("north", inside, Path("/usr/bin/python3"), Path("/opt"), "nobody"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_that_has_another_name_elsewhere_is_not_given_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_HIDDEN", ())
    (tmp_path / "state" / "store").mkdir(parents=True)
    (tmp_path / "outside").write_text("mine")
    os.link(tmp_path / "outside", tmp_path / "state" / "store" / "file")
    for folder in (tmp_path, *tmp_path.parents):
        if not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o001)  # pytest's own, made for this run
    of = Service("north", tmp_path / "state", Path("/usr/bin/python3"), Path("/opt"), "nobody")
    with pytest.raises(ConfigError, match=r"store/file is a file with another name elsewhere"):
        steps.do(steps.Step((), ""), of)
    assert (tmp_path / "outside").stat().st_uid == 0


def test_root_by_another_name_runs_no_datasite(
    state: Path, told: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = steps.pwd.getpwuid(0)
    monkeypatch.setattr(steps.pwd, "getpwnam", lambda name: root)
    assert main(["install", "--state", str(state), "--account", "toor", "--yes"]) == 1
    assert "toor is root by another name" in capsys.readouterr().err and told == []


def test_a_link_out_of_the_root_is_refused(state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "outside" / "systemd" / "system").mkdir(parents=True)
    (tmp_path / "root" / "etc").symlink_to(tmp_path / "outside")
    assert main(["install", "--state", str(state), "--root", str(tmp_path / "root"), "--yes"]) == 1
    assert "is a link out of" in capsys.readouterr().err
    assert not any(path.is_file() for path in (tmp_path / "outside").rglob("*"))


@pytest.mark.parametrize("running", [False, True])
def test_uninstalling_goes_on_where_it_was_killed_after_the_unit_was_gone(
    state: Path,
    tmp_path: Path,
    told: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    running: bool,
) -> None:
    files = Service.files
    monkeypatch.setattr(Service, "files", lambda self: files(self, tmp_path / "root"))
    monkeypatch.setattr("datasites.installation.installing.refuse_running", _refused if running else lambda of: None)
    made = Service("north", state, Path(sys.executable), state, "wanwu").files()
    unit, *others = made
    write_each(made)
    unit.unlink()
    assert main(["uninstall", "--state", str(state), "--yes"]) == int(running)
    assert told == ([] if running else ["systemctl daemon-reload"])  # systemd disables no unit that it does not find
    assert [path.exists() for path in others] == [running] * len(others)
    assert ("Stop it first" in capsys.readouterr().err) == running


def _refused(of: object) -> None:
    raise ConfigError("It is running. Stop it first.")
