"""Three hospitals as launch_datasites.py starts them, once: what it says, the tutorial's notebook, how they end."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import socket
import stat
import subprocess
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from support.hospitals import (
    CLASSES,
    ENVIRONMENT,
    PROJECT,
    RESEARCHER,
    STRANGER,
    admin_command,
    command,
    draw_pictures,
    requests_of,
    write_pictures,
)
from support.launching import Start, end, launching, read_until, read_until_ready
from support.notebooks import faults
from support.ports import free_port
from support.waiting import CEILING_SECONDS, wait_for

with warnings.catch_warnings():  # jupyter's own imports
    warnings.simplefilter("ignore")
    import nbformat
    from nbclient import NotebookClient

NOTEBOOK = PROJECT / "docs" / "tutorial-first-study.ipynb"
NAMES = ("north", "south", "west")
REASON = "Our ethics board meets on Friday"
OWN = {
    "north": f'researchers = ["{RESEARCHER}", "{STRANGER}"]',
    "south": f'researchers = ["{RESEARCHER}"]\npublic_size = 90',
    "west": f'''researchers = ["{RESEARCHER}"]
[west.limits]
total = {{ epsilon = 9.5, delta = 2e-5 }}
allow_non_private = true''',
}


@dataclass(frozen=True)
class Launch:
    """A launcher whose datasites are ready.

    Attributes:
        process: The launcher.
        states: Folder of the state folders.
        ports: Name → port.
        shown: What it printed until all were ready.
        family: The processes that it started, and theirs.
    """

    process: subprocess.Popen[str]
    states: Path
    ports: dict[str, int]
    shown: str
    family: list[psutil.Process]

    def kill(self, name: str) -> None:
        """Kills one datasite."""
        (served,) = [one for one in self.family if str(self.states / name) in one.cmdline()]
        served.kill()


@pytest.fixture(scope="module")
def start() -> Iterator[Start]:
    with launching() as begin:
        yield begin


@pytest.fixture(scope="module")
def launch(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Launch:
    """Three datasites on free ports, each with settings of its own in the file that describes them."""
    folder = tmp_path_factory.mktemp("launch")
    write_pictures(folder / "pictures.npz", sites=NAMES, each=100)
    first = free_port(3)
    ports = {name: first + index for index, name in enumerate(NAMES)}
    tables = [
        f'[{name}]\nport = {port}\ndata_path = "pictures.npz"\nsite = "{name}"\n{OWN[name]}\n'
        for name, port in ports.items()
    ]
    (folder / "hospitals.toml").write_text("\n".join(tables))
    process = start("--config", folder / "hospitals.toml", "--state", folder / "state")
    shown = read_until_ready(process)
    return Launch(process, folder / "state", ports, shown, psutil.Process(process.pid).children(recursive=True))


@dataclass(frozen=True)
class Ended:
    """What was seen of the end: what was said of a datasite that was killed, and the launcher's exit status."""

    said: str
    status: int


@pytest.fixture(scope="module")
def ended(launch: Launch) -> Ended:
    """Of the three, west was killed, a researcher was revoked at north, and then Ctrl-C was typed."""
    launch.kill("west")
    said = read_until(launch.process, "2 of 3 datasites go on.")
    admin_command("revoke", STRANGER, "--state", launch.states / "north")
    return Ended(said, end(launch.process, signal.SIGINT))


def test_the_launcher_says_where_each_hospital_and_its_private_credentials_are(launch: Launch) -> None:
    assert len(launch.family) >= len(NAMES)
    for name, port in launch.ports.items():
        credentials = launch.states / name / "credentials" / f"{RESEARCHER}.json"
        assert f"https://127.0.0.1:{port}" in launch.shown and str(credentials.parent) in launch.shown
        assert stat.S_IMODE(credentials.stat().st_mode) == 0o600
        assert json.loads(credentials.read_text())["password"] not in launch.shown


@contextlib.contextmanager
def _people_of_the_hospitals(states: Path, study: Path) -> Iterator[None]:
    """Approves the study at two hospitals and denies it at the third, as soon as it is submitted."""

    over = threading.Event()

    def decide() -> None:
        requests = wait_for(lambda: requests_of(study, 3), alive=lambda: not over.is_set())
        for name, request_id in requests.items():
            decision = ["deny", "--reason", REASON] if name == "west" else ["approve"]
            command("-m", "datasites", *decision, request_id, "--state", states / name)

    with ThreadPoolExecutor(1) as people:
        decided = people.submit(decide)
        try:
            yield
        finally:
            over.set()
            decided.result()


