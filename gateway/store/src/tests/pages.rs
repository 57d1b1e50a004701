//! Reading a store some of whose pages are bad: every question passes over what cannot be read and names it.

use rusqlite::Connection;

use super::*;

const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// Midnight in Vietnam, a little after T0.
const MIDNIGHT: i64 = (T0 / DAY + 1) * DAY - 7 * HOUR;
/// Forty days of chunks or sums, and a few of the journal.
const N_DAYS: i64 = 45;
const SERIES: [&str; 8] = ["m0", "m1", "m2", "m3", "m4", "m5", "m6", "m7"];

/// Series whose first thirty days are sums, the next ten chunks, the rest in the journal.
fn filled(dir: &Path) {
    let store = Store::open(dir).unwrap();
    let value = |at_us: i64| Some(((at_us / MINUTE) as f64 * 1.618).sin());
    // In parts, the last of them so small that folding leaves it apart: chunks go only as a whole.
    for days in [0..30, 30..40] {
        for metric in SERIES {
            let times = (days.start * 144..days.end * 144).map(|n| MIDNIGHT + n * 10 * MINUTE);
            let values = times.map(|at_us| (at_us, value(at_us)));
            store.writer().commit_blocking(readings("n01", metric, values)).unwrap();
        }
        store.fold().unwrap();
    }
    let keeps = Retention { raw_days: Some(8), utc_offset_min: 420, ..Retention::default() };
    tend(&store, MIDNIGHT + 40 * DAY, Some(&keeps));
    for metric in SERIES {
        for n in 0..10 {
            let times = (n * 30..n * 30 + 30).map(|n| MIDNIGHT + 40 * DAY + n * 10 * MINUTE);
            let values = times.map(|at_us| (at_us, value(at_us)));
            store.writer().commit_blocking(readings("n01", metric, values)).unwrap();
        }
    }
    drop(store);
    // Into the database itself, without folding.
    let conn = Connection::open(dir.join("giot.sqlite")).unwrap();
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    assert!(conn.close().is_ok());
}

/// Pages of a table but those that lead to all others.
fn pages(dir: &Path, table: &str) -> Vec<usize> {
    let conn = Connection::open(dir.join("giot.sqlite")).unwrap();
    let sql = "SELECT pageno FROM dbstat WHERE name = ?1 AND pagetype <> 'internal' ORDER BY pageno";
    let mut found = conn.prepare(sql).unwrap();
    let found = found.query_map([table], |row| row.get::<_, i64>(0)).unwrap();
    found.map(|page| usize::try_from(page.unwrap()).unwrap()).collect()
}

/// What can be read of all series: single readings, values in spans, and what is damaged, by single readings and by spans.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    n_raw: u64,
    n_in_spans: u64,
    raw_gaps: Vec<Gap>,
    gaps: Vec<Gap>,
}

fn see(reader: &Reader) -> Seen {
    let mut seen = Seen::default();
    let edges: Vec<i64> = (0..=N_DAYS).map(|n| MIDNIGHT + n * DAY).collect();
    assert_eq!(reader.series().unwrap().len(), SERIES.len());
    assert_eq!(reader.last_values(None).unwrap().len(), SERIES.len());
    for metric in SERIES {
        let range = MIDNIGHT..MIDNIGHT + N_DAYS * DAY;
        let read = reader.samples("n01", metric, range.clone(), &mut |_| ControlFlow::Continue(())).unwrap();
        seen.n_raw += read.n_samples;
        seen.raw_gaps.extend(read.gaps);
        for rises in [true, false] {
            let (buckets, summary) = reader.buckets("n01", metric, &edges, rises).unwrap();
            assert_eq!(summary.n_samples, buckets.iter().map(|bucket| bucket.n_values).sum::<u64>());
            if rises {
                seen.n_in_spans += summary.n_samples;
                seen.gaps.extend(summary.gaps);
            } else {
                assert!(summary.gaps.iter().all(|gap| seen.gaps.contains(gap)), "{summary:?}");
            }
        }
        let drawn = reader.chart("n01", metric, range, 100).unwrap();
        assert_eq!(drawn.iter().map(|point| u64::from(point.n_values)).sum::<u64>(), read.n_samples);
    }
    seen
}

