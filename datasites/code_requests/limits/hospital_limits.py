"""The hospital's limits while the datasite runs: from its config, changed by its own people, written back at once.

A change never touches what was reserved before: an approved study keeps its envelope.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from datasites.approvals.approvals import MAX_REASON
from datasites.assets.features import check_there
from datasites.assets.published import PublishedDataset
from datasites.audit_log.log import AuditLog
from datasites.code_requests.limits.graph_room import check_room
from datasites.code_requests.limits.limit_proposals import LimitProposal, LimitProposals, has_expired, propose
from datasites.config import DatasiteConfig
from datasites.files.private_file import write_private
from datasites.files.state_folder import StateFolder
from policies.budget.limit_changes import LimitChange, changed, compare
from policies.budget.limits import DatasetLimits
from policies.errors import ConfigError, LimitExceeded, NotAllowed, RequestError
from policies.graphs.losses.own_loss import check_loss
from policies.graphs.own_model import check_graph
from policies.plans.kinds import Plan
from policies.plans.model_options import check_options
from policies.plans.releases import StatisticsPlan
from policies.plans.tokeniser import check_text
from policies.plans.words.statement import Statement
from policies.untrusted_text import is_plain

_LABEL_KINDS = (
    "with 'single' a picture has one of the classes, with 'multi' each class is a finding that it has, has not, or "
    "nobody knows."
)


@dataclass(frozen=True)
class LimitsOutcome:
    """What came of a change: what changes, and the proposal that it waits in; None where it is in force."""

    changes: tuple[LimitChange, ...]
    proposal: LimitProposal | None


class HospitalLimits:
    """The limits in force, for every part of a datasite that asks."""

    def __init__(self, state: StateFolder, config: DatasiteConfig, audit: AuditLog) -> None:
        self._state, self._config, self._audit = state, config, audit
        self._proposals = LimitProposals(state.limit_proposals)
        self._lock = threading.Lock()

    @property
    def current(self) -> DatasetLimits:
        """The limits in force now."""
        return self._config.limits

    @property
    def withdrawn(self) -> Path:
        """The list of patients who withdrew."""
        return self._state.withdrawn

    def check(self, plan: Plan, dataset: PublishedDataset) -> None:
        """Refuses a plan outside the limits, and one for other pictures, labels, reports or features than are there.

        Guarantees:
            Of a plan with an own model or an own loss it returns only if its graph was read and proved here and now.

        Raises:
            LimitExceeded, RequestError, PlanError: With what was expected, what came and what to change.
        """
        manifest = dataset.manifest
        self._check_statement(plan)
        self.current.check(plan, unit=manifest.unit, public_size=manifest.public_size)
        about = plan if isinstance(plan, StatisticsPlan) else plan.model
        expected = (tuple(manifest.image_shape), len(manifest.class_names))
        if (about.image_shape, about.num_classes) != expected:
            raise RequestError(
                f"The dataset has pictures of {expected[0]} in {expected[1]} classes, the plan is for "
                f"{about.image_shape} and {about.num_classes}. Take both from the dataset's schema."
            )
        if about.label_kind != manifest.label_kind:
            raise RequestError(
                f"The dataset's label_kind is '{manifest.label_kind}', the plan's '{about.label_kind}': {_LABEL_KINDS} "
                "Take it from the dataset's schema."
            )
        if not isinstance(plan, StatisticsPlan):
            check_options(plan.model)
            check_text(plan.model, manifest.text)
            check_there(plan, dataset.store)
        if (proof := check_graph(plan)) is not None:
            check_room(proof, self._config)
        check_loss(plan)

    def _check_statement(self, plan: Plan) -> None:
        missing = (plan.statement or Statement()).missing
        if self._config.require_statement and missing:
            raise LimitExceeded(
                f"The hospital decides on requests that say who asks and what for; this one says no "
                f"{', '.join(missing)}. Give {', '.join(f'--{name}' for name in missing)}, or --statement with a file "
                "of them. Where there is none, say so."
            )

    def proposals(self) -> tuple[LimitProposal, ...]:
        """The proposals that wait for confirmation, oldest first; expired ones are removed."""
        with self._lock:
            expired = [one for one in self._proposals.all() if has_expired(one)]
            for one in expired:
                self._audit.write("limits proposal expired", proposal=one.id, proposed_by=one.by, changes=_told(one))
            self._proposals.remove(*expired)
            return self._proposals.all()

    def change(self, new: Mapping[str, Any], *, by: str, named: bool = False, reason: str = "") -> LimitsOutcome:
        """Puts some limits, by name, to other values, or proposes that where it takes more than one person.

        Guarantees:
            What allows more is not done without a reason, and, where requests need several people's votes, not before
            as many different people, each with an own token, have proposed or confirmed it. What allows less is done
            at once.

        Args:
            new: Limits by name; `epsilon` and `delta` are those of the total.
            by: Who changes them.
            named: Whether `by` is a person with an own token.
            reason: Why.

        Raises:
            ConfigError: An unknown limit, a value out of range, or no reason; nothing is changed.
            NotAllowed: It takes several people, and `by` cannot be one of them.
        """
        with self._lock:
            changes = compare(self.current, changed(self.current, new))
            more = [change.name for change in changes if change.allows_more]
            if more or reason:
                _check_reason(reason, more)
            if not changes:
                return LimitsOutcome((), None)
            if not more or self.current.approvals_needed == 1:
                self._apply(new, changes, by=by, reason=reason)
                return LimitsOutcome(changes, None)
            self._check_named(by, named)
            proposal = propose(changes, new, by=by, reason=reason)
            self._audit.write("limits proposed", proposal=proposal.id, by=by, reason=reason, changes=_told(proposal))
            self._proposals.put(proposal)
            return LimitsOutcome(changes, proposal)

    def confirm(self, proposal_id: str, *, by: str, named: bool) -> LimitsOutcome:
        """Confirms a proposal; with the last confirmation that is needed it is done.

        Raises:
            RequestUnknown: No such proposal waits.
            NotAllowed: Whoever proposed it, or has confirmed it, cannot confirm it; nor can who has no own token.
            ConfigError: The limits are not those any more that it was proposed from.
        """
        with self._lock:
            proposal = self._proposals.named(proposal_id)
            self._check_named(by, named)
            people = (proposal.by, *proposal.confirmed, by)
            if by in people[:-1]:
                raise NotAllowed(f"{by} stands behind this proposal already. Somebody else must confirm it.")
            if compare(self.current, changed(self.current, proposal.values)) != proposal.changes:
                raise ConfigError("The limits have changed since this was proposed. Withdraw it, and propose it anew.")
            self._audit.write("limits confirmed", proposal=proposal.id, by=by)
            if len(people) < self.current.approvals_needed:
                proposal = replace(proposal, confirmed=people[1:])
                self._proposals.put(proposal)
                return LimitsOutcome(proposal.changes, proposal)
            self._apply(proposal.values, proposal.changes, by=", ".join(people), reason=proposal.reason)
            self._proposals.remove(proposal)
            return LimitsOutcome(proposal.changes, None)

    def withdraw(self, proposal_id: str, *, by: str) -> LimitProposal:
        """Withdraws a proposal.

        Raises:
            RequestUnknown: No such proposal waits.
        """
        with self._lock:
            proposal = self._proposals.named(proposal_id)
            self._audit.write("limits proposal withdrawn", proposal=proposal.id, by=by, changes=_told(proposal))
            self._proposals.remove(proposal)
            return proposal

    def drop(self, person: str) -> None:
        """Removes what waits and was proposed or confirmed by a person whose account ends."""
        with self._lock:
            gone = [one for one in self._proposals.all() if person in (one.by, *one.confirmed)]
            for one in gone:
                self._audit.write("limits proposal ended with an account", proposal=one.id, changes=_told(one))
            self._proposals.remove(*gone)

    def _check_named(self, by: str, named: bool) -> None:
        if not named:
            raise NotAllowed(
                f"What allows more takes {self.current.approvals_needed} people here, each with an own token, as "
                f"requests do; {by} only owns the state folder. Use --as."
            )

    def _apply(self, new: Mapping[str, Any], changes: tuple[LimitChange, ...], *, by: str, reason: str) -> None:
        config = replace(self._config, limits=changed(self.current, new))
        self._audit.write("limits changed", by=by, reason=reason, changes=_told_changes(changes))
        write_private(self._state.config, config.to_toml())
        self._config = config


def _check_reason(reason: str, more: list[str]) -> None:
    if not reason.strip() or len(reason) > MAX_REASON or not is_plain(reason):
        what = f"What allows more ({', '.join(more)}) needs a" if more else "A change of limits takes a"
        raise ConfigError(f"{what} reason of 1 to {MAX_REASON} characters in one line: --reason TEXT.")


def _told(proposal: LimitProposal) -> str:
    return _told_changes(proposal.changes)


def _told_changes(changes: tuple[LimitChange, ...]) -> str:
    return ", ".join(f"{one.name}: {one.before} -> {one.after}" for one in changes)
