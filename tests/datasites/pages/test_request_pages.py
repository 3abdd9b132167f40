"""The list of requests and the approval card: what they show, and that deciding works without scripts, for who may."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, expect
from support.console_pages import ADMIN_NAME, AUDITOR_NAME, REVIEWER_NAME, ConsoleOfFakes, serving
from support.console_reviews import APPROVED, FLAGGED, PENDING, PLAN, UNREADABLE, WORDS, FakeBook, limits, review
from support.hostile_texts import HOSTILE, raw_in
from support.waiting import CEILING_SECONDS

from datasites.approvals.threads import Message
from datasites.pages.decisions.approval_card import bars_of, what_was_seen
from datasites.rehearsal.rehearsals import Rehearsal
from datasites.review.review import MOST_LAYERS, Changed
from policies.answers.odds import odds
from policies.graphs.losses.loss_summary import LossSummary
from policies.graphs.overview.blocks import Block
from policies.graphs.overview.drawing import MOST_BOXES
from policies.graphs.overview.nearest import Nearest
from policies.graphs.summary import Layer, Summary
from policies.plans.training import PrivacySpec

MARKUP = "<b id='theirs'>bold</b><script>window.ran = 1</script>"
DISGUISED = " ".join(HOSTILE[name] for name in ("directions", "no width", "controls", "html", "template"))


@pytest.fixture
def book() -> FakeBook:
    return FakeBook()


@pytest.fixture
def own(tmp_path: Path, book: FakeBook) -> Iterator[ConsoleOfFakes]:
    """A console whose requests one test may decide."""
    with serving(tmp_path, book=book) as console:
        yield console


@pytest.fixture
def tab(own: ConsoleOfFakes, context_of: Callable[..., BrowserContext]) -> Page:
    """A reviewer's tab, in a browser without scripts."""
    context = context_of(java_script_enabled=False)
    own.sign_in(context, REVIEWER_NAME)
    return context.new_page()


def asked(console: ConsoleOfFakes, name: str, path: str, language: str = "en") -> httpx.Response:
    how: Any = {"headers": {"accept-language": language}, "trust_env": False, "timeout": CEILING_SECONDS}
    return httpx.get(console.url + path, cookies=console.session_of(name), **how)


def words_of(page: Page) -> str:
    return " ".join(page.locator("main").inner_text().split())


def test_the_list_finds_by_state_researcher_and_words_and_keeps_what_was_asked(served: ConsoleOfFakes) -> None:
    every = asked(served, REVIEWER_NAME, "/requests").text
    assert every.count('<th scope="row"><a href="/requests/') == 5
    pending = asked(served, REVIEWER_NAME, "/requests?state=pending&words=night").text
    assert pending.count('<th scope="row"><a href="/requests/') == 1
    assert f"/requests/{FLAGGED}" in pending
    assert 'name="state" value="pending"' in pending
    assert 'value="night"' in pending
    assert "No request is like that." in asked(served, REVIEWER_NAME, "/requests?researcher=nobody").text
    assert asked(served, REVIEWER_NAME, "/requests?state=nonsense").status_code == 403


def test_a_request_of_today_waits_since_today_in_both_languages(own: ConsoleOfFakes, book: FakeBook) -> None:
    book.requests[PENDING] = review(PENDING, days_waiting=0)
    assert "waits since today" in asked(own, REVIEWER_NAME, f"/requests/{PENDING}").text
    assert "今天提交，等待审批" in asked(own, REVIEWER_NAME, f"/requests/{PENDING}", "zh").text
    assert "0 days" not in asked(own, REVIEWER_NAME, f"/requests/{PENDING}").text


def test_the_list_comes_by_pages_of_fifty(tmp_path: Path) -> None:
    made = {f"{index:032x}": review(f"{index:032x}") for index in range(120)}
    with serving(tmp_path, book=FakeBook(made)) as console:
        seen: list[str] = []
        path = "/requests?state=pending"
        for expected in (50, 50, 20):
            page = asked(console, ADMIN_NAME, path).text
            rows = re.findall(r'row"><a href="/requests/(\w+)"', page)
            assert len(rows) == expected
            seen += rows
            onward = re.search(r'href="([^"]*after=[^"]*)"', page)
            path = onward[1].replace("&amp;", "&") if onward else ""
        assert path == ""
        assert seen == list(made)


