"""Patients who withdraw while requests wait: nothing that is approved from then on reads their pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.governed import Governed, governed, small_plan

from datasites.assets.store import open_store
from datasites.assets.withdrawn import Withdrawn
from datasites.audit_log.log import AuditLog
from datasites.code_requests.requests import RequestBook
from datasites.config import DatasiteConfig
from datasites.prepare import stored_pictures
from datasites.pysyft.publish import publish_store
from policies.errors import RequestError

PLAN = small_plan("cells")


def withdraw_one_of(north: Governed) -> None:
    """What `dataset remove-patient` notes first: here by one of the files that it was read from."""
    sources = open_store(north.state.store / "pictures").sources
    assert sources is not None
    Withdrawn(sources=frozenset({sources[0].tobytes()})).write(north.state.withdrawn)


def test_nothing_is_approved_on_pictures_of_who_withdrew_since_the_datasite_was_started(tmp_path: Path) -> None:
    with governed(tmp_path) as north:
        under_way, waiting = (north.submit(replace(PLAN, study=study)).request_id for study in ("under_way", "waiting"))
        north.book.approve(under_way, by="wu")
        assert not north.book.card(waiting).finding
        withdraw_one_of(north)
        assert "Patients withdrew" in north.book.card(waiting).finding and not north.book.card(under_way).finding
        with pytest.raises(RequestError, match=r"Patients withdrew.*Start the datasite again"):
            north.book.approve(waiting, by="wu")
        assert north.book.state_of(waiting) == ("pending", ""), "and its researcher hears nothing of it"
        assert north.books.ledger.held(waiting) is None
        assert stored_pictures(north.state, DatasiteConfig.from_toml(north.state.config)).dataset_version == 2
        served = publish_store(north.server, north.state.store, "pictures")
        north.book = RequestBook(north.server, served, north.books)
        assert not north.book.card(waiting).finding
        north.book.approve(waiting, by="wu")
        held = north.books.ledger.held(waiting)
        assert held is not None and held.dataset_version == 2
        assert served["pictures"].manifest.num_pictures == 79
        assert north.books.approved_version(under_way) == 1, "what was approved before keeps its version"


def test_an_approval_that_was_interrupted_is_not_completed_on_pictures_of_who_withdrew_since(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*args: Any, **more: Any) -> None:
        raise KeyboardInterrupt

    with governed(tmp_path) as north:
        request = north.submit(PLAN).request_id
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(AuditLog, "write", killed)  # what follows the reservation
            north.book.approve(request, by="wu")
        withdraw_one_of(north)
        assert stored_pictures(north.state, DatasiteConfig.from_toml(north.state.config)).dataset_version == 2
        north.book = RequestBook(north.server, publish_store(north.server, north.state.store, "pictures"), north.books)
        with pytest.raises(RequestError, match=r"begun before patients withdrew.*Deny it"):
            north.book.approve(request, by="wu")
        assert north.book.state_of(request) == ("pending", "")
        north.book.deny(request, by="wu", reason="Patients withdrew")
        held = north.books.ledger.held(request)
        assert held is not None and held.released is not None, "what was reserved for it is free again"
