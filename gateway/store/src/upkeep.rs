//! What the store does by itself while the gateway runs: one round after another, each in small steps at quiet moments.
//!
//! A round gives up what is older than it is to be kept, then, if the store is still too large, what may be given up for room, then joins
//! chunks, then gives pages back. Must not read a clock (the round is told the time) and must not hold up a commit: each step is one
//! short transaction. A round that fails is told and forgotten; the next begins anew. Like folding it only moves or drops what is durable
//! already, so it need not wait for the disk.
//!
//! A wrong clock must not cost history: ages count from the newest reading there is if the clock is ahead of it.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::catalog::SharedCatalog;
use super::commit::PUT_META;
use super::fold::{Compaction, Progress, Statements, Zeal, give_back};
use super::retention::{RAW_DAYS_MIN, Retention};
use super::summary::DAY_US;
use super::tally::HOUR_US;
use super::thin::{Days, thin};
use super::types::RoomNote;

/// How often chunks are looked at for joining, µs: a day, after which a usual series has some small ones.
const COMPACT_EVERY_US: u64 = 86_400 * 1_000_000;

/// Series looked at in one step.
const STEP_SERIES: usize = 64;

/// Valve events given up in one step.
const STEP_EVENTS: usize = 1_000;

/// What is given up for room beyond what is needed, so that the next readings do not need it at once: a twentieth of the budget.
const SLACK_SHARE: u64 = 20;

/// Key of the table `meta` under which the last giving up for room is told.
pub(super) const ROOM_KEY: &str = "store_room";

/// What a round is told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Upkeep {
    /// The time, by whatever clock there is.
    pub now_us: i64,
    /// What is kept for how long; `None`: nothing is given up, as while the clock is not set.
    pub retention: Option<Arc<Retention>>,
}

/// What is given up for room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ForRoom {
    Nothing,
    /// Readings before.
    Readings(i64),
    /// Hours before, when no readings can be given up.
    Hours(i64),
}

#[derive(Debug)]
enum Phase {
    /// Every series in turn; those up to here are done.
    GiveUp {
        upto: u32,
        for_room: ForRoom,
        n_samples: u64,
        n_late: u64,
    },
    ValveEvents,
    Room,
    Compact(Compaction),
    GiveBack,
    Done,
}

/// A round on its way.
#[derive(Debug)]
pub(super) struct Round {
    retention: Option<Arc<Retention>>,
    /// Ages count from here.
    now_us: i64,
    told_us: i64,
    compacts: bool,
    phase: Phase,
    /// What was tried for room last; the same again would not help.
    tried: ForRoom,
    room: RoomNote,
}

/// What is remembered from round to round.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    /// When chunks were last joined.
    compacted_us: Option<i64>,
}

impl Rounds {
    /// Begins a round.
    pub(super) fn begin(&mut self, upkeep: &Upkeep, newest_us: Option<i64>) -> Round {
        let now_us = upkeep.now_us;
        // A clock that jumped counts as a day gone by.
        let compacts = self.compacted_us.is_none_or(|last_us| now_us.abs_diff(last_us) >= COMPACT_EVERY_US);
        if compacts {
            self.compacted_us = Some(now_us);
        }
        // Without any reading there is nothing to give up either.
        let retention = newest_us.and(upkeep.retention.clone());
        let phase = match retention {
            Some(_) => Phase::GiveUp { upto: 0, for_room: ForRoom::Nothing, n_samples: 0, n_late: 0 },
            None => Phase::after_room(compacts),
        };
        Round {
            retention,
            now_us: newest_us.map_or(now_us, |newest_us| now_us.min(newest_us)),
            told_us: now_us,
            compacts,
            phase,
            tried: ForRoom::Nothing,
            room: RoomNote::default(),
        }
    }
}

impl Phase {
    fn after_room(compacts: bool) -> Self {
        if compacts { Self::Compact(Compaction::new(Zeal::Gentle)) } else { Self::GiveBack }
    }
}

