"""What the accountants make of the same histories: epsilon by Rényi divergences, PRV and loss distributions.

    python tests/benchmarks/accounting.py

Nothing is written: the table is printed as Markdown, for docs/ref-policies.md.
"""

from __future__ import annotations

import sys
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from policies.budget import pld, prv, renyi
from policies.budget.accountant import calibrate_noise, epsilon_spent, filter_epsilon
from policies.budget.limits import PrivacyBudget
from policies.budget.steps import GaussianSteps

HISTORIES = {
    "training: 300 steps, rate 0.1, noise 2.59": (GaussianSteps(2.59, 0.1, 300),),
    "training: 300 steps, rate 0.33, noise 3.54": (GaussianSteps(3.54, 0.33, 300),),
    "training: 1000 steps, rate 0.01, noise 1": (GaussianSteps(1.0, 0.01, 1000),),
    "one evaluation, noise 10": (GaussianSteps(10.0, 1.0, 1),),
    "one evaluation, noise 20": (GaussianSteps(20.0, 1.0, 1),),
    "three trainings and five evaluations": (
        GaussianSteps(4.0, 0.1, 300),
        GaussianSteps(5.0, 0.2, 300),
        GaussianSteps(3.0, 0.05, 500),
        GaussianSteps(20.0, 1.0, 5),
    ),
}
DELTAS = (1e-5, 1e-9, 1e-10)


def main() -> None:
    """Prints one line for each history and delta."""
    warnings.simplefilter("ignore")
    print("| history | delta | Rényi | PRV | loss distributions | counts | saved | seconds |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, history in HISTORIES.items():
        for delta in DELTAS:
            by_renyi, by_prv = renyi.upper_bound(history, delta), prv.prv_epsilon(history, delta)
            before = by_renyi if by_prv is None else min(by_prv, by_renyi)
            started = time.perf_counter()
            by_pld = pld.pld_epsilon(history, delta)
            seconds = time.perf_counter() - started
            counts = epsilon_spent(history, delta)
            texts = [f"{value:.3f}" if value is not None else "none" for value in (by_renyi, by_prv, by_pld, counts)]
            saved = f"{1 - counts / before:.1%}"
            print(f"| {name} | {delta:g} | {' | '.join(texts)} | {saved} | {seconds:.2f} |")
    print("\n| total | one study that fills it takes of the filter's |\n| --- | --- |")
    for epsilon in (1.0, 3.0, 8.0):
        for delta in DELTAS:
            budget = PrivacyBudget(epsilon, delta)
            for rate, count in ((0.1, 300), (0.33, 300), (0.01, 2000)):
                noise = calibrate_noise(budget, sample_rate=rate, steps=count)
                taken = filter_epsilon((GaussianSteps(noise, rate, count),), budget)
                print(f"| {epsilon:g} at {delta:g}, {count} steps at rate {rate:g} | {taken / epsilon:.2f} |")


if __name__ == "__main__":
    main()
