"""An approval pins the version of its dataset: its rounds read that one; new requests get the newest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.governed import Governed, governed, small_plan

from datasites.assets.dataset_version import version_folder
from datasites.assets.published import PublishedDataset
from datasites.assets.store import open_store
from datasites.audit_log.log import AuditLog
from datasites.code_requests.receipts import Receipts
from datasites.code_requests.requests import RequestBook
from datasites.datasets.merging import Part
from datasites.datasets.next_version import make_version
from datasites.files.private_folder import only_writer
from datasites.pysyft.publish import publish_store
from datasites.runs.last_check import LastCheck
from datasites.state.agreement import mismatches, read_contents
from policies.errors import RequestAltered, StoreBroken
from policies.ledger.receipt import verify

PLAN = small_plan("cells")


def next_version(north: Governed, rows: int, **changes: Any) -> None:
    """A version of some of the newest one's rows."""
    newest = published(north).store
    part = Part(open_store(newest), np.arange(rows))
    with only_writer(north.state.store):
        make_version(north.state, "pictures", [part], north.books.audit, **{"public_size": 0, "least": 1, **changes})


def published(north: Governed) -> PublishedDataset:
    return publish_store(north.server, north.state.store, "pictures")["pictures"]


def restart(north: Governed) -> None:
    """The requests as a datasite that is started again reads them."""
    north.book = RequestBook(north.server, {"pictures": published(north)}, north.books)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Governed, str, str]]:
    """A datasite whose dataset has two versions, and a study approved on each."""
    with governed(tmp_path_factory.mktemp("versions")) as north:
        old = north.submit(PLAN).request_id
        waiting = north.submit(replace(PLAN, study="waits")).request_id
        north.book.approve(old, by="wu")
        next_version(north, 70)
        restart(north)
        north.book.approve(waiting, by="wu")
        yield north, old, waiting


def test_rounds_of_an_approved_study_read_its_version_and_a_later_approval_gets_the_newest(
    two: tuple[Governed, str, str],
) -> None:
    north, old, new = two
    for request, number, pictures in ((old, 1, 80), (new, 2, 70)):
        approval = north.book.approved_now(request)
        assert approval.published.store == version_folder(north.state.store, "pictures", number)
        assert approval.published.manifest.num_pictures == pictures
        run: Any = SimpleNamespace(request_id=request, account=approval.account)
        assert LastCheck(north.book.approved_now)(run) == approval  # which reads every picture of that store
        assert north.book.card(request).dataset_version == number
        assert north.books.ledger.reservations()[request].dataset_version == number


def test_both_studies_are_charged_to_one_budget(two: tuple[Governed, str, str]) -> None:
    north, old, new = two
    held = north.books.ledger.reservations()
    key = open_store(north.state.store / "pictures").manifest.fingerprint
    assert {held[old].fingerprint, held[new].fingerprint} == {key} == {published(north).manifest.budget_key}
    assert north.books.epsilon(north.books.ledger.history(key)) == pytest.approx(0.1 * 2 * PLAN.total_steps)


def test_the_books_of_a_datasite_with_versions_agree(two: tuple[Governed, str, str]) -> None:
    north, old, new = two
    found = [one for one in mismatches(read_contents(north.state)) if old in one or new in one]
    assert found == []


def test_a_receipt_does_not_tell_which_version_it_is_of(two: tuple[Governed, str, str]) -> None:
    north, old, new = two
    receipts = Receipts("north", b"s" * 32, north.books)
    texts = [receipts.issue(request) for request in (old, new)]
    told = [verify(text, receipts.public_key) for text in texts]
    assert told[0].dataset_mark == told[1].dataset_mark
    assert not any("dataset_version" in text or "pictures@" in text for text in texts)


def test_what_researchers_are_shown_is_the_same_for_both_versions(two: tuple[Governed, str, str]) -> None:
    north, *_ = two
    now = published(north)
    assert now.manifest.public == open_store(north.state.store / "pictures").manifest.public
    assert now.asset_uid == now.at(1).asset_uid


def test_a_request_whose_version_is_gone_is_refused_and_the_others_go_on(
    two: tuple[Governed, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    north, old, new = two
    gone = replace(published(north), versions=published(north).versions[1:])
    book = RequestBook(north.server, {"pictures": gone}, north.books)
    with pytest.raises(StoreBroken, match="does not keep the pictures any more"):
        book.approved_now(old)
    assert book.approved_now(new).request_id == new
    assert book.card(old).finding.startswith(StoreBroken.code)


def test_a_manifest_that_changed_under_an_approval_alters_it(two: tuple[Governed, str, str]) -> None:
    north, old, _ = two
    now = published(north)
    first = replace(now.versions[0], manifest=replace(now.versions[0].manifest, public_size=90))
    book = RequestBook(north.server, {"pictures": replace(now, versions=(first, *now.versions[1:]))}, north.books)
    with pytest.raises(RequestAltered):
        book.approved_now(old)


def test_an_approval_that_was_interrupted_keeps_the_version_that_it_reserved_on(
    two: tuple[Governed, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    north, *_ = two
    request = north.submit(replace(PLAN, study="interrupted")).request_id

    def killed(*args: Any, **more: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(AuditLog, "write", killed)  # what follows the reservation
        north.book.approve(request, by="wu")
    next_version(north, 65)
    restart(north)
    north.book.approve(request, by="wu")
    assert north.book.approved_now(request).published.manifest.dataset_version == 2


def test_a_dataset_that_has_outgrown_its_public_size_is_described_anew_under_the_same_asset(
    two: tuple[Governed, str, str],
) -> None:
    north, *_ = two
    before = published(north)
    next_version(north, 60, public_size=200)
    now = published(north)
    assert (now.manifest.public_size, now.asset_uid) == (200, before.asset_uid)
    shown = north.server.services.dataset.stash.get_all(north.server.verify_key).unwrap()
    assert [json.loads(one.description.text)["public_size"] for one in shown] == [200]
    assert Path(now.store).name == f"pictures@{now.manifest.dataset_version}"
