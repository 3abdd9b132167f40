"""Sign-in by a real provider on loopback: it names a person who has an account, and nothing else lets anybody in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import BrowserContext, expect
from support.console_pages import OWNER, REVIEWER_NAME, ConsoleOfFakes, serving
from support.openid_provider import OwnProvider, openid_of
from support.waiting import CEILING_SECONDS


@pytest.fixture
def console(own_provider: OwnProvider, tmp_path: Path) -> Iterator[ConsoleOfFakes]:
    with serving(tmp_path, openid=openid_of(own_provider)) as made:
        yield made


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
def test_a_person_whom_the_provider_names_is_signed_in(
    console: ConsoleOfFakes, context_of: Callable[..., BrowserContext], scripts: bool
) -> None:
    page = context_of(java_script_enabled=scripts).new_page()
    page.goto(console.url)
    page.get_by_role("link", name="Sign in with the hospital's account").click()
    expect(page.get_by_role("link", name=REVIEWER_NAME)).to_be_visible()
    assert {"event": "signed in", "by": REVIEWER_NAME, "way": "provider"} in console.noted.events


@pytest.mark.parametrize("name", ["dr.nobody", OWNER])
def test_who_has_no_account_of_a_person_gets_none(
    console: ConsoleOfFakes, own_provider: OwnProvider, name: str
) -> None:
    own_provider.changed["preferred_username"] = name
    before = console.staff.list()
    with httpx.Client(base_url=console.url, follow_redirects=True, timeout=CEILING_SECONDS) as client:
        client.get("/sign-in")
        back = client.get("/openid/begin")
        target = back.text.split('content="0;url=')[1].split('"')[0].replace("&amp;", "&")
        answer = client.get(target)
    assert (answer.status_code, "WW704" in answer.text) == (401, True)
    assert console.staff.list() == before


def test_without_a_provider_there_is_no_such_page(served: ConsoleOfFakes) -> None:
    assert httpx.get(f"{served.url}/openid/begin", timeout=CEILING_SECONDS).status_code == 404
    assert "hospital's account" not in httpx.get(f"{served.url}/sign-in", timeout=CEILING_SECONDS).text
