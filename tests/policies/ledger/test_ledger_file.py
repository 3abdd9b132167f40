"""The ledger's file: it holds across processes and crashes, and a damaged one refuses everything."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from support.ledgers import FINGERPRINT, SEAL, UPDATE, commit, ledger_at, reserve, start, steps

from policies.errors import LedgerBroken, RoundRefused
from policies.ledger.chain import SCHEMA, Chain, Draft, Entry
from policies.ledger.chain_migration import renew_table
from policies.ledger.head_file import Head, HeadBroken, HeadFile
from policies.ledger.ledger import Ledger
from policies.ledger.reservations import reservations
from policies.ledger.seal import Seal

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
    again = ledger_at(tmp_path / "ledger.sqlite")
    assert again.entries() == ledger.entries()
    assert again.reservations() == ledger.reservations()


def test_entries_carry_utc_times_and_an_unbroken_chain(ledger: Ledger) -> None:
    reserve(ledger, "one", 40)
    start(ledger, "one", 0, 10)
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


def test_a_crash_between_a_commit_and_its_head_is_made_up_for(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserve(ledger, "one", 40)
    start(ledger, "one", 0, 10)
    heads, write = [], HeadFile.write

    def crash(self: HeadFile, head: Head, **_: bool) -> None:
        heads.append(head)
        if not head.announced:
            raise OSError("the machine lost its power")
        write(self, head)

    monkeypatch.setattr(HeadFile, "write", crash)
    with pytest.raises(LedgerBroken):
        commit(ledger, "one", 0, 10)
    monkeypatch.undo()
    assert [bool(head.announced) for head in heads] == [True, False]
    ledger.verify()
    assert ledger.committed("one", 0) == UPDATE
    ledger.release("one", "the study ended")
    run_sql(tmp_path, "DROP TRIGGER entries_are_never_deleted", "DELETE FROM entries WHERE sequence = 4")
    with pytest.raises(LedgerBroken):
        ledger.verify()


def test_a_crash_before_a_commit_leaves_an_announced_entry_that_was_never_written(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserve(ledger, "one", 40)
    with monkeypatch.context() as patch:
        patch.setattr("policies.ledger.chain._INSERT", "INSERT INTO nowhere VALUES (1)")
        with pytest.raises(LedgerBroken):
            commit(ledger, "one", 0, 10)
    ledger.verify()
    assert ledger.committed("one", 0) is None
    commit(ledger, "one", 0, 10)
    assert ledger.spent("one") == (steps(10),)


def test_a_failing_disk_refuses_and_a_retry_charges_once(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    reserve(ledger, "one", 40)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)  # the head cannot be written
        with pytest.raises(LedgerBroken):
            commit(ledger, "one", 0, 10)
    commit(ledger, "one", 0, 10)
    assert ledger.spent("one") == (steps(10),)


@pytest.mark.parametrize("missing", [("sqlite", "head"), ("sqlite",), ("head",)])
def test_a_ledger_that_is_gone_is_never_begun_anew(ledger: Ledger, tmp_path: Path, missing: tuple[str, ...]) -> None:
    reserve(ledger, "one", 40)
    for suffix in missing:
        (tmp_path / f"ledger.{suffix}").unlink()
    again = Ledger(tmp_path / "ledger.sqlite", seal=SEAL)
    for use in (again.verify, lambda: reserve(again, "two", 1)):
        with pytest.raises(LedgerBroken):
            use()


def test_an_existing_ledger_is_not_begun_over(ledger: Ledger, tmp_path: Path) -> None:
    reserve(ledger, "one", 40)
    with pytest.raises(LedgerBroken):
        Chain.begin(tmp_path / "ledger.sqlite", SEAL)
    ledger.verify()


# --- the seal ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [None, Seal(b"o" * 32)], ids=["none", "another datasite's"])
def test_a_sealed_ledger_is_not_opened_without_its_own_seal(ledger: Ledger, tmp_path: Path, key: Seal | None) -> None:
    reserve(ledger, "one", 40)
    with pytest.raises(LedgerBroken):
        Ledger(tmp_path / "ledger.sqlite", seal=key).verify()


@pytest.mark.parametrize("key", [None, Seal(b"o" * 32)], ids=["unsealed", "under another key"])
def test_a_shorter_chain_that_verifies_is_refused_where_its_head_was_not_sealed_by_the_datasite(
    ledger: Ledger, tmp_path: Path, key: Seal | None
) -> None:
    """Its last entry is cut off, and a head of the right length and hash written, by whoever has no key."""
    reserve(ledger, "one", 40)
    commit(ledger, "one", 0, 10)
    first = ledger.entries()[0]
    run_sql(tmp_path, "DROP TRIGGER entries_are_never_deleted", "DELETE FROM entries WHERE sequence = 2")
    HeadFile(tmp_path / "ledger.head", "ledger", key).write(Head(1, first.hash))
    with pytest.raises(LedgerBroken):
        ledger.verify()


def test_an_entry_that_was_appended_without_the_seal_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    reserve(ledger, "one", 40)
    kept = (tmp_path / "ledger.head").read_bytes()
    ledger.release("one", "the study ended")
    (tmp_path / "ledger.head").write_bytes(kept)
    with pytest.raises(LedgerBroken) as broken:
        ledger.verify()
    assert "entry 2 is not accounted for" in broken.value.private


def test_a_seal_of_one_book_does_not_fit_another(ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(HeadBroken):
        HeadFile(tmp_path / "ledger.head", "audit log", SEAL).read()


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
    HeadFile(folder / "ledger.head", "ledger", SEAL).write(Head(5, "e" * 64))


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
    (reset_the_head, "ledger.head was not written by this datasite"),
    (swap_the_head, "entry 5 is not the one"),
]


@pytest.fixture(scope="module")
def used_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five entries: two requests, a round that started and ended, one release."""
    folder = tmp_path_factory.mktemp("used")
    ledger = ledger_at(folder / "ledger.sqlite")
    reserve(ledger, "one", 40)
    reserve(ledger, "two", 40, study="fractures")
    commit(ledger, "one", 0, 10)
    ledger.release("two", "the study ended")
    return folder


