"""The tutorial notebook, cell by cell, against three real datasites that a hospital's people answer for."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.hospitals import (
    CLASSES,
    ENVIRONMENT,
    PROJECT,
    RESEARCHER,
    command,
    draw_pictures,
    requests_of,
    write_pictures,
)
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


@pytest.fixture
def hospitals(tmp_path: Path) -> Iterator[Path]:
    """Three datasites on free ports; the folder of their state folders."""
    write_pictures(tmp_path / "pictures.npz", sites=NAMES, each=100)
    tables = [
        f'[{name}]\nport = {free_port()}\ndata_path = "pictures.npz"\nsite = "{name}"\nresearchers = ["{RESEARCHER}"]\n'
        for name in NAMES
    ]
    (tmp_path / "hospitals.toml").write_text("\n".join(tables))
    config, states = tmp_path / "hospitals.toml", tmp_path / "state"
    launcher = subprocess.Popen(
        [sys.executable, PROJECT / "launch_datasites.py", "--config", config, "--state", states],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=ENVIRONMENT,
    )
    assert launcher.stdout
    try:
        told = []
        for line in launcher.stdout:
            told.append(line)
            if line.startswith("All datasites are ready"):
                break
        else:
            pytest.fail("".join(told))
        yield states
    finally:
        launcher.terminate()
        launcher.wait(timeout=CEILING_SECONDS)
        launcher.stdout.close()


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
def test_every_cell_runs_from_connecting_to_the_curves(hospitals: Path, tmp_path: Path) -> None:
    images, labels = draw_pictures(60, seed=99)
    np.savez(tmp_path / "hold_out.npz", images=images, labels=labels, class_names=np.array(CLASSES))
    out = tmp_path / "study"
    environment = {
        **ENVIRONMENT,
        "WANWU_CREDENTIALS": str(hospitals / "*" / "credentials" / "*.json"),
        "WANWU_TEST": str(tmp_path / "hold_out.npz"),
        "WANWU_OUT": str(out),
        "WANWU_ROUNDS": "2",
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
    }
    with _people_of_the_hospitals(hospitals, out):
        done = _execute(PROJECT / "docs", environment)

    printed = _printed(done)
    assert f"west: denied {REASON}" in printed
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
    assert any(text.startswith("west: waiting") for text in told)
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
