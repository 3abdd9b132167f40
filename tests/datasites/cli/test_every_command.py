"""What holds for every command of the hospital: JSON where it has --json, and no traceback whatever it is given."""

from __future__ import annotations

import ast
import inspect
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import references
from support.closed_folders import run_shut_out

from datasites.cli import console, main
from datasites.files.state_folder import StateFolder
from datasites.pages.languages.languages import CODES

PROGRAM = "python -m datasites"
CARD = {
    **{"id": "0123456789abcdef", "state": "approved", "researcher": "r@u.org", "submitted": "2026-11-27"},
    **{"reason": "why", "decided_by": "wu", "delta": 1e-5, "plan": {"rounds": 2, "dataset": "cells"}, "epsilon": 1.0},
}
CHANGE = {"name": "epsilon", "before": "8", "after": "9", "allows_more": True, "means": "more"}
LIMITS = {"limits": {"epsilon": "8"}, "changes": [CHANGE], "proposal": "", "people_needed": 1, "proposals": []}
ENDED = {
    **{"id": "0123456789abcdef", "researcher": "r@u.org", "study": "s", "dataset": "cells", "reason": "over"},
    **{"rounds_run": 1, "rounds": 2, "epsilon_left": 3.25, "epsilon_freed": 0.5},
}
RULE = {
    "rule": {
        **{"name": "weekly", "researcher": "r@u.org", "account": "ab", "dataset": "cells", "dataset_version": 1},
        **{"like": "0123456789abcdef", "plan": "{}", "ranges": [{"name": "rounds", "low": 1.0, "high": 9.0}]},
        **{"max_study_epsilon": 1.0, "max_month_epsilon": 2.0, "ends": "2027-01-01"},
    },
    **{"state": "on", "reason": "why", "people": ["wu"], "at": "2026-11-27T00:00:00+00:00"},
    **{"off_by": "", "off_at": ""},
}
TRIED = {
    **{"request_id": "0123456789abcdef", "study": "s", "arrived_at": "2026-11-20", "state": "denied"},
    **{"approves": False, "reasons": [{"template": "It has not been rehearsed.", "values": {}}]},
}
DRY_RUN = {"rows": [TRIED, {**TRIED, "approves": True, "reasons": []}], "approves": 1, "against_people": 1}
ELSEWHERE = {"hospital": "b", "decision": "denied", "decided_on": "2026-11-20", "reason": "", "fingerprint": "a1b2"}
KNOWN = {"hospital": "b", "fingerprint": "a1b2", "decisions": 2, "latest": "2026-11-20"}
ROLE = {"name": "wu", "role": "admin", "in_force": False, "people": ["a"], "people_needed": 2}
MADE = ["weekly", "--like", "0123", "--study-epsilon", "1", "--month-epsilon", "2", "--until", "2027-01-01"]
# What a running datasite answers to each command that asks one.
ANSWERS: dict[str, tuple[list[str], Any]] = {
    "requests": ([], {"rows": [], "next": None, "counts": {}, "epsilon_left": {}}),
    "show": (["0123"], CARD),
    "approve": (["0123"], CARD),
    "deny": (["0123", "--reason", "no"], {**CARD, "state": "denied"}),
    "return": (["0123", "--reason", "no"], {**CARD, "state": "pending", "votes_given": 1, "approvals_needed": 2}),
    "end": (["0123", "--reason", "over"], ENDED),
    "runs": ([], {"rows": [], "next": None}),
    "cancel": (["ab"], {"id": "ab", "state": "cancelled"}),
    "budget": ([], []),
    "limits": ([], LIMITS),
    "limits confirm": (["ab"], LIMITS),
    "limits withdraw": (["ab"], LIMITS),
    "rules": ([], {"rules": [RULE, {**RULE, "state": "off"}], "people_needed": 1}),
    "rules add": ([*MADE, "--range", "rounds=1..9", "--reason", "why"], {**RULE, "state": "proposed"}),
    "rules dry-run": (["3fa9"], DRY_RUN),
    "rules confirm": (["3fa9"], RULE),
    "rules withdraw": (["3fa9"], {**RULE, "state": "proposed"}),
    "rules off": (["3fa9"], {**RULE, "state": "off"}),
    "enrol": (["r@u.org"], {"file": "f"}),
    "revoke": (["r@u.org"], {"certificates": 1}),
    "researchers": ([], []),
    "staff add": (["wu", "--role", "admin"], {**ROLE, "in_force": True, "file": "f"}),
    "staff role": (["wu", "--role", "admin"], ROLE),
    "elsewhere add": ([__file__], ELSEWHERE),
    "elsewhere list": ([], [KNOWN]),
    "elsewhere remove": (["a1b2"], KNOWN),
    "staff remove": (["wu"], {"name": "wu"}),
    "staff list": ([], []),
    "ledger extract": (["ab", "--out", "made.json"], {"request_id": "ab", "text": "{}"}),
    "ledger show": ([], [{"sequence": 1}]),
    "audit search": ([], {"rows": [], "next": None}),
}
BAD = ("", "../budget", "a/b", "-1", "nan", "1e999", "no/such/file", "/dev/null/x", "\x1b[31m", "\udcff", "中" * 300)


