"""Commands about code requests and their runs. A person decides, and a reason goes out; of a run, states are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from datasites.cli import console
from datasites.cli.commands import Chosen, HospitalCommands, identifier, tell
from datasites.cli.state_option import chosen_state
from policies.errors import ConfigError
from policies.terminal.commands import argument, option, path, switch

_STATES = ("pending", "approved", "denied", "returned", "withdrawn", "ended")
_LANGUAGES = ("en", "zh")  # of the console
_RUN_STATES = ("queued", "running", "done", "failed", "cancelled")
_SECTIONS = (
    "against",
    "request",
    "statement",
    "researcher",
    "computed",
    "cost",
    "differences",
    "elsewhere",
    "network",
    "loss",
    "channels",
    "questions",
    "plan",
)  # of a review; see `review_card.SECTIONS`, whose room takes long to open
_DONE = {"approved": "Approved", "denied": "Denied", "returned": "Returned"}

if TYPE_CHECKING:
    from pathlib import Path


def requests(
    chosen: Chosen,
    *,
    only: str | None,
    researcher: str | None,
    find: str,
    count: int,
    after: str | None,
    all_pages: bool,
) -> None:
    """Lists code requests, the newest last."""
    from datasites.console.shown.tables import request_table

    page = console.pages(
        chosen, "/requests", all_pages, state=only, researcher=researcher, query=find, after=after, count=count
    )
    console.show(chosen, page, request_table, rows=True)


def show(chosen: Chosen, *, request: str, every: bool, section: str | None) -> None:
    """Shows the review of one request: who asks, what for, at what cost, and how to decide; sections tell the rest."""
    from datasites.console.shown.brief_card import brief_card, section_of_card

    if every and section:
        raise ConfigError("--section is one part of what --all shows. Give one of them.")
    answer = console.call(chosen, "GET", f"/requests/{request}")
    if every or section:
        return console.show(chosen, answer, partial(section_of_card, section=section))
    which = f"--name {chosen.name}" if chosen.name else f"--state {chosen.state}"
    return console.show(chosen, answer, partial(brief_card, datasite=which))


def record(
    chosen: Chosen,
    *,
    request: str,
    out: Path | None,
    check: Path | None,
    share: Path | None,
    called: str,
    public_reason: str,
    language: str,
) -> None:
    """Writes the signed record of a decision for the hospital's file, or checks one against the datasite's books.

    With --share it writes what other hospitals may know: plan digest, decision, day, and the name and reason given.
    """
    from datasites.console.records import check_record, keep_record, keep_shared

    if sum(one is not None for one in (out, check, share)) != 1:
        raise ConfigError("Give one of --out, to write a record, --check, to check one, or --share, to tell others.")
    if share is not None:
        wanted = {"hospital": called, "reason": public_reason}
        shared = console.call(chosen, "POST", f"/requests/{request}/share", wanted)
        keep_shared(shared, share)
        key = shared["fingerprint"]
        told = f"Written to {share}, for other hospitals. Tell them another way that your key is {key}."
        return tell(chosen, {"id": shared["request_id"], "file": str(share), "fingerprint": key}, told)
    answer = console.call(chosen, "GET", f"/requests/{request}/record{console.query(language=language)}")
    if out is not None:
        keep_record(answer, out)
        tell(chosen, {"id": answer["request_id"], "file": str(out)}, f"Written to {out}.")
    elif check is not None:
        held = check_record(answer, check)
        tell(chosen, {"id": answer["request_id"], "holds": held}, f"The record holds: {held}.")
    return None


def approve(chosen: Chosen, *, request: str) -> None:
    """Votes to approve a request; with the last vote that is needed its budget is reserved."""
    card = console.call(chosen, "POST", f"/requests/{request}/approve")
    plan = card["plan"]
    told = (
        f"{plan['rounds']} round{'s' * (plan['rounds'] != 1)} on '{plan['dataset']}', {_cost(card)}."
        if card["state"] == "approved"
        else ""
    )
    tell(chosen, card, _decided(card, told))


def rehearse(chosen: Chosen, *, request: str) -> None:
    """Has a request rehearsed on the mock, again if it was before."""
    asked = console.call(chosen, "POST", f"/requests/{request}/rehearse")
    told = f"The rehearsal of {asked['request_id'][:8]} is {asked['state']}; 'show' says what it comes to."
    tell(chosen, asked, told)


def deny(chosen: Chosen, *, request: str, reason: str) -> None:
    """Votes to deny a request, with a reason."""
    card = console.call(chosen, "POST", f"/requests/{request}/deny", {"reason": reason})
    tell(chosen, card, _decided(card, card["reason"]))


def ask_for_a_change(chosen: Chosen, *, request: str, reason: str) -> None:
    """Votes to return a request: the researcher is told what to change, and submits it anew."""
    card = console.call(chosen, "POST", f"/requests/{request}/return", {"reason": reason})
    tell(chosen, card, _decided(card, card["reason"]))


def ask(chosen: Chosen, *, request: str, text: str) -> None:
    """Asks the researcher a question about a pending request. The text leaves the hospital."""
    asked = console.call(chosen, "POST", f"/requests/{request}/ask", {"text": text})
    tell(
        chosen,
        asked,
        f"Asked about {asked['request_id'][:8]}: {asked['text']}",
        "This text leaves the hospital: the researcher reads it, as the hospital's and under nobody's name.",
    )


def end(chosen: Chosen, *, request: str, reason: str) -> None:
    """Ends an approved request; its unused budget becomes free."""
    from policies.answers.rounded import left

    ended = console.call(chosen, "POST", f"/requests/{request}/end", {"reason": reason})
    tell(
        chosen,
        ended,
        f"Ended {ended['id'][:8]}, study '{ended['study']}' of {ended['researcher']}: {ended['reason']}",
        f"{ended['rounds_run']} of {ended['rounds']} rounds were charged and stay so. Of '{ended['dataset']}' epsilon "
        f"{left(ended['epsilon_left'])} is left, {left(ended['epsilon_freed'])} more than before.",
    )


def study_report(
    chosen: Chosen, *, study: str, holdout: Path, column: Sequence[str], html: Path | None, keep: bool
) -> None:
    """Reports, to the hospital alone, what a study's models are worth here and what its updates give away."""
    from datasites.study_report.printed import print_report

    print_report(chosen_state(chosen), study, holdout, column, page=html, keep=keep, as_json=chosen.json)


