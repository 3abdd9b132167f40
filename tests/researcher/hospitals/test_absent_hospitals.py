"""One hospital that is not there stops nothing at the others; what is wrong with a file stops everything."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from support.hospitals import CLASSES
from support.waiting import CEILING_SECONDS, wait_for

from policies.answers.hospital import BudgetAnswer
from policies.budget.limits import DatasetLimits
from policies.errors import (
    CertificateRefused,
    ConfigError,
    DatasiteNotTrusted,
    DatasiteUnreachable,
    FederationError,
    NotEnoughDatasites,
    SignInFailed,
    WanwuError,
)
from policies.versions import packages
from researcher.cli.hospitals import catalog
from researcher.hospitals.connections import connecting
from researcher.hospitals.credentials import Credentials
from researcher.hospitals.federation import Federation
from researcher.hospitals.hospital import DatasetInfo
from researcher.notebook.federation import connect

GONE = DatasiteUnreachable("Nothing listens at that port.")
Outcomes = dict[str, WanwuError | None]


class Fake:
    """A hospital that connects, or fails with what the test says."""

    outcomes: ClassVar[Outcomes] = {}
    silent: ClassVar[dict[str, threading.Event]] = {}
    open: ClassVar[set[str]] = set()

    def __init__(self, credentials: Credentials) -> None:
        self.name = credentials.datasite
        if self.name in self.silent:
            self.silent[self.name].wait(CEILING_SECONDS)
        if (error := self.outcomes.get(self.name)) is not None:
            raise error
        self.open.add(self.name)
        self.versions = packages.installed()
        limits = DatasetLimits().to_dict()
        self.datasets = {"pictures": DatasetInfo(self.name, "pictures", CLASSES, (16, 16, 1), "picture", 300, limits)}
        self.routes = SimpleNamespace(url=credentials.url, budget=lambda name: BudgetAnswer(8.0, 6.0, 1e-5))

    def close(self) -> None:
        self.open.discard(self.name)


@pytest.fixture
def outcomes(monkeypatch: pytest.MonkeyPatch) -> Outcomes:
    found: Outcomes = {}
    monkeypatch.setattr(Fake, "outcomes", found)
    monkeypatch.setattr(Fake, "open", set())
    monkeypatch.setattr(Fake, "silent", {})
    monkeypatch.setattr(connecting, "Hospital", Fake)
    monkeypatch.setattr(connecting, "_AGAIN_SECONDS", 0.0)
    return found


def credentials(*names: str) -> list[Any]:
    return [Credentials(name, f"https://{name}.example.org", "me@x.org", "p", "A", "C", "K") for name in names]


@pytest.mark.parametrize("error", [GONE, CertificateRefused("Revoked."), FederationError("HTTP status 500.")])
def test_a_hospital_that_cannot_be_used_now_is_named_and_the_others_are_connected(
    outcomes: Outcomes, error: WanwuError
) -> None:
    outcomes["south"] = error
    with Federation.connect(credentials("north", "south", "east")) as federation:
        assert list(federation.hospitals) == ["north", "east"]
        assert federation.missing == {"south": f"{error.code}: {error.public}"}
    assert not Fake.open


@pytest.mark.parametrize(
    "error", [SignInFailed("Wrong."), DatasiteNotTrusted("Another."), ConfigError("No certificate."), OSError("odd")]
)
def test_credentials_that_are_wrong_stop_everything(outcomes: Outcomes, error: Exception) -> None:
    outcomes["south"] = error  # type: ignore[assignment]
    with pytest.raises(type(error)):
        Federation.connect(credentials("north", "south"))
    assert not Fake.open, "what was connected is closed"


@pytest.mark.parametrize("error", [SignInFailed("No."), DatasiteNotTrusted("Not yours.")])
def test_a_hospital_that_was_installed_anew_stops_no_study_that_was_begun(
    outcomes: Outcomes, error: WanwuError
) -> None:
    """Its old credentials fit it no more, and without any the study would not be taken up."""
    outcomes["south"] = error
    with Federation.connect(credentials("north", "south"), begun=True) as federation:
        assert list(federation.hospitals) == ["north"]
        assert federation.missing == {"south": f"{error.code}: {error.public}"}
    outcomes["north"] = error
    with pytest.raises(type(error)):
        Federation.connect(credentials("north", "south"), begun=True)
    outcomes["south"] = ConfigError("No certificate.")
    del outcomes["north"]
    with pytest.raises(ConfigError):
        Federation.connect(credentials("north", "south"), begun=True)


def test_hospitals_that_are_all_away_are_an_error(outcomes: Outcomes) -> None:
    outcomes |= {"north": GONE, "south": CertificateRefused("Revoked.")}
    with pytest.raises(DatasiteUnreachable):
        Federation.connect(credentials("north", "south"))


def test_two_credentials_for_one_hospital_are_refused_before_anything_is_sent(outcomes: Outcomes) -> None:
    with pytest.raises(ConfigError, match="Two credentials are for datasite 'north'") as refused:
        Federation.connect(credentials("north", "south", "north"))
    assert "--" not in refused.value.public  # `check` takes them without an option
    assert not Fake.open


def test_a_hospital_that_is_back_is_connected_when_it_is_asked_for(outcomes: Outcomes) -> None:
    outcomes["south"] = GONE
    with Federation.connect(credentials("north", "south")) as federation:
        seen = federation.hospitals
        with pytest.raises(DatasiteUnreachable):
            federation.reconnect("south")
        outcomes["south"] = None
        assert federation.reconnect("south") is federation.reconnect("south")
        assert list(federation.hospitals) == ["north", "south"] and not federation.missing
        assert list(seen) == ["north"], "whoever goes through the hospitals meanwhile is not disturbed"
        with pytest.raises(FederationError, match="No connection to a datasite 'west'"):
            federation.reconnect("west")


@pytest.fixture
def silent_south(outcomes: Outcomes, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Until it is set, one hospital takes the connection and says nothing."""
    Fake.silent["south"] = answers = threading.Event()
    monkeypatch.setattr(connecting, "_OTHERS_SECONDS", 0.0)
    yield answers
    answers.set()


