"""The notebook of own models and losses: every cell runs at two hospitals, whose people approve what it submits."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.hospitals import CLASSES, ENVIRONMENT, PROJECT, Hospital, draw_pictures, make_hospital, running
from support.waiting import CEILING_SECONDS

with warnings.catch_warnings():  # jupyter's own imports
    warnings.simplefilter("ignore")
    import nbformat
    from nbclient import NotebookClient

NOTEBOOK = PROJECT / "docs" / "tutorial-own-model.ipynb"


@pytest.fixture(scope="module")
def open_pair(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Iterator[dict[str, Hospital]]:
    """Two hospitals that take own models."""
    folder = tmp_path_factory.mktemp("open")
    made = [make_hospital(folder, name, pictures) for name in ("north", "south")]
    for hospital in made:
        hospital.configure(model_sources=["built_in", "graph"])
    with running(*made) as started:
        yield started


def _told(cell: Any) -> str:
    return "".join(
        str(output.get("text", "")) + str(output.get("data", {}).get("text/plain", "")) for output in cell["outputs"]
    )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_cell_runs_and_an_own_network_learns_by_an_own_loss(
    open_pair: dict[str, Hospital], tmp_path: Path
) -> None:
    images, labels = draw_pictures(60, seed=99)
    np.savez(tmp_path / "hold_out.npz", images=images, labels=labels, class_names=np.array(CLASSES))
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    for name, hospital in open_pair.items():
        (credentials / f"{name}.json").write_bytes(hospital.credentials().read_bytes())
    environment = {
        **ENVIRONMENT,
        "WANWU_CREDENTIALS": str(credentials / "*.json"),
        "WANWU_TEST": str(tmp_path / "hold_out.npz"),
        "WANWU_OUT": str(tmp_path / "study"),
        "WANWU_ROUNDS": "2",
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
    }

    cards: list[str] = []

    def decide(cell: Any, cell_index: int, execute_reply: Any) -> None:
        failed = execute_reply["content"]["status"] == "error"  # and is told with its reason
        if "plan.submit(" in cell["source"] and not failed:
            for hospital in open_pair.values():
                (request,) = hospital.admin_json("requests")
                cards.append(hospital.admin("show", request["id"], "--all").stdout)
                hospital.admin("approve", request["id"])

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(
        notebook,
        timeout=CEILING_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(PROJECT / "docs")}},
        on_cell_executed=decide,  # `on_cell_complete` is called when a cell is sent, before its code has run
    ).execute(env=environment)
    code = [cell for cell in notebook.cells if cell["cell_type"] == "code"]
    captured = next(_told(cell) for cell in code if "captured = " in cell["source"])
    assert "6 BatchNorm layers were replaced by GroupNorm" in captured and "1 layer of Dropout taken out" in captured
    refused = next(_told(cell) for cell in code if "class Centred" in cell["source"])
    assert "values - values.mean(dim=0)" in refused and "reduces over axis 0" in refused
    loss = next(_told(cell) for cell in code if "loss = researcher.capture_loss" in cell["source"])
    assert "mean" in loss and "operators" in loss
    refused = next(_told(cell) for cell in code if "def beside_the_worst" in cell["source"])
    assert "each / each.max()" in refused
    assert "The rehearsal passes" in next(_told(cell) for cell in code if "plan.rehearse()" in cell["source"])
    assert len(cards) == 2 and all("log_softmax" in card for card in cards)
    assert (tmp_path / "study" / "global_model.safetensors").is_file()
    assert json.loads((tmp_path / "own-model.graph.json").read_text())["graph"] == 1


def test_the_notebook_is_kept_without_outputs() -> None:
    code = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]
    assert code and all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
