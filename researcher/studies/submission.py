"""A plan that was submitted to several hospitals: their requests, their decisions, and where it is kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Generic, Self, TypeVar

from policies.answers.rehearsals import RehearsalAnswer
from policies.answers.requests import MOST_IN_A_MESSAGE, MessageAnswer
from policies.errors import ConfigError, RequestDenied, WanwuError
from policies.inside_folder import inside
from policies.plans.kinds import Plan, parse
from policies.untrusted_text import shown
from researcher import atomic_file
from researcher.hospitals.code_request import CodeRequest
from researcher.hospitals.federation import Federation
from researcher.studies import decisions
from researcher.studies.decisions import OnChange
from researcher.studies.kept_plan import STUDY_FILE
from researcher.studies.roster import Roster

__all__ = ["STUDY_FILE", "Submission"]

P = TypeVar("P", bound=Plan)


@dataclass
class Submission(Generic[P]):
    """One plan at several hospitals.

    Attributes:
        federation: The connected hospitals.
        plan: What was submitted to each.
        requests: Datasite → its code request.
        folder: Where the submission is kept; it can be taken up from there.
        refused: Datasite → why it did not take the plan; it has no request and no part in the study.
    """

    federation: Federation
    plan: P
    requests: Mapping[str, CodeRequest]
    folder: Path
    refused: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def submit(cls, federation: Federation, plan: P, folder: Path | str) -> Self:
        """Submits the plan to all hospitals of the federation, and goes on without those that refuse it.

        The folder holds each request from the moment that it was made.

        Args:
            federation: The connected hospitals.
            plan: What each of them is asked for.
            folder: Where the submission is kept.

        Raises:
            ConfigError: The folder already holds a study, or cannot be written; nothing was submitted then.
            WanwuError: All refused the plan; what the first of them said, with its name.
        """
        folder = Path(folder)
        if (folder / STUDY_FILE).exists():
            raise ConfigError(f"{folder} already holds a study. Continue it, or choose another folder.")
        atomic_file.check_folder(folder)
        made = cls(federation, plan, {}, folder)
        made.requests = federation.submit(plan, on_request=made._take, on_refusal=made._refuse)
        made._save()
        return made

    def _take(self, name: str, request: CodeRequest) -> None:
        self.requests = {**self.requests, name: request}
        self._save()

    def _refuse(self, name: str, error: WanwuError) -> None:
        self.refused = {**self.refused, name: f"{error.code}: {error.public}"}

    def _save(self) -> None:
        values = {
            "plan": self.plan.to_json(),
            "requests": {name: asdict(request) for name, request in self.requests.items()},
            **({"refused": dict(self.refused)} if self.refused else {}),
        }
        atomic_file.write(self.folder / STUDY_FILE, json.dumps(values, indent=2))

    @classmethod
    def load(cls, federation: Federation, folder: Path | str) -> Self:
        """Takes up a submitted study from its folder.

        Args:
            federation: The connected hospitals, at least those that the study was submitted to.
            folder: Where `submit` kept it.

        Raises:
            ConfigError: There is none, or it names a hospital that the federation is not connected to.
        """
        folder = Path(folder)
        try:
            values = json.loads((folder / STUDY_FILE).read_text())
            requests = {name: CodeRequest(**request) for name, request in values["requests"].items()}
            plan, refused = parse(values["plan"]), dict(values.get("refused", {}))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{folder} holds no study. Submit one first.") from error
        if missing := sorted(set(requests) - set(federation.hospitals)):
            raise ConfigError(f"The study runs at {', '.join(missing)} too. Connect with its credentials.")
        return cls(federation, plan, requests, folder, refused)  # type: ignore[arg-type]

    def decisions(self) -> dict[str, tuple[str, str]]:
        """Datasite → (one of the states of a request, such as `pending`; the hospital's reason)."""
        return {name: self._told(name) for name in self.requests}

    def _told(self, name: str) -> tuple[str, str]:
        answer = self.federation.hospitals[name].routes.request(self.requests[name].request_id)
        return shown(answer.state), shown(answer.reason)

    def rehearsals(self) -> dict[str, RehearsalAnswer]:
        """Datasite → what its rehearsal of the request on the mock came to; those that made none are left out."""
        told = {
            name: self.federation.hospitals[name].routes.rehearsal(request.request_id)
            for name, request in self.requests.items()
        }
        return {name: answer for name, answer in told.items() if answer is not None}

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
            min_clients=min_clients,
            grace_seconds=grace_seconds,
            timeout_seconds=timeout_seconds,
            poll_seconds=poll_seconds,
            on_change=on_change,
        )

    def receipts(self, folder: Path | str) -> list[Path]:
        """Writes each hospital's signed privacy receipt, and beside it the hospital's public key, into `folder`.

        Returns:
            The receipts' files.

        Raises:
            ConfigError: The folder cannot be written.
        """
        written = []
        for name, (state, _) in self.decisions().items():
            if state in ("approved", "ended"):
                hospital = self.federation.hospitals[name]
                receipt = hospital.routes.receipt(self.requests[name].request_id)
                written.append(atomic_file.write(inside(folder, f"{name}.receipt.json"), receipt))
                atomic_file.write(inside(folder, f"{name}.key"), hospital.public_key + "\n")
        return written

    def questions(self) -> dict[str, int]:
        """Datasite → how many of its questions about a pending request wait for an answer."""
        return {
            name: self.federation.hospitals[name].routes.request(one.request_id).questions
            for name, one in self.requests.items()
        }

    def messages(self) -> dict[str, tuple[MessageAnswer, ...]]:
        """Datasite → what was asked and answered about the request there, oldest first, safe to print."""
        return {name: self._messages(name) for name in self.requests}

    def answer(self, text: str, *, hospital: str | None = None) -> tuple[MessageAnswer, ...]:
        """Answers a hospital's questions. The text goes to that hospital's people and nowhere else.

        Args:
            text: One plain line.
            hospital: Which datasite; may be left out where only one waits for an answer.

        Returns:
            The whole thread with that hospital.

        Raises:
            ConfigError: The study has no such hospital, or not exactly one waits.
            RequestError: The hospital asked nothing, has decided, or takes no such text.
        """
        name = hospital or self._the_one_that_waits()
        self._check_part(name)
        self.federation.hospitals[name].routes.answer(self.requests[name].request_id, text)
        return self._messages(name)

    def withdraw(self, *, hospital: str | None = None) -> dict[str, str]:
        """Withdraws what no hospital has decided on yet.

        Args:
            hospital: Which datasite; all that are pending if None.

        Returns:
            Datasite → state, of those that were withdrawn.

        Raises:
            ConfigError: The study has no such hospital.
            RequestError: The named hospital has decided.
        """
        if hospital is not None:
            self._check_part(hospital)
            return {hospital: self._withdraw(hospital)}
        pending = [name for name, (state, _) in self.decisions().items() if state == "pending"]
        return {name: self._withdraw(name) for name in pending}

    def _withdraw(self, name: str) -> str:
        return shown(self.federation.hospitals[name].routes.withdraw(self.requests[name].request_id).state)

    def _messages(self, name: str) -> tuple[MessageAnswer, ...]:
        told = self.federation.hospitals[name].routes.messages(self.requests[name].request_id)
        return tuple(
            MessageAnswer(one.side, shown(one.text, most=MOST_IN_A_MESSAGE), shown(one.at)) for one in told.messages
        )

    def _the_one_that_waits(self) -> str:
        waiting = [name for name, count in self.questions().items() if count]
        if len(waiting) != 1:
            told = ", ".join(waiting) or "none"
            raise ConfigError(f"Which hospital is answered? Questions wait at: {told}. Name one with --hospital.")
        return waiting[0]

    def _check_part(self, name: str) -> None:
        if name not in self.requests:
            raise ConfigError(f"The study has no request at {shown(name)!r}. It has at {', '.join(self.requests)}.")

    def end(self) -> None:
        """Tells every hospital that no further round comes: what was reserved and not used becomes free."""
        for name, (state, _) in self.decisions().items():
            if state == "approved":
                self.federation.hospitals[name].routes.end(self.requests[name].request_id)

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

    def roster(self, min_clients: int, pool: Executor, *, unreachable_seconds: float) -> Roster:
        """Who approved, who has not decided, who is away, and who will not take part.

        Args:
            min_clients: Least number of approvals.
            pool: Where the hospitals are asked beside each other.
            unreachable_seconds: How long those that are out of reach, and may just be starting, are waited for where
                too few others approved.

        Raises:
            RequestDenied: Fewer than `min_clients` approved.
        """
        needed = max(min_clients, 1)
        roster = Roster(self.requests, self._told)
        roster.look_until(needed, pool, seconds=unreachable_seconds)
        if len(roster.approved) < needed:
            told = "; ".join(f"{name}: {state}" for name, state in roster.left_out.items())
            raise RequestDenied(
                f"{len(roster.approved)} hospital(s) approved and min_clients is {min_clients} ({told}). Wait for more "
                "decisions, or lower min_clients."
            )
        return roster
