-- Schema version 6. What the farm was, version by version: its text (TOML), who saved it, and since when it was in force. Times are UTC
-- microseconds. Rows stay as they were written; only the moment of taking force is added, once.
CREATE TABLE farm_version (
    id          INTEGER PRIMARY KEY,
    saved_us    INTEGER NOT NULL,
    by          TEXT NOT NULL,
    origin      TEXT NOT NULL,
    file        TEXT,
    note        TEXT NOT NULL,
    text        TEXT NOT NULL,
    in_force_us INTEGER
);
CREATE TRIGGER farm_keeps_rows BEFORE DELETE ON farm_version BEGIN SELECT RAISE(ABORT, 'versions of the farm are kept'); END;
CREATE TRIGGER farm_keeps_words BEFORE UPDATE ON farm_version
WHEN old.in_force_us IS NOT NULL OR old.id <> new.id OR old.saved_us <> new.saved_us OR old.by <> new.by OR old.origin <> new.origin
  OR old.file IS NOT new.file OR old.note <> new.note OR old.text <> new.text
BEGIN SELECT RAISE(ABORT, 'versions of the farm are kept'); END;
