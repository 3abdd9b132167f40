"""A hospital's command that is interrupted while it is imported."""

from __future__ import annotations

import gc
import sys

import pytest

from datasites.__main__ import main as program


def test_an_interrupt_while_the_program_is_imported_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupted:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "datasites.cli":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "datasites.cli", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Interrupted(), *sys.meta_path])
    try:
        assert program() == 130
    finally:
        gc.enable()
    assert capsys.readouterr().err == "Interrupted before anything was begun.\n"
