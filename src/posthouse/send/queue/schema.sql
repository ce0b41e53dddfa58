-- One lane of the queue. Letter ids grow with time, so rows are appended; a recipient's row lies
-- beside the others of its letter. Events are written in the transaction of what they tell.
CREATE TABLE IF NOT EXISTS letters (
    id INTEGER PRIMARY KEY,
    sender TEXT NOT NULL,
    accepted REAL NOT NULL,
    size INTEGER NOT NULL,
    user TEXT NOT NULL,
    client TEXT NOT NULL,
    message_id TEXT NOT NULL,
    params TEXT NOT NULL,
    content BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS recipients (
    letter INTEGER NOT NULL,
    n INTEGER NOT NULL,
    address TEXT NOT NULL,
    params TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    due REAL NOT NULL DEFAULT 0,
    last TEXT NOT NULL DEFAULT '',
    cause TEXT,
    warned INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (letter, n)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    kind TEXT NOT NULL,
    letter INTEGER NOT NULL,
    recipient TEXT NOT NULL,
    data TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS events_letter ON events (letter);
-- Whom a person has let go: each look at the queue asks for these.
CREATE INDEX IF NOT EXISTS events_released ON events (letter, recipient) WHERE kind = 'released';
-- One row: how often the command has changed this lane. Its worker looks at it.
CREATE TABLE IF NOT EXISTS changes (n INTEGER NOT NULL);
INSERT INTO changes SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM changes);
PRAGMA user_version = 1;
