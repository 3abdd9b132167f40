-- What the hospital's people should know of. It decides nothing, and the oldest are let go.
CREATE TABLE IF NOT EXISTS notices (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    kind   TEXT NOT NULL,
    about  TEXT NOT NULL,
    text   TEXT NOT NULL,
    at     TEXT NOT NULL             -- UTC
);

-- Up to which notice each of the hospital's people has read.
CREATE TABLE IF NOT EXISTS readers (
    person  TEXT PRIMARY KEY,
    notice  INTEGER NOT NULL
);

-- What holds now and was told of: it is told of again only after it has passed.
CREATE TABLE IF NOT EXISTS standing (
    kind   TEXT NOT NULL,
    about  TEXT NOT NULL,
    PRIMARY KEY (kind, about)
);
