-- Schema version 7: rows of small tables carry checksums (store/row_sums.rs). Those that are there get the one of what they hold; 0 is
-- none yet.
ALTER TABLE series ADD COLUMN crc32 INTEGER NOT NULL DEFAULT 0;
ALTER TABLE device ADD COLUMN crc32 INTEGER NOT NULL DEFAULT 0;
ALTER TABLE zone_memory ADD COLUMN crc32 INTEGER NOT NULL DEFAULT 0;
ALTER TABLE valve_event ADD COLUMN crc32 INTEGER NOT NULL DEFAULT 0;
ALTER TABLE farm_version ADD COLUMN crc32 INTEGER NOT NULL DEFAULT 0;
