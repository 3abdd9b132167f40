"""One study undisturbed, and the same one with everything that fails: what each took, and what the books say of it."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from support.hospitals import CLASSES, draw_pictures, small_plan
from support.waiting import wait_for

from chaos import researcher
from chaos.books import Books, Invited, books_of, invited_of
from chaos.disturbances import CUT_MINUTES, Disturbances
from chaos.hospitals import PICTURES, UNREADABLE, Federated, federated, pictures_taken
from chaos.watching import Watched

NOISE = 100.0  # room for many steps: what is learnt is not looked at
# A round of this study stands for one of so many minutes: by that a ten-minute cut is scaled.
ROUND_MINUTES = 10.0
DEADLINE_OF_ROUNDS = 1.25
HELD_OUT = 20  # pictures that the researcher evaluates each round's model on
MOST_RATIO, MOST_RESUME_SECONDS = 1.25, 10.0


@dataclass(frozen=True)
class Size:
    """How large the run is: hospitals, rounds, and a hospital's steps in a round."""

    hospitals: int = 8
    rounds: int = 20
    steps: int = (
        240  # rounds of ten seconds: lines and processes that start take what they take, however short rounds are
    )

    @property
    def min_clients(self) -> int:
        """Half of the hospitals: as many as can be counted on."""
        return self.hospitals // 2


@dataclass(frozen=True)
class Ran:
    """A study that has ended.

    Attributes:
        seconds: From the start of the researcher's process to the end of the study.
        rounds: Seconds of each round.
        records: The rounds, as the history holds them.
        books: What the hospitals' books say of it.
        notes: What was done to it.
        resumes: After each kill of the researcher, the seconds until it was inside the round again.
        invited: What the books say of who was invited; None where nobody was.
    """

    seconds: float
    rounds: list[float]
    records: list[dict[str, Any]]
    books: Books
    notes: list[dict[str, Any]]
    resumes: list[dict[str, Any]]
    invited: Invited | None


@dataclass(frozen=True)
class Chaos:
    """Both studies."""

    size: Size
    left_out: list[int]
    round_deadline: float
    cut_seconds: float
    undisturbed: Ran
    disturbed: Ran

    @property
    def ratio(self) -> float:
        return self.disturbed.seconds / self.undisturbed.seconds

    @property
    def ratio_of_rounds(self) -> float:
        """Of the median rounds: without what a start of the researcher's process costs, whatever a round takes."""
        return statistics.median(self.disturbed.rounds) / statistics.median(self.undisturbed.rounds)

    @property
    def figures(self) -> dict[str, Any]:
        """As they are written down."""
        return {**asdict(self), "ratio": self.ratio, "ratio_of_rounds": self.ratio_of_rounds, "kept": self.kept}

    @property
    def kept(self) -> dict[str, bool]:
        """What is asked → whether it holds."""
        done = self.disturbed
        return {
            "rounds lost 0": not done.books.rounds_lost,
            "charged exactly once": done.books.in_order,
            f"at most {MOST_RATIO:g} times the undisturbed time": self.ratio <= MOST_RATIO,
            "who was invited was asked once, and charged from then on": done.invited is not None
            and done.invited.in_order,
            f"inside the round again within {MOST_RESUME_SECONDS:g} s": bool(done.resumes)
            and all(one["at the round"] <= MOST_RESUME_SECONDS for one in done.resumes),
        }


def run(folder: Path, size: Size, *, seed: int = 1) -> Chaos:
    """Runs both studies at the same hospitals, one after the other.

    Raises:
        AssertionError: A study ended early, or stood still.
    """
    with federated(folder, size.hospitals, seed=seed) as made:
        left_out = [PICTURES - pictures_taken(hospital) for hospital in made.hospitals.values()]
        assert left_out == [UNREADABLE] * size.hospitals
        undisturbed = _ran(folder / "undisturbed", made, size, deadline=0.0)
        usual = statistics.median(undisturbed.rounds)
        deadline, cut = DEADLINE_OF_ROUNDS * usual, usual * CUT_MINUTES / ROUND_MINUTES
        print(f"undisturbed: {undisturbed.seconds:.0f} s, a round {usual:.1f} s", flush=True)
        disturbed = _ran(folder / "disturbed", made, size, deadline=deadline, cut=cut)
    return Chaos(size, left_out, deadline, cut, undisturbed, disturbed)


def _ran(folder: Path, made: Federated, size: Size, *, deadline: float, cut: float | None = None) -> Ran:
    """Submits a study, has it approved, and runs it to its end; if it is disturbed, one hospital is asked later."""
    from datasites.training.models import initial_weights
    from researcher.hospitals.federation import Federation
    from researcher.studies.checkpoints import load_state
    from researcher.studies.study import Study

    with Federation.connect(made.files) as federation:
        plan = small_plan(federation, study=folder.name, rounds=size.rounds, steps_per_round=size.steps)
        plan = replace(plan, privacy=replace(plan.privacy, noise_multiplier=NOISE))
        asked = list(made.hospitals) if cut is None else list(made.hospitals)[:-1]
        study = Study.submit(federation.only(*asked), plan, folder)
        requests = {name: request.request_id for name, request in study.requests.items()}
        assert list(requests) == asked, dict(study.refused)
        for name, request in requests.items():
            made.hospitals[name].admin("approve", request)
    images, labels = draw_pictures(HELD_OUT, seed=99)
    np.savez(folder / researcher.HOLD_OUT, images=images, labels=labels, class_names=np.array(CLASSES))
    watched = Watched(folder, made.files, size.min_clients, deadline)
    disturbances = Disturbances(made, watched, size.rounds, requests, cut or 0.0)
    with _started(watched) as begun:
        if cut is None:
            watched.wait(lambda: any(one["kind"] == "ended" for one in watched.told))
        else:
            disturbances.run()
        seconds = watched.told[-1]["at"] - begun
    disturbances.mend()
    _wait_until_still(made, requests)
    saved = load_state(folder, plan_digest=plan.digest())
    assert saved is not None
    records = [record.to_dict() for record in saved[1].records]
    books = books_of(made.hospitals, requests, plan, records, initial_weights(plan.model, 0), saved[0].weights)
    later = [name for name in made.hospitals if name not in asked]
    invited = invited_of(folder, made.hospitals[later[0]], requests[later[0]], records) if later else None
    took = [record.seconds["total"] for record in saved[1].records]
    return Ran(seconds, took, records, books, disturbances.notes, watched.resumes, invited)


@contextlib.contextmanager
def _started(watched: Watched) -> Iterator[float]:
    begun = time.time()
    watched.start()
    try:
        yield begun
    finally:
        watched.end()


def _wait_until_still(made: Federated, requests: dict[str, str]) -> None:
    """Until no hospital has a run of the study left to do."""
    for name, hospital in made.hospitals.items():
        wait_for(
            lambda hospital=hospital, name=name: (
                not [
                    one
                    for one in hospital.admin_json("runs")
                    if one["request_id"] == requests[name] and one["state"] in ("queued", "running")
                ]
            )
        )
