"""A datasite at an address of IPv6, which has colons of its own: a whole study, from the submission to its end."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from support.hospitals import make_hospital, running, small_plan

from datasites.training.models import initial_weights
from researcher.hospitals.federation import Federation
from researcher.studies.study import Study


def _has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.skipif(not _has_ipv6(), reason="this machine has no IPv6")
def test_a_study_goes_to_a_datasite_at_an_address_of_ipv6(tmp_path: Path, pictures: Path, hold_out: Any) -> None:
    hospital = make_hospital(tmp_path, "north", pictures)
    hospital.configure(host="::1")
    with running(hospital):
        assert json.loads(hospital.credentials().read_text())["url"].startswith("https://[::1]:")
        with Federation.connect(hospital.credentials()) as federation:
            assert federation.hospitals["north"].mock("pictures").images.shape[1:] == (16, 16, 1)
            study = Study.submit(federation, small_plan(federation, study="ipv6"), tmp_path / "study")
            hospital.admin("approve", study.requests["north"].request_id)
            first = initial_weights(study.plan.model, 0)
            _, history = study.run(hold_out=hold_out, initial_weights=first, min_clients=1)
    assert [record.datasites for record in history.records] == [("north",)] * 2
