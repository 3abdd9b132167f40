"""Each route of the console serves the roles that it names, and touches nothing for anybody else."""

from __future__ import annotations

import asyncio
import json
import warnings
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from support.added_people import add_person

from datasites.access.people import ADMIN, AUDITOR, REVIEWER
from datasites.access.staff import Staff
from policies.errors import NotAllowed, RequestUnknown, SignInFailed

with warnings.catch_warnings():  # PySyft's own imports warn of what pydantic and others have deprecated
    warnings.simplefilter("ignore")
    from datasites.console.app import make_app
    from datasites.console.console import Console

ROLES = {
    "GET /requests": {ADMIN, REVIEWER},
    "GET /requests/{request_id}": {ADMIN, REVIEWER},
    "GET /requests/{request_id}/record": {ADMIN, REVIEWER, AUDITOR},
    "POST /requests/{request_id}/approve": {ADMIN, REVIEWER},
    "POST /requests/{request_id}/rehearse": {ADMIN, REVIEWER},
    "POST /requests/{request_id}/deny": {ADMIN, REVIEWER},
    "POST /requests/{request_id}/return": {ADMIN, REVIEWER},
    "POST /requests/{request_id}/ask": {ADMIN, REVIEWER},
    "POST /requests/{request_id}/end": {ADMIN},
    "POST /requests/{request_id}/share": {ADMIN, REVIEWER},
    "POST /requests/{request_id}/extract": {ADMIN, REVIEWER},
    "POST /elsewhere": {ADMIN, REVIEWER},
    "GET /elsewhere": {ADMIN, REVIEWER},
    "POST /elsewhere/remove": {ADMIN, REVIEWER},
    "GET /researchers": {ADMIN},
    "POST /researchers": {ADMIN},
    "POST /researchers/revoke": {ADMIN},
    "GET /staff": {ADMIN},
    "POST /staff": {ADMIN},
    "POST /staff/{name}/remove": {ADMIN},
    "POST /staff/{name}/reset": {ADMIN},
    "POST /staff/{name}/role": {ADMIN},
    "GET /runs": {ADMIN, REVIEWER, AUDITOR},
    "POST /runs/{run_id}/cancel": {ADMIN},
    "GET /budget": {ADMIN, REVIEWER, AUDITOR},
    "GET /datasets/{name}": {ADMIN, REVIEWER, AUDITOR},
    "GET /limits": {ADMIN, REVIEWER},
    "POST /limits": {ADMIN},
    "POST /limits/proposals/{proposal_id}/confirm": {ADMIN, REVIEWER},
    "POST /limits/proposals/{proposal_id}/withdraw": {ADMIN, REVIEWER},
    "GET /rules": {ADMIN, REVIEWER},
    "POST /rules": {ADMIN},
    "POST /rules/dry-run": {ADMIN},
    "GET /rules/{version}/dry-run": {ADMIN, REVIEWER},
    "POST /rules/{version}/confirm": {ADMIN, REVIEWER},
    "POST /rules/{version}/withdraw": {ADMIN, REVIEWER},
    "POST /rules/{version}/off": {ADMIN},
    "GET /ledger": {ADMIN, AUDITOR},
    "GET /audit": {ADMIN, AUDITOR},
    "POST /link": {ADMIN, REVIEWER, AUDITOR},
    "GET /notices": {ADMIN, REVIEWER, AUDITOR},
    "POST /notices/read": {ADMIN, REVIEWER, AUDITOR},
    "POST /notices/test": {ADMIN},
}
OF_THE_ACCOUNTS = {"GET /staff", "POST /staff/{name}/remove", "POST /staff/{name}/role", "POST /elsewhere"}
"""Answered by the accounts themselves, which are real here, or refused for its file, which is none."""
BODY = {
    "up_to": 1,
    "reason": "r",
    "text": "t",
    "key": "k",
    "email": "a@b.org",
    "name": "dr.new",
    "role": REVIEWER,
    "changes": {"max_rounds": 2},
    "like": "1",
    "max_study_epsilon": 1.0,
    "max_month_epsilon": 1.0,
    "ends": "2027-01-01",
}


class Part:
    """Any part of a datasite: notes that it was used, and answers that there is nothing."""

    def __init__(self) -> None:
        self.used = 0
        self.counted = SimpleNamespace(add=lambda *_, **__: None)

    def __getattr__(self, name: str) -> Any:
        return self

    def __call__(self, *_: Any, **__: Any) -> Any:
        self.used += 1
        raise RequestUnknown("There is nothing here.")


@dataclass
class Served:
    """An app that all tests ask: no route changes who its people are but the one that adds `dr.new`."""

    app: FastAPI
    part: Part
    tokens: dict[str, str]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Served:
    folder, tokens = tmp_path_factory.mktemp("console"), {"nobody": "none", ADMIN: "the owner's"}
    staff = Staff(folder / "staff.json", folder / "staff", owner="admin@clinic.org", owner_token=tokens[ADMIN])
    for name, role in (("dr.wu", REVIEWER), ("m.lee", AUDITOR)):
        tokens[role] = json.loads(add_person(staff, name, role).read_text())["token"]
    part: Any = Part()
    parts = (part,) * 12
    return Served(make_app(Console("north", staff, *parts, b"s" * 32)), part, tokens)


def ask(served: Served, route: str, role: str) -> httpx.Response:
    method, path = route.split()
    path = path.format(request_id="1", run_id="1", name="dr.none", proposal_id="1", version="1")
    served.part.used, token = 0, served.tokens[role]

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app=served.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://console") as client:
            headers = {"authorization": f"Bearer {token}"}
            return await client.request(
                method, f"/admin/v1{path}", json=BODY if method == "POST" else None, headers=headers
            )

    return asyncio.run(send())


def test_these_are_all_routes(served: Served) -> None:
    routes = [route for route in served.app.routes if isinstance(route, APIRoute)]
    found = {f"{method} {route.path.removeprefix('/admin/v1')}" for route in routes for method in route.methods}
    assert found == set(ROLES)


@pytest.mark.parametrize("route", ROLES)
@pytest.mark.parametrize("role", ["nobody", ADMIN, REVIEWER, AUDITOR])
def test_a_route_serves_its_roles_and_touches_nothing_for_others(served: Served, route: str, role: str) -> None:
    answer = ask(served, route, role)
    if role in ROLES[route]:
        assert answer.status_code not in (NotAllowed.status, SignInFailed.status)
        assert served.part.used == (route not in OF_THE_ACCOUNTS)
    else:
        assert answer.json()["code"] == (SignInFailed if role == "nobody" else NotAllowed).code
        assert served.part.used == 0


@pytest.mark.parametrize("route", ROLES)
def test_nothing_is_redirected(served: Served, route: str) -> None:
    assert ask(served, f"{route}/", ADMIN).status_code in (404, 405)
