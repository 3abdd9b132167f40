"""Pages of runs: what each person sees and may do, and a page that follows a run by itself."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from playwright.sync_api import BrowserContext, expect
from support.console_pages import ADMIN_NAME, AUDITOR_NAME, REVIEWER_NAME, ConsoleOfFakes
from support.daily_fakes import MARKUP
from support.waiting import CEILING_SECONDS

from datasites.pages.daily import run_stream
from datasites.pages.daily.run_lines import RunLine, line_of
from datasites.pages.daily.run_stream import RunStream
from datasites.pages.languages.languages import read_languages
from datasites.runs.queue import Run

ENGLISH, CHINESE = read_languages().values()


@contextmanager
def browsing(console: ConsoleOfFakes, name: str) -> Iterator[httpx.Client]:
    headers = {"origin": console.url, "sec-fetch-site": "same-origin"}
    with httpx.Client(
        base_url=console.url, headers=headers, cookies=console.session_of(name), timeout=CEILING_SECONDS
    ) as client:
        yield client


def token_of(text: str) -> str:
    return re.findall(r'name="form_token" value="(\w+)"', text)[0]


def run_in(console: ConsoleOfFakes, state: str) -> Run:
    return console.console.queue.page(state=state)[0]


def a_run(state: str = "running", *, progress: float = 0.4, started: float = 100.0, ended: float = 0.0) -> Run:
    return Run("r" * 16, "q" * 64, 0, "a", "w", state, 1, progress, "", "", "", 90.0, started, ended, 1)


def test_a_list_shows_each_run_and_those_of_one_state(served: ConsoleOfFakes) -> None:
    with browsing(served, AUDITOR_NAME) as client:
        every, failed = client.get("/runs").text, client.get("/runs?state=failed").text
        assert client.get("/runs?state=nonsense").text.count("<tr data-run=") == 4
    assert (every.count("<tr data-run="), failed.count("<tr data-run=")) == (4, 1)
    assert run_in(served, "failed").id in failed and "1 before it" in every


def test_a_page_of_fifty_goes_on_where_it_ended(own_console: ConsoleOfFakes) -> None:
    queue = own_console.console.queue
    for number in range(60):
        queue.enqueue(request_id="f" * 64, round_index=number, account="a", weights="w")
    with browsing(own_console, REVIEWER_NAME) as client:
        first = client.get("/runs?state=queued").text
        second = client.get("/runs?state=queued&after=" + re.findall(r"after=(\w+)", first)[0]).text
        assert client.get("/runs?after=nothing").status_code == 404
    assert (first.count("<tr data-run="), second.count("<tr data-run=")) == (50, 11)
    assert not set(re.findall(r'data-run="(\w+)"', first)) & set(re.findall(r'data-run="(\w{16})"', second))


def test_the_private_reason_of_a_failure_is_for_the_hospitals_people_and_obeys_nobody(served: ConsoleOfFakes) -> None:
    with browsing(served, REVIEWER_NAME) as client:
        text = client.get(f"/runs/{run_in(served, 'failed').id}").text
        assert client.get("/runs/z").status_code == client.get("/runs/zzz").status_code == 404
    assert "of the hospital&#39;s" in text and text.count("&lt;b&gt;bold") >= 2
    assert MARKUP not in text and "ada@example.org" in text


def test_a_run_says_how_many_gpus_its_latest_attempt_has(own_console: ConsoleOfFakes) -> None:
    run = run_in(own_console, "running")
    with browsing(own_console, REVIEWER_NAME) as client:
        assert "<dt>GPUs</dt>" not in client.get(f"/runs/{run.id}").text
        for gpus, told in ((2, "2"), (0, "none; it runs on the processors")):
            own_console.noted.log.write("run started", run=run.id, request=run.request_id, round=0, gpus=gpus)
            assert f"<dt>GPUs</dt><dd>{told}</dd>" in client.get(f"/runs/{run.id}").text


def test_an_admin_cancels_without_scripts_and_a_reviewer_cannot(
    own_console: ConsoleOfFakes, context_of: Callable[..., BrowserContext]
) -> None:
    run = run_in(own_console, "queued")
    with browsing(own_console, REVIEWER_NAME) as client:
        text = client.get(f"/runs/{run.id}").text
        answer = client.post(f"/runs/{run.id}/cancel", data={"form_token": token_of(text)})
        assert (answer.status_code, "Cancel the run" in text) == (403, False)
    with browsing(own_console, ADMIN_NAME) as client:
        assert client.post(f"/runs/{run.id}/cancel", data={"form_token": "x"}).status_code == 403
    assert run_in(own_console, "queued").id == run.id
    context = context_of(java_script_enabled=False)
    own_console.sign_in(context, ADMIN_NAME)
    page = context.new_page()
    page.goto(f"{own_console.url}/runs")
    page.get_by_role("link", name=run.id[:8]).click()
    expect(page.get_by_role("link", name="Look again")).to_be_visible()
    page.get_by_role("button", name="Cancel the run").click()
    expect(page.get_by_text("The run is cancelled")).to_be_visible()
    assert run_in(own_console, "cancelled").id == run.id


def test_a_page_follows_a_run_by_itself_until_its_end(
    own_console: ConsoleOfFakes, context_of: Callable[..., BrowserContext]
) -> None:
    queue, run = own_console.console.queue, run_in(own_console, "running")
    context = context_of(locale="zh-CN")
    own_console.sign_in(context, AUDITOR_NAME)
    page = context.new_page()
    page.goto(f"{own_console.url}/runs")
    page.evaluate("window.kept = true")
    row = page.locator(f'tr[data-run="{run.id}"]')
    expect(page.locator("#live-on")).to_be_visible()
    queue.progress(run.id, 0.7)
    expect(row.locator("progress")).to_have_js_property("value", 0.7)
    expect(row.locator("[data-live=share]")).to_have_text("70%")
    assert page.locator("#live-said").text_content() == ""
    queue.finish(run.id, "d" * 64)
    expect(row.locator("[data-live=state]")).to_have_text("已完成")
    expect(page.locator("#live-said")).to_have_text(f"运行 {run.id[:8]}: 已完成")
    assert page.evaluate("window.kept")


def test_an_open_page_does_not_keep_a_session_and_its_stream_ends_with_it(own_console: ConsoleOfFakes) -> None:
    with browsing(own_console, REVIEWER_NAME) as client:
        own_console.clock.now += 600
        with client.stream("GET", "/runs/events") as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            lines = answer.iter_lines()
            assert next(lines) == "event: runs"
            own_console.clock.now += 301
            assert "event: ended" in list(lines)
    assert httpx.get(f"{own_console.url}/runs/events", timeout=CEILING_SECONDS).status_code == 303


def heard(stream: RunStream, *, session: str = "s", times: int = 1) -> list[str]:
    """Events of a stream whose session ends after so many looks."""
    left = iter([True] * times)

    async def all_of_it() -> list[str]:
        return [text async for text in stream.events(session, lambda: next(left, False), ENGLISH)]

    return apart(all_of_it())


def apart(work: Coroutine[Any, Any, list[str]]) -> list[str]:
    """Runs it in a thread of its own: the browser's tests have a loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def test_streams_share_one_look_at_the_queue_and_say_only_what_changed() -> None:
    asked: list[float] = []

    def moving(since: float, count: int) -> list[Run]:
        asked.append(since)
        return [a_run(), a_run("queued", progress=0.0, started=0.0)]

    stream = RunStream(moving, seconds=0.001, now=lambda: 200.0)
    first, second = heard(stream, times=40), heard(stream)
    assert asked == [200.0 - run_stream.TOLD_SECONDS]
    assert [text.split("\n")[0] for text in first] == ["event: runs", "event: ended"]
    assert first[0] == second[0] and '"share": "40%"' in first[0]