def commands() -> list[str]:
    found = [call for call, _, _ in references.commands(PROGRAM, references.programs()[PROGRAM])]
    return [call.removeprefix(PROGRAM).strip() for call in found]


def command_of(words: str) -> click.Command:
    found: click.Command = references.programs()[PROGRAM]
    for word in words.split():
        assert isinstance(found, click.Group)
        found = found.commands[word]
    return found


def params_of(words: str) -> list[click.Parameter]:
    command = command_of(words)
    return [param for param in command.get_params(click.Context(command)) if "--help" not in param.opts]


def with_json() -> list[str]:
    return [words for words in commands() if any("--json" in param.opts for param in params_of(words))]


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """No datasite runs, and nobody's token is known; the working folder is empty."""
    monkeypatch.delenv("WANWU_STAFF", raising=False)
    monkeypatch.chdir(tmp_path)
    mask = os.umask(0o077)
    yield tmp_path
    os.umask(mask)


# --- JSON ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", ANSWERS)
def test_a_command_that_asks_a_datasite_prints_json_alone_and_a_sentence_or_table_without(
    words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments, answer = ANSWERS[words]
    monkeypatch.setattr(console, "call", lambda *_, **__: answer)
    assert main([*words.split(), *arguments, "--name", "x", "--json"]) == 0
    json.loads(capsys.readouterr().out)
    assert main([*words.split(), *arguments, "--name", "x"]) == 0
    assert capsys.readouterr().out.strip()


def test_a_record_is_written_in_each_language_of_the_console() -> None:
    (language,) = (param for param in params_of("record") if "--language" in param.opts)
    assert isinstance(language.type, click.Choice) and tuple(language.type.choices) == CODES


def test_an_end_says_what_ended_and_what_became_free(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "call", lambda *_, **__: ENDED)
    assert main(["end", "0123", "--reason", "over", "--name", "x"]) == 0
    told = capsys.readouterr().out
    assert "study 's' of r@u.org: over" in told and "1 of 2 rounds" in told
    assert "epsilon 3.25 is left, 0.50 more than before" in told


def _tells_json(function: Callable[..., Any], seen: frozenset[str] = frozenset()) -> bool:
    """Whether a command's own function, or one that it calls in its module, prints JSON where that is asked for."""
    module = inspect.getmodule(function)
    calls = {
        ast.unparse(node.func)
        for node in ast.walk(ast.parse(inspect.getsource(function)))
        if isinstance(node, ast.Call)
    }
    told = {"tell", "say_json", "console.show", "print_report"}
    return bool(calls & told) or any(
        _tells_json(inner, seen | calls)
        for name in calls - seen
        if inspect.isfunction(inner := getattr(module, name, None))
    )


@pytest.mark.parametrize("words", with_json())
def test_every_command_that_has_the_option_uses_it(words: str) -> None:
    callback = command_of(words).callback
    assert callback is not None and _tells_json(inspect.unwrap(callback))


def test_json_of_the_commands_that_read_the_state_folder(
    state: StateFolder, nobody: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--state", str(state.path), "--json"]
    for words in (
        ["audit", "verify"],
        ["audit", "export", "log.csv"],
        ["ledger", "verify"],
        ["backup", "backups"],
        ["upgrade", "--backup", "more"],
        ["dataset", "prune"],
    ):
        assert main([*words, *where]) == 0, capsys.readouterr()
        assert isinstance(json.loads(capsys.readouterr().out), dict), words


# --- bad arguments -------------------------------------------------------------------------------------------------


def _given(param: click.Parameter, value: str) -> list[str]:
    return [value] if isinstance(param, click.Argument) else [f"{param.opts[0]}={value}"]


def _whole(words: str, bad: click.Parameter, value: str, state: Path) -> list[str]:
    """A command line with one bad value, and with what else must be given."""
    line = words.split()
    others: list[str] = []
    for param in params_of(words):
        if param is bad:
            line += _given(param, value) if isinstance(param, click.Option) else []
        elif param.required and isinstance(param, click.Option):
            choices = getattr(param.type, "choices", None)
            line += _given(param, str(choices[0]) if choices else "x")
        if isinstance(param, click.Argument):
            others.append(value if param is bad else "x")
    if bad.name not in ("state", "name"):
        line += ["--state", str(state)]
    return [*line, "--", *others]


def _flawed() -> list[tuple[str, str]]:
    found = []
    for words in commands():
        for param in params_of(words):
            unused = param.name == "as_file" and words not in ANSWERS
            unused |= param.name in ("state", "name") and words == "practice-dicom"
            if not getattr(param, "is_flag", False) and not unused:
                found.append((words, str(param.name)))
    return found


@pytest.mark.parametrize(("words", "name"), _flawed())
def test_no_bad_value_ends_in_a_traceback(
    words: str, name: str, nobody: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = nobody / "north"
    state.mkdir()
    (state / "config.toml").write_text('name = "north"\n')
    (param,) = [one for one in params_of(words) if one.name == name]
    for value in BAD:
        status = main(_whole(words, param, value, state))
        told = capsys.readouterr()
        assert status in (0, 1, 2), (value, told)
        assert "Traceback" not in told.err and (status == 0 or told.err.count("\n") <= 3), (value, told.err)
        assert status == 0 or told.err.strip() or told.out.strip(), value


@pytest.mark.parametrize("value", ["", "../budget", "a/b", "?x=1", "a b", "%2e"])
@pytest.mark.parametrize(
    "words", ["show", "approve", "deny --reason x", "return --reason x", "end --reason x", "cancel"]
)
def test_what_is_no_identifier_is_one_sentence_and_ends_with_2(
    words: str, value: str, nobody: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words.split(), "--name", "x", "--", value]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "expected the identifier of a" in told


@pytest.mark.parametrize("name", ["missing/log.csv", "file/log.csv", "closed/log.csv"])
def test_an_export_to_where_nothing_can_be_written_says_so_and_leaves_nothing(
    name: str, state: StateFolder, nobody: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (nobody / "file").write_text("")
    (nobody / "closed").mkdir()
    if name.startswith("closed"):  # root may write anywhere: the disk says no in its place
        monkeypatch.setattr(os, "fsync", _no_room)
    before = sorted(nobody.rglob("*"))
    assert main(["audit", "export", name, "--state", str(state.path)]) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and ("log.csv" in told or "There is no folder" in told)
    monkeypatch.undo()
    assert sorted(nobody.rglob("*")) == before


def _no_room(descriptor: int) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("words", [["requests"], ["budget"], ["doctor"], ["approve", "0123abcd"], ["ledger", "verify"]])
def test_a_state_folder_of_another_account_is_said_to_be_one(words: list[str], tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    (closed / "config.toml").touch()
    closed.chmod(0)
    done = run_shut_out("datasites", [*words, "--state", "closed"], tmp_path)
    closed.chmod(0o700)
    told = f"WW801: The state folder closed is closed to this account: it is {closed.owner()}'s. Run the command as"
    assert done.returncode == 1 and done.stderr.startswith(told), done.stderr
