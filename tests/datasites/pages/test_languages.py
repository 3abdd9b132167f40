"""Two languages: every text of a page stands in the catalogue, numbers and dates follow, and a choice is kept."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import fields as dataclass_fields
from datetime import UTC, datetime
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.pofile import read_po
from playwright.sync_api import BrowserContext, expect
from support.computed_texts import computed_texts
from support.console_pages import ADMIN_NAME, ConsoleOfFakes

from datasites.pages.languages.languages import CATALOGUES, SENTENCES, catalogue_file, preferred, read_languages
from datasites.review import channels, contradicting, earlier, findings, misleading, questions, reviewing, wording
from datasites.rules import verdict
from policies.answers import moments, odds
from policies.answers.sentence import said
from policies.budget.limit_changes import MEANS
from policies.plans.words.statement import Statement

Text = str | tuple[str, ...]
ROOM = CATALOGUES.parent
ROOMS = (ROOM, ROOM.parent / "review")  # pages, and the record of a decision
_PLACE = re.compile(r"%%|%(?:\((\w+)\))?(.)")


def texts() -> set[Text]:
    """Every text that the pages' code and templates mark, as `make translations` finds them."""
    with (CATALOGUES / "extract.cfg").open() as file:
        methods, options = parse_mapping_cfg(file)
    keywords = {"_": None, "gettext": None, "ngettext": (1, 2), "to_translate": None}
    found = (
        one
        for room in ROOMS
        for one in extract_from_dir(room, method_map=methods, options_map=options, keywords=keywords)
    )
    return {message for _, _, message, _, _ in found}


def catalogue() -> dict[Text, tuple[str, ...]]:
    with catalogue_file("zh").open("rb") as file:
        read = [one for one in read_po(file, locale="zh", abort_invalid=True) if one.id]
    assert not any(one.fuzzy for one in read)
    return {
        one.id if isinstance(one.id, str) else tuple(one.id): (
            (one.string,) if isinstance(one.string, str) else tuple(one.string or ())
        )
        for one in read
    }


def templates() -> set[str]:
    """Every template and word that the datasite computes with and a page shows in another language."""
    modules = (channels, contradicting, earlier, findings, misleading, odds, questions, reviewing, verdict, wording)
    values = [value for one in modules for name, value in vars(one).items() if name.isupper() and name[0] != "_"]
    texts = {one for one in values if isinstance(one, str)}
    tables = (*(one for one in values if isinstance(one, Mapping)), MEANS)
    fields = {"The study's name", *(f"The statement's {one.name}" for one in dataclass_fields(Statement))}
    words = fields | {"patient", "picture"} | computed_texts()
    return texts | words | {text for one in tables for text in one.values()}


def places(text: str) -> set[str]:
    return {found[0] for found in _PLACE.finditer(text)}


def test_every_text_of_a_page_stands_in_the_chinese_catalogue_and_none_that_no_page_has() -> None:
    assert len(texts()) > 50
    assert texts() ^ set(catalogue()) == set(), "run 'make translations', then translate what is new"


def test_each_translation_says_something_and_holds_the_same_values() -> None:
    for key, translated in catalogue().items():
        originals = (key,) if isinstance(key, str) else key
        assert translated and all(translated), key
        wanted = places(originals[-1])
        assert all(places(one) == wanted for one in translated), key
        assert all(one.startswith("%%") or re.fullmatch(r"%\(\w+\)s", one) for one in wanted), key


def test_every_sentence_that_is_computed_stands_in_the_chinese_catalogue_with_the_same_values() -> None:
    with catalogue_file("zh", SENTENCES).open("rb") as file:
        read = {str(one.id): str(one.string) for one in read_po(file, locale="zh", abort_invalid=True) if one.id}
    assert len(templates()) > 100
    assert templates() ^ set(read) == set(), "translate what is new in sentences.po, and take out what nothing computes"
    braces = re.compile(r"{\w+}")
    for text, translated in read.items():
        assert translated, text
        assert set(braces.findall(text)) == set(braces.findall(translated)), text


def test_a_sentence_is_said_in_each_language_with_its_values() -> None:
    english, chinese = read_languages().values()
    sentence = said(questions.PEOPLE_PROMISE, unit="patient", size=1200)
    assert english.said(sentence) == sentence.text == "The promise is for one patient of 1,200."
    assert chinese.said(sentence) == "隐私承诺针对 1,200 个患者中的每一个。"
    unknown = said("Nobody has translated {this}.", this="one")
    assert chinese.said(unknown) == "Nobody has translated one."