def test_votes_are_counted_where_several_people_decide(tmp_path: Path) -> None:
    with serving(tmp_path, limits=SimpleNamespace(current=limits(approvals_needed=2))) as console:
        page = " ".join(re.sub(r"<[^>]+>", " ", asked(console, REVIEWER_NAME, "/requests").text).split())
    assert page.count("1 of 2") == 3


def test_the_card_tells_cost_odds_and_membership_in_figures(served: ConsoleOfFakes) -> None:
    page = " ".join(re.sub(r"<[^>]+>", " ", asked(served, REVIEWER_NAME, f"/requests/{PENDING}").text).split())
    for told in (
        "Nothing speaks against it.",
        "7 in 100 patients who took part",
        "1.84 before, 3.12 after, of at most 8",
        "recognises at most 7 in 100 patients who did. Guessing finds 1 in 100.",
        "0.1% 1.2% 2.0% 1.0% 6.9% 10.4% 10.0% 32.2% 41.3%",
        "6 such studies fit after it",
        "Decided elsewhere: Rigshospitalet approved on",
        "北京协和医院 denied on",
        "signature verified (fingerprint a1b2 c3d4 e5f6 0718 293a 4b5c 6d7e 8f90)",
        "8,336 numbers leave in each of 10 rounds, 83,360 in all",
        "c0ffee17" * 8,
        "nobody has checked them",
    ):
        assert told in page, told
    assert page.index("What speaks against it") < page.index("own words") < page.index("The plan in full")


def test_the_card_speaks_chinese_in_every_sentence_that_the_platform_computes(served: ConsoleOfFakes) -> None:
    page = asked(served, REVIEWER_NAME, f"/requests/{FLAGGED}", "zh-CN").text
    shown = re.sub(r'<(\w+)[^>]* lang="en"[^>]*>.*?</\1>', "", page, flags=re.DOTALL)
    shown = re.sub(r"<blockquote.*?</blockquote>|<[^>]+>", " ", shown, flags=re.DOTALL)
    assert "最多能在每 100 位参与的患者中认出 7 位" in shown
    assert "陈述中的“目的”声称有人已经批准" in shown
    assert not re.search(r"[a-z]+ (?:the|of|and|to|is|in) [a-z]+", shown)


def test_an_infinite_cost_is_shown_as_one(tmp_path: Path) -> None:
    cost = review().cost
    assert cost is not None
    scopes = tuple(replace(one, after=math.inf) for one in cost.scopes)
    endless = review(epsilon=math.inf, cost=replace(cost, epsilon=math.inf, scopes=scopes))
    with serving(tmp_path, book=FakeBook({PENDING: endless})) as console:
        page = asked(console, REVIEWER_NAME, f"/requests/{PENDING}")
    assert page.status_code == 200
    assert "1.84 before, ∞ after, of at most 8" in page.text
    assert "nan" not in re.sub(r"<(style|script).*?</\1>", "", page.text)


def test_a_rehearsal_is_told_where_there_is_one(tmp_path: Path) -> None:
    rehearsal = Rehearsal(PENDING, "failed", "The mock has three classes.", traceback="one\ntwo <b>")
    rehearsed = replace(review(), rehearsal=rehearsal)
    with serving(tmp_path, book=FakeBook({PENDING: rehearsed})) as console:
        page = asked(console, REVIEWER_NAME, f"/requests/{PENDING}").text
    assert "The mock has three classes." in page
    assert "two &lt;b&gt;" in page


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_a_plan_that_protects_pictures_is_told_in_pictures(tmp_path: Path, language: str) -> None:
    cost = review().cost
    assert cost is not None and cost.membership is not None
    plan = replace(PLAN, privacy=PrivacySpec(1.4, 1.0, 1e-5, "picture"))
    of_pictures = review(plan=plan, cost=replace(cost, odds=odds(cost.membership, "picture")))
    with serving(tmp_path, book=FakeBook({PENDING: of_pictures})) as console:
        page = asked(console, REVIEWER_NAME, f"/requests/{PENDING}", language).text
    told = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    for english, chinese in (("pictures that were used can be recognised", "用过的图片"), ("one picture", "一张图片")):
        assert (english if language == "en" else chinese) in told
    assert "patients who took part" not in told and "参与的患者" not in told


