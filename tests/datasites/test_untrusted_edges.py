"""A hostile text in every field that the hospital's people see, in the terminal, the log, a CSV: nothing is obeyed."""

from __future__ import annotations

import copy
import csv
import io
import json
import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from support.hostile_texts import HOSTILE, PLAIN, raw_in

from datasites.approvals.approvals import MAX_REASON, check_reason
from datasites.audit_log import export as audit_export
from datasites.audit_log.log import AuditLog
from datasites.cli import console as console_calls
from datasites.cli import main, requests
from datasites.cli.commands import Chosen
from datasites.config import DatasiteConfig, check_email
from datasites.console.shown import tables
from datasites.console.shown.brief_card import brief_card
from datasites.console.shown.review_card import review_card
from datasites.files.log_lines import LineFormatter
from datasites.sources.class_names import check_class_names
from datasites.sources.dataset_settings import DatasetSettings
from policies.errors import ConfigError, DataError, RequestError

CARD = {
    "id": "0123456789abcdef",
    "state": "pending",
    "researcher": "r@university.org",
    "submitted": "2026-11-27",
    "reason": "why",
    "decided_by": "admin",
    "delta": 1e-5,
    "plan": {
        "study": "cells",
        "kind": "training",
        "dataset": "smears",
        "rounds": 3,
        "model": {"name": "small_cnn", "options": {"width": 16, "activation": "tanh"}},
    },
    "epsilon": 1.0,
    "epsilon_left": 2.0,
    "numbers": 10,
    "digest": "ab",
    "days_waiting": 3,
    "votes_given": 1,
    "own_vote": "approve",
    "votes": [{"person": "first", "vote": "deny", "reason": "no", "given_at": "then"}],
    "approvals_needed": 2,
    "unusual": [{"field": "sample_rate", "text": "large"}],
    "finding": "WW101: no",
}
BUDGET = [
    {
        "dataset": "smears",
        "epsilon_total": 1.0,
        "epsilon_charged": 0.5,
        "epsilon_left": 0.5,
        "delta": 1e-5,
        "studies": [
            {
                "researcher": "r@university.org",
                "study": "cells",
                "epsilon_charged": 0.5,
                "rounds_reserved": 1,
                "rounds_run": 1,
                "ended": False,
                "non_private": False,
            }
        ],
    }
]
RUNS = [
    {
        "id": "run",
        "request_id": "request",
        "round": 0,
        "state": "failed",
        "attempt": 1,
        "progress": 0.5,
        "started": 1.0,
        "ended": 2.0,
        "reason": "why",
        "account": "ab",
        "weights": "cd",
        "code": "WW501",
        "update_digest": "ef",
        "created": 0.5,
        "version": 3,
        "queue_position": 0,
    }
]
RESEARCHERS = [
    {"email": "r@university.org", "state": "valid", "issued": "now", "expires": "then", "revoked": None, "days_left": 3}
]
STAFF = [
    {"name": "anna", "role": "admin", "added_at": "now", "added_by": "owner", "password": True, "second_factor": False}
]
CHANGE = {"name": "epsilon", "before": "8.0", "after": "9.0", "allows_more": True, "means": "more"}
PROPOSAL = {
    **{"id": "ab", "changes": [CHANGE], "values": {"epsilon": 9.0}, "reason": "why", "by": "wu", "at": "now"},
    **{"expires": "then", "confirmed": ["li"]},
}
LIMITS = {
    "limits": {"epsilon": "1.0", "model_sources": '["built_in"]'},
    "changes": [CHANGE],
    "proposal": "ab",
    "people_needed": 3,
    "proposals": [PROPOSAL],
}
REQUESTS = {
    "rows": [
        {
            **{"id": "0123456789abcdef", "arrived_at": "2026-11-27 10:00:00", "researcher": "r@university.org"},
            **{"study": "cells", "kind": "training", "dataset": "smears", "model": "small_cnn", "rounds": 3},
            **{"epsilon": 1.0, "state": "pending"},
        }
    ],
    "next": "0123456789abcdef",
    "counts": {"pending": 1},
    "epsilon_left": {"smears": 2.0},
}
EVENTS = {
    "rows": [{"line": 1, "time": "now", "event": "study", "by": "wu", "details": {"reason": "why"}, "hash": "ab"}],
    "next": None,
}
SHOWN = {
    "card": (review_card, CARD),
    "brief card": (partial(brief_card, datasite="--name north"), CARD),
    "requests": (tables.request_table, REQUESTS),
    "audit": (tables.audit_table, EVENTS),
    "budget": (tables.budget_table, BUDGET),
    "runs": (tables.run_table, {"rows": RUNS, "next": "run"}),
    "researchers": (tables.researcher_table, RESEARCHERS),
    "staff": (tables.staff_table, STAFF),
    "limits": (tables.limits_table, LIMITS),
    "limits change": (tables.limits_change, LIMITS),
}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every text in plain values."""
    if isinstance(value, str):
        yield path
    elif isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, key))


def with_text(value: Any, text: str, *, kept: tuple[str, ...] = ()) -> Any:
    """Plain values with another text in every place but the `kept` ones."""
    changed = copy.deepcopy(value)
    for path in places(value):
        where = changed
        for key in path[:-1]:
            where = where[key]
        if path[-1] not in kept:
            where[path[-1]] = text
    return changed


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("name", SHOWN)
def test_no_table_of_the_hospital_obeys_a_text(name: str, kind: str) -> None:
    table, value = SHOWN[name]
    for kept in (("submitted", "arrived_at"), ("submitted", "arrived_at", "state")):  # a card differs while it waits
        stream = io.StringIO()
        Console(file=stream, width=400, force_terminal=True).print(table(with_text(value, HOSTILE[kind], kept=kept)))
        assert not raw_in(stream.getvalue())
        assert len(stream.getvalue()) < 40_000
        stream.getvalue().encode()


def test_the_name_of_an_option_is_shown_like_its_value() -> None:
    texts = {text[:2000]: text for text in HOSTILE.values()}
    stream = io.StringIO()
    card = {**CARD, "plan": {**CARD["plan"], **texts, "model": texts}}
    Console(file=stream, width=400).print(review_card(card), tables.limits_table({**LIMITS, "limits": texts}))
    assert not raw_in(stream.getvalue())


@pytest.mark.parametrize(
    "name", [*HOSTILE.values(), "", ".", "..", "../budget", "a/b", "a?b", "a#b", "a b", "中文", "%2e"]
)
def test_what_is_no_identifier_reaches_no_route(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """No datasite runs here: a command that asked for one would say so."""
    state = ["--state", "nowhere"]
    about = (
        ["show", *state],
        ["approve", *state],
        ["deny", "--reason", "no", *state],
        ["end", "--reason", "no", *state],
    )
    for command in (*about, ["cancel", *state], ["staff", "remove", *state]):
        assert main([*command, "--", name]) == 2
        told = capsys.readouterr().err
        assert "expected the identifier of a" in told and not raw_in(told)


@pytest.mark.parametrize(
    "value", ["NaN", "Infinity", "-Infinity", "1e999", "[NaN]", "[", "\x1b[31m", "9" * 5000, "[" * 9999]
)
def test_a_limit_that_json_does_not_hold_is_refused_before_it_is_sent(
    value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["limits", "--state", "nowhere", "--set", f"epsilon={value}"]) == 1
    told = capsys.readouterr().err
    assert "Expected NAME=VALUE" in told and not raw_in(told)


@pytest.mark.parametrize("value", ["nine", "yess", "1 to NaN", "1 to 2 to 3", "[" * 9999 + " to 1"])
def test_a_limit_in_words_that_are_none_is_refused_before_it_is_sent(
    value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["limits", "--state", "nowhere", "--set", f"epsilon={value}"]) == 1
    assert "Expected NAME=VALUE" in capsys.readouterr().err


def test_limits_are_sent_as_values_whether_they_were_given_as_json_or_as_people_write_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sent: list[Any] = []
    answer = {"limits": {}, "changes": [], "proposal": "", "people_needed": 1, "proposals": []}
    monkeypatch.setattr(console_calls, "call", lambda *call: sent.append(call[-1]["changes"]) or answer)
    for as_json, as_written in (("false", "no"), ("true", "yes"), ("1e-05", "0.00001"), ("[0.01, 10]", "0.01 to 10")):
        assert main(["limits", "--name", "x", "--set", f"a={as_json}", "--set", f"b={as_written}"]) == 0
        assert sent[-1] == {"a": json.loads(as_json), "b": json.loads(as_json)}
    assert "the limits are so already" in capsys.readouterr().out


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_the_commands_print_what_they_were_answered_and_obey_nothing(
    text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers: dict[str, Any] = {"state": "approved", "id": text, "reason": text, "email": text, "file": text}
    answers |= {"plan": {"rounds": text, "dataset": text}, "epsilon": None, "approvals_needed": 1}
    answers |= {"study": text, "researcher": text, "dataset": text, "rounds_run": 1, "rounds": 2}
    answers |= {"epsilon_left": 1.0, "epsilon_freed": 0.5}
    monkeypatch.setattr(console_calls, "call", lambda *arguments, **named: answers)
    requests.approve(Chosen(), request="x")
    requests.deny(Chosen(), request="x", reason="y")
    requests.end(Chosen(), request="x", reason="y")
    requests.cancel(Chosen(), run="z")
    assert not raw_in(capsys.readouterr().out)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_an_event_of_the_log_is_one_line_and_a_traceback_is_set_in(text: str) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LineFormatter())
    log = logging.Logger("of this test")
    log.addHandler(handler)
    log.warning("%s was refused", text)
    try:
        raise ValueError(text)
    except ValueError:
        log.exception("it failed", stack_info=True)
    lines = stream.getvalue().splitlines()
    assert not raw_in(stream.getvalue())
    assert [("of this test" in line, line.startswith("  | ")) for line in lines[:2]] == [(True, False)] * 2
    assert all(line.startswith("  | ") for line in lines[2:])


def test_the_log_that_is_served_with_writes_its_lines_this_way() -> None:
    source = (Path(console_calls.__file__).parent / "serving.py").read_text()
    assert "setFormatter(LineFormatter())" in source


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_an_exported_audit_log_holds_no_formula_and_no_raw_character(text: str, tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.log")
    log.write(text, reason=text, study=text)
    for file in (tmp_path / "export.csv", tmp_path / "export.jsonl"):
        audit_export.export(tmp_path / "audit.log", file)
        assert not raw_in(file.read_text())
    rows = list(csv.reader((tmp_path / "export.csv").read_text().splitlines()))
    assert all(cell[:1] not in tuple("=+-@") for row in rows for cell in row if cell)
    if len(text) < 1000:
        assert json.loads(rows[1][2])["study"] == text


@pytest.mark.parametrize(
    "reason", ["", "  \n", "x" * (MAX_REASON + 1), *(text for text in HOSTILE.values() if raw_in(text, lines=False))]
)
def test_a_decision_takes_a_reason_in_one_line_of_bounded_length(reason: str) -> None:
    with pytest.raises(RequestError, match="1 to 400 characters") as refused:
        check_reason(reason)
    assert not raw_in(refused.value.public, lines=False)


def test_a_decision_takes_a_reason_in_every_script() -> None:
    for reason in ("x" * MAX_REASON, *PLAIN):
        check_reason(reason)


@pytest.mark.parametrize("text", [text for kind, text in HOSTILE.items() if kind != "long"])
def test_a_class_that_could_not_be_shown_is_not_ingested(text: str) -> None:
    try:
        assert not raw_in("".join(check_class_names(("良性", text))), lines=False)
    except DataError as error:
        assert not raw_in(error.public, lines=False)


@pytest.mark.parametrize("text", [*HOSTILE.values(), *PLAIN], ids=[*HOSTILE, *PLAIN])
def test_a_setting_named_after_a_folder_is_written_so_that_it_reads_back(text: str, tmp_path: Path) -> None:
    try:
        config = DatasiteConfig("north", dataset=DatasetSettings(site=text, class_names=(text, "b")))
    except ConfigError as error:
        assert not raw_in(error.public, lines=False) and "\ud800" in text
        return
    (tmp_path / "config.toml").write_text(config.to_toml())
    assert not raw_in((tmp_path / "config.toml").read_text())
    assert DatasiteConfig.from_toml(tmp_path / "config.toml") == config


@pytest.mark.parametrize("text", [*HOSTILE.values(), "a@b." + "c" * 300, "a/../b@university.org"])
def test_no_hostile_text_is_a_researchers_address(text: str) -> None:
    with pytest.raises(ConfigError):
        check_email(text)
