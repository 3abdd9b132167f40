"""Notices in the console: from events and from what holds, told once, read by each person, paged and bounded."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.certificates import certificate
from support.governed import Governed
from support.hospitals import RESEARCHER
from support.waiting import wait_for

from datasites.access.people import ResearcherRow
from datasites.config import DatasiteConfig
from datasites.doctor import latest_examination
from datasites.notices import notice_book
from datasites.notices.notice import CERTIFICATE, DISK, DOCTOR, LOW_BUDGET
from datasites.notices.notice_book import NoticeBook
from datasites.notices.notices import Notices, open_notices
from datasites.notices.settings import NoticeSettings
from datasites.notices.watch import Watch
from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan

MODEL = ModelSpec("small_cnn", (16, 16, 1), 2, {"width": 4})
PLAN = TrainingPlan("noticed", "pictures", MODEL, 2, 1, 0.1, 0.5, privacy=PrivacySpec(2.0, 1.0, 1e-5))


@pytest.fixture
def book(tmp_path: Path) -> Iterator[NoticeBook]:
    made = NoticeBook(tmp_path / "notices.sqlite")
    yield made
    made.close()


def test_each_person_has_an_own_mark_of_what_was_read(book: NoticeBook) -> None:
    first, second = book.add("doctor", "ports", "x"), book.add("disk low", "disk", "y")
    book.read("dr.wu", first.id)
    assert (book.page("dr.wu").unread, book.page("m.lee").unread) == (1, 2)
    book.read("dr.wu", 10**9)
    book.read("dr.wu", first.id)
    assert book.page("dr.wu").read_up_to == second.id


def test_notices_are_paged_from_the_newest_on(book: NoticeBook) -> None:
    made = [book.add("doctor", str(number), "x").id for number in range(5)]
    page = book.page("dr.wu", count=2)
    assert [one.id for one in page.notices] == made[:-3:-1] and page.next == made[-2]
    page = book.page("dr.wu", after=page.next, count=10)
    assert [one.id for one in page.notices] == made[2::-1] and page.next is None


def test_the_oldest_are_let_go(book: NoticeBook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notice_book, "MOST_KEPT", 3)
    for number in range(7):
        book.add("doctor", str(number), "x")
    assert [one.about for one in book.page("dr.wu").notices] == ["6", "5", "4"]


def test_what_holds_is_told_once_and_again_only_after_it_has_passed(tmp_path: Path) -> None:
    for expected in (["disk"], [], []):  # not at a restart either
        book = NoticeBook(tmp_path / "notices.sqlite")
        assert [one.about for one in book.found("disk low", {"disk": "Little is free."})] == expected
        book.close()
    book = NoticeBook(tmp_path / "notices.sqlite")
    assert book.found("disk low", {}) == ()
    assert len(book.found("disk low", {"disk": "Little is free."})) == 1
    book.close()


@pytest.fixture
def notices(governed_north: Governed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Notices]:
    """What hears of the events of a datasite that governs."""
    state: Any = SimpleNamespace(notices=tmp_path / "notices.sqlite", path=tmp_path, identity=tmp_path / "identity")
    config = DatasiteConfig.from_toml(governed_north.state.config)
    opened = open_notices(state, config, governed_north.books, {}, list)
    monkeypatch.setattr(governed_north.books.audit, "_told", [])
    opened.start()
    yield opened
    opened.stop()


def test_events_of_a_request_become_notices(governed_north: Governed, notices: Notices) -> None:
    request = governed_north.submit(PLAN).request_id
    assert governed_north.arrived[-1] == request
    notices.arrived(request)
    governed_north.book.conversation.ask(request, "Which endpoint?", by="dr.wu")
    governed_north.book.conversation.answer(request, "A private answer.", by=RESEARCHER)
    governed_north.books.audit.write("run failed", run="r", request=request, round=0, code="WW501", detail="private")
    governed_north.book.withdraw(request, by=RESEARCHER)
    told = notices.book.page("dr.wu").notices
    assert [(one.kind, one.about) for one in told] == [
        ("run failed", request),
        ("question answered", request),
        ("new request", request),
    ]
    assert "private" not in repr(told)


def test_a_table_that_takes_no_notice_stops_nothing(governed_north: Governed, notices: Notices) -> None:
    notices.book._connection.execute("DROP TABLE notices")
    governed_north.books.audit.write("run failed", run="r", request="q", round=0)
    assert governed_north.events("run failed")[-1]["request"] == "q"


def watching(tmp_path: Path, *, left: float = 8.0, days: int = 90, **config: Any) -> Watch:
    books: Any = SimpleNamespace(
        limits=SimpleNamespace(current=SimpleNamespace(total=SimpleNamespace(epsilon=8.0))),
        epsilon_left=lambda key: left,
    )
    dataset: Any = SimpleNamespace(manifest=SimpleNamespace(budget_key="k"))
    person = ResearcherRow(RESEARCHER, "valid", "2026-01-01", "2026-12-01", None, days)
    state: Any = SimpleNamespace(path=tmp_path, identity=tmp_path / "identity")
    return Watch(state, DatasiteConfig(name="north", **config), books, {"cells": dataset}, lambda: [person])


def test_in_good_order_nothing_is_found(tmp_path: Path) -> None:
    found = watching(tmp_path, min_free_disk_bytes=0).look()
    assert found == {LOW_BUDGET: {}, CERTIFICATE: {}, DISK: {}}


def test_a_low_budget_an_ending_certificate_and_a_full_disk_are_found(tmp_path: Path) -> None:
    found = watching(tmp_path, left=0.79, days=14, min_free_disk_bytes=1 << 50).look()
    assert "0.79 of 8.00" in found[LOW_BUDGET]["cells"]
    assert "2026-12-01" in found[CERTIFICATE][RESEARCHER]
    assert set(found[DISK]) == {"disk"}
    assert watching(tmp_path, left=0.81, days=15).look()[LOW_BUDGET] == {}


@pytest.mark.parametrize(("days", "told"), [(90, ""), (13, "ends on "), (-1, "ends on "), (None, "cannot be read")])
def test_the_end_of_the_consoles_own_certificate_is_found(tmp_path: Path, days: int | None, told: str) -> None:
    file = tmp_path / "console.pem"
    if days is not None:
        file.write_text(certificate(days))
    watch = watching(tmp_path, left=0.79, console_certificate=str(file), console_key="key.pem")
    found = watch.look()
    assert told in found[CERTIFICATE].get("console", "") and ("console" in found[CERTIFICATE]) == bool(told)
    assert found[LOW_BUDGET]


@pytest.mark.parametrize(("days", "told"), [(90, False), (13, True), (-1, True)])
@pytest.mark.parametrize("name", ["server.crt", "authority.crt"])
def test_the_end_of_the_datasites_own_certificates_is_told_in_time(
    tmp_path: Path, name: str, days: int, told: bool
) -> None:
    (tmp_path / "identity").mkdir()
    (tmp_path / "identity" / name).write_text(certificate(days))
    found = watching(tmp_path).look()[CERTIFICATE]
    assert set(found) == ({name} if told else set())
    assert not told or "Start the datasite again" in found[name]


def test_the_doctors_problems_are_found_and_so_is_a_doctor_that_cannot_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [
        {"check": "ports", "level": "problem", "text": "Nothing answers.", "advice": "Start it."},
        {"check": "clock", "level": "warning", "text": "?", "advice": ""},
    ]
    ran = SimpleNamespace(stdout=json.dumps(lines))
    monkeypatch.setattr(latest_examination.subprocess, "run", lambda *_, **__: ran)
    assert watching(tmp_path).ask_the_doctor() == {DOCTOR: {"ports": "Nothing answers. Start it."}}

    def away(*_: Any, **__: Any) -> None:
        raise subprocess.TimeoutExpired("doctor", 1)

    monkeypatch.setattr(latest_examination.subprocess, "run", away)
    assert set(watching(tmp_path).ask_the_doctor()[DOCTOR]) == {"doctor"}


def test_settings_of_notices_are_written_and_read_back(tmp_path: Path) -> None:
    settings = NoticeSettings(webhook_url="https://hooks.clinic.org/x", webhook_secret_file="/s", low_budget_share=0.2)
    config = replace(DatasiteConfig(name="north"), notices=settings)
    (tmp_path / "config.toml").write_text(config.to_toml())
    assert DatasiteConfig.from_toml(tmp_path / "config.toml") == config


def test_who_asks_by_hand_has_everything_looked_at_and_found(
    governed_north: Governed, notices: Notices, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [{"check": "ports", "level": "problem", "text": "Nothing answers.", "advice": ""}]
    monkeypatch.setattr(
        latest_examination.subprocess, "run", lambda *_, **__: SimpleNamespace(stdout=json.dumps(lines))
    )
    assert not notices.looked
    notices.look_now()
    wait_for(lambda: notices.looked)
    assert (DOCTOR, "ports") in notices.book.standing()
    assert notices.book.unread("wu") == notices.book.page("wu").unread > 0