@pytest.fixture
def used(used_files: Path, tmp_path: Path) -> Ledger:
    shutil.copytree(used_files, tmp_path, dirs_exist_ok=True)
    return ledger_at(tmp_path / "ledger.sqlite")


@pytest.mark.parametrize(("damage", "said"), DAMAGE, ids=[damage.__name__ for damage, _ in DAMAGE])
def test_a_damaged_ledger_refuses_everything_and_tells_the_admin_why(
    used: Ledger, tmp_path: Path, damage: Callable[[Path], None], said: str
) -> None:
    damage(tmp_path)
    reopened = Ledger(tmp_path / "ledger.sqlite", seal=SEAL)
    for ledger in (used, reopened):
        for use in (
            ledger.verify,
            ledger.entries,
            lambda: ledger.history(FINGERPRINT),  # noqa: B023
            lambda: ledger.committed("one", 0),  # noqa: B023
            lambda: ledger.spent("one"),  # noqa: B023
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
    Chain(tmp_path / "ledger.sqlite", SEAL).append(lambda _: Draft("reserve", FINGERPRINT, "one", {"new": "field"}))
    with pytest.raises(LedgerBroken) as broken:
        ledger.verify()
    assert "entry 1" in broken.value.private


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_version_that_a_request_reads_is_that_of_its_reservation(
    ledger: Ledger, tmp_path: Path, number: int
) -> None:
    reserve(ledger, "one", 1, dataset_version=number)
    held = ledger_at(tmp_path / "ledger.sqlite").held("one")
    assert held is not None and held.dataset_version == number


def test_an_entry_that_is_no_start_and_no_end_of_a_round_refuses(ledger: Ledger) -> None:
    """Whatever it says it charges: what a later version means by it, nobody knows here."""
    reserve(ledger, "one", 1)
    commit(ledger, "one", 0, 1)
    *before, last = ledger.entries()
    reservations((*before, last))
    with pytest.raises(LedgerBroken):
        reservations((*before, Entry(**{**vars(last), "kind": "postpone"})))


def test_a_commit_before_its_reservation_refuses(ledger: Ledger, tmp_path: Path) -> None:
    body = {"spend": None, "update_digest": UPDATE}
    Chain(tmp_path / "ledger.sqlite", SEAL).append(lambda _: Draft("commit", FINGERPRINT, "one", body, 0))
    with pytest.raises(LedgerBroken):
        ledger.history(FINGERPRINT)


# --- ledgers of older versions -------------------------------------------------------------------------------

OLDER_KINDS = "CHECK (kind IN ('reserve', 'commit', 'release'))"
OLDER_INDICES = (
    "CREATE UNIQUE INDEX one_reservation_and_one_release ON entries (request_id, kind) WHERE kind != 'commit'",
    "CREATE UNIQUE INDEX one_commit_a_round ON entries (request_id, round_index) WHERE kind = 'commit'",
)


@pytest.fixture
def older(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """A ledger of a version that charged rounds at their end: its table knows no start."""
    text = re.sub(r"CHECK \(kind IN [^)]*\)\)", OLDER_KINDS, SCHEMA.read_text())
    text = re.sub(r"CREATE UNIQUE INDEX [^;]*;", "", text) + ";\n".join((*OLDER_INDICES, ""))
    (tmp_path / "schema.sql").write_text(text)
    with monkeypatch.context() as patch:
        patch.setattr("policies.ledger.chain.SCHEMA", tmp_path / "schema.sql")
        made = ledger_at(tmp_path / "ledger.sqlite")
    reserve(made, "one", 40)
    body = {"spend": {"noise_multiplier": 1.0, "sample_rate": 0.1, "steps": 10}, "update_digest": UPDATE}
    Chain(tmp_path / "ledger.sqlite", SEAL).append(lambda _: Draft("commit", FINGERPRINT, "one", body, 0))
    return made


def test_a_round_that_an_older_version_charged_at_its_end_stays_charged(older: Ledger) -> None:
    assert older.spent("one") == (steps(10),)
    assert older.committed("one", 0) == UPDATE
    assert older.started("one", 0) is None
    with pytest.raises(RoundRefused, match="ended"):
        start(older, "one", 0, 10)


def test_an_older_table_is_made_anew_with_every_entry_as_it_was(older: Ledger, tmp_path: Path) -> None:
    before = older.entries()
    with pytest.raises(LedgerBroken):
        start(older, "one", 1, 10)
    for _ in range(2):
        renew_table(tmp_path / "ledger.sqlite")
    assert older.entries() == before
    start(older, "one", 1, 10)
    assert older.spent("one") == (steps(20),)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        run_sql(tmp_path, "DELETE FROM entries WHERE sequence = 1")


def test_two_starts_of_one_round_refuse(ledger: Ledger, tmp_path: Path) -> None:
    reserve(ledger, "one", 40)
    start(ledger, "one", 0, 10)
    (entry,) = [entry for entry in ledger.entries() if entry.kind == "start"]
    run_sql(tmp_path, "DROP INDEX one_start_and_one_commit_a_round")
    Chain(tmp_path / "ledger.sqlite", SEAL).append(lambda _: Draft("start", FINGERPRINT, "one", entry.body, 0))
    with pytest.raises(LedgerBroken):
        ledger.history(FINGERPRINT)
