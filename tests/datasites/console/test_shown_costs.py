"""Costs in the hospital's terminal: one rounding for all of them, and what several studies cost together."""

from __future__ import annotations

from datasites.console.shown.review_card import _bar
from datasites.console.shown.tables import budget_table
from datasites.review.review import Scope
from policies.terminal.rich_terminal import PlainConsole


def test_a_cost_is_rounded_up_beside_its_bar_as_everywhere_else() -> None:
    assert _bar(Scope("dataset", 0.0, 3.1218, 8.0)).endswith(" 0.00 before, 3.13 after, of 8.00")


def test_a_budget_of_several_studies_says_that_their_costs_compose() -> None:
    study = {"researcher": "r@university.org", "epsilon_charged": 2.0, "rounds_run": 1, "rounds_reserved": 1}
    both = [{**study, "study": name, "non_private": False, "ended": False} for name in ("one", "two")]
    for studies, told in ((both[:1], False), (both, True)):
        row = {"dataset": "chest", "epsilon_total": 8.0, "epsilon_charged": 3.0, "epsilon_left": 5.0, "delta": 1e-5}
        console = PlainConsole(record=True, width=200)
        console.print(budget_table([{**row, "studies": studies}]))
        assert ("less than the sum of their costs" in console.export_text()) is told
