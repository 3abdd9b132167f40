"""Who may not: forms from elsewhere, other hosts, frames, ended sessions. Errors are pages that tell little."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from playwright.sync_api import BrowserContext, expect
from support.added_people import add_person
from support.console_pages import ADMIN_NAME, AUDITOR_NAME, REVIEWER_NAME, ConsoleOfFakes, Noted, serving
from support.hostile_texts import HOSTILE
from support.waiting import CEILING_SECONDS

from datasites.access.people import ADMIN, AUDITOR
from datasites.access.sessions import Sessions
from datasites.access.staff import Person, Staff
from datasites.console.answers import BudgetRow
from datasites.pages import overview
from datasites.pages.frame.forms import own_place
from datasites.pages.frame.reception import Reception
from datasites.pages.frame.routing import pages_app
from datasites.pages.frame.views import Page, Pages
from policies.errors import BudgetExceeded, RequestAltered

PRIVATE = "a value of a private row"


def token_of(text: str) -> str:
    return text.split('name="form_token" value="')[1][:64]


@pytest.fixture
def client(served: ConsoleOfFakes) -> Iterator[httpx.Client]:
    """A browser's requests as it would send them, of a reviewer."""
    headers = {"origin": served.url, "sec-fetch-site": "same-origin"}
    with httpx.Client(
        base_url=served.url, headers=headers, cookies=served.session_of(REVIEWER_NAME), timeout=CEILING_SECONDS
    ) as made:
        yield made


def leave(client: httpx.Client, token: str, **headers: str) -> httpx.Response:
    return client.post("/sign-out", data={"form_token": token}, headers=headers)


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://elsewhere.example"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://127.0.0.1:1"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
    ids=str,
)
def test_a_form_from_elsewhere_changes_nothing(client: httpx.Client, headers: dict[str, str]) -> None:
    answer = leave(client, token_of(client.get("/").text), **headers)
    assert (answer.status_code, "WW615" in answer.text) == (403, True)
    assert client.get("/").status_code == 200


@pytest.mark.parametrize("wrong", ["", "0" * 64, "of a browser", "of another session", "é"])
def test_a_form_without_the_token_of_its_session_changes_nothing(
    served: ConsoleOfFakes, client: httpx.Client, wrong: str
) -> None:
    if wrong == "of a browser":
        wrong = token_of(httpx.get(f"{served.url}/sign-in", timeout=CEILING_SECONDS).text)
    elif wrong == "of another session":
        wrong = token_of(httpx.get(served.url, cookies=served.session_of(REVIEWER_NAME), timeout=CEILING_SECONDS).text)
    answer = leave(client, wrong)
    assert (answer.status_code, "WW615" in answer.text) == (403, True)
    assert client.get("/").status_code == 200
    assert leave(client, token_of(client.get("/").text)).status_code == 303
    assert client.get("/").status_code == 303


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "multipart/form-data; boundary=x"])
def test_what_is_no_form_is_refused(client: httpx.Client, kind: str) -> None:
    answer = client.post("/sign-out", content=b"form_token=x", headers={"content-type": kind})
    assert answer.status_code == 400 and "WW611" in answer.text


@pytest.mark.parametrize("content", [b"a=%ff", b"&".join(b"a=1" for _ in range(300)), b"\xff"])
def test_a_form_in_another_encoding_or_with_too_many_fields_is_refused(client: httpx.Client, content: bytes) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert client.post("/sign-out", content=content, headers=form).status_code == 400


def test_a_page_elsewhere_neither_frames_the_console_nor_sends_it_a_form(
    served: ConsoleOfFakes, context_of: Callable[..., BrowserContext]
) -> None:
    context = context_of()
    served.sign_in(context, REVIEWER_NAME)
    page = context.new_page()
    elsewhere = f'<iframe src="{served.url}/"></iframe><form method="post" action="{served.url}/sign-out"><button>x'
    page.route("http://elsewhere.example/", lambda route: route.fulfill(content_type="text/html", body=elsewhere))
    page.goto("http://elsewhere.example/")
    assert page.frames[1].get_by_text("Overview").count() == 0
    page.get_by_role("button").click()
    page.wait_for_url(f"{served.url}/**")
    page.goto(served.url)
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


