-- The privacy ledger: one row for each reservation, start and end of a round, and release, in their order.
-- A row's hash covers all its columns and the hash of the row before it, so that no row can be edited, removed or
-- moved without the chain showing it. The triggers only stop honest mistakes; the chain is what is verified.
CREATE TABLE entries (
    sequence    INTEGER PRIMARY KEY,  -- 1, 2, 3, ... without a gap
    at          TEXT NOT NULL,        -- UTC, ISO 8601
    kind        TEXT NOT NULL CHECK (kind IN ('reserve', 'start', 'commit', 'release')),
    fingerprint TEXT NOT NULL,        -- SHA-256 of the picture store
    request_id  TEXT NOT NULL,
    round_index INTEGER,              -- of a start or a commit, from 0; NULL otherwise
    body        TEXT NOT NULL,        -- canonical JSON: what a request reserves, a round spends and gives, why it ended
    previous    TEXT NOT NULL,        -- hash of the row before; 64 zeros in the first
    hash        TEXT NOT NULL         -- SHA-256 of the canonical JSON of the columns above
) STRICT;

CREATE UNIQUE INDEX one_reservation_and_one_release ON entries (request_id, kind) WHERE kind IN ('reserve', 'release');
CREATE UNIQUE INDEX one_start_and_one_commit_a_round ON entries (request_id, kind, round_index)
    WHERE kind IN ('start', 'commit');

CREATE TRIGGER entries_are_never_updated BEFORE UPDATE ON entries
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;

CREATE TRIGGER entries_are_never_deleted BEFORE DELETE ON entries
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;

CREATE TRIGGER entries_are_appended BEFORE INSERT ON entries
WHEN new.sequence IS NOT (SELECT coalesce(max(sequence), 0) + 1 FROM entries)
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