def test_a_session_and_a_datasite_have_so_many_streams_and_no_more() -> None:
    stream = RunStream(lambda since, count: (), seconds=0.001)

    async def opened() -> list[str]:
        made = [stream.events(str(n // 3), lambda: True, ENGLISH) for n in range(run_stream.MOST_STREAMS + 1)]
        first = [(await anext(one)).split("\n")[0] for one in [*made, stream.events("0", lambda: True, ENGLISH)]]
        for one in made:
            await one.aclose()  # type: ignore[attr-defined]
        return first

    found = apart(opened())
    assert found == ["event: runs"] * run_stream.MOST_STREAMS + ["event: full"] * 2
    assert heard(stream)[0].startswith("event: runs")


@pytest.mark.parametrize(
    ("run", "seconds", "left"),
    [
        (a_run(progress=0.0), "100", ""),
        (a_run(progress=0.4), "100", "about 2 minutes"),
        (a_run(progress=1.0), "100", "soon"),
        (a_run("queued", started=0.0), "", ""),
        (a_run("done", progress=1.0, ended=160.0), "60", ""),
    ],
    ids=["begins", "goes on", "soon", "waits", "done"],
)
def test_what_is_left_is_told_where_it_can_be(run: Run, seconds: str, left: str) -> None:
    line = line_of(run, 200.0, ENGLISH)
    assert isinstance(line, RunLine) and (line.seconds, line.left) == (seconds, left)
    assert line.active == (run.state in ("queued", "running"))


def test_a_line_speaks_the_readers_language() -> None:
    assert line_of(a_run(), 200.0, CHINESE).left == "约 2分钟"