def test_the_time_of_a_request_is_told_with_what_it_was_rehearsed_on(served: ConsoleOfFakes) -> None:
    told = unescape(asked(served, REVIEWER_NAME, f"/requests/{PENDING}").text)
    page = " ".join(re.sub(r"<[^>]+>", " ", told).split())
    assert "Time in all 1.6 h, estimated on the mock" in page and "on one of the hospital's own GPUs" in page


def test_a_limit_that_does_not_hold_it_is_a_bar_of_its_whole_cost() -> None:
    cost = review().cost
    assert cost is not None
    over = replace(cost, scopes=(replace(cost.scopes[0], after=10.0),))
    bar = bars_of(over)[0]
    assert (bar.adds, bar.left, bar.whole) == (10.0 - 1.84, 0.0, 10.0)


def test_a_request_is_approved_without_scripts(own: ConsoleOfFakes, book: FakeBook, tab: Page) -> None:
    tab.goto(f"{own.url}/requests/{PENDING}")
    tab.get_by_role("button", name="Approve this request").click()
    expect(tab.get_by_role("status")).to_contain_text("The request is approved.")
    assert book.done == [("approved", PENDING, REVIEWER_NAME, "")]
    assert tab.get_by_role("link", name="Record of the decision, signed (HTML)").count() == 1


def test_what_the_budget_does_not_hold_has_no_approval_and_says_why(
    own: ConsoleOfFakes, book: FakeBook, tab: Page
) -> None:
    tab.goto(f"{own.url}/requests/{FLAGGED}")
    assert tab.get_by_role("button", name="Approve this request").count() == 0
    assert "It cannot be approved as it is. The budget does not hold it." in words_of(tab)
    book.requests[FLAGGED] = replace(book.requests[FLAGGED], cost=review().cost)
    tab.reload()
    assert tab.get_by_role("button", name="Approve this request").count() == 1


@pytest.mark.parametrize("language", ["en-GB", "zh-CN"])
def test_the_first_view_of_a_card_tells_who_what_cost_and_odds_and_has_the_decision(
    served: ConsoleOfFakes, context_of: Callable[..., BrowserContext], language: str
) -> None:
    context = context_of(locale=language, viewport={"width": 1280, "height": 800})
    served.sign_in(context, REVIEWER_NAME)
    page = context.new_page()
    page.goto(f"{served.url}/requests/{PENDING}")
    for seen in (
        ".head .lead",
        ".evidence .notice",
        ".hero .huge",
        ".hero .hundred",
        ".hero .limit",
        ".hero .amounts",
        "section[aria-labelledby=computed] dd >> nth=0",
        "section[aria-labelledby=computed] dd >> nth=1 >> p >> nth=0",
        "form[action$='/approve'] button",
        "form[action$='/deny'] >> xpath=..",
        "a[href='#thread']",
    ):
        box = page.locator(seen).first.bounding_box()
        assert box and box["y"] >= 0 and box["y"] + box["height"] <= 800, seen


@pytest.mark.parametrize("language", ["en-GB", "zh-CN"])
def test_the_largest_odds_fit_a_telephone(
    tmp_path: Path, context_of: Callable[..., BrowserContext], language: str
) -> None:
    cost = review().cost
    assert cost is not None
    book = FakeBook({PENDING: review(cost=replace(cost, odds=odds(None, "patient")))})
    with serving(tmp_path, book=book) as console:
        context = context_of(locale=language, viewport={"width": 375, "height": 812})
        console.sign_in(context, REVIEWER_NAME)
        page = context.new_page()
        page.goto(f"{console.url}/requests/{PENDING}")
        assert "100" in page.locator(".huge").inner_text()
        assert page.evaluate("document.documentElement.scrollWidth") <= 375
        context.close()


def test_the_card_explains_the_words_that_it_uses(served: ConsoleOfFakes) -> None:
    page = asked(served, REVIEWER_NAME, f"/requests/{PENDING}").text
    explained = page[page.index("Words on this page") :]
    for word in ("Epsilon", "Delta", "Noise", "Round", "Ledger", "Mock", "Digest"):
        assert f"<dt>{word}</dt>" in explained


