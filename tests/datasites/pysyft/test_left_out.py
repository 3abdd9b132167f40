"""Packages that PySyft takes in for notebooks, clouds and clusters are not loaded by a datasite."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.hospitals import PROJECT

from datasites.pysyft.left_out import PACKAGES, left_out

# A datasite's PySyft, as a new process imports it; then what of these packages is loaded, and what is found afterwards.
STARTED = f"""
import json, pathlib, sys, tempfile
from datasites.files.state_folder import StateFolder
from datasites.pysyft.server import start_pysyft
from datasites.state.identity import Identity

folder = pathlib.Path(sys.argv[1])
state = StateFolder(folder)
state.syft.mkdir(parents=True)
identity = Identity("5eed" * 8, "ab" * 32, "admin@hospital.org", "planted")
start_pysyft(state, identity, name="north")
loaded = sorted({{name.partition(".")[0] for name in sys.modules}} & {{*{PACKAGES!r}, "torch"}})
from syft.service.worker import utils
try:
    utils.Container()
    refused = ""
except ImportError as error:
    refused = str(error)
import pandas
print(json.dumps([loaded, refused, pandas.DataFrame({{"a": [1, 2]}}).a.sum().item()]))
"""


def test_a_datasite_loads_none_of_them_refuses_their_use_and_finds_them_whole_afterwards(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", STARTED, str(tmp_path / "north")],
        cwd=PROJECT,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    loaded, refused, total = json.loads(ran.stdout.splitlines()[-1])
    assert loaded == []
    assert refused == "docker.models.containers.Container is left out: a datasite does not load that package"
    assert total == 3


def test_what_a_process_has_loaded_before_stays_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] in ("kr8s", "itables")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "itables", json)  # stands for the package itself
    with left_out():
        import itables
        import kr8s.objects

        assert itables is json
        assert issubclass(kr8s.objects.NotFoundError, Exception)
        with pytest.raises(ImportError, match=r"kr8s\.objects\.Pod is left out"):
            kr8s.objects.Pod()
    assert not {"kr8s", "kr8s.objects"} & set(sys.modules)
    assert sys.modules["itables"] is json
