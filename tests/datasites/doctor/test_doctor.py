"""The doctor: a healthy state folder passes, and each thing that can be wrong with one is found and named."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections import namedtuple
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support import versioned
from support.books import approve, run_round
from support.certificates import certificate
from support.hospitals import PROJECT
from support.ports import free_port

from datasites.assets.store import MANIFEST
from datasites.config import DatasiteConfig
from datasites.datasets.removal import finish_withdrawals, remove_patients
from datasites.doctor import cluster, dataset_checks, machine, network, seen_gpus, state_checks
from datasites.doctor.examination import CHECKS, examine
from datasites.doctor.finding import OK, PROBLEM, WARNING, ExaminedDatasite, Finding
from datasites.files.private_file import write_private
from datasites.files.state_folder import StateFolder
from datasites.runs.gpus import Gpu
from datasites.runs.kernels.kernel_store import KernelStore
from datasites.runs.sandbox import confinement
from datasites.runs.sandbox.confinement import Piece
from datasites.runs.sandbox.cuda_driver import DriversAnswer
from datasites.runs.sandbox.gpu_trial import GpuTrial, Tried
from datasites.runs.sandbox.limits import RunLimits
from datasites.state.backup import back_up
from datasites.state.lock import hold
from datasites.state.restore import Since, restore
from datasites.training.gpu import requirements
from policies.errors import ConfigError, DatabaseUnavailable


@pytest.fixture
def healthy(state: StateFolder) -> StateFolder:
    config = DatasiteConfig.from_toml(state.config)
    write_private(state.config, config.to_toml().replace("port = 8081", f"port = {free_port()}", 1))
    for path in (state.path, *state.path.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
    return state


def levels(state: StateFolder, *checks: object) -> dict[str, str]:
    return {one.check: one.level for one in examine(ExaminedDatasite(state), checks or CHECKS)}  # type: ignore[arg-type]


def test_a_healthy_stopped_datasite_has_no_problem(healthy: StateFolder) -> None:
    checks = tuple(check for check in CHECKS if check is not machine.sandbox)
    assert [one for one in examine(ExaminedDatasite(healthy), checks) if one.level == PROBLEM] == []


def test_each_check_says_at_least_one_thing_or_has_nothing_to_look_at(healthy: StateFolder) -> None:
    for check in set(CHECKS) - {network.certificates, machine.sandbox, cluster.slurm}:
        assert list(examine(ExaminedDatasite(healthy), (check,))), check


def test_a_file_that_others_may_read_is_a_problem(healthy: StateFolder) -> None:
    (healthy.identity / "datasite.json").chmod(0o644)
    assert levels(healthy, state_checks.rights) == {"rights": PROBLEM}


def test_only_a_piece_that_runs_are_refused_without_is_a_problem(
    healthy: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = tuple(Piece(name, False, "not here") for name in ("file rules", "own account", "control group"))
    monkeypatch.setattr(confinement, "sandbox_report", lambda: report)
    found = {one.text.split(":")[0]: one for one in examine(ExaminedDatasite(healthy), (machine.sandbox,))}
    assert found["no file rules"].level == PROBLEM and "are refused" in found["no file rules"].advice
    assert [found[f"no {name}"].level for name in ("own account", "control group")] == [WARNING, WARNING]
    assert "refused" not in found["no own account"].advice and "Runs with a GPU" in found["no control group"].advice
    text = (
        DatasiteConfig.from_toml(healthy.config).to_toml().replace("require_sandbox = true", "require_sandbox = false")
    )
    write_private(healthy.config, text)
    assert levels(healthy, machine.sandbox) == {"sandbox": WARNING}


def test_a_run_that_may_take_more_gpus_than_there_are_is_warned_of(
    healthy: StateFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _with_tools(tmp_path, monkeypatch, "H200, 143771 MiB, 0 MiB, 9.0", "H200, 143771 MiB, 5 MiB, 9.0")
    assert levels(healthy, machine.gpu) == {"GPU": OK}
    for most, level in ((2, OK), (4, WARNING)):
        text = DatasiteConfig.from_toml(healthy.config).to_toml()
        lines = [f"gpus_per_run = {most}" if line.startswith("gpus_per_run") else line for line in text.splitlines()]
        write_private(healthy.config, "\n".join(lines))
        assert levels(healthy, machine.gpu) == {"GPU": level}, most


@pytest.mark.parametrize(
    ("capability", "word"), [("9.0", "gcc"), ("7.5", "newer GPU"), ("7.0", "runs_per_gpu"), ("[N/A]", "")]
)
def test_what_a_gpu_lacks_for_the_kernels_is_named_with_what_to_install(
    healthy: StateFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capability: str, word: str
) -> None:
    _with_tools(tmp_path, monkeypatch, f"A card, 16000 MiB, 0 MiB, {capability}")
    (tmp_path / "cc").unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    advised = [
        finding.advice for finding in examine(ExaminedDatasite(healthy), (machine.gpu,)) if finding.level == WARNING
    ]
    assert [word in str(advice) for advice in advised] == ([True] if word else [])


def test_headers_that_are_missing_are_named_too(
    healthy: StateFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _with_tools(tmp_path, monkeypatch, "H200, 143771 MiB, 0 MiB, 9.0")
    monkeypatch.setattr(requirements, "_has_headers", lambda: False)
    (found,) = [one for one in examine(ExaminedDatasite(healthy), (machine.gpu,)) if one.level == WARNING]
    assert "headers" in found.text and "python3-dev" in found.advice


def test_compiled_kernels_are_told_with_what_they_take(
    healthy: StateFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _with_tools(tmp_path, monkeypatch, "H200, 143771 MiB, 0 MiB, 9.0")
    (made := tmp_path / "made").mkdir()
    (made / "a.cubin").write_bytes(bytes(3 << 20))
    KernelStore(healthy.kernels).keep("0" * 64, made)
    told = [finding.text for finding in examine(ExaminedDatasite(healthy), (machine.gpu,))]
    assert "kernels of 1 kinds of runs compiled, 3 MiB of at most 1024" in told


def _with_tools(folder: Path, monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    """A machine with these GPUs, a C compiler and Python's headers."""
    monkeypatch.setattr(requirements, "_has_headers", lambda: True)
    for name, said in (("nvidia-smi", lines), ("cc", ())):
        (folder / name).write_text("#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in said))
        (folder / name).chmod(0o700)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    _with_seen(monkeypatch, *[True for _ in lines])


def _with_seen(monkeypatch: pytest.MonkeyPatch, *seen: bool) -> None:
    """A driver that lists as many GPUs, and shows a run those of them that are seen."""
    hidden = Tried(DriversAnswer(0, 304, "CUDA_ERROR_OPERATING_SYSTEM"), {}, {"/proc/modules": "EACCES"})

    def tried(gpu: Gpu, limits: RunLimits, state: Path) -> GpuTrial:
        assert limits.memory_bytes_per_run > 1 << 20 and state.is_dir()
        if seen[gpu.minor]:
            return GpuTrial(gpu, Tried(DriversAnswer(1), {}, {}))
        return GpuTrial(gpu, hidden, Tried(DriversAnswer(1), {}, {}), ("file rules",))

    monkeypatch.setattr(seen_gpus, "find_gpus", lambda: tuple(Gpu(minor, f"GPU-{minor}") for minor in range(len(seen))))
    monkeypatch.setattr(seen_gpus, "try_gpu", tried)


def test_a_gpu_that_runs_do_not_see_is_told_with_what_hides_it(
    healthy: StateFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _with_tools(tmp_path, monkeypatch, "H200, 143771 MiB, 0 MiB, 9.0", "H200, 143771 MiB, 5 MiB, 9.0")
    _with_seen(monkeypatch, True, False)
    found = list(examine(ExaminedDatasite(healthy), (machine.gpu,)))
    (hidden,) = [one for one in found if one.level == WARNING]
    assert hidden.text == (
        "/dev/nvidia1: runs do not see it, and compute on the processor: it is hidden by the sandbox's file rules; "
        "the driver says: error 304, CUDA_ERROR_OPERATING_SYSTEM; refused there: /proc/modules (EACCES)"
    )
    title = hidden.advice.split("'")[1]
    assert f"### {title}\n" in (PROJECT / "docs" / "how-to-deploy-a-datasite.md").read_text()
    assert found[-1].text == "1 of 2 seen by a process that is closed in as a run is"


def test_gpus_that_the_drivers_folder_does_not_list_are_missed(
    healthy: StateFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _with_tools(tmp_path, monkeypatch, "H200, 143771 MiB, 0 MiB, 9.0")
    _with_seen(monkeypatch)
    (found,) = [one for one in examine(ExaminedDatasite(healthy), (machine.gpu,)) if one.level == WARNING]
    assert found.text == "nvidia-smi lists 1, /proc/driver/nvidia 0: runs are leased no others"


def test_a_changed_picture_is_a_problem(healthy: StateFolder) -> None:
    images = healthy.store / "pictures" / "images.npy"
    images.write_bytes(images.read_bytes()[:-1] + b"\x07")
    assert levels(healthy, dataset_checks.dataset) == {"dataset": PROBLEM}


def test_a_declared_size_that_has_no_room_for_everyone_is_warned_of(healthy: StateFolder) -> None:
    manifest = healthy.store / "pictures" / MANIFEST
    described = json.loads(manifest.read_text())
    for declared, found in ((described["num_units"], {}), (described["num_units"] - 1, {"public size": WARNING})):
        write_private(manifest, json.dumps({**described, "public_size": declared}))
        assert {
            name: level for name, level in levels(healthy, dataset_checks.dataset).items() if name == "public size"
        } == found


def test_a_changed_ledger_is_a_problem(healthy: StateFolder) -> None:
    with closing(sqlite3.connect(healthy.ledger)) as table, table:
        table.execute("DROP TRIGGER entries_are_never_updated")
        table.execute("UPDATE entries SET request_id='other' WHERE sequence=2")
    (found,) = examine(ExaminedDatasite(healthy), (state_checks.ledger,))
    assert found.level == PROBLEM and found.text.startswith("WW303")


def test_what_two_checks_fail_with_is_told_once_and_neither_is_passed(healthy: StateFolder) -> None:
    def database(examined: ExaminedDatasite) -> Iterator[Finding]:
        raise DatabaseUnavailable("It does not answer.", private="PostgreSQL at a: refused.")

    def dataset(examined: ExaminedDatasite) -> Iterator[Finding]:
        raise DatabaseUnavailable("It does not answer.", private="PostgreSQL at a: refused.")

    def ledger(examined: ExaminedDatasite) -> Iterator[Finding]:
        raise DatabaseUnavailable("It does not answer.", private="PostgreSQL at b: refused.")

    first, again, other = examine(ExaminedDatasite(healthy), (database, dataset, ledger))
    assert (first.text, first.advice) == ("WW825: It does not answer.", "PostgreSQL at a: refused.")
    assert (again.text, again.advice) == ("it could not be checked: WW825, as told at 'database'", "")
    assert (other.text, other.advice) == ("WW825: It does not answer.", "PostgreSQL at b: refused.")
    assert {one.level for one in (first, again, other)} == {PROBLEM}


def test_an_older_ledger_than_the_audit_log_names_is_a_problem(healthy: StateFolder, tmp_path: Path) -> None:
    made = back_up(healthy, tmp_path / "backups")
    run_round(healthy, "one", 2)
    for name in ("ledger.sqlite", "ledger.head"):
        (healthy.path / f"{name}-wal").unlink(missing_ok=True)
        shutil.copy(made.folder / name, healthy.path / name)
    assert levels(healthy, state_checks.ledger) == {"ledger": PROBLEM}


def test_an_audit_log_whose_end_was_cut_off_is_a_problem(healthy: StateFolder) -> None:
    lines = healthy.audit.read_text().splitlines(keepends=True)
    healthy.audit.write_text("".join(lines[:-1]))
    assert levels(healthy, state_checks.audit) == {"audit": PROBLEM}


def test_an_older_copy_of_the_audit_log_and_its_head_is_noticed_by_the_ledger(healthy: StateFolder) -> None:
    files = (healthy.audit, healthy.audit.with_suffix(".head"))
    older = [file.read_bytes() for file in files]
    for index in (2, 3):
        run_round(healthy, "one", index)
    approve(healthy, "two", study="other")
    for file, content in zip(files, older, strict=True):
        file.write_bytes(content)
    assert levels(healthy, state_checks.ledger, state_checks.audit) == {"ledger": WARNING, "audit log": OK}


def test_a_changed_audit_log_is_a_problem(healthy: StateFolder) -> None:
    healthy.audit.write_text(healthy.audit.read_text().replace("run done", "run gone", 1))
    (found,) = examine(ExaminedDatasite(healthy), (state_checks.audit,))
    assert found.level == PROBLEM and "line 3" in found.advice


def test_the_last_backups_age_is_told(healthy: StateFolder, tmp_path: Path) -> None:
    assert levels(healthy, state_checks.backups) == {"backup": WARNING}
    back_up(healthy, tmp_path / "backups")
    assert levels(healthy, state_checks.backups) == {"backup": OK}


def test_a_restore_that_left_something_unknown_stays_a_warning(healthy: StateFolder, tmp_path: Path) -> None:
    made = back_up(healthy, tmp_path / "backups")
    unknown = restore(made.folder, tmp_path / "unknown", since=Since.UNKNOWN).state
    known = restore(made.folder, tmp_path / "known", since=Since.NOTHING).state
    assert levels(unknown, state_checks.backups)["restore"] == WARNING
    assert "restore" not in levels(known, state_checks.backups)


def test_a_port_that_another_program_has_is_a_problem(healthy: StateFolder) -> None:
    assert levels(healthy, network.ports) == {"researchers' port": OK}
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", ExaminedDatasite(healthy).config.port))
        taken.listen()
        assert levels(healthy, network.ports) == {"researchers' port": PROBLEM}


def test_a_running_datasite_whose_ports_do_not_answer_is_a_problem(healthy: StateFolder) -> None:
    held = hold(healthy)
    try:
        assert levels(healthy, network.ports) == {"researchers' port": PROBLEM, "console's port": PROBLEM}
    finally:
        os.close(held)


def test_a_process_that_a_datasite_left_behind_is_found(healthy: StateFolder) -> None:
    assert levels(healthy, network.processes) == {"processes": OK}
    left = subprocess.Popen([sys.executable, "-c", "input()"], cwd=healthy.logs, stdin=subprocess.PIPE)
    try:
        (found,) = examine(ExaminedDatasite(healthy), (network.processes,))
        assert found.level == PROBLEM and str(left.pid) in found.advice
    finally:
        left.communicate()


@pytest.mark.parametrize("program", ["datasites", "/opt/wanwu/bin/wanwu-datasite"])
def test_processes_of_a_datasite_that_is_served_by_its_name_are_no_orphans(healthy: StateFolder, program: str) -> None:
    child = f"subprocess.Popen([sys.executable, '-c', 'input()'], cwd={str(healthy.logs)!r}, stdin=subprocess.PIPE)"
    script = f"""import subprocess, sys
from pathlib import Path
from datasites.files.state_folder import StateFolder
from datasites.state.lock import hold
held, child = hold(StateFolder(Path({str(healthy.path)!r}))), {child}
print("held", flush=True)
input()
"""
    command = [sys.executable, "-c", script, program, "serve", "--name", "north"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=PROJECT, stdin=pipe, stdout=pipe, text=True) as server:
        assert server.stdout and server.stdout.readline() == "held\n"
        assert levels(healthy, network.processes) == {"processes": OK}
        server.communicate("\n")


def test_a_clock_that_went_back_is_a_problem(healthy: StateFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    class Yesterday(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return datetime.now(UTC) - timedelta(days=1)

    monkeypatch.setattr(machine, "datetime", Yesterday)
    assert levels(healthy, machine.clock) == {"clock": PROBLEM}


def test_a_clock_of_long_ago_is_a_problem(healthy: StateFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    class Unset(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return datetime(1970, 1, 1, 0, 5, tzinfo=UTC)

    monkeypatch.setattr(machine, "datetime", Unset)
    assert levels(healthy, machine.clock) == {"clock": PROBLEM}


@pytest.mark.parametrize(("free", "level"), [(100 << 20, PROBLEM), (1 << 30, WARNING), (64 << 30, OK)])
def test_room_on_the_disk_is_compared_with_what_runs_need(
    healthy: StateFolder, monkeypatch: pytest.MonkeyPatch, free: int, level: str
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1 << 40, 0, free))
    assert levels(healthy, machine.disk) == {"disk": level}


def test_another_pysyft_is_a_problem(healthy: StateFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {"wanwu": "0.1.0", "python": "3.11.7", "torch": "2.14.1", "opacus": "1.6.0", "syft": "0.9.1"}
    monkeypatch.setattr("policies.versions.packages.installed", lambda: installed)
    assert levels(healthy, machine.programs) == {"versions": PROBLEM}


def test_an_expired_certificate_is_a_problem_and_one_near_its_end_a_warning(healthy: StateFolder) -> None:
    for name, days in (("old", -1), ("near", 10), ("new", 300)):
        write_private(healthy.identity / f"{name}.crt", certificate(days))
    found = [one.level for one in examine(ExaminedDatasite(healthy), (network.certificates,))]
    assert found == [WARNING, OK, PROBLEM]


@pytest.mark.parametrize(("days", "level"), [(300, OK), (10, WARNING), (-1, PROBLEM)])
def test_the_consoles_own_certificate_is_looked_at_too(
    healthy: StateFolder, tmp_path: Path, days: int, level: str
) -> None:
    file = tmp_path / "hospital.pem"
    file.write_text(certificate(days))
    config = replace(DatasiteConfig.from_toml(healthy.config), console_certificate=str(file), console_key=str(file))
    write_private(healthy.config, config.to_toml())
    found = list(examine(ExaminedDatasite(healthy), (network.certificates,)))
    assert [(one.level, "hospital.pem" in one.text) for one in found] == [(level, True)]
    assert level == OK or "authority renew it" in found[0].advice


def test_a_check_that_fails_is_a_problem_and_the_others_go_on(healthy: StateFolder) -> None:
    def broken(examined: ExaminedDatasite) -> object:
        raise ZeroDivisionError("inside")

    def refused(examined: ExaminedDatasite) -> object:
        raise ConfigError("a setting", private="which one")

    found = list(examine(ExaminedDatasite(healthy), (broken, refused, machine.programs)))  # type: ignore[arg-type]
    assert [one.level for one in found] == [PROBLEM, PROBLEM, OK]
    assert found[1] == Finding("refused", PROBLEM, "WW801: a setting", "which one")


def test_the_doctor_changes_nothing(healthy: StateFolder) -> None:
    def content() -> dict[str, bytes]:
        files = (path for path in healthy.path.rglob("*") if path.is_file() and not path.name.endswith(".lock"))
        return {str(path): path.read_bytes() for path in files if not path.name.endswith(("-wal", "-shm"))}

    before = content()
    list(examine(ExaminedDatasite(healthy)))
    assert content() == before


# --- versions of the dataset ---


@pytest.fixture
def versions(tmp_path: Path) -> StateFolder:
    """A dataset of two versions, with a study under way on the first."""
    made = versioned.make_state(tmp_path / "versions")
    versioned.reserve(made, "waits", versioned.take(made, versioned.pictures_of(versioned.people(*range(12)))), steps=1)
    versioned.take(made, versioned.pictures_of(versioned.people(12)))
    return made


def test_every_version_is_read_and_a_pruned_one_is_told(versions: StateFolder) -> None:
    assert [one.level for one in examine(ExaminedDatasite(versions), (dataset_checks.dataset,))][:2] == [OK, OK]
    labels = versions.store / "pictures" / "labels.npy"
    content = bytearray(labels.read_bytes())
    content[-8] ^= 1
    labels.write_bytes(content)
    assert levels(versions, dataset_checks.dataset)["dataset"] == PROBLEM


def test_a_study_whose_version_is_not_there_is_a_problem(versions: StateFolder) -> None:
    (versions.store / "pictures" / "images.npy").unlink()
    found = list(examine(ExaminedDatasite(versions), (dataset_checks.dataset,)))
    assert [one.text for one in found if one.level == PROBLEM] == [
        "request waits was approved on version 1, which is not there"
    ]


def test_patients_who_withdrew_after_a_backup_are_a_problem_until_they_are_taken_out_again(
    versions: StateFolder,
) -> None:
    assert levels(versions, dataset_checks.withdrawals) == {"withdrawals": OK}
    remove_patients(versions, "pictures", ["p3"], least=10)
    assert levels(versions, dataset_checks.withdrawals) == {"withdrawals": OK}
    listed = versions.withdrawn.read_text()
    versions.withdrawn.unlink()  # as a restore from an older backup leaves it, with the lost audit log
    assert levels(versions, dataset_checks.withdrawals) == {"withdrawals": PROBLEM}
    finish_withdrawals(versions, "pictures", least=10)
    assert levels(versions, dataset_checks.withdrawals) == {"withdrawals": OK}
    assert versions.withdrawn.read_text() == listed
    shutil.rmtree(versions.store / "pictures@3")
    assert levels(versions, dataset_checks.withdrawals) == {"withdrawals": PROBLEM}
    remove_patients(versions, "pictures", ["p3"], least=10)
    assert levels(versions, dataset_checks.withdrawals) == {"withdrawals": OK}