def test_a_text_that_came_as_plain_english_is_said_in_the_other_language_with_its_values() -> None:
    english, chinese = read_languages().values()
    text = "made for syft 0.9.5; syft 0.9.6. Install the pinned closure: 'make setup'."
    assert english.told(text) == text
    assert chinese.told(text) == "本程序为 syft 0.9.5 编写；syft 0.9.6。请安装固定版本的依赖：make setup。"
    assert chinese.told("12 entries, the chain holds, head ab12") == "12 条记录，链完好，末端哈希 ab12"
    several = "Some names look like a person's: file names that look like names; class names that look like dates. "
    several += "Take them out of the export. If they are none, set safe_kinds in [dataset]."
    assert chinese.told(several) == (
        "有些名称疑似个人信息：疑似姓名的文件名；疑似日期的类别名称。请从导出内容中去除。"
        "如果其实不是，请在 [dataset] 中设置 safe_kinds。"
    )
    nested = "WW304: max_grad_norm 1 is far below what models use (2 to 10): every gradient is cut to almost nothing."
    told = "WW304: max_grad_norm 为 1，远低于模型常用的范围（2 至 10）：每个梯度几乎都被裁剪殆尽。"
    assert chinese.told(nested) == told


@pytest.mark.parametrize("name", ["audit", "model", "the 3 rounds", "no gpu: memory", "WW101: all"])
def test_a_name_that_is_a_word_of_the_datasites_stays_that_name(name: str) -> None:
    text = f"Study '{name}', request 4f1c, on '{name}', version 2: all 3 rounds that released an update."
    for whole in (text, f"Rule '{name}' approved it, in the version ab12."):
        told = read_languages()["zh"].told(whole)
        assert told is not None and told.count(name) == whole.count(name)


@pytest.mark.parametrize(
    "value", ["", " ", "{1}", "{9}", "a, the chain holds, head b", "head " * 300, "\x00<b>", ": " * 900]
)
def test_no_value_keeps_a_text_from_being_shown_or_is_lost_in_it(value: str) -> None:
    chinese = read_languages()["zh"]
    for text in (f"{value} entries, the chain holds, head {value}", f"no {value}: {value}", value):
        told = chinese.told(text)
        assert told is None or value in told


def test_texts_stand_in_marks_and_not_bare_in_templates() -> None:
    bare = re.compile(r'>[^<>{}="]*[A-Za-z]{3,}[^<>{}="]*<')
    found = {
        str(file.relative_to(ROOM.parent)): bare.findall(
            re.sub(r"{[{%#].*?[}%#]}", "", file.read_text(), flags=re.DOTALL)
        )
        for room in ROOMS
        for file in room.rglob("*.jinja")
    }
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    ("chosen", "accepted", "code"),
    [
        ("", "", "en"),
        ("", "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("", "de-DE, zh;q=0.5, en;q=0.7", "en"),
        ("", "fr, *;q=0.1", "en"),
        ("", "zh;q=0, en;q=0.1", "en"),
        ("", ";;q=,\x00," * 100, "en"),
        ("zh", "en", "zh"),
        ("tlh", "zh", "zh"),
    ],
)
def test_a_choice_goes_before_what_a_browser_asks_for(chosen: str, accepted: str, code: str) -> None:
    assert preferred(read_languages(), chosen, accepted).code == code


def test_numbers_are_written_as_each_language_writes_them_and_dates_alike() -> None:
    english, chinese = read_languages().values()
    when = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
    assert (english.number(12345), english.number(1234.5), english.number(0.123456, 4)) == (
        "12,345",
        "1,234.5",
        "0.1235",
    )
    assert (english.percent(0.125), chinese.percent(0.125, 1)) == ("12%", "12.5%")
    assert english.day("2026-11-27T12:00:00") == english.day(when.timestamp()) == english.day(when)
    assert english.day(when) == chinese.day(when) == moments.day(when)  # and as a terminal tells them
    assert english.moment(when) == chinese.moment(when) == moments.moment(when)
    assert english.ngettext("%(count)s row", "%(count)s rows", 1) == "1 row"
    assert english.ngettext("%(count)s row", "%(count)s rows", 2000) == "2,000 rows"


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
def test_language_and_colours_are_chosen_on_any_page_and_kept(
    served: ConsoleOfFakes, context_of: Callable[..., BrowserContext], scripts: bool
) -> None:
    context = context_of(java_script_enabled=scripts)
    page = context.new_page()
    page.goto(f"{served.url}/first-password")
    page.get_by_label("Language").select_option("zh")
    page.get_by_label("Colours").select_option("dark")
    page.get_by_role("button", name="Set", exact=True).click()
    expect(page).to_have_url(f"{served.url}/first-password")
    expect(page.locator("html")).to_have_attribute("lang", "zh-Hans")
    served.sign_in(context, ADMIN_NAME)
    page.goto(served.url)
    expect(page.get_by_role("heading", name="概览")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_the_catalogue_lies_where_an_installed_package_has_it() -> None:
    assert catalogue_file("zh") == Path(ROOM / "translations" / "zh" / "LC_MESSAGES" / "pages.po")