def test_findings_are_ticked_as_read_before_an_approval(own: ConsoleOfFakes, book: FakeBook, tab: Page) -> None:
    book.requests[FLAGGED] = replace(book.requests[FLAGGED], cost=review().cost)
    tab.goto(f"{own.url}/requests/{FLAGGED}")
    tab.locator("input[name=read]").evaluate("box => box.required = false")
    tab.get_by_role("button", name="Approve this request").click()
    expect(tab.get_by_role("alert")).to_contain_text("Say that you have read what speaks against this request.")
    assert book.done == []
    tab.get_by_label("I have read what speaks against this request").check()
    tab.get_by_role("button", name="Approve this request").click()
    assert [one[0] for one in book.done] == ["approved"]


def test_what_has_changed_since_it_was_read_is_not_approved(own: ConsoleOfFakes, book: FakeBook, tab: Page) -> None:
    tab.goto(f"{own.url}/requests/{PENDING}")
    book.requests[PENDING] = replace(book.requests[PENDING], digest="1" * 64)
    tab.get_by_role("button", name="Approve this request").click()
    expect(tab.get_by_role("alert")).to_contain_text("has changed since you opened it")
    assert book.done == []


@pytest.mark.parametrize(
    ("summary", "label", "button", "done"),
    [
        ("Deny", "Reason of the denial", "Deny this request", "denied"),
        ("Ask for a change", "What is to be changed", "Return the request", "returned"),
        ("", "Ask the researcher", "Ask", "ask"),
    ],
)
def test_a_denial_a_return_and_a_question_carry_a_text_of_one_line(
    own: ConsoleOfFakes, book: FakeBook, tab: Page, summary: str, label: str, button: str, done: str
) -> None:
    tab.goto(f"{own.url}/requests/{PENDING}")
    if summary:
        tab.locator("summary", has_text=re.compile(f"^{summary}$")).click()
    field = tab.get_by_label(label)
    field.fill("   ")
    tab.get_by_role("button", name=button, exact=True).click()
    expect(tab.get_by_role("alert")).to_be_visible()
    assert book.done == []
    tab.get_by_label(label).fill("Give the\n ethics number.")
    tab.get_by_role("button", name=button, exact=True).click()
    expect(tab.get_by_role("status")).to_be_visible()
    assert book.done == [(done, PENDING, REVIEWER_NAME, "Give the ethics number.")]


def test_two_people_approve_and_the_first_sees_that_another_is_missing(
    own: ConsoleOfFakes, book: FakeBook, tab: Page, context_of: Callable[..., BrowserContext]
) -> None:
    book.needed = 2
    book.requests[PENDING] = replace(book.requests[PENDING], approvals_needed=2)
    tab.goto(f"{own.url}/requests/{PENDING}")
    tab.get_by_role("button", name="Approve this request").click()
    expect(tab.get_by_role("status")).to_contain_text("1 of 2 votes")
    assert "1 of 2 votes are in" in words_of(tab)
    assert "How people voted" not in words_of(tab)
    context = context_of(java_script_enabled=False)
    own.sign_in(context, ADMIN_NAME)
    other = context.new_page()
    other.goto(f"{own.url}/requests/{PENDING}")
    other.get_by_role("button", name="Approve this request").click()
    expect(other.get_by_role("status")).to_contain_text("The request is approved.")
    assert [by for _, _, by, _ in book.done] == [REVIEWER_NAME, ADMIN_NAME]


def test_a_request_that_cannot_be_read_has_no_approval(served: ConsoleOfFakes) -> None:
    page = asked(served, REVIEWER_NAME, f"/requests/{UNREADABLE}").text
    assert "It cannot be approved as it is." in page
    assert "/approve" not in page


def test_a_form_from_elsewhere_decides_nothing(own: ConsoleOfFakes, book: FakeBook) -> None:
    cookies = own.session_of(ADMIN_NAME)
    seen = what_was_seen(book.requests[PENDING])
    for headers, token in (({"origin": own.url}, ""), ({"origin": "http://elsewhere.example"}, "x")):
        answer = httpx.post(
            f"{own.url}/requests/{PENDING}/approve",
            data={"seen": seen, "form_token": token},
            headers=headers,
            cookies=cookies,
            trust_env=False,
            timeout=CEILING_SECONDS,
        )
        assert answer.status_code == 403
    assert book.done == []


