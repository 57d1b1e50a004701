-- Numbers of journal rows are counted from the rows themselves and from counter 'journal_folded', which holds the highest that is
-- gone. AUTOINCREMENT keeps its own table, and every commit wrote a page of it to the log besides the row's own.

CREATE TABLE journal_by_rows (
    id        INTEGER PRIMARY KEY,
    from_us   INTEGER NOT NULL,
    to_us     INTEGER NOT NULL,
    n_samples INTEGER NOT NULL,
    n_bytes   INTEGER NOT NULL,
    blob      BLOB NOT NULL
);
INSERT INTO journal_by_rows SELECT id, from_us, to_us, n_samples, n_bytes, blob FROM journal;
INSERT INTO counter (name, value) SELECT 'journal_folded', seq FROM sqlite_sequence WHERE name = 'journal'
    ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value);
DROP TABLE journal;
ALTER TABLE journal_by_rows RENAME TO journal;