def test_every_answer_forbids_frames_other_sources_and_keeping(client: httpx.Client) -> None:
    for path in ("/", "/sign-in", "/nowhere", "/static/console.css", "/admin/v1/staff"):
        headers = client.get(path).headers
        assert headers["x-frame-options"] == "DENY" and headers["cache-control"] == "no-store"
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy and "*" not in policy and "http" not in policy


@pytest.mark.parametrize("host", ["elsewhere.example", "127.0.0.1.elsewhere.example:80", "10.0.0.1", ""])
def test_another_name_that_leads_to_loopback_gets_nothing(client: httpx.Client, host: str) -> None:
    answer = client.get("/", headers={"host": host})
    assert answer.status_code in (400, 421) and "Overview" not in answer.text


def test_a_session_that_was_not_used_ends_and_the_page_comes_after_the_next_sign_in(
    own_console: ConsoleOfFakes,
) -> None:
    with httpx.Client(
        base_url=own_console.url, cookies=own_console.session_of(AUDITOR_NAME), timeout=CEILING_SECONDS
    ) as client:
        assert client.get("/account").status_code == 200
        own_console.clock.now += 901
        answer = client.get("/account")
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?to=/account")


@pytest.mark.parametrize(
    "wanted", ["//elsewhere.example", "http://elsewhere.example", "/\\elsewhere", "javascript:a", "/a\n"]
)
def test_nobody_is_sent_on_to_another_place(served: ConsoleOfFakes, client: httpx.Client, wanted: str) -> None:
    form = {"form_token": token_of(client.get("/").text), "theme": "dark", "back": wanted}
    assert client.post("/preferences", data=form).headers["location"] == "/"


@pytest.mark.parametrize("part", ["a", "a/", "a=", "//", "/a?", "?a"])
def test_a_long_place_to_go_on_to_keeps_nobody_waiting(served: ConsoleOfFakes, part: str) -> None:
    """Anybody may ask for the page of a sign-in, and the whole datasite waits while a place is looked at."""
    wanted = f"/{part * 10_000}!"
    begun = time.thread_time()
    assert own_place(wanted) == "/"
    assert time.thread_time() - begun < 1
    answer = httpx.get(f"{served.url}/sign-in", params={"to": wanted[:9_000] + "!"}, timeout=CEILING_SECONDS)
    assert answer.status_code == 200 and part * 100 not in answer.text


def test_a_place_of_this_console_is_gone_on_to_with_what_it_asks_for() -> None:
    for place in ("/", "/account", "/requests/", "/requests/1a?after=2&count=%20", "/?a=b", "/~a/b.c_d-e@f:g+h,i="):
        assert own_place(place) == place
    for place in ("", "a", "//", "//a", "/a//b", "/a?b?c", "/a#b", "/a b", "/a%2f", "/é"):
        assert own_place(place) == "/"


def test_a_browsers_session_opens_no_api(client: httpx.Client) -> None:
    answer = client.get("/admin/v1/staff")
    assert (answer.status_code, answer.json()["code"]) == (401, "WW704")
    assert client.get("/").status_code == 200


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (RequestAltered("It is another one."), 403, "It is another one."),
        (BudgetExceeded("too much", private=PRIVATE), 403, "too much"),
        (OSError(PRIVATE), 503, "disk"),
        (RuntimeError(PRIVATE), 500, "log"),
    ],
    ids=["altered", "private", "disk", "unknown"],
)
def test_errors_are_pages_without_anything_private(
    served: ConsoleOfFakes,
    client: httpx.Client,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    status: int,
    said: str,
) -> None:
    def broken(_: object) -> None:
        raise error

    monkeypatch.setattr(overview, "overview_of", broken)
    answer = client.get("/")
    assert (answer.status_code, said in answer.text) == (status, True)
    assert PRIVATE not in answer.text and "Traceback" not in answer.text
    assert answer.headers["content-type"].startswith("text/html")


