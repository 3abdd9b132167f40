"""A model's evaluation at hospitals as tables: every count in it carries the hospital's noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from researcher.counts.noised_findings import findings_of
from researcher.counts.noised_metrics import auroc_of, metrics_of
from researcher.terminal.tables import evaluation_table, finding_evaluation_table

if TYPE_CHECKING:
    from rich.console import Group

    from policies.plans.releases import EvaluationPlan
    from researcher.counts.releases import Released

_ALL = "all together"


def evaluated(plan: EvaluationPlan, released: Released, names: Sequence[str]) -> Group:
    """What the counts of each hospital say, and those of all together, as tables.

    Args:
        plan: What the hospitals were asked for.
        released: What came; each array of the shape that the plan's `outputs` declares.
        names: Of the classes or findings, in order.
    """
    sums = {output: released.summed(output) for output in plan.outputs}
    arrays = {**released.arrays, _ALL: {output: total for output, (total, _) in sums.items()}}
    noise = {**dict.fromkeys(released.arrays, released.noise_std), _ALL: sums["scores"][1]}
    aurocs = {name: auroc_of(arrays[name]["scores"], noise_std=noise[name]) for name in arrays}
    if plan.model.label_kind == "multi":
        findings = {name: findings_of(arrays[name]["finding_counts"], noise_std=noise[name]) for name in arrays}
        told = {name: (findings[name], aurocs[name]) for name in arrays}
        return finding_evaluation_table(told, names, released.epsilon)
    metrics = {name: metrics_of(arrays[name]["confusion"], noise_std=noise[name]) for name in arrays}
    return evaluation_table({name: (metrics[name], aurocs[name]) for name in arrays}, names, released.epsilon)
