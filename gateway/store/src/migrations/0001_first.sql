-- Schema version 1. Times are UTC microseconds unless a name ends in _ms.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- The last_* columns are as of the latest folding; newer samples are still in the journal.
CREATE TABLE series (
    id           INTEGER PRIMARY KEY,
    device       TEXT NOT NULL,
    metric       TEXT NOT NULL,
    last_us      INTEGER,
    last_value   REAL,
    last_quality INTEGER,
    UNIQUE (device, metric)
);

-- One row a commit. AUTOINCREMENT: an id is never used twice, so a cursor over the journal stays valid after folding.
CREATE TABLE journal (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    from_us   INTEGER NOT NULL,
    to_us     INTEGER NOT NULL,
    n_samples INTEGER NOT NULL,
    n_bytes   INTEGER NOT NULL,
    blob      BLOB NOT NULL
);

-- A rowid table: large blobs in a WITHOUT ROWID tree cost several times the writes.
CREATE TABLE chunk (
    id        INTEGER PRIMARY KEY,
    series    INTEGER NOT NULL,
    from_us   INTEGER NOT NULL,
    to_us     INTEGER NOT NULL,
    n_samples INTEGER NOT NULL,
    n_bytes   INTEGER NOT NULL,
    crc32     INTEGER NOT NULL,
    blob      BLOB NOT NULL
);
-- Covers every question about chunks except their content.
CREATE UNIQUE INDEX chunk_by_time ON chunk (series, from_us, to_us, n_samples, n_bytes);

-- Blobs whose checksum did not hold, set aside for a person with a tool; series is null for a journal row.
CREATE TABLE damaged (
    id        INTEGER PRIMARY KEY,
    kind      TEXT NOT NULL CHECK (kind IN ('journal', 'chunk')),
    series    INTEGER,
    from_us   INTEGER NOT NULL,
    to_us     INTEGER NOT NULL,
    n_samples INTEGER NOT NULL,
    reason    TEXT NOT NULL,
    blob      BLOB NOT NULL
);

CREATE TABLE device (
    id         TEXT PRIMARY KEY,
    kind       TEXT NOT NULL,
    label      TEXT NOT NULL,
    key        BLOB,
    created_us INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE node_mark (
    node  TEXT PRIMARY KEY,
    epoch INTEGER NOT NULL,
    seq   INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE node_anchor (
    node                   TEXT NOT NULL,
    epoch                  INTEGER NOT NULL,
    unix_ms_at_uptime_zero INTEGER NOT NULL,
    uncertainty_ms         INTEGER NOT NULL,
    PRIMARY KEY (node, epoch)
) WITHOUT ROWID;

CREATE TABLE counter (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE zone_memory (
    zone TEXT PRIMARY KEY,
    json TEXT NOT NULL CHECK (json_valid(json))
) WITHOUT ROWID;

CREATE TABLE diary (
    id          INTEGER PRIMARY KEY,
    at_us       INTEGER,
    recorded_us INTEGER NOT NULL,
    zone        TEXT,
    event       TEXT NOT NULL,
    command     INTEGER,
    by          TEXT NOT NULL,
    person      TEXT,
    reason      TEXT NOT NULL,
    args        TEXT NOT NULL CHECK (json_valid(args)),
    run_ms      INTEGER,
    volume_ml   INTEGER,
    hash        BLOB NOT NULL CHECK (length(hash) = 32)
);
CREATE INDEX diary_by_zone ON diary (zone, id);
CREATE TRIGGER diary_keeps_rows BEFORE DELETE ON diary BEGIN SELECT RAISE(ABORT, 'the diary is append-only'); END;
CREATE TRIGGER diary_keeps_words BEFORE UPDATE ON diary BEGIN SELECT RAISE(ABORT, 'the diary is append-only'); END;

CREATE TABLE valve_event (
    id             INTEGER PRIMARY KEY,
    node           TEXT NOT NULL,
    valve          INTEGER NOT NULL,
    at_us          INTEGER NOT NULL,
    uncertainty_us INTEGER NOT NULL,
    open           INTEGER NOT NULL,
    command        INTEGER,
    closed_by      TEXT,
    run_ms         INTEGER NOT NULL,
    volume_ml      INTEGER,
    epoch          INTEGER NOT NULL,
    seq            INTEGER NOT NULL,
    UNIQUE (node, epoch, seq)
);
CREATE INDEX valve_event_by_time ON valve_event (at_us, node, valve);