#[test]
fn spans_and_charts_pass_over_bad_pages_as_single_readings_do() {
    let whole = tempfile::tempdir().unwrap();
    filled(whole.path());
    let before = see(&Reader::open(whole.path()).unwrap());
    let n_all = u64::try_from(SERIES.len()).unwrap() * 144 * 40 + 8 * 300;
    assert_eq!((before.n_in_spans, before.gaps.len(), before.raw_gaps.len()), (n_all, 0, 0));
    assert!(before.n_raw < n_all / 2, "{}", before.n_raw);
    for table in ["chunk", "summary", "journal"] {
        let all = pages(whole.path(), table);
        assert!(all.len() > 3, "{table}: {all:?}");
        for page in all {
            let dir = tempfile::tempdir().unwrap();
            copy_files(whole.path(), dir.path());
            let path = dir.path().join("giot.sqlite");
            let mut bytes = std::fs::read(&path).unwrap();
            bytes[(page - 1) * 4_096..][..4_096].fill(0x5a);
            std::fs::write(&path, bytes).unwrap();
            let seen = see(&Reader::open(dir.path()).unwrap());
            let what = format!("{table}, page {page}: {seen:?}");
            assert!(!seen.gaps.is_empty() && seen.gaps.len() <= SERIES.len() * 8, "{what}");
            // What is missing is told with its time and, but for the journal, to the last reading.
            let inside = |gap: &Gap| {
                (MIDNIGHT..=MIDNIGHT + N_DAYS * DAY).contains(&gap.from_us) && gap.from_us <= gap.to_us
            };
            assert!(seen.gaps.iter().all(inside), "{what}");
            match table {
                "summary" => {
                    assert_eq!((seen.n_raw, &seen.raw_gaps), (before.n_raw, &before.raw_gaps), "{what}");
                    // Days stand for hours that cannot be read, so no more than some of the series' thirty days is missing.
                    assert!(seen.n_in_spans >= n_all - 2 * 144 * 30, "{what}");
                }
                "chunk" => {
                    let n_lost: u64 = seen.gaps.iter().map(|gap| gap.n_samples).sum();
                    assert_eq!(seen.gaps, seen.raw_gaps, "{what}");
                    assert_eq!(
                        (seen.n_raw + n_lost, seen.n_in_spans + n_lost),
                        (before.n_raw, n_all),
                        "{what}"
                    );
                }
                _ => {
                    assert_eq!(seen.gaps, seen.raw_gaps, "{what}");
                    assert!(seen.n_raw < before.n_raw && seen.n_in_spans > n_all - 1_500, "{what}");
                    assert_eq!(before.n_raw - seen.n_raw, n_all - seen.n_in_spans, "{what}");
                }
            }
        }
    }
}

#[test]
fn spans_pass_over_damaged_chunks_and_sums() {
    let whole = tempfile::tempdir().unwrap();
    filled(whole.path());
    let before = see(&Reader::open(whole.path()).unwrap());
    for table in ["chunk", "summary", "journal"] {
        let dir = tempfile::tempdir().unwrap();
        copy_files(whole.path(), dir.path());
        let flip = format!(
            "UPDATE {table} SET blob = CAST(substr(blob, 1, 30) || x'f7f6' || substr(blob, 33) AS BLOB)
             WHERE id = (SELECT max(id) FROM {table})"
        );
        let conn = Connection::open(dir.path().join("giot.sqlite")).unwrap();
        assert_eq!(conn.execute(&flip, []).unwrap(), 1);
        let seen = see(&Reader::open(dir.path()).unwrap());
        assert!(!seen.gaps.is_empty(), "{table}");
        assert_eq!(seen.raw_gaps.is_empty(), table == "summary");
        let n_lost: u64 = seen.gaps.iter().map(|gap| gap.n_samples).max().unwrap();
        assert!(table == "summary" || before.n_in_spans - seen.n_in_spans == n_lost, "{table}: {seen:?}");
    }
}
