"""Routes about the hospital's own people. Only an admin's; a person's token goes into a file, not an answer."""

from __future__ import annotations

from fastapi import APIRouter, Body, Request
from fastapi.responses import JSONResponse

from datasites.access.people import AUDITOR
from datasites.access.staff import Handed, Person
from datasites.console.answers import AccountAnswer, RemovedAnswer, RoleAnswer
from datasites.console.console import CHANGES, Console, router_below


def make_routes(console: Console) -> APIRouter:
    """List, add, change roles, remove, begin anew."""
    router = router_below("/staff")

    @router.get("")
    async def staff(request: Request) -> JSONResponse:
        return await console.answer(request, CHANGES, lambda who: console.staff.list())

    @router.post("")
    async def add_staff(request: Request, name: str = Body(), role: str = Body()) -> JSONResponse:
        return await console.answer(request, CHANGES, lambda who: add_person(console, name, role, by=who))

    @router.post("/{name}/remove")
    async def remove_staff(request: Request, name: str) -> JSONResponse:
        return await console.answer(request, CHANGES, lambda who: remove_person(console, name, by=who.name))

    @router.post("/{name}/role")
    async def change_role_of_staff(request: Request, name: str, role: str = Body(embed=True)) -> JSONResponse:
        return await console.answer(request, CHANGES, lambda who: change_role(console, name, role, by=who))

    @router.post("/{name}/reset")
    async def reset_staff(request: Request, name: str) -> JSONResponse:
        return await console.answer(request, CHANGES, lambda who: reset_person(console, name, by=who))

    return router


def add_person(console: Console, name: str, role: str, *, by: Person) -> AccountAnswer:
    """Makes an account: an auditor's until as many people as requests need want a role that may do more."""
    needed = console.books.limits.current.approvals_needed
    handed = console.staff.add(name, role, by=by, needed=needed, url=console.url())
    has = role if handed.role.in_force else AUDITOR
    console.books.audit.write("staff added", name=name, role=has, by=by.name)
    return _handed(console, name, role, handed, needed)


def remove_person(console: Console, name: str, *, by: str) -> RemovedAnswer:
    """Ends an account, and with it its votes on what is not decided and what it stands behind: proposals and rules."""
    console.staff.remove(name)
    _drop(console, name)
    console.books.audit.write("staff removed", name=name, by=by)
    return RemovedAnswer(name)


def change_role(console: Console, name: str, role: str, *, by: Person) -> RoleAnswer:
    """Gives a person another role, by as many people as requests need where it may do more.

    Who may do less has no votes on what is not decided any more, and stands behind no proposal and no rule.
    """
    needed = console.books.limits.current.approvals_needed
    done = console.staff.change_role(name, role, by=by, needed=needed)
    event = "staff role changed" if done.in_force else "staff role proposed"
    console.books.audit.write(event, name=name, role=role, by=", ".join(done.people))
    if not done.more:
        _drop(console, name)
    return RoleAnswer(name, role, done.in_force, done.people, needed if done.more else 1)


def reset_person(console: Console, name: str, *, by: Person) -> AccountAnswer:
    """Has a person begin anew, with a new file; their sessions have ended.

    Where requests need several people, the role takes as many again: whoever holds the file may be somebody else.
    """
    needed, before = console.books.limits.current.approvals_needed, console.staff.known(name)
    handed = console.staff.reset(name, by=by, needed=needed, url=console.url())
    console.books.audit.write("staff reset", name=name, by=by.name)
    if not handed.role.in_force:
        console.books.audit.write("staff role changed", name=name, role=AUDITOR, by=by.name)
        _drop(console, name)
    return _handed(console, name, before.person.role if before else AUDITOR, handed, needed)


def _handed(console: Console, name: str, role: str, handed: Handed, needed: int) -> AccountAnswer:
    """The answer about a file to hand over; a role that was proposed with it is in the audit log."""
    done = handed.role
    if done.people and not done.in_force:
        console.books.audit.write("staff role proposed", name=name, role=role, by=", ".join(done.people))
    return AccountAnswer(name, role, done.in_force, done.people, needed if done.more else 1, str(handed.file))


def _drop(console: Console, name: str) -> None:
    console.books.approvals.votes.drop(name)
    console.books.limits.drop(name)
    console.rules.book.drop(name)
