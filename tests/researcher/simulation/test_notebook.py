"""The notebooks of simulations: every cell runs, on drawn pictures; one on a real Ray cluster."""

from __future__ import annotations

import json
import re
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
SKEWED = PROJECT / "docs" / "tutorial-skewed-hospitals.ipynb"


def _told(cell: Any) -> str:
    return "".join(
        str(output.get("text", "")) + str(output.get("data", {}).get("text/plain", "")) for output in cell["outputs"]
    )


def _executed(path: Path, environment: dict[str, str]) -> list[Any]:
    """The cells of code of a notebook, with what they gave."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=CEILING_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(PROJECT / "docs")}},
    )
    client.execute(env=environment)
    return [cell for cell in notebook.cells if cell["cell_type"] == "code"]


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
    code = _executed(NOTEBOOK, environment)
    assert "alpha-0.3, round 2: accuracy" in _told(code[2])
    assert _told(code[-1]) == "True"
    assert (tmp_path / "out" / "even" / "report.html").is_file()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_notebook_of_hospitals_that_differ_tells_what_each_gains(tmp_path: Path) -> None:
    images, labels = draw_pictures(600, seed=3)
    np.savez(tmp_path / "pictures.npz", images=images, labels=labels, class_names=np.array(["dark", "bright"]))
    environment = {
        **ENVIRONMENT,
        "WANWU_DATA": str(tmp_path / "pictures.npz"),
        "WANWU_OUT": str(tmp_path / "out"),
        "WANWU_ROUNDS": "2",
        "WANWU_PICTURES": "450",
    }
    code = _executed(SKEWED, environment)
    ran, judged, gained, means = (_told(cell) for cell in code[2:])
    assert ran.count(", without privacy\n") == 10
    assert len(re.findall(r", with epsilon [678]\.\d\d\n", ran)) == 10
    assert judged.count("hospital_") == 10 and "mr_mtl" in judged
    assert "alone" not in gained and gained.count("hospital_") == 10
    assert means.count("at home") == 4 and "epsilon 8" in means
    assert len(list((tmp_path / "out" / "mr_mtl-0.1-8.0").glob("model-hospital_*.safetensors"))) == 5


@pytest.mark.parametrize("notebook", [NOTEBOOK, SKEWED], ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs(notebook: Path) -> None:
    code = [cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"]
    assert code and all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
