-- Schema version 3: what has gone to sinks (InfluxDB and the like), see store/backlog.

-- Up to journal_id and diary_id everything is safe at the sink or stands in sink_span; up to *_sent it was sent once. The epoch
-- counts the gateway's starts and the sink's presumed restarts.
CREATE TABLE sink (
    id           INTEGER PRIMARY KEY,
    name         TEXT NOT NULL UNIQUE,
    mapping      TEXT NOT NULL,
    epoch        INTEGER NOT NULL,
    journal_id   INTEGER NOT NULL,
    journal_sent INTEGER NOT NULL,
    diary_id     INTEGER NOT NULL,
    diary_sent   INTEGER NOT NULL,
    n_sent       INTEGER NOT NULL DEFAULT 0,
    n_parked     INTEGER NOT NULL DEFAULT 0,
    state        TEXT NOT NULL DEFAULT 'new',
    detail       TEXT NOT NULL DEFAULT '',
    state_us     INTEGER,
    taken_us     INTEGER
);

-- Times of a series that a sink does not surely have, both ends included. sent_epoch is -1 for what was never sent; what was sent
-- in an earlier epoch is sent again. The stamp changes with every widening.
CREATE TABLE sink_span (
    id         INTEGER PRIMARY KEY,
    sink       INTEGER NOT NULL,
    series     INTEGER NOT NULL,
    from_us    INTEGER NOT NULL,
    to_us      INTEGER NOT NULL,
    stamp      INTEGER NOT NULL DEFAULT 0,
    sent_epoch INTEGER NOT NULL,
    sent_ms    INTEGER NOT NULL
);
CREATE INDEX sink_span_by_series ON sink_span (sink, series);
CREATE INDEX sink_span_by_sent ON sink_span (sink, sent_epoch, sent_ms);

-- Lines that a sink refused for good.
CREATE TABLE sink_parked (
    id     INTEGER PRIMARY KEY,
    sink   INTEGER NOT NULL,
    at_us  INTEGER NOT NULL,
    line   TEXT NOT NULL,
    reason TEXT NOT NULL
);
CREATE INDEX sink_parked_by_sink ON sink_parked (sink, id);
