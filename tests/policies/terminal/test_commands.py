"""A program's command line: what its commands are given, how wrong ones are refused, and how each ends."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import pytest
from support.hostile_texts import HOSTILE, raw_in

from policies.errors import ConfigError
from policies.terminal.commands import Commands, argument, option, refuse_together, run, switch


@pytest.fixture
def given() -> dict[str, Any]:
    """What the command of the fixture below was given."""
    return {}


@pytest.fixture
def program(given: dict[str, Any]) -> Commands:
    def measure(**values: Any) -> int:
        """Measures."""
        given.update(values)
        return int(values["status"])

    def fail() -> None:
        """Fails."""
        raise ConfigError("a port is taken", private="by process 17\nof somebody")

    def choose(left: bool, right: bool) -> None:
        """Chooses."""
        refuse_together({"--left": left, "--right": right})

    made = Commands("python -m example", "An example.")
    made.add(
        "measure",
        measure,
        argument("things", "what to measure", repeated=True),
        option("--files", "files", kind=Path, words=True),
        option("--unit", "of it", choices=("mm", "m"), default="mm"),
        option("--level", "of it", kind=float),
        option("--status", "how it ends", kind=int, default=0),
    )
    made.within("further", "Further ones.").add("fail", fail)
    made.add("choose", choose, switch("--left", "left"), switch("--right", "right"))
    return made


def test_what_is_not_given_is_told_apart_from_what_is(program: Commands, given: dict[str, Any]) -> None:
    assert run(program, ["measure"]) == 0
    assert given == {"things": (), "files": (), "unit": "mm", "level": None, "status": 0}
    assert run(program, ["measure", "--level", "0"]) == 0
    assert given["level"] == 0.0


def test_an_option_of_words_takes_all_up_to_the_next_option(program: Commands, given: dict[str, Any]) -> None:
    assert run(program, ["measure", "first", "--files", "a", "b", "--unit", "m", "last", "--files=c", "--", "-x"]) == 0
    assert given["files"] == (Path("a"), Path("b"), Path("c"))
    assert given["things"] == ("first", "last", "-x")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["measure", "--unknown", "1"], "python -m example measure: error: No such option '--unknown'"),
        (["measure", "--level", "high"], "'high' is not a valid float"),
        (["measure", "--unit", "inch"], "'inch' is not one of 'mm', 'm'"),
        (["measure", "--files"], "Option '--files' requires an argument"),
        (["measure", "--le", "1"], "No such option '--le'"),
        (["weigh"], "python -m example: error: No such command 'weigh'"),
        (["further"], "python -m example further: error: Missing command"),
        ([], "python -m example: error: Missing command"),
        (["choose", "--left", "--right"], "--left and --right contradict each other"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_ends_with_2(
    program: Commands, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(program, words) == 2
    printed = capsys.readouterr()
    assert said in printed.err and printed.err.endswith(" --help.\n") and printed.err.count("\n") == 1
    assert not printed.out


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_what_stands_in_a_wrong_command_line_is_shown_and_not_obeyed(
    program: Commands, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["measure", "--unit", text], [f"x{text}"], ["measure", f"--x{text}"]):
        assert run(program, words) == 2
        assert not raw_in(capsys.readouterr().err.removesuffix("\n"), lines=False)


def test_a_command_ends_with_its_own_status_and_an_error_with_that_of_errors(
    program: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(program, ["measure", "--status", "7"]) == 7
    assert run(program, ["further", "fail"]) == 1
    assert capsys.readouterr().err == "WW801: a port is taken\n"
    assert run(program, ["further", "fail"], private=True, failed=3) == 3
    assert capsys.readouterr().err.split("\n", 1)[1] == "  | by process 17\n  | of somebody\n"


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_names_the_commands_in_their_order_and_each_default(
    program: Commands, flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(program, [flag]) == 0
    told = capsys.readouterr().out
    assert told.index("measure") < told.index("further") < told.index("choose")
    assert run(program, ["measure", flag]) == 0
    told = capsys.readouterr().out
    assert "Measures." in told and "--unit mm|m" in told and "(default mm)" in told


def test_a_command_runs_with_garbage_collected_although_its_program_began_without() -> None:
    program = Commands("program", "A program.")
    program.add("look", lambda: int(gc.isenabled()))
    gc.disable()
    try:
        assert run(program, ["look"]) == 1
    finally:
        gc.enable()
