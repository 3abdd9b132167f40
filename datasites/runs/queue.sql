-- One row for each (request, round). A second attempt at a round reuses its row.
CREATE TABLE IF NOT EXISTS runs (
    id              TEXT PRIMARY KEY,
    request_id      TEXT NOT NULL,
    round           INTEGER NOT NULL,
    account         TEXT NOT NULL,      -- public key of the researcher's account, hexadecimal
    weights         TEXT NOT NULL,      -- digest of the global weights that came in
    state           TEXT NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
    attempt         INTEGER NOT NULL,
    progress        REAL NOT NULL,      -- share of the steps that were taken, in tenths; for the hospital alone, like attempt
    reason          TEXT NOT NULL,      -- public
    code            TEXT NOT NULL,      -- public error code, or empty
    update_digest   TEXT NOT NULL,
    created         REAL NOT NULL,      -- seconds since the epoch
    started         REAL NOT NULL,
    ended           REAL NOT NULL,
    version         INTEGER NOT NULL,   -- counts the changes of this row that may be seen outside
    UNIQUE (request_id, round)
);
CREATE INDEX IF NOT EXISTS runs_by_state ON runs (state);
CREATE INDEX IF NOT EXISTS runs_by_end ON runs (ended);
