"""Makes rules, changes them and switches them off. What lets more through takes as many people as a request does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from datasites.approvals.approvals import MAX_REASON, Approvals
from datasites.approvals.votes import is_the_asker
from datasites.audit_log.log import AuditLog
from datasites.rules.kept_rule import OFF, ON, PROPOSED, KeptRule, RuleFile, now
from datasites.rules.rule import Rule, WantedRule, check_sums, read_ranges
from policies.errors import ConfigError, NotAllowed, RequestUnknown
from policies.ledger.ledger import Ledger
from policies.untrusted_text import is_plain

MOST_ON = 20
"""Rules that may be in force at once."""


class RuleBook:
    """The rules of one datasite.

    Args:
        file: Where they are kept.
        approvals: The decisions, of which one is each rule's template.
        ledger: Knows which dataset version each was approved on.
        audit: Hears of every change.
        whole: Makes a request's whole identifier out of its beginning.
        people_needed: How many people a request needs now.
    """

    def __init__(
        self,
        file: Path,
        *,
        approvals: Approvals,
        ledger: Ledger,
        audit: AuditLog,
        whole: Callable[[str], str],
        people_needed: Callable[[], int],
    ) -> None:
        self._file, self._approvals, self._ledger, self._audit = RuleFile(file), approvals, ledger, audit
        self._whole, self._people_needed = whole, people_needed
        self._told: list[Callable[[], None]] = []
        self._lock = threading.RLock()

    @property
    def people_needed(self) -> int:
        """How many people a rule takes now."""
        return self._people_needed()

    def on_change(self, tell: Callable[[], None]) -> None:
        """Has `tell` called whenever a rule has come into force; it must not wait."""
        self._told.append(tell)

    def all(self) -> tuple[KeptRule, ...]:
        """All that are kept, those that decide first, then proposals, then what is off, each the newest first.

        Raises:
            ConfigError: The file cannot be read.
        """
        order, newest_first = (ON, PROPOSED, OFF), self._kept()[::-1]
        return tuple(sorted(newest_first, key=lambda one: order.index(one.state)))

    def named(self, version: str) -> KeptRule:
        """The one whose version begins so.

        Raises:
            RequestUnknown: None does, or more than one.
        """
        return self._one(version, self._kept())

    @contextmanager
    def in_force(self) -> Iterator[tuple[KeptRule, ...]]:
        """The rules that decide; within, none is switched off or changed.

        Raises:
            ConfigError: The file cannot be read.
        """
        with self._lock:
            yield tuple(one for one in self._kept() if one.decides)

    def draft(self, wanted: WantedRule) -> Rule:
        """The rule that people want, which is not kept yet.

        Guarantees:
            Its template is the plan of a request that people approved here, with differential privacy, and each of its
            ranges lies around that plan's own value.

        Raises:
            ConfigError: What is wrong with it.
            RequestUnknown: There is no such request.
        """
        request = self._whole(wanted.like)
        decision, held = self._approvals.of_request(request), self._ledger.held(request)
        if decision is None or held is None or decision.decision not in ("approved", "ended") or held.rule:
            raise ConfigError("A rule is like a request that people approved here. Name one that they did.")
        plan = decision.approved_plan
        if plan.privacy is None:
            raise ConfigError("What has no differential privacy is for people to approve, each time.")
        rule = Rule(
            name=wanted.name,
            researcher=decision.researcher,
            account=decision.account,
            dataset=decision.dataset,
            dataset_version=held.dataset_version,
            like=request,
            plan=decision.plan,
            ranges=read_ranges(wanted.ranges, plan),
            max_study_epsilon=wanted.max_study_epsilon,
            max_month_epsilon=wanted.max_month_epsilon,
            ends=wanted.ends,
        )
        check_sums(rule)
        return rule

    def make(self, wanted: WantedRule, *, by: str, named: bool) -> KeptRule:
        """Puts a rule in force, in the place of the one with its name, or proposes it where it takes more people.

        Guarantees:
            No rule is in force without a reason, nor, where requests need several people, before as many different
            people, each with an own token, have proposed or confirmed this very version. Nobody who asks in it is one
            of them.

        Args:
            wanted: What people want.
            by: Who.
            named: Whether `by` is a person with an own token.

        Raises:
            ConfigError: What is wrong with it, or there is no reason; nothing is changed.
            NotAllowed: It takes several people, and `by` cannot be one of them.
            RequestUnknown: There is no such request.
        """
        reason = wanted.reason.strip()
        if not reason or len(reason) > MAX_REASON or not is_plain(reason):
            raise ConfigError(f"A rule needs a reason of 1 to {MAX_REASON} characters in one line: --reason TEXT.")
        rule = self.draft(wanted)
        with self._lock:
            self._check_person(rule, by, named)
            kept = self._kept()
            if any(one.version == rule.version and one.state != OFF for one in kept):
                raise ConfigError("There is this very rule already.")
            made = KeptRule(rule, PROPOSED, reason, (by,), now())
            kept = tuple(one for one in kept if one.version != rule.version)
            if self._people_needed() > 1:
                self._write("rule proposed", made, by=by)
                self._file.write((*kept, made))
                return made
            return self._put_in_force(made, kept)

    def confirm(self, version: str, *, by: str, named: bool) -> KeptRule:
        """Confirms a proposal; with the last person that it takes, it is in force.

        Raises:
            RequestUnknown: No such proposal waits.
            NotAllowed: Whoever stands behind it already cannot confirm it; nor can who has no own token, or asks in it.
            ConfigError: It ends too late, or earlier than today.
        """
        with self._lock:
            kept = self._kept()
            proposal = self._one(version, kept, state=PROPOSED)
            self._check_person(proposal.rule, by, named)
            if by in proposal.people:
                raise NotAllowed(f"{by} stands behind this proposal already. Somebody else must confirm it.")
            check_sums(proposal.rule)
            confirmed = replace(proposal, people=(*proposal.people, by))
            others = tuple(one for one in kept if one is not proposal)
            self._write("rule confirmed", confirmed, by=by)
            if len(confirmed.people) < self._people_needed():
                self._file.write((*others, confirmed))
                return confirmed
            return self._put_in_force(confirmed, others)

    def withdraw(self, version: str, *, by: str) -> KeptRule:
        """Withdraws a proposal.

        Raises:
            RequestUnknown: No such proposal waits.
        """
        with self._lock:
            kept = self._kept()
            proposal = self._one(version, kept, state=PROPOSED)
            self._write("rule proposal withdrawn", proposal, by=by)
            self._file.write(tuple(one for one in kept if one is not proposal))
            return proposal

    def switch_off(self, version: str, *, by: str) -> KeptRule:
        """Switches a rule off for good: who finds something wrong does not wait for a colleague.

        Guarantees:
            After the return the rule decides nothing. What it approved before stands.

        Raises:
            RequestUnknown: No such rule is in force.
        """
        with self._lock:
            kept = self._kept()
            gone = self._one(version, kept, state=ON)
            off = replace(gone, state=OFF, off_by=by, off_at=now())
            self._file.write(tuple(off if one is gone else one for one in kept))
            self._write("rule switched off", off, by=by)
            return off

    def drop(self, person: str) -> None:
        """Takes a person out whose account ends or may do less: their proposals are removed, their rules are off.

        Guarantees:
            What they stood behind decides nothing from then on, also if somebody has their name or role again.
        """
        with self._lock:
            try:
                kept = self._kept()
            except ConfigError:  # no rule decides, and none can be confirmed, until people have made them anew
                return
            theirs = [one for one in kept if one.state != OFF and person in one.people]
            if not theirs:
                return
            by = f"the account of {person}"
            gone = [one for one in theirs if one.state == PROPOSED]
            off = {one.version: replace(one, state=OFF, off_by=by, off_at=now()) for one in theirs if one.state == ON}
            self._file.write(tuple(off.get(one.version, one) for one in kept if one not in gone))
            for one in gone:
                self._write("rule proposal ended with an account", one, by=person)
            for one in off.values():
                self._write("rule switched off", one, by=by)

    def _put_in_force(self, made: KeptRule, kept: tuple[KeptRule, ...]) -> KeptRule:
        if sum(one.state == ON and one.rule.name != made.rule.name for one in kept) >= MOST_ON:
            raise ConfigError(f"{MOST_ON} rules are in force, and no more can be. Switch one off.")
        on = replace(made, state=ON, at=now())
        self._write("rule in force", on, by=", ".join(on.people))
        replaced = f"version {on.version}"
        others = (
            replace(one, state=OFF, off_by=replaced, off_at=on.at)
            if one.state == ON and one.rule.name == on.rule.name
            else one
            for one in kept
        )
        self._file.write((*others, on))
        for tell in self._told:
            tell()
        return on

    def _check_person(self, rule: Rule, by: str, named: bool) -> None:
        if is_the_asker(by, rule.researcher):
            raise NotAllowed(f"{by} asks in what this rule lets through, or has the name of who does.")
        if self._people_needed() > 1 and not named:
            raise NotAllowed(
                f"A rule takes {self._people_needed()} people here, each with an own token, as requests do; {by} only "
                "owns the state folder. Use --as."
            )

    def _kept(self) -> tuple[KeptRule, ...]:
        """All that are kept, oldest first, without proposals that nobody may confirm any more."""
        with self._lock:
            return tuple(one for one in self._file.all() if not one.has_expired)

    def _one(self, version: str, kept: tuple[KeptRule, ...], *, state: str = "") -> KeptRule:
        found = [one for one in kept if version and one.version.startswith(version) and state in ("", one.state)]
        if len(found) != 1:
            which = {PROPOSED: "proposed rule", ON: "rule in force"}.get(state, "rule")
            many = "More than one" if found else "No"
            raise RequestUnknown(f"{many} {which} has a version that begins with {version!r:.80}. 'rules' shows them.")
        return found[0]

    def _write(self, event: str, kept: KeptRule, *, by: str) -> None:
        rule = kept.rule
        self._audit.write(
            event,
            rule=rule.name,
            version=kept.version,
            by=by,
            reason=kept.reason,
            researcher=rule.researcher,
            dataset=rule.dataset,
            like=rule.like,
            ranges=", ".join(one.text for one in rule.ranges),
            study_epsilon=f"{rule.max_study_epsilon:g}",
            month_epsilon=f"{rule.max_month_epsilon:g}",
            ends=rule.ends,
        )