def runs(chosen: Chosen, *, only: str | None, count: int, after: str | None, all_pages: bool) -> None:
    """Lists runs, the one asked for last at the end."""
    from datasites.console.shown.tables import run_table

    page = console.pages(chosen, "/runs", all_pages, state=only, after=after, count=count)
    console.show(chosen, page, run_table, rows=True)


def cancel(chosen: Chosen, *, run: str) -> None:
    """Cancels a run. One that has started stays charged, and its round is not run again."""
    left = console.call(chosen, "POST", f"/runs/{run}/cancel")
    tell(chosen, left, f"Run {left['id']} is {left['state']}.")


def _decided(card: Mapping[str, Any], told: str) -> str:
    """What a vote has come to."""
    if card["state"] == "pending":
        given, needed = card["votes_given"], card["approvals_needed"]
        return (
            f"Vote {given} of {needed} for {card['id'][:8]} is kept. Nothing is decided or reserved before the last "
            "one, and until then nobody sees who has voted, or how."
        )
    return f"{_DONE.get(card['state'], card['state'])} {card['id'][:8]}: {told or card['reason']}"


def _cost(card: Mapping[str, Any]) -> str:
    if card["epsilon"] is None:
        return "without differential privacy"
    from policies.answers.rounded import cost, number

    return f"epsilon {cost(card['epsilon'])} reserved at delta {number(card['delta'])}"


def add_commands(commands: HospitalCommands) -> None:
    """Adds these commands to the program."""
    paging = (
        option("--count", "how many of the newest", kind=int, default=50),
        option("--after", "go on after this one, the oldest of the page before", kind=identifier("row"), value="ID"),
        switch("--all", "list all of them", name="all_pages"),
    )
    commands.add(
        "requests",
        requests,
        option("--only", "those in this state", choices=_STATES),
        option("--researcher", "those of this address", value="EMAIL"),
        option("--find", "those in which each of these words begins a word", value="WORDS", default=""),
        *paging,
    )
    request = argument("request", "identifier, or its beginning", kind=identifier("request"))
    reason = option("--reason", "the researcher will read it", required=True)
    commands.add(
        "show",
        show,
        request,
        switch("--all", "all sections, one after the other", name="every"),
        option("--section", "one of them alone", choices=_SECTIONS),
    )
    commands.add(
        "record",
        record,
        request,
        option("--out", "file to write, HTML", kind=path),
        option("--check", "a record that was written before, in any language", kind=path),
        option("--language", "with --out: the record's language", choices=_LANGUAGES, default="en"),
        option("--share", "file to write for other hospitals, signed JSON", kind=path),
        option("--called", "with --share: the hospital's name there (default: the datasite's)", default=""),
        option("--public-reason", "with --share: what other hospitals may read as the reason", default=""),
    )
    commands.add("approve", approve, request)
    commands.add("rehearse", rehearse, request)
    commands.add("deny", deny, request, reason)
    commands.add("return", ask_for_a_change, request, reason)
    commands.add("ask", ask, request, argument("text", "what you ask, in one line; the researcher will read it"))
    commands.add("end", end, request, reason)
    commands.add("runs", runs, option("--only", "those in this state", choices=_RUN_STATES), *paging)
    commands.add(
        "study-report",
        study_report,
        argument("study", "name of the study, or the beginning of its request's identifier"),
        option(
            "--holdout", "own pictures that no study has read: a folder, an .npz or a table", kind=path, required=True
        ),
        option("--column", "column of the table whose values are subgroups", value="NAME", repeated=True),
        option("--html", "page to write, readable by this account alone", kind=path, value="FILE"),
        switch("--keep", "the console's page 'Study reports' shows it too, until it is removed there"),
    )
    commands.add("cancel", cancel, argument("run", "identifier of the run, or its beginning", kind=identifier("run")))
