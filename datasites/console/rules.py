"""Routes about rules: what is approved without a person. Making one takes as many people as a request does."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from datasites.access.staff import Person
from datasites.console.console import CHANGES, DECIDES, Console, router_below
from datasites.rules.kept_rule import KeptRule, RulesAnswer
from datasites.rules.past_requests import DryRun
from datasites.rules.rule import WantedRule


def make_routes(console: Console) -> APIRouter:
    """List, dry run, make; confirm, withdraw, switch off."""
    router, rules = router_below("/rules"), console.rules
    book = rules.book

    @router.get("")
    async def every(request: Request) -> JSONResponse:
        return await console.answer(request, DECIDES, lambda who: RulesAnswer(book.all(), book.people_needed))

    @router.post("")
    async def make(request: Request, wanted: WantedRule) -> JSONResponse:
        return await console.answer(request, CHANGES, lambda who: book.make(wanted, by=who.name, named=who.named))

    @router.post("/dry-run")
    async def look(request: Request, wanted: WantedRule) -> JSONResponse:
        return await console.answer(request, CHANGES, lambda who: rules.dry_run(book.draft(wanted)))

    @router.get("/{version}/dry-run")
    async def look_again(request: Request, version: str) -> JSONResponse:
        def work(who: Person) -> DryRun:
            return rules.dry_run(book.named(version).rule)

        return await console.answer(request, DECIDES, work)

    @router.post("/{version}/confirm")
    async def confirm(request: Request, version: str) -> JSONResponse:
        def work(who: Person) -> KeptRule:
            return book.confirm(version, by=who.name, named=who.named)

        return await console.answer(request, DECIDES, work)

    @router.post("/{version}/withdraw")
    async def withdraw(request: Request, version: str) -> JSONResponse:
        return await console.answer(request, DECIDES, lambda who: book.withdraw(version, by=who.name))

    @router.post("/{version}/off")
    async def off(request: Request, version: str) -> JSONResponse:
        return await console.answer(request, CHANGES, lambda who: book.switch_off(version, by=who.name))

    return router