@pytest.mark.parametrize(
    ("name", "path", "status"),
    [
        (AUDITOR_NAME, "/requests", 403),
        (AUDITOR_NAME, f"/requests/{PENDING}", 403),
        (AUDITOR_NAME, f"/requests/{APPROVED}/record", 200),
        (REVIEWER_NAME, f"/requests/{APPROVED}/record", 200),
        (REVIEWER_NAME, f"/requests/{PENDING}/record", 403),
        (REVIEWER_NAME, "/requests/nothing", 404),
    ],
)
def test_each_role_sees_what_it_may(served: ConsoleOfFakes, name: str, path: str, status: int) -> None:
    assert asked(served, name, path).status_code == status


def test_only_an_admin_is_offered_the_end(served: ConsoleOfFakes) -> None:
    assert "End this study" in asked(served, ADMIN_NAME, f"/requests/{APPROVED}").text
    assert "End this study" not in asked(served, REVIEWER_NAME, f"/requests/{APPROVED}").text


def test_a_record_is_a_file_that_can_do_nothing(served: ConsoleOfFakes) -> None:
    answer = asked(served, AUDITOR_NAME, f"/requests/{APPROVED}/record")
    assert answer.headers["content-disposition"] == f'attachment; filename="decision-{APPROVED[:8]}.html"'
    policies = answer.headers.get_list("content-security-policy")
    assert any(one.startswith("sandbox; default-src 'none'") for one in policies)
    assert any("frame-ancestors 'none'" in one and "script-src 'self'" in one for one in policies)


def test_a_record_is_in_the_language_of_whoever_asks_for_it(served: ConsoleOfFakes) -> None:
    for accepted, language in (("en-GB", "en"), ("zh-CN", "zh")):
        answer = httpx.get(
            f"{served.url}/requests/{APPROVED}/record",
            cookies=served.session_of(AUDITOR_NAME),
            headers={"accept-language": accepted},
            trust_env=False,
            timeout=CEILING_SECONDS,
        )
        assert f"<html lang={language}>" in answer.text


@pytest.mark.parametrize("text", [MARKUP, DISGUISED], ids=["markup", "disguised"])
def test_what_a_researcher_brings_is_shown_and_not_obeyed(
    tmp_path: Path, context_of: Callable[..., BrowserContext], text: str
) -> None:
    ordinary = review()
    plan = {**ordinary.plan, "study": text, "model": {"name": text, "options": {text: text}}}
    theirs = replace(
        ordinary,
        plan=plan,
        researcher=text,
        words=dict.fromkeys(WORDS, text),
        thread=(Message(PENDING, text, "researcher", text, "2026-11-26T15:40:00"),),
        reason=text,
        decided_by=text,
        state="denied",
        studies=(replace(ordinary.studies[0], study=text),),
        elsewhere=(replace(ordinary.elsewhere[0], hospital=text, reason=text),),
        differences=(replace(ordinary.differences[0], study=text, changed=(Changed("x", text, text, text),)),),
    )
    with serving(tmp_path, book=FakeBook({PENDING: theirs})) as console:
        context = context_of()
        console.sign_in(context, ADMIN_NAME)
        page = context.new_page()
        for path in ("/requests", f"/requests/{PENDING}"):
            answer = page.goto(console.url + path)
            assert answer is not None
            assert answer.status == 200
            assert page.locator("#theirs, main b, main script").count() == 0
            assert raw_in(answer.text()) == []
        assert page.evaluate("window.ran") is None
        if text == MARKUP:
            assert page.locator("main").inner_text().count(MARKUP) > len(WORDS)


