"""launch_datasites.py as an operator runs it: what starts, what it says, what is left when it stops."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image
from support.hospitals import (
    ENVIRONMENT,
    PROJECT,
    RESEARCHER,
    STRANGER,
    command,
    draw_pictures,
    write_pictures,
)
from support.ports import free_port
from support.waiting import CEILING_SECONDS, wait_for

Start = Callable[..., subprocess.Popen[str]]
LAUNCH = PROJECT / "launch_datasites.py"


@contextmanager
def launching() -> Iterator[Start]:
    """Starts launch_datasites.py; what is left running at the end is ended."""
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: str | Path) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(LAUNCH), *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**ENVIRONMENT, "COLUMNS": "160"},
            start_new_session=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


@pytest.fixture
def start() -> Iterator[Start]:
    with launching() as begin:
        yield begin


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[str | Path, ...]]:
    """A hospital that has served, with a researcher revoked, and was killed; the arguments that start it again."""
    folder = tmp_path_factory.mktemp("clinic")
    write_pictures(folder / "pictures.npz", sites=("only",))
    named = ("--name", "clinic_a", "--port", str(free_port()))
    people = ("--researcher", RESEARCHER, "--researcher", STRANGER)
    state = folder / "clinic_a"
    with launching() as start:
        process = start("--state", folder, *named, "--data_path", folder / "pictures.npz", *people)
        _read_until_ready(process)
        command("-m", "datasites", "revoke", STRANGER, "--state", state)
        served = psutil.Process(process.pid).children()
        os.kill(process.pid, signal.SIGKILL)  # its datasite notices, and ends too
        process.wait()
        wait_for(lambda: not any(child.is_running() for child in served))
    (folder / "pictures.npz").unlink()
    return state, named


def _read_until_ready(process: subprocess.Popen[str]) -> str:
    return _read_until(process, "All datasites are ready")


def _read_until(process: subprocess.Popen[str], begins: str) -> str:
    assert process.stdout
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith(begins):
            return "".join(lines)
    raise AssertionError("".join(lines))


def _kill_datasite(launcher: subprocess.Popen[str], state: Path) -> None:
    """Kills the datasite of that state folder, among those that a launcher started."""
    for child in psutil.Process(launcher.pid).children():
        if str(state) in child.cmdline():
            child.kill()
            return
    raise AssertionError(f"no datasite of {state}")


def _end(process: subprocess.Popen[str], number: int = signal.SIGTERM) -> int:
    assert process.stdout
    process.send_signal(number)
    status = process.wait(timeout=CEILING_SECONDS)
    process.stdout.close()
    return status


def test_the_demo_hospitals_start_print_where_they_are_and_stop_without_a_trace(start: Start, tmp_path: Path) -> None:
    first = free_port(3)
    process = start("--state", tmp_path, "--port", str(first))
    shown = _read_until_ready(process)
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) >= 3
    for index, name in enumerate(("hospital_a", "hospital_b", "hospital_c")):
        credentials = tmp_path / name / "credentials" / f"{RESEARCHER}.json"
        assert f"https://127.0.0.1:{first + index}" in shown and str(credentials.parent) in shown
        assert stat.S_IMODE(credentials.stat().st_mode) == 0o600
        assert json.loads(credentials.read_text())["password"] not in shown
    assert _end(process, signal.SIGINT) == 0
    wait_for(lambda: not any(child.is_running() for child in children))
    for port in range(first, first + 3):
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("127.0.0.1", port))


def test_one_hospital_starts_again_over_its_state_with_its_accounts_and_dataset(
    start: Start, clinic: tuple[Path, tuple[str | Path, ...]], tmp_path: Path
) -> None:
    from policies.errors import SignInFailed
    from researcher.hospitals.federation import Federation

    state, named = clinic
    credentials = state / "credentials" / f"{RESEARCHER}.json"
    before = credentials.read_text()
    process = start("--state", state.parent, *named)
    _read_until_ready(process)
    assert credentials.read_text() == before
    assert not credentials.with_name(f"{STRANGER}.json").exists()  # revoked stays revoked, whatever the settings say
    listed = json.loads(command("-m", "datasites", "researchers", "--json", "--state", state).stdout)
    assert {row["email"]: row["state"] for row in listed} == {RESEARCHER: "valid", STRANGER: "revoked"}
    with Federation.connect(credentials) as federation:
        assert [dataset.name for dataset in federation.datasets()] == ["pictures"]
    wrong = tmp_path / "wrong.json"
    wrong.write_text(json.dumps({**json.loads(before), "password": "guessed"}))
    with pytest.raises(SignInFailed):
        Federation.connect(wrong)
    assert _end(process) == 0


def test_a_hospital_whose_books_vanished_is_not_started_as_a_new_one(
    start: Start, clinic: tuple[Path, tuple[str | Path, ...]], tmp_path: Path
) -> None:
    state = tmp_path / "clinic_a"
    shutil.copytree(clinic[0], state)
    command("-m", "datasites", "backup", tmp_path / "backups", "--state", state)
    books = ("ledger.sqlite", "ledger.head", "audit.log", "audit.head", "approvals.sqlite", "runs.sqlite")
    for name in books:
        (state / name).unlink(missing_ok=True)
    with pytest.raises(AssertionError, match=r"Datasite 'clinic_a' did not start: WW830: .* Ask the hospital's admin"):
        _read_until_ready(start("--state", tmp_path, *clinic[1]))
    assert not any((state / name).exists() for name in books)
    state.rename(tmp_path / "lost")
    command("-m", "datasites", "restore", tmp_path / "backups", "--state", state, "--accept_loss")
    found = json.loads(command("-m", "datasites", "doctor", "--json", "--state", state, check=False).stdout)
    assert [one["level"] for one in found if one["check"] in ("ledger", "audit log", "books")] == ["ok"] * 3


def test_a_folder_of_pictures_of_several_sizes_and_hospitals_is_taken_as_it_is(start: Start, tmp_path: Path) -> None:
    for index, hospital in enumerate(("St. Anna", "Charité 2")):
        images, labels = draw_pictures(60, seed=index)
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            folder = tmp_path / "data" / hospital / ("dark", "bright")[label]
            folder.mkdir(parents=True, exist_ok=True)
            size = (20, 24) if number % 2 else (16, 16)
            Image.fromarray(np.ascontiguousarray(image[:, :, 0])).resize(size).save(folder / f"{number}.png")
    process = start(
        "--state",
        tmp_path / "state",
        "--data_path",
        tmp_path / "data",
        "--port",
        str(free_port(2)),
        "--image_size",
        "16",
    )
    _read_until_ready(process)
    for name in ("st._anna", "charite_2"):
        manifest = json.loads((tmp_path / "state" / name / "store" / "pictures" / "manifest.json").read_text())
        assert manifest["image_shape"] == [16, 16, 1] and manifest["class_names"] == ["bright", "dark"]
    assert _end(process) == 0


def _sentence(*arguments: str | Path) -> str:
    done = command(LAUNCH, *arguments, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr and done.stderr.count("\n") <= 2
    return done.stderr


def test_a_taken_port_is_one_sentence_and_nothing_is_half_started(tmp_path: Path) -> None:
    first = free_port(3)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first + 2))
        taken.listen()
        assert f"Port {first + 2}" in _sentence("--state", tmp_path, "--port", str(first))
    assert not (tmp_path / "hospital_a").exists()


def test_a_missing_folder_is_one_sentence(tmp_path: Path) -> None:
    said = _sentence(
        "--state", tmp_path, "--name", "a", "--port", str(free_port()), "--data_path", tmp_path / "nowhere"
    )
    assert "No pictures at" in said and "nowhere" in said
    assert "nowhere" in _sentence("--state", tmp_path, "--data_path", tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("[a\nport = 1", "not valid TOML"),
        ("[a]\nport = 'x'", "port must be a whole number"),
        ("[a]\nporrt = 8081", "Unknown setting 'porrt'"),
        ("[a]\nhost = '0.0.0.0'", "public_names"),
        ("[a]\nport = 8081\n[b]\nport = 8081", "Two hospitals have the port 8081"),
        ("[a]\n[a.limits]\nmax_rounds = 0", "max_rounds must be a whole number"),
        ("", "names no hospital"),
    ],
)
def test_a_broken_config_is_one_sentence(tmp_path: Path, toml: str, said: str) -> None:
    (tmp_path / "hospitals.toml").write_text(toml)
    assert said in _sentence("--state", tmp_path, "--config", tmp_path / "hospitals.toml")


def test_hospitals_of_a_config_start_with_their_own_limits(start: Start, tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures.npz", sites=("x", "y"))
    first = free_port(2)
    (tmp_path / "hospitals.toml").write_text(
        f"""
        [x]
        port = {first}
        data_path = "pictures.npz"
        site = "x"
        [x.limits]
        total = {{ epsilon = 3.5, delta = 1e-6 }}
        allow_non_private = true
        [y]
        port = {first + 1}
        data_path = "pictures.npz"
        site = "y"
        public_size = 90
        """
    )
    process = start("--state", tmp_path / "state", "--config", tmp_path / "hospitals.toml")
    _read_until_ready(process)
    limits = json.loads(command("-m", "datasites", "limits", "--json", "--state", tmp_path / "state" / "x").stdout)
    assert [limits["limits"][name] for name in ("epsilon", "delta", "allow_non_private")] == ["3.5", "1e-06", "true"]
    command("-m", "datasites", "limits", "--set", "epsilon=2.5", "--state", tmp_path / "state" / "x")
    assert "epsilon = 2.5" in (tmp_path / "state" / "x" / "config.toml").read_text()
    manifest = json.loads((tmp_path / "state" / "y" / "store" / "pictures" / "manifest.json").read_text())
    assert manifest["public_size"] == 90
    _kill_datasite(process, tmp_path / "state" / "y")
    said = _read_until(process, "1 of 2 datasites go on.")
    assert "WW801: Datasite 'y' ended by itself, by SIGKILL" in said and "'x'" not in said
    assert json.loads(command("-m", "datasites", "limits", "--json", "--state", tmp_path / "state" / "x").stdout)
    assert _end(process) == 1