impl Round {
    /// Does one bounded part of the work.
    pub(super) fn step(
        &mut self,
        conn: &Connection,
        statements: &mut Statements<'_>,
        catalog: &SharedCatalog,
    ) -> rusqlite::Result<Progress> {
        let next = match &mut self.phase {
            Phase::GiveUp { .. } => self.give_up(conn, statements, catalog)?,
            Phase::ValveEvents => self.valve_events(conn)?.then_some(Phase::Room),
            Phase::Room => Some(self.make_room(conn)?),
            Phase::Compact(compaction) => {
                let progress = compaction.step(conn, statements, catalog)?;
                (progress == Progress::Done).then_some(Phase::GiveBack)
            }
            Phase::GiveBack => {
                let pages_max = match self.retention.as_ref().and_then(|retention| retention.bytes_max) {
                    Some(bytes_max) => Some(u32::try_from(bytes_max / page_bytes(conn)?).unwrap_or(u32::MAX)),
                    None => None,
                };
                let is_done = give_back(conn, Zeal::Gentle, pages_max)? == Progress::Done;
                if is_done {
                    // The file becomes shorter only when the log is copied into it; readers are not waited for.
                    conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
                }
                is_done.then_some(Phase::Done)
            }
            Phase::Done => return Ok(Progress::Done),
        };
        if let Some(next) = next {
            self.phase = next;
        }
        Ok(Progress::Working)
    }

    /// Gives up what of some series is too old; `Some` when all were asked.
    fn give_up(
        &mut self,
        conn: &Connection,
        statements: &mut Statements<'_>,
        catalog: &SharedCatalog,
    ) -> rusqlite::Result<Option<Phase>> {
        let (Phase::GiveUp { upto, for_room, n_samples, n_late }, Some(retention)) =
            (&mut self.phase, self.retention.as_deref())
        else {
            return Ok(Some(Phase::Room));
        };
        let days = Days { offset_us: retention.offset_us() };
        let series = catalog.lock().metrics_after(*upto, STEP_SERIES);
        let (mut due, mut was_thinned) = (Vec::new(), false);
        for (id, metric) in &series {
            let limits = retention.limits(metric, self.now_us);
            let (room_raw_us, room_hourly_us) = match *for_room {
                ForRoom::Nothing => (None, None),
                ForRoom::Readings(before_us) => (Some(before_us), None),
                ForRoom::Hours(before_us) => (None, Some(before_us)),
            };
            if let Some(limit_us) = limits.raw_us.max(room_raw_us)
                && let Some(thinned) = thin(conn, statements, *id, limit_us, days)?
            {
                *n_samples += thinned.n_samples;
                *n_late += thinned.n_late;
                // A step is one stretch; the same series goes on with the next.
                was_thinned = true;
                break;
            }
            for (span_us, limit_us) in
                [(HOUR_US, limits.hourly_us.max(room_hourly_us)), (DAY_US, limits.daily_us)]
            {
                due.extend(limit_us.map(|limit_us| (*id, span_us, limit_us)));
            }
            *upto = *id;
        }
        forget(conn, &due)?;
        if was_thinned || series.len() == STEP_SERIES {
            return Ok(None);
        }
        if *n_samples > 0 {
            tracing::info!(n_samples, "readings older than they are to be kept became hours and days");
        }
        if *n_late > 0 {
            tracing::warn!(n_late, "readings that came after their hour had been summed up were dropped");
        }
        let is_first = *for_room == ForRoom::Nothing;
        Ok(Some(if is_first { Phase::ValveEvents } else { Phase::Room }))
    }

    /// Gives up some old valve events; true when there are no more.
    fn valve_events(&self, conn: &Connection) -> rusqlite::Result<bool> {
        let limit_us = self.retention.as_ref().and_then(|retention| retention.valve_events_us(self.now_us));
        let Some(limit_us) = limit_us else { return Ok(true) };
        let n_gone = conn.execute(
            "DELETE FROM valve_event WHERE id IN (SELECT id FROM valve_event WHERE at_us < ?1 ORDER BY at_us LIMIT ?2)",
            params![limit_us, i64::try_from(STEP_EVENTS).unwrap_or(i64::MAX)],
        )?;
        Ok(n_gone < STEP_EVENTS)
    }

