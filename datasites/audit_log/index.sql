-- Where each event stands in the audit log, to search it. Made from the log and thrown away whenever it does not fit it:
-- what a search shows is read from the log itself, and checked.
CREATE TABLE IF NOT EXISTS events (
    line         INTEGER PRIMARY KEY,  -- 1, 2, 3, ...
    time         TEXT NOT NULL,        -- UTC
    event        TEXT NOT NULL,
    start        INTEGER NOT NULL,     -- byte of the log at which the line begins
    size         INTEGER NOT NULL,     -- of the line, in bytes, its line feed included
    hash         TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS events_by_kind ON events (event, line);
CREATE TABLE IF NOT EXISTS people (
    person       TEXT NOT NULL,        -- whom the event names as who did it
    line         INTEGER NOT NULL,
    PRIMARY KEY (person, line)
) WITHOUT ROWID;
CREATE VIRTUAL TABLE IF NOT EXISTS event_words USING fts5 (words, content = '', prefix = '1 2 3');
