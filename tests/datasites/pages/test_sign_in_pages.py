"""Coming in and going out: by password, by a handed-over file, by a link; and what is refused, always alike."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, expect
from support.added_people import add_person
from support.console_pages import (
    ADMIN_NAME,
    AUDITOR_NAME,
    OWNER,
    PASSWORD,
    REVIEWER_NAME,
    SESSION_COOKIE,
    ConsoleOfFakes,
)
from support.waiting import CEILING_SECONDS

from datasites.access.people import REVIEWER
from datasites.access.throttle import FREE_TRIES


def sign_in(page: Page, console: ConsoleOfFakes, name: str, password: str, to: str = "/") -> None:
    page.goto(f"{console.url}{to}")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
def test_a_person_signs_in_reaches_the_page_they_wanted_and_signs_out(
    served: ConsoleOfFakes, context_of: Callable[..., BrowserContext], scripts: bool
) -> None:
    page = context_of(java_script_enabled=scripts).new_page()
    sign_in(page, served, REVIEWER_NAME, PASSWORD, "/account")
    expect(page).to_have_url(f"{served.url}/account")
    expect(page.get_by_role("link", name=REVIEWER_NAME)).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    page.goto(served.url)
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert {"event": "signed in", "by": REVIEWER_NAME, "way": "password"} in served.noted.events


@pytest.mark.parametrize("name", [REVIEWER_NAME, "nobody", OWNER, "<b>a</b>"])
def test_whatever_is_wrong_the_answer_is_the_same(own_console: ConsoleOfFakes, page: Page, name: str) -> None:
    sign_in(page, own_console, name, "not the password")
    expect(page.get_by_role("alert")).to_contain_text("Name, password or code is not right.")
    page.get_by_role("alert").get_by_role("link").click()
    expect(page.get_by_label("Name")).to_be_focused()
    expect(page.get_by_label("Name")).to_have_value(name)
    assert "not the password" not in json.dumps(own_console.noted.events)
    known = name if name in (REVIEWER_NAME, OWNER) else ""
    assert {"event": "sign-in at the console refused", "account": known} in own_console.noted.events


def test_who_guesses_waits_longer_each_time_even_with_the_password(own_console: ConsoleOfFakes, page: Page) -> None:
    for _ in range(FREE_TRIES):
        sign_in(page, own_console, AUDITOR_NAME, "not the password")
    sign_in(page, own_console, AUDITOR_NAME, PASSWORD)
    expect(page.get_by_role("alert")).to_contain_text("Wait")
    held = {"event": "sign-in at the console held back", "account": AUDITOR_NAME}
    assert held in own_console.noted.events


def test_the_handed_over_file_sets_a_password_once(own_console: ConsoleOfFakes, page: Page) -> None:
    file = add_person(own_console.staff, "dr.new", REVIEWER, url=own_console.url)
    token = json.loads(file.read_text())["token"]

    def send(password: str, again: str) -> None:
        page.goto(f"{own_console.url}/first-password")
        for label, value in (("Name", "dr.new"), ("Token", token)):
            page.get_by_label(label).fill(value)
        page.get_by_label("New password", exact=True).fill(password)
        page.get_by_label("New password, again").fill(again)
        page.get_by_role("button", name="Set the password").click()

    for password, again, said in (
        ("seven words of it all", "other words of it all", "differ"),
        ("too short", "too short", "12 to 256"),
        ("aaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaa", "different characters"),
    ):
        send(password, again)
        expect(page.get_by_role("alert")).to_contain_text(said)
    send("seven words of it all", "seven words of it all")
    expect(page.get_by_role("link", name="dr.new")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    send("eight words of it all", "eight words of it all")
    expect(page.get_by_role("alert")).to_contain_text("not right")
    assert "seven words" not in json.dumps(own_console.noted.events)


def test_a_link_of_the_command_line_opens_the_console_once(
    own_console: ConsoleOfFakes, context_of: Callable[..., BrowserContext]
) -> None:
    address = own_console.link_of_owner()
    first, second = context_of().new_page(), context_of().new_page()
    for page in (first, second):
        page.goto(address)
        page.get_by_role("button", name="Open the console").click()
    expect(first.get_by_role("link", name=OWNER)).to_be_visible()
    expect(second.get_by_text("Run 'python -m datasites console' again.")).to_be_visible()


def test_a_session_that_a_browser_had_before_is_not_the_one_after_a_sign_in(
    own_console: ConsoleOfFakes, context_of: Callable[..., BrowserContext]
) -> None:
    context = context_of()
    fixed = {"name": SESSION_COOKIE, "value": "chosen-by-somebody-else", "url": own_console.url}
    context.add_cookies([fixed])  # type: ignore[list-item]
    sign_in(context.new_page(), own_console, ADMIN_NAME, PASSWORD)
    (after,) = [one for one in context.cookies() if one["name"] == SESSION_COOKIE]
    assert after["value"] != fixed["value"] and len(after["value"]) >= 43
    assert (after["httpOnly"], after["sameSite"]) == (True, "Strict")
    assert (
        httpx.get(own_console.url, cookies={SESSION_COOKIE: fixed["value"]}, timeout=CEILING_SECONDS).status_code == 303
    )


def test_a_sign_in_ends_the_session_that_the_browser_had(own_console: ConsoleOfFakes) -> None:
    before = own_console.session_of(REVIEWER_NAME)
    with httpx.Client(base_url=own_console.url, cookies=before, timeout=CEILING_SECONDS) as client:
        token = client.get("/first-password").text.split('name="form_token" value="')[1][:64]
        form = {"form_token": token, "name": ADMIN_NAME, "password": PASSWORD}
        answer = client.post("/sign-in", data=form, headers={"origin": own_console.url})
    assert answer.status_code == 303
    assert httpx.get(own_console.url, cookies=before, timeout=CEILING_SECONDS).status_code == 303
