"""A whole simulation: data shared out, a plan made as for real hospitals, rounds, and results as a study has them.

It goes on from its folder as a study does, with the same settings and data; with others it refuses to.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from policies.errors import ConfigError
from policies.plans.server.server_spec import BESIDE
from policies.plans.training import TrainingPlan
from researcher import atomic_file
from researcher.evaluation.evaluation import Evaluation
from researcher.planning.settings import StudySettings
from researcher.simulation.apart import Aside
from researcher.simulation.at_work.started import Places
from researcher.simulation.made_up import MadeUpHospital
from researcher.simulation.own_models import has_own, score_own
from researcher.simulation.rounds import OnProgress, run_rounds
from researcher.simulation.settings import SimulationSettings
from researcher.simulation.work import Work, make_work
from researcher.simulation.workers import Retried
from researcher.strategies import KeptWeights, ServerState, Strategy
from researcher.studies.checkpoints import load_state
from researcher.studies.history import History, RoundRecord
from researcher.studies.rounds.planned_strategy import check_enough, strategy_of

if TYPE_CHECKING:
    from researcher.reports import StudyResult

SIMULATION_FILE = "simulation.json"


def simulate(
    study: StudySettings,
    simulation: SimulationSettings,
    data: Path | str,
    out: Path | str,
    *,
    test: Path | str | None = None,
    backbone_weights: str | None = None,
    on_plan: Callable[[TrainingPlan, Sequence[MadeUpHospital]], None] = lambda plan, hospitals: None,
    on_round: Callable[[RoundRecord], None] = lambda record: None,
    on_retried: Retried = lambda hospital, round_index: None,
    on_shared: Callable[[str], None] = lambda told: None,
    on_progress: OnProgress = lambda doing: None,
    aside: Aside | None = None,
) -> StudyResult:
    """Runs a study at made-up hospitals and writes what a study writes: history, global model, report.

    All randomness follows from the simulation's seed, so that a simulation can be repeated and whoever knows the seed
    can take the noise off again: it protects nobody. Its epsilons say what the plan would cost at real hospitals.

    Args:
        study: The plan's settings.
        simulation: How hospitals are made up, and where they train.
        data: What they share, as test data are read: an .npz file, a folder, a table, or a .toml that describes them.
        out: Folder to write; a simulation of the same settings and data goes on there.
        test: Test data of the same form; a share of the units if None.
        backbone_weights: Of a model that reads features.
        on_plan: Told the plan and the hospitals before the first round.
        on_round: Told each round.
        on_retried: Told a hospital, and the round from 0, that is trained again as its worker died.
        on_shared: Told before the first round, if so, how many pictures that are scored on are trained on too.
        on_progress: Told what it is at, and what is left: after each step in this process, after each hospital on Ray.
        aside: A process that was begun to make the plan in; None: one begins when the data are read.

    Returns:
        The result, as `researcher report` reads it.

    Raises:
        ConfigError: Ray is missing, or the folder holds another simulation.
        DataError, PlanError, BudgetTooSmall: As `make_work`.
        WanwuError: What a hospital's training raised.
    """
    out = Path(out)
    with Places(simulation) as places:
        early = places.begin if _is_new(out) else lambda data_bytes: None
        make = partial(make_work, test=test, backbone_weights=backbone_weights, aside=aside)
        work = make(study, simulation, data, meanwhile=early)
        from researcher.simulation import results  # late: workers, where there are some, begin meanwhile

        plan, strategy = work.plan, strategy_of(work.plan)
        begun = _begun(work, strategy, out)
        _tell(work, on_plan, on_shared)
        own: Mapping[str, Evaluation] = {}
        if begun[0].round < plan.rounds or (has_own(plan) and not (out / results.RESULT_FILE).exists()):
            with places.workers(work, on_retried) as hands:
                begun = run_rounds(work, hands, strategy, begun, folder=out, on_round=on_round, on_progress=on_progress)
                own = score_own(hands, plan, begun[0])
        elif has_own(plan):
            own = results.written_own_models(out)
    return results.write_results(out, work, *begun, own)


def _tell(
    work: Work, on_plan: Callable[[TrainingPlan, Sequence[MadeUpHospital]], None], on_shared: Callable[[str], None]
) -> None:
    on_plan(work.plan, work.hospitals)
    if work.shared:
        on_shared(work.shared)


def _begun(work: Work, strategy: Strategy, out: Path) -> tuple[ServerState, History]:
    """What the folder has come to, or the state before the first round; the folder keeps what the work is."""
    check_enough(strategy, len(work.hospitals))
    _keep(out, work)
    state, history = load_state(out, plan_digest=work.plan.digest()) or (strategy.init(work.first_weights), History())
    if (has_own(work.plan) or work.plan.server.strategy in BESIDE) and state.kept is None:
        state = replace(state, kept=KeptWeights(out))
    return state, history


def _is_new(out: Path) -> bool:
    """Whether a folder holds nothing to go on from, or to refuse."""
    return not out.exists() or (out.is_dir() and not any(out.iterdir()))


def _keep(out: Path, work: Work) -> None:
    """Notes what a folder is the simulation of.

    Raises:
        ConfigError: It is another's.
    """
    path, text = out / SIMULATION_FILE, json.dumps(work.record, indent=1)
    if not path.exists():
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()):
            raise ConfigError(f"{out} holds something else than a simulation. Choose another folder: --out.")
        atomic_file.write(path, text)
    elif (kept := atomic_file.read(path).decode()) != text:
        raise ConfigError(
            f"{out} holds a simulation of other settings or data{_differences(kept, work.record)}. Give those again to "
            "go on with it, or choose another folder: --out."
        )


def _differences(kept: str, record: Mapping[str, object]) -> str:
    """What differs from the folder's own record, by the names of what is given; empty where it cannot be read.

    Plan and data are looked at where no setting differs: the data's digest follows from how they were shared out.
    """
    try:
        earlier = json.loads(kept)
        before, now = earlier["settings"], record["settings"]
        named = [
            f"--{name} was {'not given' if value in (None, '') else value}"
            for name, value in before.items()
            if value != cast(Mapping[str, object], now)[name]
        ]
        told = {"plan": "the plan's settings", "data": "the data"}
        named = named or [told[name] for name in told if earlier[name] != record[name]]
    except (ValueError, LookupError, TypeError, AttributeError):
        return ""
    return f" ({', '.join(named)})" if named else ""
