"""Shortages of privacy budget: which hospitals have less left than a plan costs, before anybody is asked.

What is left of a budget is what each hospital publishes to its researchers; nothing else is read.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context

from policies.answers import rounded
from policies.answers.hospital import BudgetAnswer
from policies.budget.accountant import epsilon_spent, plan_spend
from policies.errors import WanwuError
from policies.plans.training import TrainingPlan
from researcher.hospitals.federation import Federation


def shortages(federation: Federation, plan: TrainingPlan) -> dict[str, str]:
    """Datasite → a sentence, where a plan alone costs more than is left of the dataset's budget.

    A hospital that does not answer is left out: it tells when it is asked for the plan.

    Args:
        federation: The connected hospitals.
        plan: What would be submitted.
    """
    if plan.privacy is None:
        return {}

    def left(name: str) -> BudgetAnswer | None:
        with suppress(WanwuError):
            return federation.hospitals[name].routes.budget(plan.dataset)
        return None

    names = [name for name, one in federation.hospitals.items() if plan.dataset in one.datasets]
    with ThreadPoolExecutor(max(len(names), 1)) as pool:
        asked = {name: pool.submit(copy_context().run, left, name) for name in names}
    found = {}
    for name, future in asked.items():
        budget = future.result()
        if budget is None:
            continue
        cost = epsilon_spent(plan_spend(plan), budget.delta)
        if cost > budget.epsilon_left:
            may = (
                "Costs that a hospital composes are less than their sum, so it may still fit; where it does not, lower "
                "epsilon or ask the hospital."
                if cost <= budget.epsilon_total and budget.epsilon_left > 0
                else "It does not fit: lower epsilon, or ask the hospital."
            )
            found[name] = (
                f"the study alone costs {rounded.at_delta(cost, budget.delta)}, and "
                f"{rounded.left(budget.epsilon_left)} of {budget.epsilon_total:g} is left there. {may}"
            )
    return found
