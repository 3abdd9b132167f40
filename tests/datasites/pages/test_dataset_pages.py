"""The pages of a dataset and of its source: right numbers, samples for those who decide alone, and nothing changed."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import httpx
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import BrowserContext
from support import versioned
from support.books import ledger_of
from support.console_pages import ADMIN_NAME, AUDITOR_NAME, REVIEWER_NAME, ConsoleOfFakes, serving
from support.versioned import people, pictures_of, take
from support.waiting import CEILING_SECONDS, wait_for

from datasites.assets.dataset_version import versions_of
from datasites.assets.store import open_store
from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.inspection.inspection import inspect_source
from datasites.sources.inspection.latest_look import LatestLook, Look

ColorScheme = Literal["light", "dark"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleOfFakes]:
    """A console over a true store of 27 pictures of 13 patients, and over a folder with two classes."""
    folder = tmp_path_factory.mktemp("console")
    state = versioned.make_state(folder / "north")
    take(state, pictures_of(people(*range(12))))
    take(state, pictures_of(people(12), each=3))
    for index in range(12):
        file = folder / "pictures" / ("<b>dark" if index % 2 else "bright") / f"{index}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 10 * index).save(file)
    (folder / "pictures" / "bright" / "notes.txt").write_text("no picture")
    versions = versions_of(state.store, "pictures")
    dataset = SimpleNamespace(versions=versions, manifest=versions[-1].manifest, store=versions[-1].folder)
    source = DatasetSettings(data_path=str(folder / "pictures"), terms_of_use="For <i>lungs</i> alone.")
    with serving(folder, datasets={"pictures": dataset}, source=source, ledger=ledger_of(state)) as console:
        yield console


def asked(served: ConsoleOfFakes, name: str, path: str) -> httpx.Response:
    return httpx.get(served.url + path, cookies=served.session_of(name), trust_env=False, timeout=CEILING_SECONDS)


def test_the_page_tells_the_datasets_numbers_and_escapes_its_texts(served: ConsoleOfFakes) -> None:
    page = asked(served, REVIEWER_NAME, "/datasets/pictures").text
    for number, what in (
        (27, "pictures"),
        (13, "privacy units"),
        (13, "patients"),
        (3, "pictures at most of one unit"),
    ):
        assert f"<strong>{number}</strong> {what}" in page
    assert "For &lt;i&gt;lungs&lt;/i&gt; alone." in page
    assert "newest: new requests read it" in page


def test_a_version_that_is_made_while_the_datasite_serves_is_told_and_that_a_start_is_due(tmp_path: Path) -> None:
    state = versioned.make_state(tmp_path / "north")
    take(state, pictures_of(people(*range(12))))
    versions = versions_of(state.store, "pictures")
    dataset = SimpleNamespace(versions=versions, manifest=versions[-1].manifest, store=versions[-1].folder)
    with serving(tmp_path, datasets={"pictures": dataset}, ledger=ledger_of(state)) as console:
        before = asked(console, REVIEWER_NAME, "/datasets/pictures").text
        assert "is on the disk" not in asked(console, REVIEWER_NAME, "/datasets").text
        assert "newest: new requests read it" in before and "start the datasite again" not in before
        take(state, pictures_of(people(12), each=3))
        page = asked(console, REVIEWER_NAME, "/datasets/pictures").text
        told = "Version 2 is on the disk and not shown here yet: start the datasite again"
        assert f'<div class="notice warn"><p>{told}' in page
        every = asked(console, REVIEWER_NAME, "/datasets").text
        assert '<div class="notice warn"><p>pictures: version 2 is on the disk and not shown here yet. Start' in every
        assert "served until the next start" in page and "<strong>24</strong> pictures" in page


def test_samples_are_the_stores_and_the_mocks_pictures(served: ConsoleOfFakes) -> None:
    own = asked(served, REVIEWER_NAME, "/datasets/pictures/samples/own")
    mock = asked(served, REVIEWER_NAME, "/datasets/pictures/samples/mock")
    drawn = np.asarray(Image.open(io.BytesIO(own.content)))
    store = open_store(served.console.datasets["pictures"].store)
    assert drawn[0:2, 0:2, 0].tolist() == store.images[0, :, :, 0].tolist()
    assert own.headers["content-type"] == "image/png"
    assert own.headers["cache-control"] == "no-store"
    assert mock.content != own.content


@pytest.mark.parametrize("which", ["own", "mock"])
def test_who_decides_nothing_sees_no_sample(served: ConsoleOfFakes, which: str) -> None:
    assert asked(served, AUDITOR_NAME, f"/datasets/pictures/samples/{which}").status_code == 403
    assert "/samples/" not in asked(served, AUDITOR_NAME, "/datasets/pictures").text
    assert (
        httpx.get(
            f"{served.url}/datasets/pictures/samples/{which}", trust_env=False, timeout=CEILING_SECONDS
        ).status_code
        != 200
    )


@pytest.mark.parametrize("path", ["/datasets/others", "/datasets/others/samples/own", "/datasets/pictures/samples/all"])
def test_what_there_is_none_of_is_a_page_that_says_so(served: ConsoleOfFakes, path: str) -> None:
    assert asked(served, ADMIN_NAME, path).status_code == 404


def test_a_look_at_the_source_finds_what_inspect_finds_and_only_an_admin_begins_it(
    served: ConsoleOfFakes, context_of: Callable[..., BrowserContext]
) -> None:
    assert asked(served, REVIEWER_NAME, "/source").status_code == 403
    context = context_of(java_script_enabled=False)
    served.sign_in(context, ADMIN_NAME)
    page = context.new_page()
    page.goto(f"{served.url}/source")
    page.get_by_role("button", name="Look now").click()

    def looked() -> bool:
        page.goto(f"{served.url}/source")
        return page.get_by_role("button", name="Look again").count() == 1

    wait_for(looked)
    text = page.locator("main").inner_text()
    assert "12 pictures would be taken" in " ".join(text.split())
    assert "<b>dark" in text
    assert "[dataset]" in page.locator("pre").inner_text()
    assert "notes.txt" in text


def test_why_nothing_would_be_published_is_said_in_chinese_and_names_what_it_is_about(
    served: ConsoleOfFakes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2):
        Image.new("L", (8, 8), number).save(tmp_path / f"{number}.png")
    rows = ["file,class", "0.png,red", "1.png,red", "1.png,white", ",red", *(f"gone/{one}.png,red" for one in range(9))]
    (tmp_path / "t.csv").write_text("\n".join(rows))
    named = {"path_column": "file", "label_columns": ("class",)}
    found = inspect_source(DatasetSettings(data_path=str(tmp_path / "t.csv"), class_names=("red", "white"), **named))
    monkeypatch.setattr(LatestLook, "now", Look("2026-11-27T08:00:00+00:00", found=found))
    cookies = served.session_of(ADMIN_NAME)
    page = httpx.get(
        f"{served.url}/source",
        cookies=cookies,
        headers={"accept-language": "zh"},
        trust_env=False,
        timeout=CEILING_SECONDS,
    ).text
    assert "无法采用该表格：同一文件有两个标签；缺少路径；文件不存在。请更正表格，或更正各列的设置。" in page
    assert "<li>文件不存在（共 9 行），位于第 6 (gone/0.png), 7 (gone/1.png), 8" in page and "gone/5.png" not in page


@pytest.mark.parametrize("path", ["/datasets/pictures", "/source"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_full_pages_have_no_fault_of_accessibility(
    served: ConsoleOfFakes, context_of: Callable[..., BrowserContext], path: str, theme: ColorScheme
) -> None:
    context = context_of(color_scheme=theme)
    served.sign_in(context, ADMIN_NAME)
    page = context.new_page()
    page.goto(served.url + path)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
