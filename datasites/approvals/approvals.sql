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

-- Approvals given while more are needed: each person's counts once, for the card with that digest.
CREATE TABLE IF NOT EXISTS consents (
    request_id   TEXT NOT NULL,
    person       TEXT NOT NULL,
    digest       TEXT NOT NULL,
    given_at     TEXT NOT NULL,      -- UTC
    PRIMARY KEY (request_id, person)
);

-- What hospital and researcher write to each other about a request. The researcher reads side, text and time.
CREATE TABLE IF NOT EXISTS threads (
    request_id   TEXT NOT NULL,
    author       TEXT NOT NULL,      -- a name of the hospital's people, or the researcher's e-mail address
    side         TEXT NOT NULL CHECK (side IN ('hospital', 'researcher')),
    text         TEXT NOT NULL,
    at           TEXT NOT NULL       -- UTC
);
CREATE INDEX IF NOT EXISTS threads_of_request ON threads (request_id, side);
