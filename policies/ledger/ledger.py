"""The privacy ledger: what each dataset's budget was spent on. What is left of it may be told outside.

An approval reserves the request's whole envelope; each round is charged when it starts, before it reads a picture, and
commits the update that it gave before that may leave; the end of a study releases what it did not use. A crash between
any two of these leaves more charged than spent, never less.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from policies import validate
from policies.budget.accountant import epsilon_spent, filter_epsilon
from policies.budget.limits import DatasetLimits
from policies.budget.steps import GaussianSteps, merged
from policies.errors import LimitExceeded
from policies.ledger.budget_check import Accountant, BudgetCheck, Filter
from policies.ledger.chain import Chain, Draft, Entry
from policies.ledger.head_file import GENESIS
from policies.ledger.reservations import Reservation, steps_to_json
from policies.ledger.rule_share import RuleShare
from policies.ledger.seal import Seal
from policies.ledger.standing import Standing, reserved, same_reservation


class Ledger:
    """The ledger of one datasite. Any thread and process may use the same file at once.

    Every method but `__init__` verifies the whole chain first and raises LedgerBroken if it does not hold; one that
    only reads does not verify again what nobody has written to since.
    """

    def __init__(
        self,
        path: Path,
        epsilon: Accountant = epsilon_spent,
        filtered: Filter = filter_epsilon,
        *,
        seal: Seal | None = None,
    ) -> None:
        """Opens the ledger at `path`, which `Chain.begin` has made; its head and lock files lie beside it.

        Args:
            path: The SQLite file, on a local disk.
            epsilon: Computes epsilon from a history and a delta.
            filtered: Likewise, within a budget, where studies were chosen by earlier results.
            seal: The datasite's; without it a sealed ledger is refused.
        """
        self.path, self._chain = path, Chain(path, seal)
        self._reserving = path.with_suffix(".reserving")
        self._budgets = BudgetCheck(epsilon, filtered)
        self._known = Standing()

    def reserve(
        self,
        *,
        fingerprint: str,
        dataset: str,
        request_id: str,
        study: str,
        researcher: str,
        plan_digest: str,
        spend: Iterable[GaussianSteps],
        rounds: int,
        limits: DatasetLimits,
        dataset_version: int = 1,
        share: RuleShare | None = None,
    ) -> Reservation:
        """Reserves a request's whole envelope, if the dataset's, study's and researcher's budgets hold it.

        Guarantees:
            With what is charged already, composed at `limits.total.delta`, the envelope stays within
            `limits.total` for the dataset, `max_study_epsilon` for the researcher's study and
            `max_researcher_epsilon` for the researcher; with `adaptive_filter`, the dataset's also by the filter.
            With `share`, also within the rule's month. This holds when many processes reserve at once. Reserving the
            same again changes nothing.

        Args:
            fingerprint: The budget's key: of the dataset's lineage, which all its versions share.
            dataset: The dataset's name, for display.
            request_id: Of the code request.
            study: Name of the study.
            researcher: Who asked.
            plan_digest: SHA-256 of the approved plan.
            spend: All steps of all rounds; empty for a plan without differential privacy.
            rounds: How many rounds the envelope is for.
            limits: The hospital's limits for the dataset.
            dataset_version: Which version of the dataset the request's rounds read.
            share: Of the rule that approved it; None where people did.

        Raises:
            BudgetExceeded: It does not fit.
            LimitExceeded: It has no differential privacy and the hospital does not allow that.
            NotReserved: The request was released before.
            RequestAltered: The request is reserved with other content.
            PlanError: An argument out of range.
        """
        envelope = merged(spend)
        wanted = Reservation(
            request_id=validate.short_text("request_id", request_id),
            fingerprint=validate.digest("fingerprint", fingerprint),
            dataset=validate.name("dataset", dataset),
            study=validate.name("study", study),
            researcher=validate.short_text("researcher", researcher),
            plan_digest=validate.digest("plan_digest", plan_digest),
            spend=envelope,
            rounds=validate.integer("rounds", rounds, low=1, high=10**6),
            non_private=not envelope,
            dataset_version=validate.integer("dataset_version", dataset_version, low=1, high=10**6),
            rule="" if share is None else validate.name("rule", share.rule),
        )
        return self._append_if_it_fits(wanted, limits, share)

    def start(
        self, *, request_id: str, round_index: int, spend: GaussianSteps | None, weights_digest: str
    ) -> tuple[Entry, ...]:
        """Charges one round for good and pins the weights that it runs with. It may read pictures after this returns.

        Guarantees:
            A round is charged once, whatever comes of it. Until it has ended, the same round with the same weights
            again changes nothing; with other weights it never runs. What a request's rounds spend together stays
            within its envelope.

        Args:
            request_id: Of the code request.
            round_index: From 0.
            spend: What the round runs; None without differential privacy.
            weights_digest: SHA-256 of the global weights that came in, as they travelled.

        Returns:
            All entries, the round's among them.

        Raises:
            NotReserved: No live reservation covers this.
            RoundRefused: The round has started with other weights or another spend, or has ended.
            PlanError: A weights digest that is none.
        """
        validate.digest("weights_digest", weights_digest)

        def decide(entries: tuple[Entry, ...]) -> Draft | None:
            held = reserved(self._standing(entries).held, request_id)
            if held.has_started(round_index, spend, weights_digest):
                return None
            held.check_start(round_index, spend)
            spent = None if spend is None else steps_to_json(spend)
            body = {"spend": spent, "weights_digest": weights_digest}
            return Draft("start", held.fingerprint, request_id, body, round_index)

        return self._chain.append(decide)

    def commit(self, *, request_id: str, round_index: int, update_digest: str) -> None:
        """Ends a started round for good. Its update may leave the hospital after this returns, and not before.

        Guarantees:
            A round ends once; the same round with the same update again changes nothing.

        Args:
            request_id: Of the code request.
            round_index: From 0.
            update_digest: SHA-256 of the update that is to leave; `NOTHING_LEFT` where none does.

        Raises:
            NotReserved: No live reservation covers this, or the round has not started.
            RoundRefused: The round has ended with another update.
            PlanError: An update digest that is none.
        """
        validate.digest("update_digest", update_digest)

        def decide(entries: tuple[Entry, ...]) -> Draft | None:
            held = reserved(self._standing(entries).held, request_id)
            if held.has_committed(round_index, update_digest):
                return None
            return Draft("commit", held.fingerprint, request_id, {"update_digest": update_digest}, round_index)

        self._chain.append(decide)

    def release(self, request_id: str, reason: str) -> None:
        """Ends a request: what its rounds did not use is free again, what they used stays charged for ever.

        Guarantees:
            No round of the request can start or give an update afterwards. Releasing again changes nothing.

        Raises:
            NotReserved: No such reservation.
            PlanError: A reason that is not a short text.
        """
        validate.short_text("reason", reason, longest=2000)

        def decide(entries: tuple[Entry, ...]) -> Draft | None:
            held = reserved(self._standing(entries).held, request_id)
            if held.released is not None:
                return None
            return Draft("release", held.fingerprint, request_id, {"reason": reason})

        self._chain.append(decide)

    def started(self, request_id: str, round_index: int) -> str | None:
        """The digest of the weights that the round is pinned to, or None if it was not charged at a start."""
        held = self.held(request_id)
        begun = None if held is None else held.started.get(round_index)
        return None if begun is None else begun.weights_digest

    def committed(self, request_id: str, round_index: int) -> str | None:
        """The digest of the update that the round gave, or None if it has not ended."""
        held = self.held(request_id)
        done = None if held is None else held.committed.get(round_index)
        return None if done is None else done.update_digest

    def spent(self, request_id: str) -> tuple[GaussianSteps, ...]:
        """What a request's rounds are charged so far."""
        held = self.held(request_id)
        return () if held is None else held.spent

    def history(
        self,
        fingerprint: str,
        *,
        study: str | None = None,
        researcher: str | None = None,
        request_id: str | None = None,
    ) -> tuple[GaussianSteps, ...]:
        """What is charged to a dataset, or to a part of those who use it.

        Guarantees:
            A live reservation counts with its whole envelope, a released one with every round that it started.
            Requests without differential privacy add nothing: see `Reservation.non_private`.
        """
        return self._standing().charged(fingerprint, study=study, researcher=researcher, request_id=request_id)

    def held(self, request_id: str) -> Reservation | None:
        """A request's reservation with its rounds, if there is one."""
        return self._standing().held.get(request_id)

    def reservations(self) -> dict[str, Reservation]:
        """All reservations by request, oldest first, with their rounds."""
        return dict(self._standing().held)

    def _standing(self, entries: tuple[Entry, ...] | None = None) -> Standing:
        self._known = standing = self._known.after(self._chain.entries() if entries is None else entries)
        return standing

    def entries(self) -> tuple[Entry, ...]:
        """All entries, oldest first."""
        return self._chain.entries()

    def head(self) -> tuple[int, str]:
        """How many entries there are, and the last one's hash."""
        entries = self.entries()
        return len(entries), entries[-1].hash if entries else GENESIS

    def verify(self) -> None:
        """Checks every entry.

        Raises:
            LedgerBroken: The private text names the first bad entry; the public one says nothing of it.
        """
        self._standing()

    def copy_to(self, path: Path) -> tuple[int, str]:
        """Copies the ledger, file and head, to `path`; returns how many entries the copy has and the last one's hash.

        Guarantees:
            The copy verifies, and holds every entry that was on disk when this was called.
        """
        head = self._chain.copy_to(path)
        return head.count, head.hash

    def recharge(self, reservations_lost: Iterable[Reservation]) -> int:
        """Appends reservations that another copy of this ledger held, whole and whatever the limits; returns how many.

        They were approved, and may have been spent, after this copy was made. Those that the ledger holds already are
        left as they are.

        Guarantees:
            Each one counts with its whole envelope from now on.
        """
        return sum(map(self._recharge, reservations_lost))

    def _recharge(self, lost: Reservation) -> int:
        before = len(self._chain.entries())
        return len(self._chain.append(lambda entries: self._standing(entries).unless_held(lost))) - before

    def _append_if_it_fits(self, wanted: Reservation, limits: DatasetLimits, share: RuleShare | None) -> Reservation:
        if wanted.non_private and not limits.allow_non_private:
            raise LimitExceeded(
                "The hospital trains with differential privacy only, the request has none. Give the plan a PrivacySpec."
            )
        # Nobody else reserves meanwhile, and other entries only free budget: what fits here fits when it is appended.
        with self._chain.nobody_else(self._reserving):
            standing = self.reservations()
            if held := standing.get(wanted.request_id):
                return same_reservation(held, wanted)
            self._budgets.check(wanted, standing.values(), limits)
            if share is not None:
                self._budgets.check_share(wanted, self._chain.entries(), share, limits.total.delta)
            self._chain.append(lambda _: Draft("reserve", wanted.fingerprint, wanted.request_id, wanted.body()))
        return wanted
