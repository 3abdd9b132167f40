"""Pages of people: researchers and their certificates, and the hospital's own people. Nothing secret is shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from datasites.access.people import ADMIN, AUDITOR, REVIEWER, ROLES, ResearcherRow, StaffRow
from datasites.access.staff import Person
from datasites.console.answers import AccountAnswer, RoleAnswer
from datasites.console.console import CHANGES
from datasites.pages.frame.state_words import role_word
from datasites.pages.frame.views import Answer, Onward, Page, Pages
from datasites.pages.frame.visit import Visit
from datasites.pages.languages.languages import to_translate
from policies.errors import AccountUnknown, ConfigError, NotAllowed

DUTIES: Mapping[str, str] = {
    ADMIN: to_translate("sets the datasite up: people, limits, runs; decides on requests and reads the books too"),
    REVIEWER: to_translate("decides on requests and asks researchers; sees datasets, runs and budgets"),
    AUDITOR: to_translate("reads budgets, runs, records of decisions and the audit log; changes nothing"),
}
"""Each role in one line."""


@dataclass(frozen=True)
class Step:
    """Something that cannot be taken back, and is confirmed first.

    Attributes:
        title: What it is.
        means: What comes of it.
        button: Its word on the button.
    """

    title: str
    means: str
    button: str


REVOKE = Step(
    to_translate("End the access of %(who)s"),
    to_translate("Certificate, password and open connections end at once. What has begun stays charged."),
    to_translate("End the access"),
)
REMOVE = Step(
    to_translate("Remove the account of %(who)s"),
    to_translate("Their sessions, their votes on what is not decided and their proposals end with it."),
    to_translate("Remove the account"),
)
RESET = Step(
    to_translate("Have %(who)s begin anew"),
    to_translate(
        "Password, second factor and sessions end; a new file on the machine lets them set a password. Where requests "
        "need several people, they are an auditor until as many admins have confirmed their role."
    ),
    to_translate("Have them begin anew"),
)


@dataclass(frozen=True)
class PeoplesDoors:
    """What the pages of people do.

    Attributes:
        researchers: The researchers and their certificates.
        enrol: Makes a researcher's account and certificate; returns the name of the file to hand over.
        revoke: Ends a researcher's access; returns how many certificates ended.
        staff: The hospital's people.
        add: Adds one, by name and role, for who does it, or proposes the role; tells the file to hand over.
        remove: Removes one, for who does it.
        change_role: Gives one another role, for who does it, or proposes it.
        reset: Has one begin anew, for who does it; tells the file to hand over.
        soon_days: Days before its end from which on a certificate ends soon.
    """

    researchers: Callable[[], Sequence[ResearcherRow]]
    enrol: Callable[[str], str]
    revoke: Callable[[str], int]
    staff: Callable[[], Sequence[StaffRow]]
    add: Callable[[str, str, Person], AccountAnswer]
    remove: Callable[[str, str], object]
    change_role: Callable[[str, str, Person], RoleAnswer]
    reset: Callable[[str, Person], AccountAnswer]
    soon_days: int


def make_pages(doors: PeoplesDoors) -> Pages:
    """The list, and each way to change it."""
    pages = Pages()

    def listed(visit: Visit, errors: Mapping[str, str] | None = None) -> Answer:
        values = {
            "researchers": doors.researchers(),
            "staff": doors.staff(),
            "soon_days": doors.soon_days,
            "duties": DUTIES,
            "roles": _roles(visit),
            "errors": errors or {},
        }
        return Page("daily/people.html.jinja", values, 422 if errors else 200)

    @pages.get("/people", CHANGES, place=to_translate("People"))
    def every(visit: Visit) -> Answer:
        return listed(visit)

    @pages.post("/people/researchers", CHANGES)
    def enrol(visit: Visit) -> Answer:
        email = visit.form.line("email")
        try:
            return Onward("/people", notice=_to_hand(visit, doors.enrol(email), email))
        except ConfigError as error:
            return listed(visit, {"email": visit.told(error)})

    @pages.post("/people/staff", CHANGES)
    def add(visit: Visit) -> Answer:
        name = visit.form.line("name")
        try:
            return _handed(visit, doors.add(name, visit.form.get("role"), visit.who))
        except (ConfigError, NotAllowed) as error:
            return listed(visit, {"name": visit.told(error)})

    _make_steps(pages, doors)
    _make_role(pages, doors)
    return pages


def _make_role(pages: Pages, doors: PeoplesDoors) -> None:
    """Changing a role: its form says what each may do, and confirming what another admin proposed is the same form."""

    def asked(visit: Visit, who: str, errors: Mapping[str, str] | None = None) -> Answer:
        found = next((one for one in doors.staff() if one.name == who), None)
        if found is None:
            raise AccountUnknown("There is no such person here.")
        values = {"person": found, "roles": _roles(visit), "duties": DUTIES, "errors": errors or {}}
        return Page("daily/role.html.jinja", values, 422 if errors else 200)

    @pages.get("/people/staff/role", CHANGES)
    def ask(visit: Visit) -> Answer:
        return asked(visit, visit.query.line("who"))

    @pages.post("/people/staff/role", CHANGES)
    def change(visit: Visit) -> Answer:
        who, role = visit.form.line("who"), visit.form.get("role")
        try:
            done = doors.change_role(who, role, visit.who)
        except (ConfigError, NotAllowed) as error:
            return asked(visit, who, {"role": visit.told(error)})
        if not done.in_force:
            return Onward("/people", notice=_proposed(visit, done))
        word = visit.gettext(role_word(role))
        return Onward("/people", notice=visit.gettext("%(who)s is %(role)s from now on.", who=who, role=word))


def _roles(visit: Visit) -> list[tuple[str, str]]:
    return [(role, visit.gettext(role_word(role))) for role in ROLES]


def _make_steps(pages: Pages, doors: PeoplesDoors) -> None:
    """What cannot be taken back."""

    def revoke(visit: Visit, who: str) -> Answer:
        count = doors.revoke(who)
        said = visit.ngettext("%(count)s certificate has ended.", "%(count)s certificates have ended.", count)
        return Onward("/people", notice=said)

    def remove(visit: Visit, who: str) -> Answer:
        doors.remove(who, visit.who.name)
        return Onward("/people", notice=visit.gettext("The account of %(who)s has ended.", who=who))

    def reset(visit: Visit, who: str) -> Answer:
        return _handed(visit, doors.reset(who, visit.who))

    def known_researcher(who: str) -> bool:
        return any(one.email == who for one in doors.researchers())

    def known_person(who: str) -> bool:
        return any(one.name == who for one in doors.staff())

    _confirmed(pages, "/people/researchers/revoke", REVOKE, known_researcher, revoke)
    _confirmed(pages, "/people/staff/remove", REMOVE, known_person, remove)
    _confirmed(pages, "/people/staff/reset", RESET, known_person, reset)


def _handed(visit: Visit, done: AccountAnswer) -> Answer:
    said = _to_hand(visit, done.file, done.name)
    return Onward("/people", notice=said if done.in_force else f"{said} {_proposed(visit, done)}")


def _to_hand(visit: Visit, file: str, who: str) -> str:
    return visit.gettext("Hand this file on the datasite's machine to %(who)s: %(file)s", who=who, file=file)


def _proposed(visit: Visit, done: RoleAnswer) -> str:
    text = to_translate(
        "%(who)s becomes %(role)s when admins confirm that as a change of role (%(given)s of %(needed)s)."
    )
    role, given = visit.gettext(role_word(done.role)), len(done.people)
    return visit.gettext(text, who=done.name, role=role, given=given, needed=done.people_needed)


def _confirmed(
    pages: Pages, path: str, step: Step, known: Callable[[str], bool], take: Callable[[Visit, str], Answer]
) -> None:
    """Declares a step: its page says what comes of it, and the form there takes it or says why not."""

    def asked(who: str, refused: str = "") -> Page:
        values = {"step": step, "who": who, "path": path, "refused": refused}
        return Page("daily/confirm.html.jinja", values, 422 if refused else 200)

    @pages.get(path, CHANGES)
    def ask(visit: Visit) -> Answer:
        who = visit.query.line("who")
        if not known(who):
            raise AccountUnknown("There is no such person here.")
        return asked(who)

    @pages.post(path, CHANGES)
    def taken(visit: Visit) -> Answer:
        who = visit.form.line("who")
        try:
            return take(visit, who)
        except ConfigError as error:
            return asked(who, visit.told(error))
