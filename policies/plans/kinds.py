"""The kinds of plan that a code request may carry."""

from __future__ import annotations

from policies.plans import plan_json
from policies.plans.releases import EvaluationPlan, GramPlan, StatisticsPlan
from policies.plans.training import TrainingPlan

Plan = TrainingPlan | EvaluationPlan | StatisticsPlan | GramPlan
KINDS: dict[str, type[Plan]] = {kind.kind: kind for kind in (TrainingPlan, EvaluationPlan, StatisticsPlan, GramPlan)}


def parse(text: str) -> Plan:
    """Reads a plan of any kind.

    Raises:
        PlanError: Not JSON, another kind or version, an unknown or missing field, a value out of range.
    """
    return plan_json.load(text, KINDS)
