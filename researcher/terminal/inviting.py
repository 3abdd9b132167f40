"""Inviting further hospitals to a study that was submitted: before its first round, between rounds, or after a crash.

They get the plan to the last byte as the others got it, so its digest is what those approved, and take part from the
round after their approval.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from policies.answers import rounded
from policies.answers.requests import with_reason
from policies.errors import ConfigError, WanwuError
from policies.plans.tokeniser import TEXT_MODELS
from policies.plans.training import TrainingPlan
from policies.untrusted_text import shown
from researcher.hospitals.code_request import CodeRequest
from researcher.hospitals.differences import differences
from researcher.hospitals.hospital import DatasetInfo, Hospital
from researcher.planning.shortages import shortages
from researcher.studies.study import Study
from researcher.studies.submission import Submission
from researcher.terminal.given_gram import given_gram

_MAY_GO_ON = ("approved", "pending", "unreachable", "refused")


@dataclass(frozen=True)
class KnownHospital:
    """What a study's folder knows of one of its hospitals.

    Attributes:
        public_key: What its receipts are signed with, in hexadecimal.
        dataset: As the hospital published it.
    """

    public_key: str
    dataset: DatasetInfo


@dataclass(repr=False)
class Invitations:
    """What came of inviting hospitals.

    Attributes:
        invited: Those that have a request now.
        without: Hospital → why it has none.
        asked_before: Hospital → how its request stands, of those that have one from before and were not asked.
        short: Hospital → why its privacy budget hardly holds the study, which it reserves whole, of those invited.
    """

    invited: list[str] = field(default_factory=list)
    without: dict[str, str] = field(default_factory=dict)
    asked_before: dict[str, str] = field(default_factory=dict)
    short: dict[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        lines = [f"{name}: invited, waiting for the hospital's decision" for name in self.invited]
        lines += self._others()
        return "\n".join(shown(one, most=2000) for one in lines)

    def told(self, requests: Mapping[str, CodeRequest]) -> list[str]:
        """It in lines.

        Args:
            requests: Of the study.
        """
        lines = [
            f"{name}: request {requests[name].request_id[:8]}, waiting for the hospital's decision"
            for name in self.invited
        ]
        last = "They take part from the round after their approval: 'train' goes on with them."
        return [*lines, *self._others(), *([last] if self.invited else [])]

    def _others(self) -> list[str]:
        return [
            *(f"{name}: {why}" for name, why in self.short.items()),
            *(f"without {name}: {reason}" for name, reason in self.without.items()),
            *(f"{name} was asked before: {told}" for name, told in self.asked_before.items()),
        ]


def invite(
    study: Study,
    *,
    hospital: str | None = None,
    known: Mapping[str, KnownHospital],
    before: Callable[[Collection[str]], object] = lambda names: None,
) -> Invitations:
    """Submits a study's plan to the hospitals of its federation that have no request of it.

    A hospital that has one is not asked again, however it decided: what it charges and signs is of one request.

    Args:
        study: Which.
        hospital: Only this one; all if None.
        known: Of its hospitals, whether or not they are there now.
        before: Called with those that will be asked, before they are.

    Raises:
        ConfigError: The study has no round left, was ended, or another process works on its folder now; or there is
            nobody to ask.
        FederationError: There is no connection to that hospital.
    """
    if not isinstance(study.plan, TrainingPlan):
        raise ConfigError(
            f"{study.folder} holds a request for counts, and only a study takes hospitals in later. Ask the hospital "
            "for counts of its own."
        )
    with study.held():
        saved = study.saved()
        done = 0 if saved is None else saved[0].round
        if done >= study.plan.rounds:
            raise ConfigError(
                f"All {study.plan.rounds} rounds of '{study.plan.study}' are done: nobody can join it any more. Submit "
                "a new study to all of them, or 'repeat' this one."
            )
        told = {name: with_reason(*one) for name, one in study.decisions(waiting=hospital is None).items()}
        _check_not_ended(study, told)
        names = _candidates(study, hospital, told)
        made = Invitations(asked_before=told)
        fits = []
        for name in names:
            try:
                there = study.federation.hospitals.get(name) or study.federation.reconnect(name)
            except WanwuError as error:
                made.without[name] = f"{error.code}: {error.public}"
                continue
            if why := _unfit(study, there, known):
                made.without[name] = why
            else:
                fits.append(name)
        before(fits)
        study.submit_to_more(fits, after_round=done)
        made.invited += [name for name in fits if name in study.requests]
        made.without |= {name: study.refused[name] for name in fits if name not in study.requests}
        made.short |= shortages(study.federation.only(*made.invited), study.plan)
        return made


def _check_not_ended(study: Study, told: Mapping[str, str]) -> None:
    """Refuses a study that was ended, or withdrawn: where no hospital goes on with it, and some ended it."""
    states = {name: state.partition(":")[0].partition(" ")[0] for name, state in told.items()}
    if {"ended", "withdrawn"} & {*states.values()} and not any(state in _MAY_GO_ON for state in states.values()):
        said = "; ".join(f"{name}: {state}" for name, state in told.items())
        raise ConfigError(
            f"'{study.plan.study}' was ended ({said}): nobody can join it any more. Submit a new study to all of them, "
            "or 'repeat' this one."
        )


def _candidates(study: Study, hospital: str | None, told: Mapping[str, str]) -> list[str]:
    """Whom to ask.

    Raises:
        ConfigError: There is nobody.
        FederationError: There is no connection to the one that is meant.
    """
    reachable = [*study.federation.hospitals, *study.federation.missing]
    if hospital is not None and hospital not in study.requests:
        if hospital not in reachable:
            study.federation.reconnect(hospital)
        return [hospital]
    names = [name for name in reachable if name not in study.requests]
    if hospital is None and names:
        return names
    whose = [hospital] if hospital is not None else list(told)
    said = "; ".join(f"{name}: {told[name]}" for name in whose)
    raise ConfigError(
        f"There is nobody to invite: each has a request of this study ({said}). A hospital is asked once in a study, "
        "also where it denied: speak to its people, and submit a new study if they want one. To invite another one, "
        "give its credentials too."
    )


def told_without(study: Submission[Any], how: str) -> str:
    """Says how many of the hospitals that could be invited have no request, and which; empty where there are none.

    Args:
        study: A submitted study.
        how: What invites them, as the reader calls it.
    """
    there, dataset = study.federation.hospitals, study.plan.dataset
    names = [name for name, one in there.items() if dataset in one.datasets] + list(study.federation.missing)
    names = [shown(name) for name in names if name not in study.requests]
    if not names:
        return ""
    they, them = ("hospital has", "it") if len(names) == 1 else ("hospitals have", "them")
    return (
        f"{len(names)} {they} no request of this study yet ({', '.join(names)}). To ask {them} too, stop this: {how}."
    )


def _unfit(study: Study, hospital: Hospital, known: Mapping[str, KnownHospital]) -> str:
    """Why a hospital cannot take part in the study, by what it publishes; empty where nothing speaks against it."""
    plan, name = study.plan, hospital.name
    there = {one: study.federation.hospitals[one] for one in study.requests if one in study.federation.hospitals}
    keys = [(one, kept.public_key) for one, kept in known.items() if one in study.requests]
    keys += [(one, connected.public_key) for one, connected in there.items()]
    if same := [one for one, key in keys if key == hospital.public_key]:
        return f"it signs with the key of {same[0]}, which has a request of this study: one hospital, asked once."
    if (own := hospital.datasets.get(plan.dataset)) is None:
        return f"it has no dataset '{plan.dataset}'; it has {', '.join(hospital.datasets) or 'none'}."
    published = [connected.datasets[plan.dataset] for connected in there.values() if plan.dataset in connected.datasets]
    published += [known[one].dataset for one in study.requests if one in known]
    if not published:
        return "nothing here tells what the study's other hospitals publish. Connect with the credentials of one too."
    for found in differences(published[0], own, with_text=plan.model.name in TEXT_MODELS):
        return shown(
            f"its {found.what} is {found.there}, the study's is {found.here}. {found.means} It was not asked.",
            most=2000,
        )
    if plan.privacy is not None and plan.privacy.delta * own.public_size >= 1:
        return (
            f"the plan's delta, {rounded.number(plan.privacy.delta)}, promises nothing to its {own.public_size} units: "
            f"it would have to be below 1/{own.public_size}. Submit a new study with such a delta."
        )
    gram = given_gram(plan.server.strategy, study.folder, None)
    if gram is not None and name not in gram.arrays:
        return (
            "the study steps by a Gram matrix that holds none of its features. Ask all of them for a new one with "
            "'python -m researcher gram', and submit a new study with it."
        )
    return ""