def test_the_card_shows_what_an_own_model_is_made_of(own: ConsoleOfFakes, book: FakeBook) -> None:
    assert 'id="own-model"' not in asked(own, REVIEWER_NAME, f"/requests/{PENDING}").text
    layers = tuple(Layer(f"block{number}", "conv2d", "(B, 8, 8, 8)", 584, 36_864) for number in range(MOST_LAYERS + 3))
    blocks = tuple(Block(f"part{number}", {"conv2d": 2}, "(B, 9, 9)", 584, 36_864, 2, 3) for number in range(45))
    blocks = (replace(blocks[0], name="<script>window.ran=1</script>&"), *blocks[1:])
    near = Nearest("resnet18", 40, 50, 41)
    own_model = Summary(1207, 235_352, 14_856_192, {"conv2d": 403, "relu": 804}, layers, blocks, near)
    book.requests[PENDING] = replace(book.requests[PENDING], own_model=own_model)
    shown = asked(own, REVIEWER_NAME, f"/requests/{PENDING}").text
    assert "The researcher's own model" in html.unescape(shown)
    for figure in ("1,207", "235,352", "14,856,192", "804", "36,864"):
        assert figure in shown
    assert shown.count("(B, 8, 8, 8)") == MOST_LAYERS
    assert "not shown: 3" in shown
    assert (
        "resnet18 is the nearest: 88% alike." in html.unescape(shown) and "order: 40, of 50 here and 41 there" in shown
    )
    assert shown.count('<rect class="part"') == MOST_BOXES and "not drawn: 5" in shown
    assert 'aria-labelledby="network-title network-what"' in shown and '<title id="network-title">' in shown
    assert "<script>window" not in shown and "&lt;script&gt;window" in shown
    assert "part1 ×3" in shown
    chinese = asked(own, REVIEWER_NAME, f"/requests/{PENDING}", "zh").text
    assert "研究者的自有模型" in chinese and "未显示的其余层数：3" in chinese
    assert "内置模型中与它最接近的是 resnet18" in chinese and "网络结构，自上而下" in chinese


LINES = """cell => {
  const text = document.createRange();
  text.selectNodeContents(cell);
  return new Set([...text.getClientRects()].map(one => Math.round(one.top))).size;
}"""


def test_a_setting_that_differs_and_a_layers_shape_are_not_broken_within_a_word(
    own: ConsoleOfFakes, book: FakeBook, context_of: Callable[..., BrowserContext]
) -> None:
    changed = Changed("augmentation", "how drawn pictures are changed", "flips_and_turns", "none")
    layers = (Layer("11", "group_norm", "(B, 16, 16, 16)", 9_248, 1_589_824),)
    asked_before = (replace(book.requests[PENDING].differences[0], changed=(changed,)),)
    own_model = Summary(1, 448, 110_592, {"conv2d": 1}, layers, (), None)
    book.requests[PENDING] = replace(book.requests[PENDING], differences=asked_before, own_model=own_model)
    assert "flips_<wbr>and_<wbr>turns" in asked(own, REVIEWER_NAME, f"/requests/{PENDING}").text
    for width, lines in ((1280, 1), (400, 2)):
        context = context_of(viewport={"width": width, "height": 900})
        own.sign_in(context, REVIEWER_NAME)
        page = context.new_page()
        page.goto(f"{own.url}/requests/{PENDING}")
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        setting = page.locator(".differs td", has_text="flips_and_turns")
        assert setting.inner_text() == "flips_and_turns"
        assert setting.evaluate(LINES) <= lines
        assert page.locator("td.shape").evaluate(LINES) == 1
        table = page.get_by_role("table", name="Layers with trained numbers")
        assert width < 1280 or table.evaluate("table => table.offsetWidth <= table.parentElement.clientWidth")


OWN_LOSS = LossSummary(1208, 14_857, {"log_softmax": 405, MARKUP: 803}, ("v1 = log_softmax(output, axis=1)", MARKUP), 9)


def test_the_card_shows_what_an_own_loss_is_made_of(own: ConsoleOfFakes, book: FakeBook) -> None:
    before = book.requests[PENDING]
    assert "own-loss" not in asked(own, REVIEWER_NAME, f"/requests/{PENDING}").text
    book.requests[PENDING] = replace(before, own_loss=OWN_LOSS)
    shown = asked(own, REVIEWER_NAME, f"/requests/{PENDING}").text
    assert "The researcher's own loss" in html.unescape(shown) and 'id="own-loss"' in shown
    for figure in ("1,208", "14,857", "405", "803"):
        assert figure in shown
    assert MARKUP not in shown and MARKUP in html.unescape(shown)
    assert "v1 = log_softmax(output, axis=1)" in shown and "that are not shown: 9" in shown
    assert "研究者的自有损失" in asked(own, REVIEWER_NAME, f"/requests/{PENDING}", "zh").text
    book.requests[PENDING] = before
