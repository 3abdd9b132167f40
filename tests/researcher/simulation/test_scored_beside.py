"""A round is scored while the next one begins: told in order, saved though the next fails, no worker replaced twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from policies.errors import RunFailed, WanwuError
from policies.plans.server.server_spec import ServerSpec
from researcher.evaluation.evaluation import Evaluation
from researcher.planning.settings import StudySettings
from researcher.simulation.at_work.in_this_process import InThisProcess
from researcher.simulation.at_work.on_ray import OnRay, start_workers
from researcher.simulation.made_up import MadeUpHospital
from researcher.simulation.rounds import run_rounds
from researcher.simulation.settings import SimulationSettings
from researcher.simulation.work import Work, make_work
from researcher.simulation.workers import Begun, Sent, Stepped, Trained
from researcher.strategies import KeptWeights, ServerState, Weights
from researcher.studies.checkpoints import load_state
from researcher.studies.history import History
from researcher.studies.study import strategy_of

STUDY = StudySettings(num_rounds=3, local_epochs=0.5, sample_rate=0.5, epsilon=8.0, model="small_cnn")


@pytest.fixture(scope="module")
def work(data: Path) -> Work:
    return make_work(STUDY, SimulationSettings(hospitals=2), data)


class Told(InThisProcess):
    """Workers that tell what they are asked, and fail in a round."""

    def __init__(self, work: Work, told: list[str], failing: int | None = None) -> None:
        super().__init__(work, 0)
        self._told, self._failing, self._scored = told, failing, 0

    def train(
        self, sent: Sent, round_index: int, hospitals: Sequence[MadeUpHospital], begun: Begun, stepped: Stepped
    ) -> Iterator[Trained]:
        for number, part in enumerate(super().train(sent, round_index, hospitals, begun, stepped)):
            if round_index == self._failing:
                raise RunFailed("Everything died.")
            self._told.append(f"trained {round_index + 1}.{number + 1}")
            yield part

    def score_round(self, weights: Weights) -> Callable[[], Evaluation]:
        self._scored += 1
        number, wait = self._scored, super().score_round(weights)
        self._told.append(f"asked {number}")

        def scores() -> Evaluation:
            self._told.append(f"waited {number}")
            return wait()

        return scores


def _run(work: Work, workers: Told, told: list[str], folder: Path, *, begun: ServerState | None = None) -> History:
    strategy = strategy_of(work.plan)
    _, history = run_rounds(
        work,
        workers,
        strategy=strategy,
        begun=(begun or strategy.init(work.first_weights), History()),
        folder=folder,
        on_round=lambda record: told.append(f"told {record.round}"),
        on_progress=lambda doing: None,
    )
    return history


def test_scores_are_asked_for_before_the_next_round_and_waited_for_once_it_has_begun(
    work: Work, tmp_path: Path
) -> None:
    told: list[str] = []
    history = _run(work, Told(work, told), told, tmp_path)
    assert told == [
        *("trained 1.1", "trained 1.2", "asked 1"),
        *("trained 2.1", "waited 1", "told 1", "trained 2.2", "asked 2"),
        *("trained 3.1", "waited 2", "told 2", "trained 3.2", "asked 3"),
        *("waited 3", "told 3"),
    ]
    assert [record.round for record in history.records] == [1, 2, 3]
    spent = [max(record.epsilon.values()) for record in history.records]
    assert spent[0] < spent[1] < spent[2], "each record has its own round's charge"


def test_a_round_is_saved_and_told_though_the_next_one_fails(work: Work, tmp_path: Path) -> None:
    told: list[str] = []
    with pytest.raises(WanwuError, match="Everything died"):
        _run(work, Told(work, told, failing=1), told, tmp_path)
    assert told[-1] == "told 1"
    saved = load_state(tmp_path, plan_digest=work.plan.digest())
    assert saved is not None and saved[0].round == 1 and len(saved[1].records) == 1


def test_where_files_are_kept_of_hospitals_a_round_is_noted_before_the_next_begins(data: Path, tmp_path: Path) -> None:
    """Noting a round removes the files of all others."""
    told: list[str] = []
    keeping = replace(STUDY, server=ServerSpec("fed_per"))
    work = make_work(keeping, SimulationSettings(hospitals=2), data)
    kept = replace(strategy_of(work.plan).init(work.first_weights), kept=KeptWeights(tmp_path))
    _run(work, Told(work, told), told, tmp_path, begun=kept)
    for number in (1, 2):
        assert told.index(f"told {number}") < told.index(f"trained {number + 1}.1")


class Died(Exception):
    """What Ray raises of a worker that died."""


class Ray:
    """A Ray whose workers do what they are asked when it is waited for; the first of them dies before it does any."""

    exceptions = SimpleNamespace(RayActorError=Died, ObjectLostError=Died, OutOfMemoryError=Died)

    def __init__(self) -> None:
        self.made = self.begun = 0

    def remote(self, kind: type) -> Any:
        return SimpleNamespace(options=lambda **settings: SimpleNamespace(remote=self._worker))

    def _worker(self, *given: object) -> Any:
        self.made += 1
        dead = self.made == 1

        def asked(name: str) -> Any:
            return SimpleNamespace(remote=lambda *arguments: _Identified(name=name, of=arguments[0], dead=dead))

        def begin(*given: object) -> None:
            self.begun += 1

        return _Identified(train=asked("train"), score_round=asked("score"), begin=SimpleNamespace(remote=begin))

    def put(self, value: object) -> object:
        return value

    def wait(self, answers: list[Any], num_returns: int) -> tuple[list[Any], list[Any]]:
        return answers[:1], answers[1:]

    def get(self, answer: Any) -> Any:
        if answer.dead:
            raise Died("gone")
        return [f"train {one.name}" for one in answer.of] if answer.name == "train" else answer.name


class _Identified(SimpleNamespace):
    """A worker's handle, or what will hold an answer: equal to itself alone."""

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other


@pytest.mark.parametrize("together", [1, 4])
@pytest.mark.parametrize("scores_first", [True, False])
def test_a_worker_that_dies_over_scores_and_training_is_replaced_once(
    work: Work, scores_first: bool, together: int
) -> None:
    ray, retried = Ray(), list[str]()
    places = start_workers(ray, 2)
    assert ray.made == 2 and not ray.begun, "they have nothing to do yet"
    workers = OnRay(
        ray, work, 0, places=places, memory_bytes=1, on_retried=lambda hospital, index: retried.append(hospital)
    )
    hospitals = [MadeUpHospital(f"h{number}", 0, 1, 10) for number in range(8 * together + 1)]
    wait = workers.score_round({})
    sent = Sent(lambda hospital: {}, alike=True)
    if scores_first:
        assert wait() == "score"  # type: ignore[comparison-overlap]
    answers = [*workers.train(sent, 0, hospitals, lambda hospital: None, lambda hospital, steps: None)]
    if not scores_first:
        assert wait() == "score"  # type: ignore[comparison-overlap]
    assert answers == [f"train {one.name}" for one in hospitals]  # type: ignore[comparison-overlap]
    assert ray.made == ray.begun == 3, "two, and one in the place of the one that died"
    lost = [f"h{part * together + number}" for part in (0, 2) for number in range(together)]
    assert retried == ([] if scores_first else lost)
