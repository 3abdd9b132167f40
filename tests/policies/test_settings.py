"""A setting is declared once: its help, words and default are read from the field that holds it."""

from __future__ import annotations

from dataclasses import dataclass, field

import click
import pytest

from policies.settings import declared, setting
from policies.terminal.commands import option_of


@dataclass(frozen=True)
class Oven:
    heat: float = setting("how hot.", default=180.0)
    rack: str = setting("which", default="low", choices=("low", "high"))
    turns: int | None = setting("how often", default=None, plain=2, derived=True)
    label: str | None = setting("told outside", default=None)
    seen: int = field(default=3)


def test_what_a_field_declares_can_be_read() -> None:
    settings = declared(Oven)
    assert list(settings) == ["heat", "rack", "turns", "label"]
    assert [one.default for one in settings.values()] == [180.0, "low", 2, None]
    assert [one.kind for one in settings.values()] == [float, str, int, str]
    assert [one.derived for one in settings.values()] == [False, False, True, False]
    assert settings["rack"].choices == ("low", "high")


def test_its_option_tells_the_default_and_gives_nothing_unless_it_is_given() -> None:
    settings = declared(Oven)
    options = [option_of(one) for one in settings.values()]
    command = click.Command("bake", params=list(options))
    assert command.make_context("bake", []).params == dict.fromkeys(settings)
    assert command.make_context("bake", ["--turns", "0", "--rack", "high"]).params["turns"] == 0
    with pytest.raises(click.UsageError):
        command.make_context("bake", ["--rack", "middle"])
    assert [one.help for one in options] == [
        "how hot (default 180)",
        "which (default low)",
        "how often (default 2)",
        "told outside",
    ]