def _execute(folder: Path, environment: dict[str, str]) -> Any:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(
        notebook, timeout=CEILING_SECONDS, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    return client.execute(env=environment)


def _printed(notebook: Any) -> str:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(
        str(output.get("text", "")) + str(output.get("data", {}).get("text/plain", "")) for output in outputs
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_cell_runs_from_connecting_to_the_curves(launch: Launch, tmp_path: Path) -> None:
    images, labels = draw_pictures(60, seed=99)
    np.savez(tmp_path / "hold_out.npz", images=images, labels=labels, class_names=np.array(CLASSES))
    out = tmp_path / "study"
    environment = {
        **ENVIRONMENT,
        "WANWU_CREDENTIALS": str(launch.states / "*" / "credentials" / f"{RESEARCHER}.json"),
        "WANWU_TEST": str(tmp_path / "hold_out.npz"),
        "WANWU_OUT": str(out),
        "WANWU_ROUNDS": "2",
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
    }
    with _people_of_the_hospitals(launch.states, out):
        done = _execute(PROJECT / "docs", environment)

    printed = _printed(done)
    assert f"west: denied: {REASON}" in printed
    assert "The rehearsal passes" in printed and "One study can use all of them" in printed
    assert "Finished(after round 2)" in printed and "Nothing is known to differ" in printed
    outputs = [output for cell in done.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 1
    shown = [
        output["data"]["text/html"] for output in outputs if "wanwu" in output.get("data", {}).get("text/html", "")
    ]
    assert [list(faults(html)) for html in shown] == [[]] * 7
    assert all("<svg" in html for html in shown if "Rounds" in html)
    bars = [value for one in done.metadata.widgets.values() for value in one["state"].values()]
    told = [str(value["state"].get("value")).replace("\N{FIGURE SPACE}", " ") for value in bars]
    assert any(text.startswith("north: update received") for text in told)
    assert any(text.startswith("west: left out") for text in told)
    result = json.loads((out / "result.json").read_text())
    assert result["rounds"] == 2
    assert 0 < result["privacy"]["north"]["epsilon"] <= 5.0
    assert result["privacy"]["west"] is None
    assert {"report.html", "global_model.safetensors", "setup.json", "receipts"} <= {
        file.name for file in out.iterdir()
    }


def test_the_notebook_is_kept_without_outputs() -> None:
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


def test_hospitals_of_a_config_have_their_own_limits(launch: Launch) -> None:
    west = launch.states / "west"
    limits = json.loads(admin_command("limits", "--json", "--state", west).stdout)
    assert [limits["limits"][name] for name in ("epsilon", "delta", "allow_non_private")] == ["9.5", "2e-05", "true"]
    admin_command("limits", "--set", "epsilon=2.5", "--state", west)
    assert "epsilon = 2.5" in (west / "config.toml").read_text()
    manifest = json.loads((launch.states / "south" / "store" / "pictures" / "manifest.json").read_text())
    assert manifest["public_size"] == 90


def test_a_datasite_that_ends_is_told_of_and_the_others_go_on_until_all_are_stopped_without_a_trace(
    launch: Launch, ended: Ended
) -> None:
    assert "WW801: Datasite 'west' ended by itself, by SIGKILL" in ended.said
    assert "'north'" not in ended.said and "'south'" not in ended.said
    assert ended.status == 1
    wait_for(lambda: not any(one.is_running() for one in launch.family))
    for port in launch.ports.values():
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("127.0.0.1", port))


@pytest.mark.usefixtures("ended")
def test_a_launcher_that_is_killed_leaves_no_datasite_behind(launch: Launch, start: Start) -> None:
    process = start("--state", launch.states, "--name", "south")
    served = wait_for(lambda: psutil.Process(process.pid).children())
    process.kill()
    process.wait()
    wait_for(lambda: not any(one.is_running() for one in served))


@pytest.mark.usefixtures("ended")
def test_one_hospital_starts_again_over_its_state_with_its_accounts_and_dataset(
    launch: Launch, start: Start, tmp_path: Path
) -> None:
    from policies.errors import SignInFailed
    from researcher.hospitals.federation import Federation

    state = launch.states / "north"
    credentials = state / "credentials" / f"{RESEARCHER}.json"
    before = credentials.read_text()
    (launch.states.parent / "pictures.npz").unlink()
    process = start("--state", launch.states, "--name", "north", "--port", str(launch.ports["north"]))
    read_until_ready(process)
    assert credentials.read_text() == before
    assert not credentials.with_name(f"{STRANGER}.json").exists()  # revoked stays revoked, whatever the settings say
    listed = json.loads(admin_command("researchers", "--json", "--state", state).stdout)
    assert {row["email"]: row["state"] for row in listed} == {RESEARCHER: "valid", STRANGER: "revoked"}
    with Federation.connect(credentials) as federation:
        assert [dataset.name for dataset in federation.datasets()] == ["pictures"]
    wrong = tmp_path / "wrong.json"
    wrong.write_text(json.dumps({**json.loads(before), "password": "guessed"}))
    with pytest.raises(SignInFailed):
        Federation.connect(wrong)
    assert end(process) == 0


@pytest.mark.usefixtures("ended")
def test_a_hospital_whose_books_vanished_is_not_started_as_a_new_one(
    launch: Launch, start: Start, tmp_path: Path
) -> None:
    state = tmp_path / "north"
    shutil.copytree(launch.states / "north", state)
    admin_command("backup", tmp_path / "backups", "--state", state)
    books = ("ledger.sqlite", "ledger.head", "audit.log", "audit.head", "approvals.sqlite", "runs.sqlite")
    for name in books:
        (state / name).unlink(missing_ok=True)
    with pytest.raises(AssertionError, match=r"Datasite 'north' did not start: WW830: .* Ask the hospital's admin"):
        read_until_ready(start("--state", tmp_path, "--name", "north"))
    assert not any((state / name).exists() for name in books)
    state.rename(tmp_path / "lost")
    admin_command("restore", tmp_path / "backups", "--state", state, "--accept_loss")
    found = json.loads(admin_command("doctor", "--json", "--state", state, check=False).stdout)
    assert [one["level"] for one in found if one["check"] in ("ledger", "audit log", "books")] == ["ok"] * 3
