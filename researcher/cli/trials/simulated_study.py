"""A simulated study as the command line has it. All that is said on the way is of made-up hospitals."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from policies.answers import rounded
from policies.plans.training import TrainingPlan
from policies.settings import declared
from policies.terminal.printing import say
from policies.terminal.progress import Watched
from researcher.cli.study_options import study_settings_of
from researcher.planning.planning import study_epsilon
from researcher.reports import own_models, wording
from researcher.simulation.made_up import MadeUpHospital
from researcher.simulation.results import model_file
from researcher.simulation.rounds import Doing
from researcher.simulation.settings import SimulationSettings
from researcher.simulation.simulate import simulate
from researcher.studies.history import RoundRecord


def run(
    *, data: Path, test: Path | None, out: Path, backbone_weights: str | None, in_process: bool, **given: Any
) -> None:
    """Runs a simulation and says what happens.

    Args:
        data: What the hospitals share.
        test: Test data, or None.
        out: Folder to write.
        backbone_weights: Of a features model, or None.
        in_process: Whether Ray is left out.
        given: The options of a simulation and of its study's plan.
    """
    own = {name: given.pop(name) for name in declared(SimulationSettings)}
    chosen = {name: value for name, value in own.items() if value is not None}
    with ExitStack() as stack:
        result = simulate(
            study_settings_of(given),
            SimulationSettings(**chosen, in_process=in_process),
            data,
            out,
            test=test,
            backbone_weights=backbone_weights,
            on_plan=_say_plan,
            on_round=_say_round,
            on_retried=lambda hospital, at: say(f"round {at + 1}: a worker died; {hospital} is trained again"),
            on_shared=lambda told: say(f"Attention: {told}."),
            on_progress=_Steps(stack),
        )
    for told in own_models.spread(result):
        say(told)
    say(f"Written to {out}/: report.html, result.json, {model_file(result.plan)}")


class _Steps:
    """Tells on standard error how far the steps of all hospitals are, from the first on."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._watched: Watched | None = None

    def __call__(self, doing: Doing) -> None:
        if self._watched is None:
            self._watched = self._stack.enter_context(Watched("Steps of training"))
        self._watched(doing.done, doing.total, str(doing))


def _say_plan(plan: TrainingPlan, hospitals: Sequence[MadeUpHospital]) -> None:
    epsilon, sizes = study_epsilon(plan), sorted(hospital.public_size for hospital in hospitals)
    cost = "without differential privacy"
    if epsilon is not None and plan.privacy is not None:
        cost = f"at real hospitals {rounded.at_delta(epsilon, plan.privacy.delta)}"
    say(
        f"A simulation of {wording.count(len(hospitals), 'hospital')} of {wording.sizes(sizes[0], sizes[-1], 'unit')}: "
        f"{wording.count(plan.rounds, 'round')} of {wording.count(plan.steps_per_round, 'step')}, {cost}."
    )
    noise = "It has no noise" if plan.privacy is None else "Its noise follows from the seed"
    say(f"{noise} and protects nobody: simulate on public data alone.")


def _say_round(record: RoundRecord) -> None:
    name, value = wording.headline(record)
    cost = f", epsilon {rounded.cost(max(record.epsilon.values()))}" if record.epsilon else ""
    say(
        f"round {record.round}: {name} {value}, macro F1 {record.macro_f1:.3f}{cost}, "
        f"{wording.seconds(record.seconds['total'])}"
    )
