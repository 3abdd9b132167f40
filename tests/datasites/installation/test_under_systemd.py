"""A datasite that is installed on a machine with a real systemd starts with it, comes back, and goes without a trace.

The machine is a file system of Debian, booted by systemd-nspawn: `make systemd-root` makes it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.booted_machine import BootedMachine, booted, health, put, unpacked
from support.hospitals import write_pictures
from support.systemd_root import ROOT, missing
from support.waiting import wait_for

from datasites.runs.sandbox import landlock

STATE, UNIT, CONSOLE = "/var/lib/wanwu/north", "wanwu-north.service", 8090
FILES = {
    "etc/systemd/system/wanwu-north.service",
    "etc/tmpfiles.d/wanwu-north.conf",
    "etc/sysusers.d/wanwu-north.conf",
}
SETTINGS = """
host = "127.0.0.1"
console_port = 8090

[dataset]
data_path = "/var/lib/pictures/pictures.npz"
site = "north"
"""
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=missing()),
    pytest.mark.skipif(not ROOT.exists(), reason="the machine's file system is not here: make systemd-root"),
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpacked(tmp_path_factory.mktemp("machine"))


@pytest.fixture(scope="module")
def machine(root: Path) -> Iterator[BootedMachine]:
    """A machine with a described datasite whose pictures are read."""
    with booted(root) as made:
        pictures = root.with_name("pictures.npz")
        write_pictures(pictures, sites=("north",), each=60)
        put(made, "/var/lib/pictures/pictures.npz", pictures)
        (root / "var/lib/settings.toml").write_text(SETTINGS)
        made.datasites("init", "--name", "north", "--state", STATE, "--settings", "/var/lib/settings.toml")
        made.datasites("ingest", "--state", STATE, "--yes")
        yield made


@pytest.fixture
def installed(machine: BootedMachine) -> Iterator[BootedMachine]:
    """The machine with the datasite as a service of it."""
    if machine.told(UNIT, "LoadState") != "loaded":
        machine.datasites("install", "--state", STATE, "--yes")
    yield machine


def test_a_dry_run_changes_nothing(machine: BootedMachine) -> None:
    before = machine.files("/etc")
    told = machine.datasites("install", "--state", STATE, "--dry_run").stdout
    assert all(f"/{file}" in told for file in FILES)
    assert machine.files("/etc") == before and machine.told(UNIT, "LoadState") == "not-found"


def test_it_serves_when_systemd_says_that_it_is_active(installed: BootedMachine) -> None:
    assert (installed.told(UNIT, "Type"), installed.told(UNIT, "ActiveState")) == ("notify", "active")
    assert health(installed, CONSOLE) == "serving"
    assert installed.files("/etc").keys() >= FILES
    owner = installed.call("stat", "--format", "%U %a", STATE).stdout.strip()
    user = installed.call("stat", "--format", "%U", f"/proc/{installed.told(UNIT, 'MainPID')}").stdout.strip()
    assert (owner, user) == ("wanwu 700", "wanwu")


def test_it_comes_back_after_a_kill(installed: BootedMachine) -> None:
    before = installed.told(UNIT, "MainPID")
    installed.call("systemctl", "kill", "--kill-who=main", "--signal=KILL", UNIT)

    def back() -> bool:
        return installed.told(UNIT, "MainPID") not in ("0", before) and installed.told(UNIT, "ActiveState") == "active"

    wait_for(back, alive=lambda: installed.lives)
    assert int(installed.told(UNIT, "NRestarts")) >= 1
    assert health(installed, CONSOLE) == "serving"


def test_it_writes_to_its_state_folder_and_nowhere_else(installed: BootedMachine) -> None:
    as_it_is = ["nsenter", "--target", installed.told(UNIT, "MainPID"), "--mount", "runuser", "-u", "wanwu", "--"]
    as_root = as_it_is[:4]
    installed.call(*as_it_is, "touch", f"{STATE}/written")
    installed.call(*as_it_is, "rm", f"{STATE}/written")
    for place in ("/usr/written", "/etc/written", "/opt/written", "/var/lib/written"):
        refused = installed.call(*as_root, "touch", place, check=False)  # the file system refuses it, whoever asks
        assert refused.returncode and "Read-only file system" in refused.stderr, place
    for hidden in ("/home", "/root"):
        assert not installed.call(*as_root, "ls", "-A", hidden, check=False).stdout
    other = installed.call("ls", STATE, user="nobody", check=False)
    assert other.returncode and "Permission denied" in other.stderr


def test_its_process_has_no_capability_and_gets_none(installed: BootedMachine) -> None:
    status = installed.call("cat", f"/proc/{installed.told(UNIT, 'MainPID')}/status").stdout
    told = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert {int(told[name], 16) for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb")} == {0}
    assert told["NoNewPrivs"] == "1"


def test_the_doctor_finds_no_problem_but_a_kernel_without_file_rules(installed: BootedMachine) -> None:
    told = json.loads(installed.datasites("doctor", "--state", STATE, "--json", user="wanwu", check=False).stdout)
    findings = told if isinstance(told, list) else told["findings"]
    problems = {one["check"] for one in findings if one["level"] == "problem"}
    assert problems == (set() if landlock.version() else {"sandbox"})  # runs are refused there


def test_it_starts_with_the_machine(installed: BootedMachine) -> None:
    installed.reboot()
    wait_for(lambda: installed.told(UNIT, "ActiveState") == "active", alive=lambda: installed.lives)
    assert health(installed, CONSOLE) == "serving"
    assert installed.told(UNIT, "NRestarts") == "0"


def test_uninstalling_leaves_the_files_of_others_and_the_state(installed: BootedMachine) -> None:
    own = installed.root / "etc/systemd/system/wanwu-north.service.d/site.conf"
    own.parent.mkdir(parents=True, exist_ok=True)
    own.write_text("[Service]\nMemoryHigh=8G\n")
    changed = installed.root / "etc/tmpfiles.d/wanwu-north.conf"
    changed.write_text(changed.read_text() + "d /var/lib/wanwu/north/extra 0700 wanwu - -\n")
    kept = changed.read_bytes()
    ran = installed.datasites("uninstall", "--state", STATE, "--yes", check=False)
    assert ran.returncode == 1 and f"/{changed.relative_to(installed.root)} was changed" in ran.stdout
    assert own.exists() and changed.read_bytes() == kept
    assert not FILES - {"etc/tmpfiles.d/wanwu-north.conf"} & installed.files("/etc").keys()
    assert (installed.root / STATE.lstrip("/") / "ledger.sqlite").exists()
    own.unlink()
    own.parent.rmdir()
    changed.unlink()


def test_uninstalling_leaves_nothing_but_the_state_and_the_account(machine: BootedMachine) -> None:
    def services() -> set[str]:
        return {name for name in machine.files("/etc") if "wanwu" in name}

    assert not services()
    machine.datasites("install", "--state", STATE, "--yes")
    before = {name: content for name, content in machine.files("/etc").items() if name not in FILES}
    links = _links(machine)
    machine.datasites("uninstall", "--state", STATE, "--yes")
    assert machine.files("/etc") == before and _links(machine) < links
    assert not {one for one in _links(machine) if "wanwu" in one}
    assert machine.told(UNIT, "LoadState") == "not-found" and not health(machine, CONSOLE)
    assert machine.call("id", "wanwu").stdout


def _links(machine: BootedMachine) -> set[str]:
    """Links below /etc: with these systemd starts a unit with the machine."""
    return {str(one) for one in (machine.root / "etc").rglob("*") if one.is_symlink()}
