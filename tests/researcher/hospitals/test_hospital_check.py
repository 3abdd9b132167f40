"""The researcher's look at every hospital before a study: what is measured, what is a problem, what is left behind."""

from __future__ import annotations

import io
import time
import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from policies.answers.hospital import BudgetAnswer, HospitalAnswer
from policies.errors import DatasiteUnreachable
from policies.plans.picture_form import PictureForm
from policies.versions import packages
from researcher.terminal.tables import catalog_table, check_table

with warnings.catch_warnings():  # PySyft's own imports warn of what pydantic and others have deprecated
    warnings.simplefilter("ignore")
    from researcher.hospitals.check import PROBE_BYTES, HospitalCheck, check_hospital, contract_problems
    from researcher.hospitals.hospital import DatasetInfo

LIMITS = {"max_rounds": 5}


def dataset(datasite: str = "north", **changes: Any) -> DatasetInfo:
    values: dict[str, Any] = {
        "datasite": datasite,
        "name": "pictures",
        "class_names": ("dark", "bright"),
        "image_shape": (16, 16, 1),
        "unit": "picture",
        "public_size": 100,
        "limits": LIMITS,
        **changes,
    }
    return DatasetInfo(**values)


class FakeRoutes:
    """A hospital's routes, with a clock of its own; keeps what was uploaded."""

    url = "https://north.example.org"

    def __init__(self, *, clock: float | None = 0.0, installed: dict[str, str] | None = None) -> None:
        self._clock, self._installed = clock, installed or dict(packages.installed())
        self.blobs: dict[str, bytes] = {}

    def info(self) -> HospitalAnswer:
        now = None if self._clock is None else int(time.time() + self._clock)
        return HospitalAnswer("north", self._installed, {}, LIMITS, "0" * 64, now)

    def budget(self, name: str) -> BudgetAnswer:
        return BudgetAnswer(epsilon_total=8.0, epsilon_left=1.5, delta=1e-5)

    def put_blob(self, content: bytes) -> str:
        self.blobs["digest"] = content
        return "digest"

    def get_blob(self, digest: str, file: Path, *, max_bytes: int) -> int:
        return file.write_bytes(self.blobs[digest][:max_bytes])


def check(routes: FakeRoutes, certificate: str = "") -> HospitalCheck:
    hospital: Any = SimpleNamespace(name="north", routes=routes, datasets={"pictures": dataset()})
    return check_hospital(hospital, certificate=certificate)


def test_a_hospital_that_is_well_has_no_problem_and_all_its_figures() -> None:
    found = check(FakeRoutes())
    assert found.problems == found.warnings == ()
    assert found.reachable and found.limits == LIMITS
    assert found.latency_seconds is not None and found.upload_mb_per_second and found.download_mb_per_second
    assert (found.datasets[0].epsilon_left, found.datasets[0].epsilon_total) == (1.5, 8.0)


def test_all_checks_together_leave_one_small_blob() -> None:
    routes = FakeRoutes()
    check(routes)
    first = dict(routes.blobs)
    check(routes)
    assert routes.blobs == first
    assert [len(content) for content in routes.blobs.values()] == [PROBE_BYTES]


@pytest.mark.parametrize(("clock", "problems"), [(0, 0), (30, 0), (-30, 0), (100, 1), (-3600, 1)])
def test_clocks_that_differ_by_more_than_a_minute_are_a_problem(clock: float, problems: int) -> None:
    found = check(FakeRoutes(clock=clock))
    assert len(found.problems) == problems
    assert found.clock_difference_seconds is not None and abs(found.clock_difference_seconds - clock) <= 1


def test_a_hospital_that_does_not_tell_its_time_is_not_judged_by_it() -> None:
    assert check(FakeRoutes(clock=None)).clock_difference_seconds is None


