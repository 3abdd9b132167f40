"""A hospital that takes the old credentials no more is asked by those that lie in their place, and by no others."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any, ClassVar

import pytest
from support.waiting import CEILING_SECONDS

from policies.errors import (
    CertificateRefused,
    ConfigError,
    DatasiteNotTrusted,
    DatasiteUnreachable,
    SignInFailed,
    WanwuError,
)
from policies.versions import packages
from researcher.hospitals.connections import connecting
from researcher.hospitals.credentials import Credentials
from researcher.hospitals.federation import Federation
from researcher.hospitals.hospital import Hospital

EXPIRED = CertificateRefused("This certificate is expired.")


class Door:
    """A hospital that lets in whom the test says, by certificate, and counts who knocks."""

    refused: ClassVar[dict[str, WanwuError]] = {}
    knocked: ClassVar[list[str]] = []
    open: ClassVar[set[Any]] = set()

    def __init__(self, credentials: Credentials) -> None:
        self.name, self.credentials = credentials.datasite, credentials
        self.datasets: dict[str, Any] = {}
        self.versions = packages.installed()
        self.answer()
        self.open.add(self)

    def answer(self) -> str:
        certificate = self.credentials.certificate
        self.knocked.append(certificate)
        if (error := self.refused.get(certificate)) is not None:
            raise error
        return certificate

    def close(self) -> None:
        self.open.discard(self)


@pytest.fixture(autouse=True)
def door(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("refused", {}), ("knocked", []), ("open", set())):
        monkeypatch.setattr(Door, name, value)
    monkeypatch.setattr(connecting, "Hospital", Door)
    monkeypatch.setattr(connecting, "_AGAIN_SECONDS", 0.0)


def put(folder: Path, certificate: str, name: str = "north.json", **changed: str) -> Path:
    """A file of credentials with this certificate, in the place of any."""
    told = {"datasite": "north", "url": "https://north.example.org", "email": "me@x.org", "password": "secret-word"}
    file = folder / name
    file.write_text(json.dumps({**told, "authority": "A", "certificate": certificate, "key": "secret-key", **changed}))
    return file


def ask(federation: Federation) -> str:
    def answer(hospital: Hospital) -> str:
        there: Any = hospital
        return str(there.answer())

    return federation.asked("north", answer)


@pytest.mark.parametrize(
    "error", [EXPIRED, SignInFailed("No."), DatasiteNotTrusted("Another."), DatasiteUnreachable("Moved.")]
)
@pytest.mark.parametrize("pattern", [False, True])
def test_what_lies_in_the_place_of_refused_credentials_is_taken_and_kept(
    tmp_path: Path, error: WanwuError, pattern: bool
) -> None:
    file = put(tmp_path, "old")
    with Federation.connect(str(tmp_path / "*.json") if pattern else file) as federation:
        assert ask(federation) == "old"
        Door.refused["old"] = error
        with pytest.raises(type(error)):
            ask(federation)
        put(tmp_path, "new")
        assert ask(federation) == ask(federation) == "new"
        assert federation.hospitals["north"].credentials.certificate == "new"
        assert "old" not in Door.knocked[-2:]
    assert not Door.open, "the connection by the old ones is closed too"


def test_a_new_file_beside_the_old_one_is_found_where_a_pattern_fits_both(tmp_path: Path) -> None:
    put(tmp_path, "old", "a.json")
    with Federation.connect(str(tmp_path / "*.json")) as federation:
        Door.refused |= {"old": EXPIRED, "torn": ConfigError("No certificate.")}
        put(tmp_path, "torn", "b.json")
        put(tmp_path, "new", "c.json")
        assert ask(federation) == "new"


def test_refused_credentials_are_not_shown_again_until_others_lie_there_or_a_minute_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Federation.connect(put(tmp_path, "old")) as federation:
        Door.refused |= {"old": EXPIRED, "newer": EXPIRED}
        for _ in range(3):
            with pytest.raises(CertificateRefused):
                ask(federation)
        assert Door.knocked == ["old", "old"], "one connection, one question"
        put(tmp_path, "newer")
        for _ in range(3):
            with pytest.raises(CertificateRefused):
                ask(federation)
        assert Door.knocked == ["old", "old", "newer"]
        Door.refused.clear()  # as where the hospital's clock was wrong
        monkeypatch.setattr(connecting, "_REFUSED_AGAIN_SECONDS", 0.0)
        assert ask(federation) == "old"


@pytest.mark.parametrize("changed", [{"datasite": "south"}, {"email": "other@x.org"}])
def test_credentials_of_another_account_or_datasite_are_not_taken(tmp_path: Path, changed: dict[str, str]) -> None:
    with Federation.connect(put(tmp_path, "old")) as federation:
        Door.refused["old"] = EXPIRED
        put(tmp_path, "new", **changed)
        with pytest.raises(CertificateRefused):
            ask(federation)
        assert "new" not in Door.knocked


@pytest.mark.parametrize("content", ["", "{", '{"datasite": "north"}', "[]"])
def test_a_file_that_is_just_written_is_passed_over_and_nothing_of_it_is_told(tmp_path: Path, content: str) -> None:
    with Federation.connect(file := put(tmp_path, "old")) as federation:
        Door.refused["old"] = EXPIRED
        file.write_text(content)
        with pytest.raises(CertificateRefused) as refused:
            ask(federation)
        assert "secret" not in f"{refused.value.public} {refused.value.private}"
        file.unlink()
        with pytest.raises(CertificateRefused):
            ask(federation)
        put(tmp_path, "new")
        assert ask(federation) == "new"


def test_what_is_refused_for_another_reason_looks_into_no_file(tmp_path: Path) -> None:
    with Federation.connect(put(tmp_path, "old")) as federation:
        Door.refused["old"] = WanwuError("Odd.")
        put(tmp_path, "new")
        with pytest.raises(WanwuError, match="Odd"):
            ask(federation)
        assert "new" not in Door.knocked


def test_a_hospital_that_let_nobody_in_at_first_is_joined_by_what_lies_there_then(tmp_path: Path) -> None:
    Door.refused["old"] = EXPIRED
    with Federation.connect([put(tmp_path, "old"), put(tmp_path, "s", "s.json", datasite="south")]) as federation:
        for _ in range(3):
            with pytest.raises(CertificateRefused):
                ask(federation)
        assert Door.knocked.count("old") == 1
        put(tmp_path, "new")
        assert ask(federation) == "new" and not federation.missing


@pytest.mark.parametrize("error", [EXPIRED, DatasiteUnreachable("Moved.")])
@pytest.mark.parametrize("there_at_first", [True, False])
def test_a_certificate_that_nobody_can_use_is_passed_over_and_the_first_ones_are_asked_by_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: WanwuError, there_at_first: bool
) -> None:
    Door.refused |= {"old": error, "torn": ConfigError("No certificate.")}
    if there_at_first:
        del Door.refused["old"]
    with Federation.connect([put(tmp_path, "old"), put(tmp_path, "s", "s.json", datasite="south")]) as federation:
        Door.refused["old"] = error
        put(tmp_path, "torn")
        for _ in range(2):
            with pytest.raises(type(error)):
                ask(federation)
        assert "torn" in Door.knocked
        del Door.refused["old"]
        monkeypatch.setattr(connecting, "_REFUSED_AGAIN_SECONDS", 0.0)
        assert ask(federation) == "old"


def test_credentials_that_are_put_back_are_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Door.refused |= {"right": DatasiteUnreachable("Down."), "wrong": EXPIRED}
    with Federation.connect([put(tmp_path, "right"), put(tmp_path, "s", "s.json", datasite="south")]) as federation:
        put(tmp_path, "wrong")
        for _ in range(2):
            with pytest.raises((CertificateRefused, DatasiteUnreachable)):
                ask(federation)
        assert Door.knocked.count("wrong") == 1
        put(tmp_path, "right")
        Door.refused.pop("right")
        assert ask(federation) == "right"


def test_several_who_ask_at_once_connect_once(tmp_path: Path) -> None:
    with Federation.connect(put(tmp_path, "old")) as federation:
        Door.refused["old"] = EXPIRED
        put(tmp_path, "new")
        answers: list[str] = []
        asking = [threading.Thread(target=lambda: answers.append(ask(federation))) for _ in range(8)]
        for one in asking:
            one.start()
        for one in asking:
            one.join(CEILING_SECONDS)
        assert answers == ["new"] * 8
        assert Door.knocked.count("new") == 1 + 8
