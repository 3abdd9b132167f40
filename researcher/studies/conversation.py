"""The words between researcher and hospitals about one submission, from decision to receipt, at each that is there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from policies.answers.rehearsals import RehearsalAnswer
from policies.answers.requests import MOST_IN_A_MESSAGE, MessageAnswer
from policies.errors import ConfigError
from policies.inside_folder import inside
from policies.untrusted_text import shown
from researcher import atomic_file
from researcher.hospitals.code_request import CodeRequest
from researcher.hospitals.connections.round_receipts import RoundReceipts
from researcher.hospitals.datasite_client import DatasiteClient
from researcher.hospitals.federation import Federation
from researcher.hospitals.hospital import Hospital
from researcher.studies import decisions
from researcher.studies.everywhere import OnMissing, at_each
from researcher.studies.taking_part.left_behind import LeftBehind
from researcher.studies.taking_part.on_the_way import on_the_way

T = TypeVar("T")


class Conversation:
    """The hospitals' decisions, rehearsals, questions and receipts, and the researcher's answers.

    Attributes:
        federation: The hospitals.
        requests: Datasite → its code request.
        folder: Where the submission is kept.
        taken_back: Datasite → what was done there with a request that was left of other settings in its folder.
    """

    federation: Federation
    requests: Mapping[str, CodeRequest]
    folder: Path
    taken_back: Mapping[str, str]

    @cached_property
    def round_receipts(self) -> RoundReceipts:
        """What hospitals have signed of its rounds."""
        return RoundReceipts(self.folder)

    @property
    def on_the_way(self) -> tuple[str, ...]:
        """Hospitals that may have a request which is not in `requests`: whoever sent it was killed, or not answered."""
        return on_the_way(self.folder)

    @property
    def left_behind(self) -> dict[str, str]:
        """Datasite → why a request of other settings, from this folder, may wait there still."""
        return LeftBehind(self.folder).names

    def told_left_behind(self) -> list[str]:
        """In lines for people, what became of requests of other settings that were submitted to the folder before."""
        before = "a request of other settings, submitted to this folder before"
        return [f"{name}: {before}, was found: {done}" for name, done in self.taken_back.items()] + [
            f"{name}: may have {before}; {f'ask its people to deny it ({why})' if why else 'invite takes it back'}"
            for name, why in self.left_behind.items()
        ]

    def decisions(self, *, waiting: bool = True) -> dict[str, tuple[str, str]]:
        """Datasite → (one of the states of a request, such as `pending`; the hospital's reason).

        One that is out of reach has the state `unreachable`, one that takes no question from this account `refused`.

        Args:
            waiting: Whether a hospital that is not connected yet is waited for; else it is told as out of reach.
        """
        away = {} if waiting else {name: self.federation.missing.get(name) for name in self.requests}

        def told(name: str) -> tuple[str, str]:
            missing = away.get(name)
            return decisions.told_by(self._told, name) if missing is None else ("unreachable", missing)

        return at_each(self.requests, told, None)

    def _told(self, name: str) -> tuple[str, str]:
        """(state, reason) of a hospital's request."""
        answer = self.asked(name, lambda routes, request: routes.request(request))
        return shown(answer.state), shown(answer.reason)

    def asked(self, name: str, ask: Callable[[DatasiteClient, str], T]) -> T:
        """What a hospital answers about its request; asked by renewed credentials where it takes the old ones no more.

        Args:
            name: The datasite's.
            ask: Takes its routes and the request's identifier.

        Raises:
            WanwuError: It refuses, or is not there, and no other credentials help.
        """
        request = self.requests[name].request_id
        return self.federation.asked(name, lambda hospital: ask(self._shown_to(hospital, name).routes, request))

    def hospital(self, name: str) -> Hospital:
        """One of its hospitals; connected now, if it was not there before.

        Args:
            name: The datasite's.

        Raises:
            WanwuError: It cannot be connected, still.
        """
        return self._shown_to(self.federation.hospitals.get(name) or self.federation.reconnect(name), name)

    def _shown_to(self, hospital: Hospital, name: str) -> Hospital:
        """The hospital, which is shown its own receipts of this study's rounds from now on."""
        hospital.routes.round_receipts[self.requests[name].request_id] = self.round_receipts
        return hospital

    def _where_there(self, ask: Callable[[DatasiteClient, str], T]) -> dict[str, T]:
        """What the hospitals that are there say of their request."""
        there = [name for name in self.requests if name in self.federation.hospitals]
        hospitals, requests = self.federation.hospitals, self.requests
        return at_each(
            there,
            lambda name: ask(self._shown_to(hospitals[name], name).routes, requests[name].request_id),
            lambda name, error: None,
        )

    def rehearsals(self) -> dict[str, RehearsalAnswer]:
        """Datasite → what its rehearsal of the request on the mock came to, of those that made one and are there."""
        told = self._where_there(lambda routes, request: routes.rehearsal(request))
        return {name: answer for name, answer in told.items() if answer is not None}

    def told_rehearsals(self) -> list[str]:
        """The rehearsals in lines for people, with tracebacks; what times rest on, once for all that say the same."""
        found = self.rehearsals()
        lines = []
        for name, one in found.items():
            lines.append(f"rehearsed at {name}: {one.told(with_assumptions=False)}")
            lines += [f"    {line}" for line in one.traceback.splitlines()]
        return lines + what_times_rest_on({name: one.times_rest_on for name, one in found.items()})

    def questions(self) -> dict[str, int]:
        """Datasite → how many of its questions about a pending request wait for an answer, of those that are there."""
        return self._where_there(lambda routes, request: routes.request(request).questions)

    def messages(self, *, on_missing: OnMissing | None = None) -> dict[str, tuple[MessageAnswer, ...]]:
        """Datasite → what was asked and answered about the request there, oldest first, safe to print.

        Args:
            on_missing: Told of each hospital that could not be asked.

        Raises:
            WanwuError: There is no `on_missing`, and not all could be asked.
        """
        return at_each(self.requests, self._messages, on_missing)

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
        self.hospital(name).routes.answer(self.requests[name].request_id, text)
        return self._messages(name)

    def withdraw(self, *, hospital: str | None = None, on_missing: OnMissing | None = None) -> dict[str, str]:
        """Withdraws what no hospital has decided on yet.

        Args:
            hospital: Which datasite; all that are pending if None.
            on_missing: Told of each hospital that could not be asked.

        Returns:
            Datasite → state, of those that were withdrawn.

        Raises:
            ConfigError: The study has no such hospital.
            RequestError: The named hospital has decided.
            WanwuError: There is no `on_missing`, and not all could be asked.
        """
        if hospital is not None:
            self._check_part(hospital)
            return {hospital: self._withdraw(hospital)}
        asked = at_each(
            self.requests, lambda name: self._withdraw(name) if self._told(name)[0] == "pending" else "", on_missing
        )
        return {name: state for name, state in asked.items() if state}

    def end(self, *, on_missing: OnMissing | None = None) -> None:
        """Tells every hospital that no further round comes: what was reserved and not used becomes free.

        Args:
            on_missing: Told of each hospital that could not be told.

        Raises:
            WanwuError: There is no `on_missing`, and not all could be told; the others were.
        """
        at_each(self.requests, self._end, on_missing)

    def _end(self, name: str) -> None:
        if self._told(name)[0] == "approved":
            self.hospital(name).routes.end(self.requests[name].request_id)

    def receipts(self, folder: Path | str, *, on_missing: OnMissing | None = None) -> list[Path]:
        """Writes each hospital's signed privacy receipt, and beside it the hospital's public key, into `folder`.

        Args:
            folder: Where to.
            on_missing: Told of each hospital whose receipt could not be fetched.

        Returns:
            The receipts' files.

        Raises:
            ConfigError: The folder cannot be written.
            WanwuError: There is no `on_missing`, and not all could be fetched; those that could are written.
        """
        written = at_each(self.requests, lambda name: self._receipt(name, folder), on_missing)
        return [file for file in written.values() if file is not None]

    def _receipt(self, name: str, folder: Path | str) -> Path | None:
        """The receipt's file; None where the request was never approved."""
        if self._told(name)[0] not in ("approved", "ended"):
            return None
        hospital = self.hospital(name)
        receipt = hospital.routes.receipt(self.requests[name].request_id)
        atomic_file.write(inside(folder, f"{name}.key"), hospital.public_key + "\n")
        return atomic_file.write(inside(folder, f"{name}.receipt.json"), receipt)

    def _withdraw(self, name: str) -> str:
        return shown(self.hospital(name).routes.withdraw(self.requests[name].request_id).state)

    def _messages(self, name: str) -> tuple[MessageAnswer, ...]:
        told = self.hospital(name).routes.messages(self.requests[name].request_id)
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


def what_times_rest_on(assumptions_of: Mapping[str, str]) -> list[str]:
    """What the times of several hospitals' rehearsals rest on: a sentence for all that say the same.

    Args:
        assumptions_of: By the hospitals' names; empty where a rehearsal told no times.
    """
    of_all: dict[str, list[str]] = {}
    for name, assumptions in assumptions_of.items():
        if assumptions:
            of_all.setdefault(assumptions, []).append(name)
    return [
        f"{'These' if len(of_all) == 1 else 'Those at ' + ', '.join(names)} are the hospitals' own estimates, "
        f"{assumptions}."
        for assumptions, names in of_all.items()
    ]
