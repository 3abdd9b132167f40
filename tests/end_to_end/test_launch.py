"""launch_datasites.py as an operator calls it: what it starts, and what it says where it cannot.

What it says and leaves of hospitals that run: test_launched_hospitals.py.
"""

from __future__ import annotations

import json
import signal
import socket
import stat
from pathlib import Path

import numpy as np
import psutil
import pytest
import references
from PIL import Image
from support.hospitals import RESEARCHER, command, draw_pictures
from support.launching import LAUNCH, end, launching, read_until_ready
from support.ports import free_port
from support.waiting import wait_for

from datasites.config import DatasiteConfig
from datasites.files.state_folder import StateFolder
from datasites.launching.wanted import Wanted, described, made_ready
from datasites.prepare import stored_pictures, write_config
from launch_datasites import make_program
from policies.errors import ConfigError


def _described(*words: str | Path) -> list[DatasiteConfig]:
    return described(Wanted(**references.understood(make_program(), [str(word) for word in words])))


def test_without_arguments_three_demo_hospitals_with_drawn_pictures_are_started(tmp_path: Path) -> None:
    configs = _described("--state", tmp_path)
    assert [(one.name, one.port) for one in configs] == [
        ("hospital_a", 8081),
        ("hospital_b", 8082),
        ("hospital_c", 8083),
    ]
    assert {one.researchers for one in configs} == {(RESEARCHER,)}
    assert {Path(one.dataset.data_path).parent for one in configs} == {tmp_path / "drawn"}


@pytest.mark.slow
def test_the_demo_hospitals_start_print_where_they_are_and_stop_without_a_trace(tmp_path: Path) -> None:
    first = free_port(3)
    with launching() as start:
        process = start("--state", tmp_path, "--port", str(first))
        shown = read_until_ready(process)
        children = psutil.Process(process.pid).children(recursive=True)
        assert end(process, signal.SIGINT) == 0
    assert len(children) >= 3
    for index, name in enumerate(("hospital_a", "hospital_b", "hospital_c")):
        credentials = tmp_path / name / "credentials" / f"{RESEARCHER}.json"
        assert f"https://127.0.0.1:{first + index}" in shown and str(credentials.parent) in shown
        assert stat.S_IMODE(credentials.stat().st_mode) == 0o600
        assert json.loads(credentials.read_text())["password"] not in shown
    wait_for(lambda: not any(child.is_running() for child in children))
    for port in range(first, first + 3):
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("127.0.0.1", port))


def test_a_folder_of_pictures_of_several_sizes_and_hospitals_is_taken_as_it_is(tmp_path: Path) -> None:
    for index, hospital in enumerate(("St. Anna", "Charité 2")):
        images, labels = draw_pictures(60, seed=index)
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            folder = tmp_path / "data" / hospital / ("dark", "bright")[label]
            folder.mkdir(parents=True, exist_ok=True)
            size = (20, 24) if number % 2 else (16, 16)
            Image.fromarray(np.ascontiguousarray(image[:, :, 0])).resize(size).save(folder / f"{number}.png")
    configs = _described("--state", tmp_path, "--data_path", tmp_path / "data", "--image_size", "16")
    assert {config.name for config in configs} == {"st._anna", "charite_2"}
    for config in configs:
        state = StateFolder(tmp_path / "state" / config.name)
        write_config(state, config)
        manifest = stored_pictures(state, config)
        assert manifest.image_shape == (16, 16, 1) and manifest.class_names == ("bright", "dark")


def test_what_is_not_read_again_is_told_and_config_toml_keeps_where_the_pictures_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, labels = draw_pictures(60, seed=0)
    np.savez(tmp_path / "pictures.npz", images=images, labels=labels, class_names=["dark", "bright"])
    named = ("--state", tmp_path, "--name", "a", "--port", str(free_port()))
    (state,) = made_ready(_described(*named, "--data_path", tmp_path / "pictures.npz"), tmp_path)
    before = state.config.read_bytes()
    capsys.readouterr()
    made_ready(_described(*named, "--data_path", "/nonexistent", "--image_size", "8"), tmp_path)
    told = capsys.readouterr().out
    assert "Not read again: data_path" in told and "/nonexistent was asked" in told and "8 x 8 was asked" in told
    assert state.config.read_bytes() == before


def test_a_hospital_that_exists_is_checked_and_its_config_is_not_written(tmp_path: Path) -> None:
    images, labels = draw_pictures(60, seed=0)
    np.savez(tmp_path / "pictures.npz", images=images, labels=labels, class_names=["dark", "bright"])
    named = ("--state", tmp_path, "--name", "a", "--port", free_port(), "--data_path", tmp_path / "pictures.npz")
    (config,) = _described(*named)
    (state,) = made_ready([config], tmp_path)
    state.config.write_text("# ours\n" + state.config.read_text())
    before = state.config.read_bytes()
    made_ready([config], tmp_path)
    assert state.config.read_bytes() == before


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


def test_a_taken_port_is_told_with_the_option_that_chooses_others(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = DatasiteConfig(name="north", port=taken.getsockname()[1])
        with pytest.raises(ConfigError, match="choose another port: --port, or port of its table in --config"):
            made_ready([config], tmp_path)
