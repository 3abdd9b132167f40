"""A plan that was submitted to several hospitals: their requests, their decisions, and where it is kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Generic, Self, TypeVar

from policies.answers.requests import with_reason
from policies.errors import ConfigError, DatasiteUnreachable, WanwuError
from policies.plans.graph.packed_graph import LOSS, unpack
from policies.plans.kinds import Plan
from policies.plans.releases import StatisticsPlan
from policies.plans.training import TrainingPlan
from researcher import atomic_file
from researcher.held_folder import FolderLock
from researcher.hospitals.code_request import CodeRequest
from researcher.hospitals.federation import Federation
from researcher.hospitals.hospital import Hospital
from researcher.studies import decisions
from researcher.studies.conversation import Conversation
from researcher.studies.decisions import OnChange
from researcher.studies.kept_plan import GRAPH_FILE, LOSS_FILE, RECEIPTS, STUDY_FILE, check_free, read_submission
from researcher.studies.taking_part.canary_end import CanaryEnd
from researcher.studies.taking_part.invited import Invited
from researcher.studies.taking_part.on_the_way import OnTheWay
from researcher.studies.taking_part.roster import Roster

__all__ = ["RECEIPTS", "STUDY_FILE", "Submission"]

P = TypeVar("P", bound=Plan)


@dataclass
class Submission(Conversation, Generic[P]):
    """One plan at several hospitals.

    Attributes:
        federation: The connected hospitals.
        plan: What was submitted to each.
        requests: Datasite → its code request.
        folder: Where the submission is kept; it can be taken up from there.
        refused: Datasite → why it did not take the plan; it has no request and no part in the study.
        canaries: Datasite → how its canary ended last, of those that ran one.
        invited: Datasite → when it was asked, of those that were after the others.
        taken_back: Datasite → what `submit` did there with a request that was left of other settings in its folder.
    """

    federation: Federation
    plan: P
    requests: Mapping[str, CodeRequest]
    folder: Path
    refused: Mapping[str, str] = field(default_factory=dict)
    canaries: Mapping[str, CanaryEnd] = field(default_factory=dict)
    invited: Mapping[str, Invited] = field(default_factory=dict)
    taken_back: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._lock = FolderLock(self.folder)

    @classmethod
    def submit(
        cls,
        federation: Federation,
        plan: P,
        folder: Path | str,
        *,
        before: Callable[[Path], object] = lambda folder: None,
    ) -> Self:
        """Submits the plan to all hospitals of the federation, and goes on without those that refuse it.

        The folder holds each request from the moment that it was made, and the graphs of an own model and an own loss
        as they were captured. A submission that was killed is made again in the same folder: a hospital that had taken
        the plan by then hands out the request that it has, and one that had taken another plan has it withdrawn first.

        Args:
            federation: The connected hospitals.
            plan: What each of them is asked for.
            folder: Where the submission is kept.
            before: Called with the folder once it can be written, before any hospital is asked.

        Raises:
            ConfigError: The folder already holds a study, cannot be written, or another process works on it now;
                nothing was submitted then.
            WanwuError: All refused the plan; what the first of them said, with its name.
        """
        check_free(folder := Path(folder))
        atomic_file.check_folder(folder)
        made = cls(federation, plan, {}, folder)
        with made.held():
            check_free(folder)
            before(folder)
            if not isinstance(plan, StatisticsPlan) and plan.model.is_own:
                atomic_file.write(folder / GRAPH_FILE, unpack(plan.model.graph))
            if isinstance(plan, TrainingPlan) and plan.objective.is_own:
                atomic_file.write(folder / LOSS_FILE, unpack(plan.objective.loss_graph, LOSS))
            way = OnTheWay(folder, plan, federation)
            way.begin()

            def take(name: str, request: CodeRequest) -> None:
                made._take(name, request)
                way.arrived(name)

            def refuse(name: str, error: WanwuError) -> None:
                made._refuse(name, error)
                way.refused(name, error)

            made.requests = federation.submit(plan, named=way.name_for, on_request=take, on_refusal=refuse)
            made._save()
            made.taken_back = way.taken_back
        return made

    def submit_to_more(self, names: Iterable[str], *, after_round: int) -> None:
        """Submits the plan, as the folder keeps it, to further hospitals; who refuses it stands in `refused` then.

        No hospital is asked twice: where it has taken the plan before and only its answer was lost, or this was killed
        then, its request is found again.

        Args:
            names: Hospitals of the federation, whether or not they are there now; those that have a request are not
                asked.
            after_round: How many rounds are done.

        Raises:
            ConfigError: The folder cannot be written, or another process works on it.
        """
        with self.held():
            way = OnTheWay(self.folder, self.plan, self.federation)
            for name in names:
                if name in self.requests:
                    way.arrived(name)
                    continue
                try:
                    stub_name = way.name_for(name)
                    request = self.federation.asked(name, partial(_submit, plan=self.plan, stub_name=stub_name))
                except ConfigError:
                    raise
                except WanwuError as error:
                    self._refuse(name, error)
                    self._save()
                    way.refused(name, error)
                else:
                    self.invited = {**self.invited, name: Invited.now(after_round)}
                    self._take(name, request)
                    way.arrived(name)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keeps other processes from the folder for the length of a `with` block, as `submit` and `Study.run` do.

        What another process noted there since this was loaded, as a hospital that was invited, is taken up.

        Raises:
            ConfigError: Another process works on it, which is named.
        """
        with self._lock.held():
            if (self.folder / STUDY_FILE).exists():
                _, self.requests, self.refused, self.canaries, self.invited = read_submission(self.folder)
            yield

    def _take(self, name: str, request: CodeRequest) -> None:
        self.requests = {**self.requests, name: request}
        self.refused = {other: why for other, why in self.refused.items() if other != name}
        self._save()

    def _refuse(self, name: str, error: WanwuError) -> None:
        self.refused = {**self.refused, name: f"{error.code}: {error.public}"}

    @property
    def left_out_at_submission(self) -> dict[str, str]:
        """Datasite → why no request is there: that it was `refused`, or could not be reached, and what it said."""
        return {
            name: reason if reason.startswith(DatasiteUnreachable.code) else with_reason("refused", reason)
            for name, reason in self.refused.items()
        }

    def _save(self) -> None:
        values = {
            "plan": self.plan.to_json(),
            "requests": {name: asdict(request) for name, request in self.requests.items()},
            **({"refused": dict(self.refused)} if self.refused else {}),
            **({"canaries": {name: asdict(end) for name, end in self.canaries.items()}} if self.canaries else {}),
            **({"invited": {name: asdict(one) for name, one in self.invited.items()}} if self.invited else {}),
        }
        atomic_file.write(self.folder / STUDY_FILE, json.dumps(values, indent=2))

    def note_canaries(self, ended: Mapping[str, CanaryEnd]) -> None:
        """Keeps how canaries ended, in the place of what was known of them; one that had passed stays as it was.

        Raises:
            ConfigError: The folder cannot be written.
        """
        known = self.canaries
        new = {name: end for name, end in ended.items() if not (end.passed and name in known and known[name].passed)}
        if new != {name: known.get(name) for name in new}:
            self.canaries = {**known, **new}
            self._save()

    @classmethod
    def load(cls, federation: Federation, folder: Path | str) -> Self:
        """Takes up a submitted study from its folder.

        Args:
            federation: At least the hospitals that the study was submitted to, whether or not they are there now.
            folder: Where `submit` kept it.

        Raises:
            ConfigError: There is none, or it names a hospital that the federation has no credentials for.
        """
        folder = Path(folder)
        plan, requests, refused, canaries, invited = read_submission(folder)
        apart = sorted(set(requests) - set(federation.hospitals))
        if missing := [name for name in apart if name not in federation.missing]:
            raise ConfigError(f"The study runs at {', '.join(missing)} too. Connect with its credentials.")
        return cls(federation, plan, requests, folder, refused, canaries, invited)  # type: ignore[arg-type]

    def wait_for_decisions(
        self,
        *,
        min_clients: int | None = None,
        grace_seconds: float = 60.0,
        timeout_seconds: float = 24 * 3600,
        poll_seconds: float = 2.0,
        on_change: OnChange = lambda told: None,
    ) -> dict[str, tuple[str, str]]:
        """Returns the decisions, as `decisions` does, once every hospital has made one or the time is up.

        A hospital that is out of reach has the state `unreachable`: it may be starting again, and is waited for.

        Args:
            min_clients: So many approvals are enough, after `grace_seconds` more; None waits for every hospital.
            grace_seconds: How long further decisions are waited for then.
            timeout_seconds: How long to wait at most.
            poll_seconds: Pause between two questions to the hospitals.
            on_change: Called with the decisions at first, and whenever one of them has changed.

        Raises:
            RequestDenied: `min_clients` cannot be met any more.
        """
        return decisions.wait_for(
            self.requests,
            self._told,
            apart=self.left_out_at_submission,
            min_clients=min_clients,
            grace_seconds=grace_seconds,
            timeout_seconds=timeout_seconds,
            poll_seconds=poll_seconds,
            on_change=on_change,
        )

    def approved(self, min_clients: int, *, unreachable_seconds: float = 60.0) -> tuple[list[str], dict[str, str]]:
        """Returns the datasites that approved, and of the others each one's state and reason.

        Args:
            min_clients: Least number of approvals.
            unreachable_seconds: As of `roster`.

        Raises:
            RequestDenied: Fewer than `min_clients` approved.
        """
        with ThreadPoolExecutor(len(self.requests)) as pool:
            roster = self.roster(min_clients, pool, unreachable_seconds=unreachable_seconds)
        return roster.taking_part, roster.left_out

    def roster(
        self,
        min_clients: int,
        pool: Executor,
        *,
        unreachable_seconds: float,
        ask: Callable[[str], tuple[str, str]] | None = None,
        deadline: float | None = None,
    ) -> Roster:
        """Who approved, who has not decided, who is away, and who will not take part.

        Args:
            min_clients: Least number of approvals.
            pool: Where the hospitals are asked beside each other.
            unreachable_seconds: How long those that are out of reach, and may just be starting, are waited for where
                too few others approved.
            ask: Asks a hospital for (state, reason) of its request, where it is not its routes alone that tell.
            deadline: As of `Roster.look_until`.

        Raises:
            RequestDenied: Fewer than `min_clients` approved.
        """
        needed = max(min_clients, 1)
        roster = Roster(self.requests, ask or self._told)
        roster.look_until(needed, pool, seconds=unreachable_seconds, deadline=deadline)
        decisions.check_enough(len(roster.approved), needed, {**self.left_out_at_submission, **roster.left_out})
        return roster


def _submit(hospital: Hospital, *, plan: Plan, stub_name: str) -> CodeRequest:
    return hospital.submit(plan, stub_name)
