"""`serve` where it cannot: the reason is one line on standard error, which the log does not take from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from support.hospitals import command, write_pictures
from support.ports import free_port

from datasites.config import DatasiteConfig
from datasites.files.state_folder import StateFolder
from datasites.prepare import stored_pictures, write_config
from datasites.sources.dataset_settings import DatasetSettings


def test_a_start_that_fails_behind_the_log_says_why_on_standard_error_too(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures.npz", sites=("north",), each=60)
    state = StateFolder(tmp_path / "north")
    dataset = DatasetSettings(data_path=str(tmp_path / "pictures.npz"), site="north")
    config = DatasiteConfig("north", free_port(), dataset=dataset)
    write_config(state, config)
    stored_pictures(state, config)
    write_config(state, replace(config, pysyft_database="postgresql://wanwu@127.0.0.1:1/north"))
    done = command("-m", "datasites", "serve", "--state", state.path, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("WW825: ")
    assert line in (state.logs / "datasite.log").read_text()
