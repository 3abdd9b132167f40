-- One row for each request that was to be rehearsed; rehearsing it again reuses its row.
CREATE TABLE IF NOT EXISTS rehearsals (
    request_id                TEXT PRIMARY KEY,
    state                     TEXT NOT NULL CHECK (state IN ('waiting', 'running', 'passed', 'failed', 'impossible')),
    reason                    TEXT NOT NULL,  -- public: why it failed or is impossible
    seconds_a_step            REAL NOT NULL,
    peak_memory_mb            INTEGER NOT NULL,
    estimated_seconds_a_round REAL NOT NULL,
    estimated_hours           REAL NOT NULL,
    assumptions               TEXT NOT NULL,  -- what the estimates rest on
    traceback                 TEXT NOT NULL,  -- of the run on the mock, in lines
    at                        TEXT NOT NULL,  -- UTC: when it was asked for, began or ended
    turn                      INTEGER NOT NULL  -- the lowest of those that wait is the next
);
CREATE INDEX IF NOT EXISTS rehearsals_by_turn ON rehearsals (state, turn);