def test_those_that_are_enough_do_not_wait_for_one_that_says_nothing(silent_south: threading.Event) -> None:
    with Federation.connect(credentials("south", "north", "east"), enough=2) as federation:
        assert set(federation.hospitals) == {"north", "east"}
        assert list(federation.missing) == ["south"] and "not answered yet" in federation.missing["south"]
        silent_south.set()
        assert federation.reconnect("south").name == "south", "what comes of the first try is taken"
        assert not federation.missing
    assert not Fake.open


def test_one_that_answers_after_all_is_over_is_closed(silent_south: threading.Event) -> None:
    Federation.connect(credentials("north", "south"), enough=1).close()
    silent_south.set()
    for thread in threading.enumerate():
        if thread.name == "connecting":
            thread.join()
    assert not Fake.open


def test_a_process_ends_while_a_hospital_says_nothing() -> None:
    told = """
import threading
from collections import namedtuple
from researcher.hospitals.connections import connecting

one = namedtuple("One", "datasite")
connecting.connected = lambda given: given if given.datasite == "north" else threading.Event().wait()
(there,), (away,) = connecting.connect_to_all([one("north"), one("south")], 1, True)
print(there.datasite, away.error)
"""
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, timeout=CEILING_SECONDS)
    assert done.returncode == 0 and done.stdout.startswith("north"), done.stderr


def test_what_became_of_a_late_answer_is_told_and_it_is_tried_anew(
    outcomes: Outcomes, silent_south: threading.Event
) -> None:
    outcomes["south"] = GONE
    with Federation.connect(credentials("north", "south"), enough=1) as federation:
        silent_south.set()
        with pytest.raises(DatasiteUnreachable, match="Nothing listens"):
            federation.reconnect("south")
        outcomes["south"] = None
        assert federation.reconnect("south").name == "south"


def test_too_few_wait_for_one_that_says_nothing(silent_south: threading.Event) -> None:
    made: list[Federation] = []
    waiting = threading.Thread(
        target=lambda: made.append(Federation.connect(credentials("north", "south", "east"), enough=3)), daemon=True
    )
    waiting.start()
    wait_for(lambda: len(Fake.open) == 2)
    assert not made
    silent_south.set()
    waiting.join(CEILING_SECONDS)
    assert not made[0].missing
    made[0].close()


def test_a_hospital_that_was_just_tried_is_not_tried_again_at_once(
    outcomes: Outcomes, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes["south"] = GONE
    with Federation.connect(credentials("north", "south")) as federation:
        monkeypatch.setattr(connecting, "_AGAIN_SECONDS", 1e9)
        outcomes["south"] = None
        with pytest.raises(DatasiteUnreachable):
            federation.reconnect("south")


def test_too_few_that_are_there_are_named_with_their_reason(outcomes: Outcomes) -> None:
    outcomes["south"] = GONE
    with Federation.connect(credentials("north", "south")) as federation:
        federation.check_enough(1, ["north", "south"])
        with pytest.raises(NotEnoughDatasites, match=r"1 of 2 hospitals are there \(south: WW705: Nothing listens"):
            federation.check_enough(2, ["north", "south"])


def _in_the_catalog(given: list[Any], folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    for one in given:
        (folder / f"{one.datasite}.json").write_text(json.dumps(vars(one)))
    catalog(credentials=[str(folder / "*.json")])
    return capsys.readouterr().out


def _in_a_notebook(given: list[Any], folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    with connect(given) as federation:
        shown = federation, federation.datasets()
        return " ".join([*map(repr, shown), *(one._repr_html_() for one in shown)])


@pytest.mark.parametrize("tell", [_in_the_catalog, _in_a_notebook])
def test_what_is_shown_of_the_hospitals_names_those_that_are_not_there(
    outcomes: Outcomes, tmp_path: Path, capsys: pytest.CaptureFixture[str], tell: Callable[..., str]
) -> None:
    outcomes["south"] = GONE
    told = tell(credentials("north", "south"), tmp_path, capsys)
    assert "north" in told and "pictures" in told
    assert told.count("WW705: Nothing listens") == (1 if tell is _in_the_catalog else 4)
