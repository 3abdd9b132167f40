"""Costs in the hospital's terminal: one rounding for all of them, and what several studies cost together."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from support.console_budgets import fake_ledger, hundredth

from datasites.code_requests.limits.kept_envelopes import KeptEnvelopes, kept_beyond
from datasites.console.shown.review_card import bar
from datasites.console.shown.tables import budget_table, limits_change, limits_table, request_table, run_table
from datasites.review.review import Scope
from policies.terminal.rich_terminal import PlainConsole


def test_a_cost_is_rounded_up_beside_its_bar_as_everywhere_else() -> None:
    assert bar(Scope("dataset", 0.0, 3.1218, 8.0)).endswith(" 0.00 before, 3.13 after, of 8.00")


def test_a_request_shows_its_cost_rounded_up_and_what_kind_it_is_at_eighty_columns() -> None:
    row = {"researcher": "researcher@university.org", "study": "smears", "dataset": "cells"}
    row["arrived_at"] = "2026-11-29T08:00:00+00:00"
    row |= {"state": "pending", "decided_by": "", "model": "scattering_linear"}
    rows = [
        {**row, "id": "5f3c9a1e", "kind": "gram", "rounds": 1, "epsilon": 3.1218},
        {**row, "id": "0c11d2e3", "kind": "training", "rounds": 20, "epsilon": 7.0},
    ]
    console = PlainConsole(record=True, width=80)
    console.print(request_table({"rows": rows, "counts": {"pending": 2}, "epsilon_left": {"cells": 8.0}, "next": None}))
    told = console.export_text()
    assert "3.13" in told and "gram" in told and "training" in told and "researcher@university.org" in told
    assert "No room for the columns model, rounds, dataset. --json tells them" in " ".join(told.split())


def test_runs_show_their_attempt_at_eighty_columns() -> None:
    row = {"id": "782f460bb8f3165b", "request_id": "5f3c9a1e", "round": 1, "state": "done", "attempt": 2}
    row |= {"progress": 1.0, "started": 10.0, "ended": 12.5, "reason": ""}
    row |= {"account": "", "weights": "", "code": "", "update_digest": "", "created": 9.0}
    row |= {"version": 1, "queue_position": 0}
    console = PlainConsole(record=True, width=80)
    console.print(run_table({"rows": [row], "next": None}))
    told = console.export_text()
    assert "attempt" in told and "782f460bb8f3165b" in told and "2.5" in told and "No room" not in told


def test_a_budget_of_several_studies_says_that_their_costs_compose() -> None:
    study = {"researcher": "r@university.org", "epsilon_charged": 2.0, "rounds_run": 1, "rounds_reserved": 1}
    both = [{**study, "study": name, "non_private": False, "ended": False} for name in ("one", "two")]
    for studies, told in ((both[:1], False), (both, True)):
        row = {"dataset": "chest", "epsilon_total": 8.0, "epsilon_charged": 3.0, "epsilon_left": 5.0, "delta": 1e-5}
        console = PlainConsole(record=True, width=200)
        console.print(budget_table([{**row, "studies": studies}]))
        assert ("less than the sum of their costs" in console.export_text()) is told


def test_a_change_of_limits_tells_what_changed_and_nothing_else() -> None:
    change = {"name": "max_rounds", "before": "500", "after": "400", "allows_more": False, "means": "Fewer rounds."}
    answer = {"limits": {"epsilon": "8.0"}, "changes": [change], "proposal": "", "people_needed": 1, "proposals": []}
    for changes, told in (([change], "max_rounds: 500 → 400. Fewer rounds."), ([], "Nothing changes")):
        console = PlainConsole(record=True, width=80)
        console.print(limits_change({**answer, "changes": changes}))
        shown = console.export_text()
        assert shown.startswith(told) and "epsilon" not in shown
    console = PlainConsole(record=True, width=200)
    console.print(limits_change({**answer, "changes": [{**change, "allows_more": True}], "proposal": "ab"}))
    proposed = console.export_text()
    assert "which allows more" in proposed and "limits confirm ab" in proposed


def test_who_lowers_the_budget_below_what_is_reserved_is_told_what_goes_on() -> None:
    books: Any = SimpleNamespace(ledger=fake_ledger(), epsilon_charged=hundredth)
    kept = kept_beyond(books, 2.0)
    assert kept is not None and kept.studies == 1
    assert kept_beyond(books, 2.95) is None, "that holds it"
    held = books.ledger.reservations()
    open_one = next(one for one in held.values() if one.released is None)
    held["without privacy"] = replace(open_one, request_id="without privacy", non_private=True)
    books.ledger.reservations = lambda: held
    kept = kept_beyond(books, 2.0)
    assert kept is not None and kept.studies == 1, "one without privacy keeps nothing of the budget"
    assert (
        KeptEnvelopes(4.9981, 0).told
        == "Spent and reserved are epsilon 5.00 already. No study is approved from then on."
    )
    change = {"name": "epsilon", "before": "8.0", "after": "2.0", "allows_more": False, "means": "Less."}
    answer = {"limits": {}, "changes": [change], "proposal": "", "people_needed": 1, "proposals": []}
    for told, expected in (
        (kept.told, "epsilon 2.95 already. Approved studies that go on with what was reserved for them: 1;"),
        ("", "What was approved before keeps what was reserved for it, and goes on."),
    ):
        console = PlainConsole(record=True, width=300)
        console.print(limits_change({**answer, "kept": told}))
        assert expected in console.export_text()


def test_limits_are_told_as_an_officer_writes_them() -> None:
    limits = {"delta": "1e-05", "epsilon": "8.0", "allow_non_private": "true", "sample_rates": "[0.0001, 1.0]"}
    change = {"name": "delta", "before": "1e-05", "after": "1e-06", "allows_more": False, "means": "Less."}
    answer = {"limits": limits, "changes": [change], "proposal": "", "people_needed": 1, "proposals": []}
    console = PlainConsole(record=True, width=80)
    console.print(limits_table(answer))
    rows = [line.split(maxsplit=1) for line in console.export_text().splitlines()]
    told = {row[0]: row[1].strip() for row in rows if len(row) > 1}
    assert told["delta"] == "0.00001" and told["epsilon"] == "8"
    assert told["allow_non_private"] == "yes" and told["sample_rates"] == "0.0001 to 1"
    console.print(limits_change(answer))
    assert "delta: 0.00001 → 0.000001. Less." in console.export_text()
