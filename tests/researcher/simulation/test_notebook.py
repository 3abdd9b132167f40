"""The notebook of simulations: every cell runs, on drawn pictures and a real Ray cluster."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.hospitals import ENVIRONMENT, PROJECT, draw_pictures
from support.waiting import CEILING_SECONDS

with warnings.catch_warnings():  # jupyter's own imports
    warnings.simplefilter("ignore")
    import nbformat
    from nbclient import NotebookClient

NOTEBOOK = PROJECT / "docs" / "tutorial-simulation.ipynb"


def _told(cell: Any) -> str:
    return "".join(
        str(output.get("text", "")) + str(output.get("data", {}).get("text/plain", "")) for output in cell["outputs"]
    )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_cell_runs_and_the_same_settings_give_the_same_model(tmp_path: Path) -> None:
    for name, pictures in (("pictures", 120), ("hold_out", 40)):
        images, labels = draw_pictures(pictures, seed=len(name))
        np.savez(tmp_path / f"{name}.npz", images=images, labels=labels)
    environment = {
        **ENVIRONMENT,
        "WANWU_DATA": str(tmp_path / "pictures.npz"),
        "WANWU_TEST": str(tmp_path / "hold_out.npz"),
        "WANWU_OUT": str(tmp_path / "out"),
        "WANWU_HOSPITALS": "4",
        "WANWU_ROUNDS": "2",
    }
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=CEILING_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(PROJECT / "docs")}},
    )
    client.execute(env=environment)
    code = [cell for cell in notebook.cells if cell["cell_type"] == "code"]
    assert "alpha-0.3, round 2: accuracy" in _told(code[2])
    assert _told(code[-1]) == "True"
    assert (tmp_path / "out" / "even" / "report.html").is_file()


def test_the_notebook_is_kept_without_outputs() -> None:
    code = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]
    assert code and all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
