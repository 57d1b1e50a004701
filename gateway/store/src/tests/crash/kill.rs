//! Killed at random moments under load: what was acknowledged is there, once.

use std::io::{BufRead, BufReader};

use super::*;

/// Writes for ever, with folding, compaction and retention in between.
fn write_for_ever(dir: &Path) -> ! {
    let store = Store::open(dir).unwrap();
    let from = assert_whole(&store.reader(), 0);
    let (sender, answers) = channel::<i64>();
    std::thread::spawn(move || {
        let mut out = std::io::stdout();
        for n in answers {
            writeln!(out, "ack {n}").unwrap();
            out.flush().unwrap();
        }
    });
    let writer = store.writer();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in from.. {
                let sender = sender.clone();
                let done = Done::call(move |result| {
                    result.unwrap();
                    sender.send(n + 1).unwrap();
                });
                writer.commit_blocking(Batch::default()).unwrap();
                writer.try_submit(batch(n), done).unwrap();
            }
        });
        // Everything else a store does, one after the other.
        for round in 0_i64.. {
            store.fold().unwrap();
            if round % 3 == 0 {
                store.compact().unwrap();
            }
            let now_us = FROM + round * 86_400_000_000;
            let retention = Retention { raw_days: Some(1), hourly_days: None, ..Retention::default() };
            tend(&store, now_us, Some(&retention));
            if round % 5 == 0 {
                let copy = dir.join("copy.sqlite");
                std::fs::remove_file(&copy).ok();
                back_up(dir, &copy, &mut |_, _, _| {}).unwrap();
            }
        }
    });
    unreachable!("the loop has no end")
}

#[test]
fn killed_at_random_moments() {
    if let Some(dir) = child_dir() {
        write_for_ever(&dir);
    }
    let dir = tempfile::tempdir().unwrap();
    let mut dice = Dice::new();
    let n_kills = if is_long() { 200 } else { 10 };
    let mut n_kept = 0;
    for _ in 0..n_kills {
        let mut child = start(child("kill::killed_at_random_moments", dir.path()).stdout(Stdio::piped()));
        // Somewhere within the work after a number of acknowledgements.
        let n_acks = 1 + dice.below(40);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut n_acknowledged = n_kept;
        let mut n_heard = 0;
        for line in lines.by_ref().map_while(Result::ok) {
            if let Some(n) = line.strip_prefix("ack ") {
                n_acknowledged = n.parse().unwrap();
                n_heard += 1;
                if n_heard == n_acks {
                    break;
                }
            }
        }
        assert_eq!(n_heard, n_acks, "the child ended by itself");
        for _ in 0..dice.below(200_000) {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it had said before it died.
        for line in lines.map_while(Result::ok) {
            if let Some(n) = line.strip_prefix("ack ").and_then(|n| n.parse().ok()) {
                n_acknowledged = n_acknowledged.max(n);
            }
        }
        n_kept = judging(|| assert_recovers(dir.path(), n_acknowledged));
        let copy = dir.path().join("copy.sqlite");
        if copy.exists() {
            let other = tempfile::tempdir().unwrap();
            restore(&copy, other.path(), None, &mut |_, _, _| {}).unwrap();
            assert_whole(&Reader::open(other.path()).unwrap(), 0);
        }
        // Only what is worth keeping: the load begins anew when the folder is large.
        if n_kept > 600 {
            for name in ["giot.sqlite", "giot.sqlite-wal", "giot.sqlite-shm", "copy.sqlite"] {
                std::fs::remove_file(dir.path().join(name)).ok();
            }
            n_kept = 0;
        }
    }
}
