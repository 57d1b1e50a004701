-- Schema version 4. What stays of readings that were given up: hours and days, packed (store/chunk/spans.rs). Times are UTC microseconds.
CREATE TABLE summary (
    id       INTEGER PRIMARY KEY,
    series   INTEGER NOT NULL,
    span_us  INTEGER NOT NULL,
    from_us  INTEGER NOT NULL,
    to_us    INTEGER NOT NULL,
    n_spans  INTEGER NOT NULL,
    n_bytes  INTEGER NOT NULL,
    crc32    INTEGER NOT NULL,
    blob     BLOB NOT NULL
);
CREATE UNIQUE INDEX summary_by_time ON summary (series, span_us, from_us, to_us, n_spans, n_bytes);

-- The same table with one more kind.
ALTER TABLE damaged RENAME TO damaged_before;
CREATE TABLE damaged (
    id        INTEGER PRIMARY KEY,
    kind      TEXT NOT NULL CHECK (kind IN ('journal', 'chunk', 'summary')),
    series    INTEGER,
    from_us   INTEGER NOT NULL,
    to_us     INTEGER NOT NULL,
    n_samples INTEGER NOT NULL,
    reason    TEXT NOT NULL,
    blob      BLOB NOT NULL
);
INSERT INTO damaged SELECT id, kind, series, from_us, to_us, n_samples, reason, blob FROM damaged_before;
DROP TABLE damaged_before;