    /// Decides what is given up for room, and tells what was.
    fn make_room(&mut self, conn: &Connection) -> rusqlite::Result<Phase> {
        let on = Phase::after_room(self.compacts);
        let Some(bytes_max) = self.retention.as_ref().and_then(|retention| retention.bytes_max) else {
            return Ok(on);
        };
        let used_bytes = used_bytes(conn)?;
        self.room.used_bytes = used_bytes;
        self.room.bytes_max = bytes_max;
        self.room.at_us = self.told_us;
        let mut for_room = ForRoom::Nothing;
        if used_bytes > bytes_max {
            let excess = used_bytes - bytes_max + bytes_max / SLACK_SHARE;
            let floor_us = self.now_us.saturating_sub(i64::from(RAW_DAYS_MIN).saturating_mul(DAY_US));
            let readings =
                "SELECT to_us / ?1, sum(n_bytes) FROM chunk WHERE to_us < ?2 GROUP BY 1 ORDER BY 1";
            let hours = "SELECT to_us / ?1, sum(n_bytes) FROM summary WHERE to_us < ?2 AND span_us < ?1
                         GROUP BY 1 ORDER BY 1";
            // What was tried already and did not help enough is followed by the next kind.
            for_room = match limit(conn, readings, floor_us, excess)?.map(ForRoom::Readings) {
                Some(readings) if readings != self.tried => readings,
                _ => limit(conn, hours, floor_us, excess)?.map_or(ForRoom::Nothing, ForRoom::Hours),
            };
        }
        match for_room {
            ForRoom::Readings(before_us) => {
                let before_us = self.room.readings_before_us.map_or(before_us, |us| us.max(before_us));
                self.room.readings_before_us = Some(before_us);
            }
            ForRoom::Hours(before_us) => {
                let before_us = self.room.hours_before_us.map_or(before_us, |us| us.max(before_us));
                self.room.hours_before_us = Some(before_us);
            }
            ForRoom::Nothing => {}
        }
        if for_room == ForRoom::Nothing || for_room == self.tried {
            self.room.is_over = used_bytes > bytes_max;
            tell_room(conn, &self.room)?;
            return Ok(on);
        }
        self.tried = for_room;
        Ok(Phase::GiveUp { upto: 0, for_room, n_samples: 0, n_late: 0 })
    }
}

/// Deletes hours and days, each of a series, of a length and up to a time.
fn forget(conn: &Connection, due: &[(u32, i64, i64)]) -> rusqlite::Result<()> {
    if due.is_empty() {
        return Ok(());
    }
    let tx = Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
    let mut forget =
        tx.prepare_cached("DELETE FROM summary WHERE series = ?1 AND span_us = ?2 AND to_us <= ?3")?;
    due.iter().try_for_each(|due| forget.execute(*due).map(drop))?;
    drop(forget);
    tx.commit()
}

fn page_bytes(conn: &Connection) -> rusqlite::Result<u64> {
    conn.pragma_query_value(None, "page_size", |row| row.get::<_, i64>(0)).map(i64::cast_unsigned)
}

/// Bytes of the pages that hold something.
fn used_bytes(conn: &Connection) -> rusqlite::Result<u64> {
    let number = |pragma: &str| {
        conn.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0)).map(i64::cast_unsigned)
    };
    Ok(number("page_count")?.saturating_sub(number("freelist_count")?) * page_bytes(conn)?)
}

/// The end of the day before which rows are to go so that so many bytes go with them; `None` when there are no such rows.
fn limit(conn: &Connection, sql: &str, floor_us: i64, n_bytes: u64) -> rusqlite::Result<Option<i64>> {
    let mut days = conn.prepare(sql)?;
    let mut days = days.query(params![DAY_US, floor_us])?;
    let (mut found, mut n_found) = (None, 0_u64);
    while let Some(row) = days.next()? {
        let end_us = row.get::<_, i64>(0)?.saturating_add(1).saturating_mul(DAY_US);
        // A little later than the last row, and on a whole day of the farm only after the farm's own rounding.
        found = Some(end_us.saturating_add(DAY_US).min(floor_us));
        n_found += row.get::<_, i64>(1)?.cast_unsigned();
        if n_found >= n_bytes {
            break;
        }
    }
    Ok(found)
}

/// Keeps what was given up for room where doctor and page find it, and says so in the log.
fn tell_room(conn: &Connection, room: &RoomNote) -> rusqlite::Result<()> {
    let before: Option<String> =
        conn.query_row("SELECT value FROM meta WHERE key = ?1", [ROOM_KEY], |row| row.get(0)).optional()?;
    let gave_up = room.readings_before_us.is_some() || room.hours_before_us.is_some();
    let was_over = before.as_deref().and_then(RoomNote::parse).is_some_and(|note| note.is_over);
    if room.is_over {
        tracing::error!(
            used_bytes = room.used_bytes,
            bytes_max = room.bytes_max,
            "the store is larger than it may be, and nothing is left that may be given up"
        );
    }
    if gave_up {
        tracing::warn!(
            used_bytes = room.used_bytes,
            bytes_max = room.bytes_max,
            readings_before_us = room.readings_before_us,
            hours_before_us = room.hours_before_us,
            "history was given up because the store was larger than it may be"
        );
    }
    if gave_up || room.is_over || was_over {
        conn.execute(PUT_META, params![ROOM_KEY, room.text()])?;
    }
    Ok(())
}
