"""`researcher serve` as a process: what it refuses, what it never writes, and how it stops."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from support.dicom_files import made, written
from support.served_models import as_file, one_colour
from support.waiting import CEILING_SECONDS

from researcher.cli import main

PROJECT = Path(__file__).resolve().parents[3]

NOT_FLAGGED = "No picture is flagged as unlike the training ones: give public ones of their kind, --public_pictures.\n"


def _no_file_may_grow() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


@pytest.fixture
def process(model: Path) -> Iterator[subprocess.Popen[str]]:
    """A server that the system lets write to no file at all; what it prints goes into pipes."""
    command = [sys.executable, "-m", "researcher", "serve", "--model_path", str(model), "--port", "0"]
    with subprocess.Popen(
        command,
        cwd=PROJECT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=_no_file_may_grow,
    ) as started:
        yield started
        started.kill()


def test_pictures_are_answered_without_a_written_byte_and_what_is_under_way_when_it_stops_too(
    process: subprocess.Popen[str], tmp_path: Path
) -> None:
    assert process.stdout is not None
    url = process.stdout.readline().split()[2]
    noise = as_file(np.random.default_rng(0).integers(0, 256, (1200, 1200, 3), dtype=np.uint8))
    assert len(noise) > 1 << 21  # larger than what frameworks keep of a form in memory
    dicom = written(made(np.zeros((16, 16))), tmp_path / "PLANTED-FILE.dcm").read_bytes()
    files = [("pictures", ("PLANTED-FILE.png", noise)), ("pictures", ("PLANTED-FILE.dcm", dicom))]
    answer = httpx.post(f"{url}/v1/classify", files=files, timeout=CEILING_SECONDS)
    assert [len(one["classes"]) for one in answer.json()["pictures"]] == [3, 3]
    httpx.post(f"{url}/v1/classify", files=[("pictures", ("PLANTED-FILE.png", noise[:-9]))], timeout=CEILING_SECONDS)

    content = as_file(one_colour(255, 0, 0))
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), CEILING_SECONDS) as sock:
        head = f"POST /v1/classify HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(content)}\r\n"
        sock.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
        assert sock.recv(4096).startswith(b"HTTP/1.1 100")  # the request is under way
        process.send_signal(signal.SIGTERM)
        sock.sendall(content)
        answered = b""
        while part := sock.recv(4096):
            answered += part
    assert answered.startswith(b"HTTP/1.1 200")
    said = process.stdout.read()
    assert process.wait(CEILING_SECONDS) == 0
    assert "PLANTED" not in said
    assert said == NOT_FLAGGED


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--host", "0.0.0.0"], "--token_file"),
        (["--max_pictures", "0"], "max_pictures"),
        (["--certificate", "cert.pem"], "belong together"),
        (["--token_file", "no-such-file"], "cannot be read"),
    ],
    ids=["network", "range", "half of TLS", "no token"],
)
def test_settings_that_cannot_be_served_are_refused_before_anything_listens(
    model: Path, capsys: pytest.CaptureFixture[str], options: list[str], told: str
) -> None:
    assert main(["serve", "--model_path", str(model), *options]) == 1
    assert told in capsys.readouterr().err


def test_a_file_that_is_no_exported_model_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(b"no model")
    assert main(["serve", "--model_path", str(file)]) == 1
    assert "WW840" in capsys.readouterr().err


def test_a_port_that_is_taken_is_told(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert main(["serve", "--model_path", str(model), "--port", port]) == 1
    assert "choose another port: --port." in capsys.readouterr().err