def test_versions_that_break_are_a_problem_and_others_a_warning() -> None:
    here = dict(packages.installed())
    assert check(FakeRoutes(installed={**here, "syft": "0.8.0"})).problems[0].startswith("syft")
    other = check(FakeRoutes(installed={**here, "opacus": "1.5.0"}))
    assert other.problems == () and other.warnings[0].startswith("opacus")


@pytest.mark.parametrize(("days", "problems", "warnings"), [(100, 0, 0), (5, 0, 1), (-2, 1, 0)])
def test_a_certificate_that_ends_is_told_in_time(days: int, problems: int, warnings: int) -> None:
    found = check(FakeRoutes(), certificate(days))
    assert found.certificate_days in (days, days - 1)
    assert (len(found.problems), len(found.warnings)) == (problems, warnings)


def certificate(days: int) -> str:
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "researcher")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now - timedelta(days=400))
    made = builder.not_valid_after(now + timedelta(days=days)).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM).decode()


def test_what_fails_on_the_way_is_told_not_raised() -> None:
    class Gone(FakeRoutes):
        def put_blob(self, content: bytes) -> str:
            raise DatasiteUnreachable("nothing answers")

    found = check(Gone())
    assert not found.reachable and found.problems == ("WW705: nothing answers",)


@pytest.mark.parametrize(
    "changes",
    [
        {"class_names": ("bright", "dark")},
        {"image_shape": (32, 32, 1)},
        {"unit": "patient"},
        {"label_kind": "multi"},
        {"form": PictureForm((16, 16), 1)},
    ],
)
def test_datasets_of_one_name_that_do_not_fit_together_are_a_problem(changes: dict[str, Any]) -> None:
    assert contract_problems([dataset(), dataset("south")]) == {}
    found = contract_problems([dataset(), dataset("south"), dataset("west", **changes)])
    assert list(found) == ["west"] and next(iter(changes)) in found["west"][0]
    assert contract_problems([dataset(), dataset("west", name="others", **changes)]) == {}


def test_the_table_shows_each_hospital_and_what_is_to_be_done() -> None:
    good = check(FakeRoutes())
    bad = replace(good, datasite="south", reachable=False, datasets=(), problems=("WW705: nothing answers",))
    console = Console(width=200, file=io.StringIO())
    console.print(check_table([good, bad]))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "1.50 of 8" in shown and "not usable" in shown and "south: WW705: nothing answers" in shown


def test_how_two_forms_differ_is_named_to_the_setting() -> None:
    stretched, fitted = PictureForm((16, 16), 1), PictureForm((16, 16), 1, resize="fit")
    found = contract_problems([dataset(form=stretched), dataset("west", form=fitted)])
    assert found == {
        "west": ("'pictures' has form.resize fit, at north stretch: one study cannot use both",),
    }


def test_the_catalog_shows_what_the_pictures_are_and_what_the_hospital_asks() -> None:
    told = dataset(
        modality="ct",
        label_kind="multi",
        form=PictureForm((16, 16), 1, resize="fit", window="percentile"),
        limits={"min_noise_multiplier": 1.0},
        terms_of_use="For research on lungs alone.",
    )
    console = Console(width=200, file=io.StringIO())
    console.print(
        catalog_table([(told, BudgetAnswer(8.0, 1.5, 1e-5)), (replace(told, form=None), BudgetAnswer(8, 1, 0))])
    )
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "ct, 16x16x1" in shown and "multi: dark, bright" in shown
    assert "picture form: 16x16, fit, window percentile, 8 bits" in shown and "picture form: not declared" in shown
    assert "terms of use: For research on lungs alone." in shown


def test_the_catalog_names_no_kind_of_pictures_where_the_hospital_declares_none() -> None:
    console = Console(width=200, file=io.StringIO())
    console.print(
        catalog_table([(dataset(modality="other", limits={"min_noise_multiplier": 1.0}), BudgetAnswer(8.0, 1.5, 1e-5))])
    )
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "16x16x1" in shown and "other" not in shown
