-- What the hospital decided on a code request, and exactly what that decision covers.
CREATE TABLE IF NOT EXISTS decisions (
    request_id   TEXT PRIMARY KEY,
    decision     TEXT NOT NULL CHECK (decision IN ('approved', 'denied', 'returned', 'withdrawn', 'ended')),
    digest       TEXT NOT NULL,      -- over plan, stub, parsed code, policies, asset and store fingerprint
    code_id      TEXT NOT NULL,      -- PySyft's identifier of the code
    account      TEXT NOT NULL,      -- public key of the researcher's account, hexadecimal
    researcher   TEXT NOT NULL,      -- e-mail address
    dataset      TEXT NOT NULL,
    fingerprint  TEXT NOT NULL,      -- of the picture store
    plan         TEXT NOT NULL,      -- JSON
    shapes       TEXT NOT NULL,      -- JSON: names and shapes of what comes in and may leave
    decided_by   TEXT NOT NULL,
    decided_at   TEXT NOT NULL,      -- UTC
    reason       TEXT NOT NULL
);

-- Requests whose decision is recorded here and may not have reached PySyft, the ledger or the audit log yet.
CREATE TABLE IF NOT EXISTS unfinished (request_id TEXT PRIMARY KEY);

-- The votes of a request's reviewers: each person has one, for what the card with that digest showed.
CREATE TABLE IF NOT EXISTS votes (
    request_id   TEXT NOT NULL,
    person       TEXT NOT NULL,
    vote         TEXT NOT NULL CHECK (vote IN ('approve', 'deny', 'return')),
    reason       TEXT NOT NULL,
    digest       TEXT NOT NULL,
    given_at     TEXT NOT NULL,      -- UTC
    PRIMARY KEY (request_id, person)
);

-- One line for each request that PySyft keeps, to list and to find them without it. It decides nothing, and is made
-- again from PySyft where it lacks one. Triggers hold state and counts to the decisions, whoever writes these.
CREATE TABLE IF NOT EXISTS requests (
    arrival      INTEGER PRIMARY KEY,  -- 1, 2, 3, ... in the order of arrival
    id           TEXT NOT NULL UNIQUE,
    account      TEXT NOT NULL,        -- public key, hexadecimal
    code_id      TEXT NOT NULL,        -- PySyft's identifier of the code
    arrived_at   TEXT NOT NULL,        -- UTC
    researcher   TEXT NOT NULL,        -- e-mail address
    study        TEXT NOT NULL,
    kind         TEXT NOT NULL,
    dataset      TEXT NOT NULL,
    model        TEXT NOT NULL,
    rounds       INTEGER NOT NULL,
    epsilon      REAL,                 -- NULL without differential privacy, and until it was computed
    delta        REAL NOT NULL,        -- at which epsilon was computed; 0 until then
    state        TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS requests_by_state ON requests (state, arrival);
CREATE INDEX IF NOT EXISTS requests_by_researcher ON requests (researcher, arrival);
CREATE INDEX IF NOT EXISTS requests_by_account ON requests (account, state);
CREATE INDEX IF NOT EXISTS requests_by_code ON requests (code_id);

CREATE TABLE IF NOT EXISTS request_counts (state TEXT PRIMARY KEY, requests INTEGER NOT NULL);
CREATE VIRTUAL TABLE IF NOT EXISTS request_words USING fts5 (words, state, prefix = '1 2 3');

CREATE TRIGGER IF NOT EXISTS a_decision_is_a_state AFTER INSERT ON decisions
BEGIN UPDATE requests SET state = new.decision WHERE id = new.request_id; END;

CREATE TRIGGER IF NOT EXISTS a_changed_decision_is_a_state AFTER UPDATE OF decision ON decisions
BEGIN UPDATE requests SET state = new.decision WHERE id = new.request_id; END;

CREATE TRIGGER IF NOT EXISTS a_request_is_counted AFTER INSERT ON requests
BEGIN
    INSERT INTO request_counts VALUES (new.state, 1) ON CONFLICT (state) DO UPDATE SET requests = requests + 1;
END;

CREATE TRIGGER IF NOT EXISTS a_state_is_counted AFTER UPDATE OF state ON requests WHEN new.state <> old.state
BEGIN
    UPDATE request_counts SET requests = requests - 1 WHERE state = old.state;
    INSERT INTO request_counts VALUES (new.state, 1) ON CONFLICT (state) DO UPDATE SET requests = requests + 1;
    UPDATE request_words SET state = new.state WHERE rowid = new.arrival;
END;

CREATE TRIGGER IF NOT EXISTS a_lost_request_is_not_counted AFTER DELETE ON requests
BEGIN
    UPDATE request_counts SET requests = requests - 1 WHERE state = old.state;
    DELETE FROM request_words WHERE rowid = old.arrival;
END;

-- What hospital and researcher write to each other about a request. The researcher reads side, text and time.
CREATE TABLE IF NOT EXISTS threads (
    request_id   TEXT NOT NULL,
    author       TEXT NOT NULL,      -- a name of the hospital's people, or the researcher's e-mail address
    side         TEXT NOT NULL CHECK (side IN ('hospital', 'researcher')),
    text         TEXT NOT NULL,
    at           TEXT NOT NULL       -- UTC
);
CREATE INDEX IF NOT EXISTS threads_of_request ON threads (request_id, side);
