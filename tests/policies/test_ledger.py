"""The ledger's rules: who may reserve what, what is charged, and that a damaged file refuses everything."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shutil
import sqlite3
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from policies.accountant import GaussianSteps
from policies.budget import DatasetLimits, PrivacyBudget
from policies.chain import Chain, Draft
from policies.errors import (
    BudgetExceeded,
    LedgerBroken,
    LimitExceeded,
    NotReserved,
    PlanError,
    RequestAltered,
    RoundRefused,
)
from policies.ledger import Ledger

FINGERPRINT, OTHER_FINGERPRINT = "a" * 64, "b" * 64
UPDATE, OTHER_UPDATE = "1" * 64, "2" * 64
LIMITS = DatasetLimits(PrivacyBudget(8.0, 1e-5))


def steps(count: int, noise: float = 1.0) -> GaussianSteps:
    return GaussianSteps(noise, 0.1, count)


def hundredth_a_step(history: object, delta: float) -> float:
    """An accountant to check by hand: epsilon 0.01 a step."""
    return sum(part.steps for part in history) / 100  # type: ignore[attr-defined]


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.sqlite", hundredth_a_step)


def reserve(ledger: Ledger, request_id: str, count: int, **changes: object) -> object:
    wanted = {
        "fingerprint": FINGERPRINT,
        "dataset": "chest-xray",
        "request_id": request_id,
        "study": "pneumonia",
        "researcher": "ada@example.org",
        "plan_digest": "c" * 64,
        "spend": (steps(count),) if count else (),
        "rounds": 4,
        "limits": LIMITS,
        **changes,
    }
    return ledger.reserve(**wanted)  # type: ignore[arg-type]


def commit(ledger: Ledger, request_id: str, index: int, count: int, update: str = UPDATE) -> None:
    ledger.commit(request_id=request_id, round_index=index, spend=steps(count), update_digest=update)


# --- reserving -----------------------------------------------------------------------------------------------


def test_a_live_reservation_charges_its_whole_envelope(ledger: Ledger) -> None:
    held = reserve(ledger, "one", 40)
    assert held.spend == (steps(40),)
    assert ledger.history(FINGERPRINT) == (steps(40),)
    assert ledger.committed_history("one") == ()


def test_the_refusal_says_what_is_needed_what_is_left_and_what_to_do(ledger: Ledger) -> None:
    reserve(ledger, "one", 715)
    with pytest.raises(BudgetExceeded) as refused:
        reserve(ledger, "two", 120, study="other")
    assert refused.value.public == (
        "Budget exceeded: this request needs epsilon 1.20, 0.85 is left for dataset 'chest-xray' (delta 1e-5). "
        "Lower the rounds or ask the hospital."
    )


def test_a_refused_reservation_leaves_the_ledger_unchanged(ledger: Ledger) -> None:
    reserve(ledger, "one", 700)
    before = ledger.entries()
    with pytest.raises(BudgetExceeded):
        reserve(ledger, "two", 101)
    assert ledger.entries() == before


def test_a_budget_can_be_spent_to_its_last_step(ledger: Ledger) -> None:
    reserve(ledger, "one", 700)
    reserve(ledger, "two", 100)
    with pytest.raises(BudgetExceeded, match=r"needs epsilon 0\.01, 0\.00 is left"):
        reserve(ledger, "three", 1)


def test_requests_of_one_study_count_together(ledger: Ledger) -> None:
    limits = DatasetLimits(PrivacyBudget(8.0, 1e-5), max_study_epsilon=2.0)
    reserve(ledger, "one", 150, limits=limits)
    with pytest.raises(BudgetExceeded, match=r"0\.50 is left for study 'pneumonia' on dataset 'chest-xray'"):
        reserve(ledger, "two", 100, limits=limits)
    reserve(ledger, "three", 100, limits=limits, study="fractures")
    reserve(ledger, "four", 100, limits=limits, researcher="another@example.org")


def test_studies_of_one_researcher_count_together(ledger: Ledger) -> None:
    limits = DatasetLimits(PrivacyBudget(8.0, 1e-5), max_researcher_epsilon=2.0)
    reserve(ledger, "one", 150, limits=limits)
    with pytest.raises(BudgetExceeded, match=r"0\.50 is left for this researcher on dataset 'chest-xray'"):
        reserve(ledger, "two", 100, limits=limits, study="fractures")
    reserve(ledger, "three", 100, limits=limits, researcher="another@example.org")


def test_all_researchers_share_the_dataset(ledger: Ledger) -> None:
    reserve(ledger, "one", 500)
    with pytest.raises(BudgetExceeded):
        reserve(ledger, "two", 400, researcher="another@example.org", study="fractures")


def test_a_renamed_copy_shares_the_budget_and_another_dataset_does_not(ledger: Ledger) -> None:
    reserve(ledger, "one", 500)
    with pytest.raises(BudgetExceeded):
        reserve(ledger, "two", 400, dataset="renamed")
    reserve(ledger, "three", 400, fingerprint=OTHER_FINGERPRINT)
    assert ledger.history(OTHER_FINGERPRINT) == (steps(400),)


def test_history_can_be_asked_by_study_researcher_and_request(ledger: Ledger) -> None:
    reserve(ledger, "one", 1)
    reserve(ledger, "two", 2, study="fractures")
    reserve(ledger, "three", 4, researcher="another@example.org")
    assert ledger.history(FINGERPRINT) == (steps(7),)
    assert ledger.history(FINGERPRINT, researcher="ada@example.org") == (steps(3),)
    assert ledger.history(FINGERPRINT, study="pneumonia") == (steps(5),)
    assert ledger.history(FINGERPRINT, study="pneumonia", researcher="ada@example.org") == (steps(1),)
    assert ledger.history(FINGERPRINT, request_id="two") == (steps(2),)
    assert ledger.history(FINGERPRINT, request_id="none") == ()


def test_reserving_the_same_again_changes_nothing(ledger: Ledger) -> None:
    first = reserve(ledger, "one", 700)
    commit(ledger, "one", 0, 10)
    again = reserve(ledger, "one", 700)
    assert again.covers_same(first)
    assert again.committed[0].update_digest == UPDATE
    assert len(ledger.entries()) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"spend": (steps(41),)},
        {"rounds": 5},
        {"plan_digest": "d" * 64},
        {"researcher": "another@example.org"},
        {"fingerprint": OTHER_FINGERPRINT},
    ],
)
def test_a_reserved_request_cannot_be_reserved_with_other_content(ledger: Ledger, change: dict[str, object]) -> None:
    reserve(ledger, "one", 40)
    with pytest.raises(RequestAltered):
        reserve(ledger, "one", 40, **change)
    assert ledger.history(FINGERPRINT) == (steps(40),)


@pytest.mark.parametrize("epsilon", [math.nan, math.inf])
def test_an_epsilon_that_is_not_a_number_fits_nowhere(tmp_path: Path, epsilon: float) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite", lambda history, delta: epsilon if history else 0.0)
    with pytest.raises(BudgetExceeded, match=r"needs epsilon without bound, 8.00 is left"):
        reserve(ledger, "one", 1)


@pytest.mark.parametrize(
    "change",
    [
        {"fingerprint": "short"},
        {"request_id": ""},
        {"request_id": 7},
        {"researcher": "x" * 201},
        {"researcher": "a\nb"},
        {"study": "No Such Name"},
        {"plan_digest": "Z" * 64},
        {"rounds": 0},
        {"rounds": True},
    ],
)
def test_a_malformed_reservation_is_refused(ledger: Ledger, change: dict[str, object]) -> None:
    with pytest.raises(PlanError):
        reserve(ledger, **{"request_id": "one", "count": 1, **change})
    assert ledger.entries() == ()


def test_studies_are_composed_and_not_added(tmp_path: Path) -> None:
    """Full batches, signal 1 each: 4.4 for one, 6.6 for two where adding says 8.8, 8.5 for three."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    signal_one = (GaussianSteps(10.0, 1.0, 100),)
    reserve(ledger, "one", 1, spend=signal_one)
    reserve(ledger, "two", 1, spend=signal_one)
    with pytest.raises(BudgetExceeded, match=r"needs epsilon 1\.\d\d, 1\.[34]\d is left"):
        reserve(ledger, "three", 1, spend=signal_one)