def test_a_page_that_cannot_be_drawn_is_an_error_page(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "overview_of", lambda _: SimpleNamespace())
    answer = client.get("/")
    assert (answer.status_code, "StrictUndefined" in answer.text, "log" in answer.text) == (500, False, True)


@pytest.mark.parametrize("path", ["/nowhere", "/static/nothing.css", "/sign-in/", "/account/"])
def test_what_is_not_there_is_a_page_that_says_so(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404 and "<!doctype html>" in answer.text


def test_a_page_that_takes_no_form_says_so(client: httpx.Client) -> None:
    assert client.post("/account", data={}).status_code == 400


def test_what_anybody_wrote_is_shown_and_not_obeyed(
    served: ConsoleOfFakes, context_of: Callable[..., BrowserContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [text[:2000] for text in HOSTILE.values()]
    rows = tuple(BudgetRow(name, 8.0, 1.0, 7.0, 1e-5, ()) for name in names)
    monkeypatch.setattr(overview, "overview_of", lambda _: overview.Overview(0, 0, 0, rows))
    context = context_of()
    served.sign_in(context, ADMIN_NAME)
    page = context.new_page()
    said: list[Any] = []
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.goto(served.url)
    assert page.locator("main article").count() == len(names)
    assert page.locator("main article b, main script").count() == 0
    expect(page.get_by_role("heading", name=HOSTILE["html"])).to_be_visible()
    assert "\u202e" not in page.content() and said == []


def test_two_datasites_on_one_machine_keep_sessions_of_their_own(served: ConsoleOfFakes, tmp_path: Any) -> None:
    with serving(tmp_path, name="south") as south:
        cookies = served.session_of(ADMIN_NAME)
        assert httpx.get(served.url, cookies=cookies, timeout=CEILING_SECONDS).status_code == 200
        assert httpx.get(south.url, cookies=cookies, timeout=CEILING_SECONDS).status_code == 303
        left = httpx.get(f"{south.url}/sign-in", timeout=CEILING_SECONDS).headers["set-cookie"]
    assert left.startswith("wanwu-south-browser=")


def test_an_error_follows_the_language_with_its_own_text_too(
    served: ConsoleOfFakes, context_of: Callable[..., BrowserContext]
) -> None:
    page = context_of(locale="zh-CN").new_page()
    page.goto(f"{served.url}/nowhere")
    expect(page.get_by_role("heading", name="未找到")).to_be_visible()
    expect(page.locator("p.lead")).to_have_text("没有这个页面。")


def test_a_page_of_other_roles_is_refused_as_a_page_and_is_no_place_of_theirs(tmp_path: Path) -> None:
    pages = Pages()
    pages.get("/secret", (ADMIN,), place="Secret")(lambda visit: Page("overview.html.jinja"))
    staff = Staff(tmp_path / "staff.json", tmp_path, owner="o@x.org", owner_token="t")
    add_person(staff, "m.lee", AUDITOR)
    sessions = Sessions(staff, idle_seconds=9, longest_seconds=9)
    noted: Any = Noted()
    reception = Reception("north", sessions=sessions, counted=noted, secure=True, parts=[pages])
    identifier = sessions.begin(Person("m.lee", AUDITOR, named=True))
    client = TestClient(pages_app(reception, [pages]), cookies={"__Host-wanwu-north-session": identifier})
    answer = client.get("/secret")
    assert (answer.status_code, "WW407" in answer.text, "Secret" in answer.text) == (403, True, False)
    assert noted.events == [{"event": "console's page refused", "code": "WW407"}]
