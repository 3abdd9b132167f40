"""A study as a notebook holds it: asked how it stands, waited for, run, opened again from its folder, repeated."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from policies.plans.training import TrainingPlan
from researcher.evaluation.hold_out import HoldOut
from researcher.hospitals.credentials import Credentials
from researcher.html.element import Html, together
from researcher.notebook.folder import Invitations, Judgement, credentials_for, exported, given_hold_out, invite, judged
from researcher.notebook.setup import Setup, first_weights
from researcher.notebook.status import StudyStatus, status_of
from researcher.notebook.watching import Watching, say_left_behind, say_unfetched, wait_for_decisions
from researcher.strategies import ServerState, Strategy
from researcher.studies import study
from researcher.studies.checkpoints import load_state
from researcher.studies.history import History, RoundRecord
from researcher.studies.kept_plan import read_plan
from researcher.studies.remote_round import RetryPolicy, RoundEvent
from researcher.terminal.training_session import chosen_strategy, keep_gram, result_of, write_all
from researcher.tracking.tracker import Tracker

if TYPE_CHECKING:
    from researcher.hospitals.federation import Federation
    from researcher.notebook import federation as notebook_federation
    from researcher.notebook.folder import ExportedFile
    from researcher.notebook.repetition import Repetition

MIN_CLIENTS = 2


class Finished(NamedTuple):
    """A study's rounds after `Study.run`.

    Attributes:
        state: The last global model, and what the strategy keeps beside it.
        history: All rounds.
    """

    state: ServerState
    history: History

    def __repr__(self) -> str:
        return f"Finished(after round {self.state.round})"

    def _repr_html_(self) -> Html:
        return together(self.history.to_html())


class Study(study.Study):
    """A training plan at several hospitals, over its rounds."""

    @classmethod
    def begin(cls, federation: Federation, plan: TrainingPlan, folder: Path | str, setup: Setup) -> Self:
        """Submits a plan as `submit` does, and keeps beside it what it was begun with.

        Args:
            federation: The connected hospitals.
            plan: What each of them is asked for.
            folder: Where the study is kept.
            setup: What it is begun with; its hold-out is read first.

        Raises:
            ConfigError: The folder holds a study, or cannot be written.
            DataError: The hold-out cannot be read as one for this plan.
            WanwuError: What a hospital refused the plan with.
        """
        if setup.hold_out:
            given_hold_out(None, federation, plan, setup)
        begun = cls.submit(federation, plan, folder, before=setup.save)
        say_left_behind(begun)
        return begun

    @classmethod
    def open(
        cls, folder: Path | str, credentials: str | Path | Iterable[str | Path | Credentials] | None = None
    ) -> Self:
        """Goes on with a study from its folder, on this machine or another: connects to its hospitals.

        Args:
            folder: Where it is kept.
            credentials: As `Federation.connect` takes them; those that it was submitted with if None.

        Raises:
            StateVersionMismatch: A later version wrote the folder.
            ConfigError: The folder holds no study, or was changed, or the credentials are not where they were.
            WanwuError: As `Federation.connect`.
        """
        plan, names = read_plan(folder)
        setup = Setup.load(folder, plan)
        load_state(folder, plan_digest=plan.digest())
        given, enough = credentials_for(names, setup, folder, credentials), setup.min_clients if setup else None
        return cls.load(_federation().connect(given, enough=enough, begun=True), folder)

    @property
    def setup(self) -> Setup | None:
        """What it was begun with; None where an older version submitted it."""
        return Setup.load(self.folder, self.plan)

    @property
    def history(self) -> History:
        """The rounds that are done, as its folder holds them."""
        saved = load_state(self.folder, plan_digest=self.plan.digest())
        return saved[1] if saved else History()

    def status(self) -> StudyStatus:
        """How it stands. A hospital that cannot be reached is told as that, and ends nothing."""
        return status_of(self, self.history)

    def wait(
        self,
        *,
        min_clients: int | None = None,
        retry_policy: RetryPolicy | None = None,
        timeout_seconds: float = 24 * 3600,
        poll_seconds: float = 2.0,
    ) -> StudyStatus:
        """Waits until enough hospitals approved, saying who decided, and returns how the study stands then.

        Where all rounds are done there is nothing to wait for.

        Args:
            min_clients: So many approvals are enough; that of the submission if None.
            retry_policy: Its `grace_seconds` say how long more decisions are waited for then.
            timeout_seconds: How long at most.
            poll_seconds: Pause between two questions to the hospitals.

        Raises:
            WanwuError: As `wait_for_decisions`.
        """
        if len(self.history) < self.plan.rounds:
            wait_for_decisions(
                self,
                min_clients=self._least(min_clients),
                grace_seconds=(retry_policy or RetryPolicy()).grace_seconds,
                timeout_seconds=timeout_seconds,
                poll_seconds=poll_seconds,
            )
        return self.status()

    def invite(
        self, credentials: str | Path | Iterable[str | Path | Credentials] | None = None, hospital: str | None = None
    ) -> Invitations:
        """Submits the plan to hospitals that have no request of it; they join with the round after their approval.

        Args:
            credentials: Of further hospitals, as `connect` takes them; None for those that are connected.
            hospital: Only this one.

        Raises:
            ConfigError: No round is left, the study was ended or is at work, or there is nobody to ask.
            WanwuError: As `connect`.
        """
        if credentials is not None:
            self.federation.join(credentials)
        return invite(self, hospital=hospital)

    def _least(self, min_clients: int | None) -> int:
        setup = self.setup
        return min_clients if min_clients is not None else MIN_CLIENTS if setup is None else setup.min_clients

    def run(
        self,
        *,
        hold_out: HoldOut | Path | str | None = None,
        initial_weights: Mapping[str, np.ndarray] | Callable[[], Mapping[str, np.ndarray]] | None = None,
        strategy: Strategy | None = None,
        gram: Path | str | None = None,
        min_clients: int | None = None,
        rounds: int | None = None,
        retry_policy: RetryPolicy | None = None,
        on_event: Callable[[RoundEvent], None] | None = None,
        on_round: Callable[[RoundRecord], None] | None = None,
        trackers: Iterable[Tracker] = (),
        **more: Any,
    ) -> Finished:
        """Runs the rounds that are left and, after the last one, writes model, report and receipts into the folder.

        Args:
            hold_out: Public pictures that each global model is evaluated on, or where they are; those that the study
                was submitted with if None.
            initial_weights: The global model before the first round, name → float32 array of the parameter's shape,
                or what makes it; drawn from the study's seed if None. Not read when the study is continued.
            strategy: How updates are averaged; the plan's if None.
            gram: Folder of the Gram matrix that a `few_rounds` study steps by; the one that it keeps if None.
            min_clients: Least number of hospitals whose update a round needs; that of the submission if None.
            rounds: Stop after this many rounds in all; the plan's if None.
            retry_policy: How long to wait and how often to try again: `RetryPolicy(round_deadline=3600)` ends a round
                after an hour with what came.
            on_event: Called from several threads while hospitals work, instead of a display.
            on_round: Called after each round, likewise.
            trackers: Told of each round, as TensorBoard and MLflow are.
            more: What `researcher.studies.study.Study.run` takes besides.

        Raises:
            StudyInterrupted: By hand; run it again to go on.
            WanwuError: As `researcher.studies.study.Study.run`; run it again to go on.
        """
        setup, gram = self.setup, None if gram is None else Path(gram)
        pictures = given_hold_out(hold_out, self.federation, self.plan, setup)
        drawn = partial(first_weights, self.plan, 0 if setup is None else setup.seed)
        with self.held():
            if strategy is None:
                strategy = chosen_strategy(self.plan, self.folder, gram)
                keep_gram(self.plan, self.folder, gram)
            watching = Watching(self, on_event, on_round, tuple(trackers))
            with watching.opened():
                state, history = super().run(
                    hold_out=pictures,
                    initial_weights=drawn if initial_weights is None else initial_weights,
                    strategy=strategy,
                    min_clients=self._least(min_clients),
                    rounds=rounds,
                    retry_policy=retry_policy,
                    on_event=watching.on_event,
                    on_round=watching.on_round,
                    **more,
                )
            if state.round == self.plan.rounds:
                say_unfetched(write_all(self.folder, self, state, history, result_of(self, state, history, pictures)))
            return Finished(state, history)

    def evaluate(self, test_data: Path | str, *, hospital: str | None = None, **more: Any) -> Judgement:
        """Judges the study's global model on public test data, once all rounds are done.

        Args:
            test_data: Public pictures, in any form that a hold-out has.
            hospital: Whose model, where each hospital has its own (`mr_mtl`); the global model if None.
            more: What `researcher.judge` takes besides, such as `about`, `calibrate_on` and `against`.

        Raises:
            ConfigError: The study has no global model yet.
            WanwuError: As `researcher.judge`.
        """
        return judged(self.folder, self.setup, test_data, hospital, **more)

    def export(
        self,
        format: str = "onnx",
        out: Path | str | None = None,
        *,
        test: Path | str | None = None,
        calibrate_on: Path | str | None = None,
        backbone_weights: str | None = None,
        hospital: str | None = None,
    ) -> ExportedFile:
        """Writes the global model as a file for other programs, after holding it against the trained one.

        Args:
            format: `onnx`, `onnx-int8`, `litert`, `coreml` or `executorch`.
            out: The file; beside the model if None.
            test: Public pictures on which it is compared; drawn ones if None.
            calibrate_on: Public pictures for the ranges of a model in 8 bits; drawn ones if None.
            backbone_weights: A features model's public weights; those that the study was submitted with if None.
            hospital: Whose model, where each hospital has its own (`mr_mtl`); the global model if None.

        Raises:
            WanwuError: As `researcher.exports.order.ExportOrder.export`.
        """
        return exported(
            self.folder,
            self.setup,
            format,
            out,
            test=test,
            calibrate_on=calibrate_on,
            backbone_weights=backbone_weights,
            hospital=hospital,
        )

    def repeat(self) -> Repetition:
        """The same plan with the same first weights once more, at the hospitals that this study is connected to.

        Raises:
            WanwuError: As `Federation.repeat`.
        """
        return _federation()(self.federation.hospitals.values(), came_from=self.federation.came_from).repeat(
            self.folder
        )

    def __repr__(self) -> str:
        where = ", ".join(f"{name} {request.request_id[:8]}" for name, request in self.requests.items())
        done = f"{len(self.history)} of {self.plan.rounds} rounds done"
        return f"Study '{self.plan.study}' in {self.folder}: {done}; requests: {where}"

    def _repr_html_(self) -> Html:
        return self.status()._repr_html_()


def _federation() -> type[notebook_federation.Federation]:
    """The federation that plans studies, which knows this module."""
    from researcher.notebook.federation import Federation

    return Federation
