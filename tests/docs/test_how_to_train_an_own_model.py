"""The files and commands of the page on own models work as they stand there."""

from __future__ import annotations

import re
import shlex
import sys
import textwrap
from pathlib import Path

import pytest

from policies.graphs.losses.loss_graph import read_loss
from policies.graphs.reading import read_graph
from researcher.cli.program import main

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "how-to-train-an-own-model.md").read_text()
FILES = re.findall(r"`(own_\w+)\.py`.*?```python\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = re.findall(r"^ *python -m researcher (capture .*)$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_captured_there_is_captured(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dict(FILES).keys() == {"own_network", "own_loss"} and len(COMMANDS) == 2
    for name, text in FILES:
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert main(shlex.split(command)) == 0, capsys.readouterr().err
    if "--loss" in command:
        assert read_loss((tmp_path / "loss.graph.json").read_text()).num_classes == 3
    else:
        assert read_graph((tmp_path / "model.graph.json").read_text()).num_classes == 3
        assert (tmp_path / "model.safetensors").is_file()
    for name, _ in FILES:
        sys.modules.pop(name, None)
