"""Commands about the console's pages and people, against a console of fakes: what they print, and what they do not."""

from __future__ import annotations

import json
import stat
import webbrowser
from collections.abc import Iterator
from pathlib import Path
from urllib.request import url2pathname

import pytest
from support.console_pages import ADMIN_NAME, REVIEWER_NAME, ConsoleOfFakes, serving

from datasites.cli import main


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleOfFakes]:
    with serving(tmp_path_factory.mktemp("console")) as console:
        yield console


@pytest.fixture
def own_file(served: ConsoleOfFakes, tmp_path: Path) -> Path:
    file = tmp_path / "own.json"
    file.write_text(json.dumps({"url": served.url, "token": served.tokens[ADMIN_NAME]}))
    return file


def code_of(address: str) -> str:
    return address.strip().rsplit("code=", 1)[1]


@pytest.mark.parametrize("digest", ["0123456789ab" + "c" * 52, None])
def test_digests_of_the_audit_logs_events_are_short_and_whole_with_json(
    digest: str | None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    details = {"request": "f" * 32, **({"plan": digest} if digest else {})}
    row = {"line": 1, "time": "2026-11-27T10:00:00", "event": "study", "by": "wu", "details": details, "hash": "ab"}
    monkeypatch.setattr("datasites.cli.console.call", lambda *asked: {"rows": [row], "next": None})
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["audit", "search"]) == 0
    told = "".join(capsys.readouterr().out.split())
    assert ("plan0123456789ab…" in told) == ("--jsontellsthemwhole" in told) == bool(digest)
    assert "cccc" not in told and "f" * 32 in told
    assert main(["audit", "search", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["details"] == details


def test_without_a_browser_the_address_is_printed_and_opens_for_the_tokens_person(
    served: ConsoleOfFakes, own_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["console", "--as", str(own_file), "--no-browser"]) == 0
    address = capsys.readouterr().out.splitlines()[-1]
    assert address.startswith(f"{served.url}/open?code=")
    assert served.console.links.take(code_of(address)).name == ADMIN_NAME
    assert main(["console", "--as", str(own_file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["address"].startswith(served.url)


@pytest.mark.parametrize("screen", [True, False])
def test_a_browser_is_told_a_private_file_and_no_command_line_holds_the_code(
    own_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], screen: bool
) -> None:
    told: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda url: told.append(url) or True)
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    if screen:
        monkeypatch.setenv("DISPLAY", ":0")
    assert main(["console", "--as", str(own_file)]) == 0
    code = code_of(capsys.readouterr().out)
    assert len(told) == screen
    if screen:
        file = Path(url2pathname(told[0].removeprefix("file://")))
        assert code not in told[0] and code in file.read_text()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_person_who_begins_anew_has_no_session_and_a_new_file(
    served: ConsoleOfFakes, own_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = served.staff.known(REVIEWER_NAME)
    assert known
    session = served.sessions.begin(known.person)
    assert main(["staff", "reset", REVIEWER_NAME, "--as", str(own_file)]) == 0
    said = capsys.readouterr().out
    file = Path(said.strip().rsplit(" ", 1)[1])
    token = json.loads(file.read_text())["token"]
    assert token not in said and served.staff.of_token(token).name == REVIEWER_NAME
    assert served.sessions.find(session) is None
    assert {"event": "staff reset", "name": REVIEWER_NAME, "by": ADMIN_NAME} in served.noted.events
    assert main(["staff", "reset", "nobody", "--as", str(own_file)]) == 1