def test_threads_reserving_at_once_cannot_overdraw(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    Ledger(path)

    def try_one(number: int) -> bool:
        try:
            reserve(Ledger(path, hundredth_a_step), f"request-{number}", 200, study=f"study-{number}")
        except BudgetExceeded:
            return False
        return True

    with ThreadPoolExecutor(16) as threads:
        assert sum(threads.map(try_one, range(16))) == 4


# --- running -------------------------------------------------------------------------------------------------


def test_a_committed_round_is_remembered_by_its_update(ledger: Ledger) -> None:
    reserve(ledger, "one", 40)
    commit(ledger, "one", 2, 10)
    assert ledger.committed("one", 2) == UPDATE
    assert ledger.committed("one", 1) is None
    assert ledger.committed("none", 0) is None
    assert ledger.committed_history("one") == (steps(10),)
    assert ledger.history(FINGERPRINT) == (steps(40),)


def test_the_same_round_is_charged_once(ledger: Ledger) -> None:
    reserve(ledger, "one", 40)
    commit(ledger, "one", 0, 10)
    commit(ledger, "one", 0, 10)
    assert ledger.committed_history("one") == (steps(10),)
    assert len(ledger.entries()) == 2


def test_a_round_has_one_update_and_one_spend(ledger: Ledger) -> None:
    reserve(ledger, "one", 40)
    commit(ledger, "one", 0, 10)
    with pytest.raises(RoundRefused):
        commit(ledger, "one", 0, 10, OTHER_UPDATE)
    with pytest.raises(RoundRefused):
        commit(ledger, "one", 0, 9)
    assert ledger.committed("one", 0) == UPDATE


def test_what_no_approval_covers_is_not_committed(ledger: Ledger) -> None:
    reserve(ledger, "one", 40)
    with pytest.raises(NotReserved, match="must be approved"):
        commit(ledger, "unknown", 0, 10)
    with pytest.raises(NotReserved, match="rounds 0 to 3, got round 4"):
        commit(ledger, "one", 4, 10)
    with pytest.raises(NotReserved):
        commit(ledger, "one", -1, 10)
    with pytest.raises(NotReserved):
        commit(ledger, "one", True, 10)
    assert len(ledger.entries()) == 1


def test_rounds_together_never_exceed_the_envelope(ledger: Ledger) -> None:
    reserve(ledger, "one", 40)
    commit(ledger, "one", 0, 30)
    with pytest.raises(NotReserved, match="more than is left"):
        commit(ledger, "one", 1, 11)
    commit(ledger, "one", 1, 10)
    assert ledger.committed_history("one") == (steps(40),)


def test_less_noise_than_reserved_is_not_committed(ledger: Ledger) -> None:
    reserve(ledger, "one", 40)
    with pytest.raises(NotReserved, match=r"noise multiplier 0.5"):
        ledger.commit(request_id="one", round_index=0, spend=steps(1, noise=0.5), update_digest=UPDATE)


def test_a_round_without_privacy_is_not_committed_on_a_private_reservation(ledger: Ledger) -> None:
    reserve(ledger, "one", 40)
    with pytest.raises(NotReserved):
        ledger.commit(request_id="one", round_index=0, spend=None, update_digest=UPDATE)


# --- ending --------------------------------------------------------------------------------------------------


def test_release_frees_what_was_not_used_and_keeps_what_was(ledger: Ledger) -> None:
    reserve(ledger, "one", 700)
    commit(ledger, "one", 0, 100)
    ledger.release("one", "the study ended")
    assert ledger.history(FINGERPRINT) == (steps(100),)
    reserve(ledger, "two", 700)
    with pytest.raises(BudgetExceeded):
        reserve(ledger, "three", 1)


def test_nothing_is_committed_after_release(ledger: Ledger) -> None:
    reserve(ledger, "one", 40)
    commit(ledger, "one", 0, 10)
    ledger.release("one", "the study ended")
    with pytest.raises(NotReserved, match="ended"):
        commit(ledger, "one", 1, 10)
    with pytest.raises(NotReserved, match="ended"):
        reserve(ledger, "one", 40)
    commit(ledger, "one", 0, 10)  # what was charged before stays an answer to a retry
    assert ledger.history(FINGERPRINT) == (steps(10),)


def test_releasing_again_changes_nothing_and_an_unknown_request_cannot_be_released(ledger: Ledger) -> None:
    reserve(ledger, "one", 40)
    ledger.release("one", "the study ended")
    ledger.release("one", "another reason")
    assert [entry.kind for entry in ledger.entries()] == ["reserve", "release"]
    assert ledger.reservations()["one"].released == "the study ended"
    with pytest.raises(NotReserved):
        ledger.release("two", "the study ended")
    with pytest.raises(PlanError):
        ledger.release("one", " ")


# --- without differential privacy ----------------------------------------------------------------------------


def test_a_request_without_privacy_needs_the_hospitals_leave(ledger: Ledger) -> None:
    with pytest.raises(LimitExceeded, match="differential privacy only"):
        reserve(ledger, "one", 0)
    assert ledger.entries() == ()


def test_a_request_without_privacy_is_recorded_as_such(ledger: Ledger) -> None:
    held = reserve(ledger, "one", 0, limits=DatasetLimits(allow_non_private=True))
    assert held.non_private
    ledger.commit(request_id="one", round_index=0, spend=None, update_digest=UPDATE)
    with pytest.raises(NotReserved):
        commit(ledger, "one", 1, 1)
    assert [entry.body.get("non_private") for entry in ledger.entries()] == [True, None]
    assert ledger.committed("one", 0) == UPDATE
    assert ledger.history(FINGERPRINT) == ()


# --- the file ------------------------------------------------------------------------------------------------


def test_every_file_of_the_ledger_is_its_owners_alone(ledger: Ledger, tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        reserve(ledger, "one", 40)
        names = {path.name for path in tmp_path.iterdir()}
    finally:
        os.umask(umask)
    assert names == {"ledger.sqlite", "ledger.head", "ledger.lock", "ledger.reserving"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_the_file_is_write_ahead_logged(ledger: Ledger, tmp_path: Path) -> None:
    assert run_sql(tmp_path, "PRAGMA journal_mode") == [("wal",)]


def test_a_reopened_ledger_is_the_same_ledger(ledger: Ledger, tmp_path: Path) -> None:
    reserve(ledger, "one", 40)
    commit(ledger, "one", 0, 10)
    again = Ledger(tmp_path / "ledger.sqlite", hundredth_a_step)
    assert again.entries() == ledger.entries()
    assert again.reservations() == ledger.reservations()


def test_entries_carry_utc_times_and_an_unbroken_chain(ledger: Ledger) -> None:
    reserve(ledger, "one", 40)
    commit(ledger, "one", 0, 10)
    first, second = ledger.entries()
    assert (first.sequence, first.previous, second.sequence, second.previous) == (1, "0" * 64, 2, first.hash)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00", first.at)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entries SET body = '{}' WHERE sequence = 1",
        "DELETE FROM entries WHERE sequence = 1",
        "REPLACE INTO entries SELECT * FROM entries WHERE sequence = 1",
        "INSERT INTO entries SELECT 9, at, kind, fingerprint, 'x', 1, body, previous, hash FROM entries",
    ],
)
def test_the_table_itself_refuses_all_but_appending(ledger: Ledger, tmp_path: Path, statement: str) -> None:
    reserve(ledger, "one", 40)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        run_sql(tmp_path, statement)
    ledger.verify()


def test_a_crash_between_a_commit_and_its_head_is_made_up_for(ledger: Ledger, tmp_path: Path) -> None:
    head = tmp_path / "ledger.head"
    reserve(ledger, "one", 40)
    behind = head.read_bytes()
    commit(ledger, "one", 0, 10)
    head.write_bytes(behind)
    ledger.verify()
    assert ledger.committed("one", 0) == UPDATE
    commit(ledger, "one", 0, 10)
    assert head.read_bytes() != behind
    run_sql(tmp_path, "DROP TRIGGER entries_are_never_deleted", "DELETE FROM entries WHERE sequence = 2")
    with pytest.raises(LedgerBroken):
        ledger.verify()


@pytest.mark.parametrize("left_behind", ["head only", "empty table"])
def test_a_crash_while_the_ledger_is_made_is_made_up_for(tmp_path: Path, left_behind: str) -> None:
    path = tmp_path / "ledger.sqlite"
    Ledger(path)
    path.unlink()
    if left_behind == "empty table":
        path.touch()
    reserve(Ledger(path, hundredth_a_step), "one", 40)
    assert Ledger(path).history(FINGERPRINT) == (steps(40),)


def test_a_failing_disk_refuses_and_a_retry_charges_once(ledger: Ledger, tmp_path: Path) -> None:
    reserve(ledger, "one", 40)
    obstacle = tmp_path / "ledger.head.new"
    obstacle.mkdir()  # the head cannot be written
    with pytest.raises(LedgerBroken):
        commit(ledger, "one", 0, 10)
    obstacle.rmdir()
    commit(ledger, "one", 0, 10)
    assert ledger.committed_history("one") == (steps(10),)


# --- damage --------------------------------------------------------------------------------------------------


def run_sql(folder: Path, *statements: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(folder / "ledger.sqlite")
    try:
        rows = [row for statement in statements for row in connection.execute(statement).fetchall()]
        connection.commit()
        return rows
    finally:
        connection.close()


def tamper(folder: Path, *statements: str) -> None:
    """Changes the table the way someone would who has the file: triggers first."""
    triggers = ("entries_are_never_updated", "entries_are_never_deleted", "entries_are_appended")
    run_sql(folder, *(f"DROP TRIGGER {name}" for name in triggers), *statements)


def edit_a_row(folder: Path) -> None:
    tamper(folder, "UPDATE entries SET body = replace(body, '\"steps\":10', '\"steps\":1') WHERE sequence = 3")


def edit_a_time(folder: Path) -> None:
    tamper(folder, "UPDATE entries SET at = replace(at, '20', '19') WHERE sequence = 3")


def remove_a_row(folder: Path) -> None:
    tamper(folder, "DELETE FROM entries WHERE sequence = 3")


def remove_and_renumber(folder: Path) -> None:
    tamper(
        folder,
        "DELETE FROM entries WHERE sequence = 3",
        "UPDATE entries SET sequence = sequence - 1 WHERE sequence > 3",
    )


def remove_the_last_row(folder: Path) -> None:
    tamper(folder, "DELETE FROM entries WHERE sequence = 5")


def remove_all_rows(folder: Path) -> None:
    tamper(folder, "DELETE FROM entries")


def drop_the_table(folder: Path) -> None:
    run_sql(folder, "DROP TABLE entries")


def make_text_of_it(folder: Path) -> None:
    tamper(folder, "UPDATE entries SET body = 'not json' WHERE sequence = 3")


def truncate_to_half(folder: Path) -> None:
    path = folder / "ledger.sqlite"
    os.truncate(path, path.stat().st_size // 2)


def truncate_to_nothing(folder: Path) -> None:
    os.truncate(folder / "ledger.sqlite", 0)


def overwrite_with_garbage(folder: Path) -> None:
    (folder / "ledger.sqlite").write_bytes(b"garbage " * 4096)


def remove_the_file(folder: Path) -> None:
    (folder / "ledger.sqlite").unlink()


def remove_the_head(folder: Path) -> None:
    (folder / "ledger.head").unlink()


def garble_the_head(folder: Path) -> None:
    (folder / "ledger.head").write_text("{}")


def reset_the_head(folder: Path) -> None:
    (folder / "ledger.head").write_text('{"count":0,"hash":"' + "0" * 64 + '"}')


def swap_the_head(folder: Path) -> None:
    (folder / "ledger.head").write_text('{"count":5,"hash":"' + "e" * 64 + '"}')


DAMAGE: list[tuple[Callable[[Path], None], str]] = [
    (edit_a_row, "entry 3 was changed"),
    (edit_a_time, "entry 3 was changed"),
    (make_text_of_it, "entry 3 was changed"),
    (remove_a_row, "entry 3 is missing"),
    (remove_and_renumber, "entry 3 was changed"),
    (remove_the_last_row, "entry 5 is missing"),
    (remove_all_rows, "entry 1 is missing"),
    (drop_the_table, "entry 1 cannot be read"),
    (truncate_to_half, "entry 1 cannot be read"),
    (truncate_to_nothing, "entry 1 cannot be read"),
    (overwrite_with_garbage, "entry 1 cannot be read"),
    (remove_the_file, "entry 1 cannot be read"),
    (remove_the_head, "ledger.head cannot be read"),
    (garble_the_head, "ledger.head cannot be read"),
    (reset_the_head, "entry 2 is not accounted for"),
    (swap_the_head, "entry 5 is not the one"),
]


@pytest.fixture(scope="module")
def used_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five entries: two requests, two rounds, one release."""
    folder = tmp_path_factory.mktemp("used")
    ledger = Ledger(folder / "ledger.sqlite", hundredth_a_step)
    reserve(ledger, "one", 40)
    reserve(ledger, "two", 40, study="fractures")
    commit(ledger, "one", 0, 10)
    commit(ledger, "one", 1, 10)
    ledger.release("two", "the study ended")
    return folder


@pytest.fixture
def used(used_files: Path, tmp_path: Path) -> Ledger:
    shutil.copytree(used_files, tmp_path, dirs_exist_ok=True)
    return Ledger(tmp_path / "ledger.sqlite", hundredth_a_step)


@pytest.mark.parametrize(("damage", "said"), DAMAGE, ids=[damage.__name__ for damage, _ in DAMAGE])
def test_a_damaged_ledger_refuses_everything_and_tells_the_admin_why(
    used: Ledger, tmp_path: Path, damage: Callable[[Path], None], said: str
) -> None:
    damage(tmp_path)
    reopened = Ledger(tmp_path / "ledger.sqlite", hundredth_a_step)
    for ledger in (used, reopened):
        for use in (
            ledger.verify,
            ledger.entries,
            lambda: ledger.history(FINGERPRINT),  # noqa: B023
            lambda: ledger.committed("one", 0),  # noqa: B023
            lambda: ledger.committed_history("one"),  # noqa: B023
            lambda: commit(ledger, "one", 2, 10),  # noqa: B023
            lambda: reserve(ledger, "three", 1),  # noqa: B023
            lambda: ledger.release("one", "the study ended"),  # noqa: B023
        ):
            with pytest.raises(LedgerBroken) as broken:
                use()
            assert said in broken.value.private
            assert not re.search(r"\d|sqlite|/", broken.value.public)


@pytest.mark.parametrize(
    ("sequence", "said"), [(3, "entry 4 does not continue entry 3"), (5, "entry 5 is not the one")]
)
def test_a_forged_row_with_a_right_hash_breaks_what_follows_it(
    used: Ledger, tmp_path: Path, sequence: int, said: str
) -> None:
    columns = ["sequence", "at", "kind", "fingerprint", "request_id", "round_index", "body", "previous"]
    (row,) = run_sql(tmp_path, f"SELECT {', '.join(columns)} FROM entries WHERE sequence = {sequence}")
    forged = {**dict(zip(columns, row, strict=True)), "body": "{}"}
    text = json.dumps(forged, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()
    tamper(tmp_path, f"UPDATE entries SET body = '{{}}', hash = '{digest}' WHERE sequence = {sequence}")
    with pytest.raises(LedgerBroken) as broken:
        used.verify()
    assert said in broken.value.private


def test_an_entry_of_an_unknown_kind_of_content_refuses(ledger: Ledger, tmp_path: Path) -> None:
    """A whole chain that another version wrote: it verifies, but nobody knows what it charges."""
    Chain(tmp_path / "ledger.sqlite").append(lambda _: Draft("reserve", FINGERPRINT, "one", {"new": "field"}))
    with pytest.raises(LedgerBroken) as broken:
        ledger.verify()
    assert "entry 1" in broken.value.private


def test_a_commit_before_its_reservation_refuses(ledger: Ledger, tmp_path: Path) -> None:
    body = {"spend": None, "update_digest": UPDATE}
    Chain(tmp_path / "ledger.sqlite").append(lambda _: Draft("commit", FINGERPRINT, "one", body, 0))
    with pytest.raises(LedgerBroken):
        ledger.history(FINGERPRINT)
