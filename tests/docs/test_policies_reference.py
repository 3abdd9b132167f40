"""docs/ref-policies.md and its neighbours say what the code says."""

from __future__ import annotations

import json
import re
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest
import references

from datasites.config import DatasiteConfig
from datasites.training.privacy_audit.faults import FAULTS
from policies.__main__ import make_program
from policies.answers.runs import ChargedRunAnswer
from policies.budget import accountant
from policies.budget.limits import DatasetLimits
from policies.ledger.receipt import Receipt, RoundEntry
from policies.plans.objective.objective_spec import ObjectiveSpec
from policies.plans.releases import EvaluationPlan, ReleaseSpec, StatisticsPlan
from policies.plans.training import ModelSpec, PrivacySpec, RunSpec, ServerSpec, TrainingPlan

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "ref-policies.md").read_text()
PLANS = (
    TrainingPlan,
    PrivacySpec,
    ModelSpec,
    RunSpec,
    ServerSpec,
    ObjectiveSpec,
    EvaluationPlan,
    StatisticsPlan,
    ReleaseSpec,
)
PAGES = ("ref-policies.md", "explanation-privacy-guarantees.md", "explanation-sharp-edges.md")


def section(heading: str) -> str:
    """The text between a heading and the next of any level."""
    _, found, rest = PAGE.partition(f"\n{heading}\n")
    assert found, heading
    return re.split(r"\n##+ ", rest)[0]


def rows(heading: str) -> dict[str, list[str]]:
    """First cell of each row of a section's table → the other cells, without the head."""
    lines = [line.strip("|").split("|") for line in section(heading).splitlines() if line.startswith("| `")]
    return {cells[0].strip().strip("`"): [cell.strip() for cell in cells[1:]] for cells in lines}


def shown(default: Any, factory: Any) -> str:
    if factory is not MISSING:
        return "`RunSpec()`" if factory is RunSpec else f"`{json.dumps(factory())}`"
    if isinstance(default, ServerSpec | ObjectiveSpec):
        return f"`{type(default).__name__}()`"
    return "" if default is MISSING else f"`{json.dumps(default)}`"


def test_every_limit_stands_there_with_its_default_its_unit_and_its_effect():
    written = DatasiteConfig(name="x").to_toml().split("[limits]\n")[1]
    defaults = dict(line.split(" = ", 1) for line in written.strip().splitlines())
    table = rows("## Limits")
    assert set(table) == {f.name for f in fields(DatasetLimits)} == set(defaults)
    for name, (default, unit, effect) in table.items():
        assert default == f"`{defaults[name]}`", name
        assert unit, name
        assert effect, name


@pytest.mark.parametrize("plan", PLANS)
def test_every_field_of_a_plan_stands_there_with_its_default(plan):
    table = rows(f"### {plan.__name__}")
    expected = {f.name: shown(f.default, f.default_factory) for f in fields(plan)}
    assert {name: cells[0] for name, cells in table.items()} == expected


def test_every_field_of_a_receipt_stands_there():
    assert set(rows("## Receipts")) == {f.name for f in fields(Receipt)}
    assert all(f"`{f.name}`" in section("## Receipts") for f in fields(RoundEntry))


def test_everything_that_is_told_of_a_run_stands_there():
    assert all(f"`{name}`" in section("## Contracts") for name in (one.name for one in fields(ChargedRunAnswer)))


def test_the_audits_arguments_and_faults_stand_there():
    ((_, _, arguments),) = references.commands("audit", make_program())
    described = {name.split()[0] for name in rows("## Audit")}
    assert described == {name.split()[0] for name, _, _ in arguments}
    assert all(f"`{fault}`" in section("## Audit") for fault in FAULTS)


def test_the_costs_given_for_orientation_are_the_accountants():
    text = " ".join(section("## Accountant").split())
    training = re.findall(r"([\d.]+) costs (?:epsilon )?([\d.]+)[,.]", text.partition("A release of sums")[0])
    releases = re.findall(r"([\d.]+) at (\d+)", text.partition("A release of sums")[2])
    assert (len(training), len(releases)) == (3, 3)
    for noise, epsilon in training:
        steps = accountant.GaussianSteps(float(noise), 0.1, 300)
        assert accountant.epsilon_spent([steps], 1e-5) == pytest.approx(float(epsilon), abs=0.05)
    for epsilon, noise in releases:
        once = accountant.GaussianSteps(float(noise), 1.0, 1)
        assert accountant.epsilon_spent([once], 1e-5) == pytest.approx(float(epsilon), abs=0.005)


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page):
    text = (DOCS / page).read_text()
    for target in re.findall(r"\]\(([^)#]*)(?:#[^)]*)?\)", text):
        assert not target or (DOCS / target).exists(), target
    for other, anchor in re.findall(r"\]\(([^)#]*)#([^)]*)\)", text):
        headings = re.findall(r"^#+ (.*)$", (DOCS / (other or page)).read_text(), re.MULTILINE)
        assert anchor in {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}, anchor


def test_every_sharp_edge_says_what_it_does_to_the_promise_and_who_owns_it():
    lines = [line for line in (DOCS / "explanation-sharp-edges.md").read_text().splitlines() if line.startswith("| ")]
    edges = [line for line in lines if not line.startswith(("| edge", "| ---"))]
    assert len(edges) > 30
    for line in edges:
        _, _, effect, owners, remedy, _ = line.split("|")
        assert effect.split()[0].strip(",") in {"voids", "weakens", "leaves"}, line
        assert {owner.strip() for owner in owners.split(",")} <= {"platform", "hospital", "researcher", "everyone"}, (
            line
        )
        assert remedy.strip(), line
