//! What a node tells of itself that people should know: why it began anew, and what its full memory gave up. Pure.
//!
//! Kept beside what zones must not forget, one row a node under `news/ID`, in the transaction of the entry of the diary or the
//! records that it comes from: so each is told once, also over a restart of the gateway, and however often the node says it.
//! Waking up from a deep sleep is a boot, and no news.

use giot_engine::{Event, Reason};
use giot_shared::ids::NodeId;
use giot_shared::time::UnixMs;
use giot_shared::wire::{Hello, ResetCause};
use serde_json::{Value, json};
use std::collections::BTreeMap;

use crate::ingest::node::LostRun;

/// Before the node's id.
const ROW: &str = "news/";

/// Restarts because something failed that make a node restless, within a day: one may be a thunderstorm, and two a repair.
pub const RESTLESS_MIN: usize = 3;

/// Moments of such restarts that are kept: a node that does nothing else is told by fewer.
const FAILED_MAX: usize = 100;

/// Boots of a node that the diary has of one day: of a node that begins anew every minute more of them say nothing new, and the
/// diary is kept for ever.
const TOLD_MAX: usize = 24;

const DAY_MS: u64 = 86_400_000;

/// A boot of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restart {
    /// Its number.
    pub epoch: u32,
    /// Why.
    pub cause: ResetCause,
    /// When, as the gateway's clock read; the node was up for a moment before it was heard. Of one that was not heard of while it
    /// lasted the earliest moment: when the node was heard last.
    pub at: UnixMs,
}

/// Records that a node gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// How many.
    pub n_records: u32,
    /// They were made after the record before them, which was made then …
    pub from: UnixMs,
    /// … and before then.
    pub to: UnixMs,
}

/// What is known of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// Its last boot that was no waking up.
    pub restart: Option<Restart>,
    /// When it began anew because something failed: the last ones, oldest first.
    failed: Vec<UnixMs>,
    /// When that was told to be too often.
    restless_at: Option<UnixMs>,
    /// Boots of the last day that the diary has.
    told: Vec<UnixMs>,
    /// What it lost last.
    pub loss: Option<Loss>,
    /// Whether the diary does not have that yet: more of it may come with the next records.
    is_loss_open: bool,
    /// All that it ever lost.
    pub n_lost: u64,
    /// It sleeps between samples: what that means for the dates of a boot that met nobody is needed after a restart too.
    pub(super) sleeps: bool,
}

/// Whether a boot means that something failed.
#[must_use]
pub const fn is_failure(cause: ResetCause) -> bool {
    match cause {
        ResetCause::BrownOut | ResetCause::Watchdog | ResetCause::Panic => true,
        ResetCause::PowerOn | ResetCause::Software | ResetCause::Sleep | ResetCause::Unknown => false,
    }
}

/// The boots that a Hello tells of, `n_unheard` right before it, which began at `at`: each with how many right before it are told of by
/// nobody.
pub(super) fn boots(
    hello: &Hello,
    n_unheard: u32,
    at: UnixMs,
    last_heard_at: Option<UnixMs>,
) -> Vec<(Restart, u32)> {
    // Of a node of which nobody knows when it was heard nothing is said of this day.
    let earliest = last_heard_at.map_or(at.minus_ms(DAY_MS), |last| last.min(at));
    let mut known = hello.epoch.saturating_sub(1).saturating_sub(n_unheard);
    let mut boots = Vec::new();
    let unmet = hello.unmet.iter().map(|one| Restart { epoch: one.epoch, cause: one.cause, at: earliest });
    for restart in unmet.chain([Restart { epoch: hello.epoch, cause: hello.reset, at }]) {
        let is_own = restart.epoch == hello.epoch;
        if is_own || (known + 1..hello.epoch).contains(&restart.epoch) {
            boots.push((restart, restart.epoch.saturating_sub(known).saturating_sub(1)));
            known = restart.epoch;
        }
    }
    boots
}

impl News {
    #[cfg(test)]
    pub(super) fn of_sleeper() -> Self {
        Self { sleeps: true, ..Self::default() }
    }

    /// A node is heard in a boot for the first time; `n_unheard` boots right before it were never heard of. What the diary is to
    /// have of it.
    pub(super) fn handle_boot(
        &mut self,
        node: &NodeId,
        restart: Restart,
        n_unheard: u32,
    ) -> Vec<(Event, Reason)> {
        let Restart { epoch, cause, at } = restart;
        let is_known = self.restart.is_some_and(|last| last.epoch >= epoch);
        if is_known || cause == ResetCause::Sleep {
            return Vec::new();
        }
        self.restart = Some(restart);
        let mut entries = Vec::new();
        self.told.retain(|told| is_within_a_day(*told, at));
        if self.told.len() < TOLD_MAX {
            self.told.push(at);
            let told = Reason::NodeRestarted { node: node.clone(), restart: cause, epoch, n_unheard };
            entries.push((Event::Node, told));
        }
        if is_failure(cause) {
            self.failed.retain(|failed| is_within_a_day(*failed, at));
            self.failed.push(at);
            let n_too_many = self.failed.len().saturating_sub(FAILED_MAX);
            self.failed.drain(..n_too_many);
            // Once a day.
            let is_told = self.restless_at.is_some_and(|told| is_within_a_day(told, at));
            if self.failed.len() >= RESTLESS_MIN && !is_told {
                self.restless_at = Some(at);
                let n_restarts = u32::try_from(self.failed.len()).unwrap_or(u32::MAX);
                let restless = Reason::NodeRestless { node: node.clone(), restart: cause, n_restarts };
                entries.push((Event::Notified, restless));
            }
        }
        entries
    }

    /// Records came in, and with them what was lost before each. What the diary is to have of it: a loss that is over, so that
    /// one of many pieces is told once.
    pub(super) fn handle_records(&mut self, node: &NodeId, lost: &[LostRun]) -> Option<Reason> {
        for run in lost {
            let n_records = run.n_records();
            self.n_lost = self.n_lost.saturating_add(n_records.into());
            let (from, to) = (run.after, run.before);
            let open = self.loss.filter(|_| self.is_loss_open);
            self.loss = Some(match open {
                Some(loss) => Loss {
                    n_records: loss.n_records.saturating_add(n_records),
                    from: loss.from.min(from),
                    to: loss.to.max(to),
                },
                None => Loss { n_records, from, to },
            });
            self.is_loss_open = true;
        }
        if !lost.is_empty() || !std::mem::take(&mut self.is_loss_open) {
            return None;
        }
        let Loss { n_records, from, to } = self.loss?;
        Some(Reason::ReadingsLost { node: node.clone(), n_records, from_at: from, to_at: to })
    }

    /// How often it began anew within the last day because something failed.
    #[must_use]
    pub fn n_failed(&self, now: UnixMs) -> usize {
        self.failed.iter().filter(|failed| is_within_a_day(**failed, now)).count()
    }

    /// Whether that is too often.
    #[must_use]
    pub fn is_restless(&self, now: UnixMs) -> bool {
        self.n_failed(now) >= RESTLESS_MIN
    }

    /// As the store keeps it.
    pub(super) fn to_row(&self, node: &NodeId) -> (String, String) {
        let restart = self
            .restart
            .map(|Restart { epoch, cause, at }| json!({ "epoch": epoch, "cause": cause.code(), "at": at.0 }));
        let loss = self.loss.map(|Loss { n_records, from, to }| {
            json!({ "n_records": n_records, "from": from.0, "to": to.0, "is_open": self.is_loss_open })
        });
        let json = json!({
            "restart": restart,
            "failed": moments(&self.failed),
            "restless_at": self.restless_at.map(|at| at.0),
            "told": moments(&self.told),
            "loss": loss,
            "n_lost": self.n_lost,
            "sleeps": self.sleeps,
        });
        (format!("{ROW}{node}"), json.to_string())
    }

    fn from_json(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let present = |key: &str| value.get(key).filter(|value| !value.is_null());
        let unix = |value: &Value, key: &str| value.get(key).and_then(Value::as_i64).map(UnixMs);
        let count = |value: &Value, key: &str| u32::try_from(value.get(key)?.as_u64()?).ok();
        let restart = match present("restart") {
            Some(restart) => Some(Restart {
                epoch: count(restart, "epoch")?,
                cause: ResetCause::from_code(restart.get("cause")?.as_str()?)?,
                at: unix(restart, "at")?,
            }),
            None => None,
        };
        let loss = match present("loss") {
            Some(loss) => Some(Loss {
                n_records: count(loss, "n_records")?,
                from: unix(loss, "from")?,
                to: unix(loss, "to")?,
            }),
            None => None,
        };
        let is_loss_open = present("loss").and_then(|loss| loss.get("is_open")?.as_bool());
        let moments = |key: &str| -> Option<Vec<UnixMs>> {
            value.get(key)?.as_array()?.iter().map(|at| at.as_i64().map(UnixMs)).collect()
        };
        Some(Self {
            restart,
            failed: moments("failed")?,
            restless_at: unix(&value, "restless_at"),
            told: moments("told")?,
            loss,
            is_loss_open: is_loss_open.unwrap_or(false),
            n_lost: value.get("n_lost")?.as_u64()?,
            // An earlier version did not keep it.
            sleeps: value.get("sleeps").and_then(Value::as_bool).unwrap_or(false),
        })
    }
}

/// What was kept of nodes; what cannot be read counts as never kept.
#[must_use]
pub fn from_rows(rows: &BTreeMap<String, String>) -> BTreeMap<NodeId, News> {
    let kept = |(row, text): (&String, &String)| {
        Some((row.strip_prefix(ROW)?.parse().ok()?, News::from_json(text)?))
    };
    rows.iter().filter_map(kept).collect()
}

fn moments(moments: &[UnixMs]) -> Vec<i64> {
    moments.iter().map(|at| at.0).collect()
}

/// A clock that was set back makes moments of the future: they count for nothing.
fn is_within_a_day(at: UnixMs, now: UnixMs) -> bool {
    at <= now && now.since_ms(at) < DAY_MS
}

#[cfg(test)]
mod tests {
    use super::*;
    use giot_shared::ids::Position;
    use giot_shared::time::UptimeMs;
    use giot_shared::wire::UnmetBoot;

    const HOUR_MS: u64 = 3_600_000;
    const T0: UnixMs = UnixMs(1_800_000_000_000);

    fn node() -> NodeId {
        "v01".parse().expect("an id")
    }

    fn boot(news: &mut News, epoch: u32, cause: ResetCause, hour: u64) -> Vec<&'static str> {
        let restart = Restart { epoch, cause, at: T0.plus_ms(hour * HOUR_MS) };
        let entries = news.handle_boot(&node(), restart, 0);
        // Whatever is kept comes back.
        let rows = BTreeMap::from([news.to_row(&node())]);
        assert_eq!(from_rows(&rows), BTreeMap::from([(node(), news.clone())]));
        entries.iter().map(|(_, reason)| reason.code()).collect()
    }

    fn lost(seq: u32, to: u32, after_h: u64, before_h: u64) -> LostRun {
        LostRun {
            first: Position { epoch: 1, seq },
            last: Position { epoch: 1, seq: to },
            after: T0.plus_ms(after_h * HOUR_MS),
            before: T0.plus_ms(before_h * HOUR_MS),
        }
    }

    #[test]
    fn a_boot_is_told_once_and_waking_up_is_none() {
        let mut news = News::default();
        assert_eq!(boot(&mut news, 4, ResetCause::PowerOn, 0), ["node_restarted"]);
        assert!(boot(&mut news, 4, ResetCause::PowerOn, 1).is_empty(), "the connection was lost");
        assert!(boot(&mut news, 5, ResetCause::Sleep, 2).is_empty());
        assert_eq!(news.restart.map(|restart| restart.epoch), Some(4));
        assert_eq!(boot(&mut news, 6, ResetCause::Watchdog, 3), ["node_restarted"]);
        assert_eq!(news.restart.map(|restart| restart.cause), Some(ResetCause::Watchdog));
    }

    #[test]
    fn a_node_that_fails_again_and_again_is_told_once_a_day() {
        let mut news = News::default();
        let failing = [ResetCause::Watchdog, ResetCause::Panic, ResetCause::BrownOut];
        for (epoch, cause) in (1..).zip(failing) {
            let told = boot(&mut news, epoch, cause, u64::from(epoch));
            assert_eq!(told.contains(&"node_restless"), epoch == 3, "boot {epoch}");
        }
        assert!(news.is_restless(T0.plus_ms(24 * HOUR_MS)));
        assert!(!news.is_restless(T0.plus_ms(26 * HOUR_MS)), "only two of them are of this day");
        assert!(!news.is_restless(T0), "a clock that was set back");
        assert_eq!(boot(&mut news, 4, ResetCause::Panic, 5), ["node_restarted"]);
        assert_eq!(boot(&mut news, 5, ResetCause::PowerOn, 6), ["node_restarted"]);
        assert_eq!(news.n_failed(T0.plus_ms(6 * HOUR_MS)), 4, "a power cut is nobody's failure");
        // Two days of peace later it begins again.
        for (epoch, wanted) in [(6, 1), (7, 1), (8, 2)] {
            assert_eq!(boot(&mut news, epoch, ResetCause::Panic, 54).len(), wanted, "boot {epoch}");
        }
        // Every eight hours for a week: three within each day, and told once in each.
        let boots = (9..30).filter(|epoch| {
            let hour = 100 + 8 * u64::from(*epoch);
            boot(&mut news, *epoch, ResetCause::Panic, hour).contains(&"node_restless")
        });
        assert_eq!(boots.count(), 7);
        // A node that does nothing else fills neither the diary nor its row.
        let n_told: usize = (30..300).map(|epoch| boot(&mut news, epoch, ResetCause::Panic, 400).len()).sum();
        assert_eq!(n_told, TOLD_MAX + 1);
        assert_eq!(news.failed.len(), FAILED_MAX);
    }

    /// Its cause was lost with a boot that met no gateway.
    #[test]
    fn boots_that_met_nobody_are_told_when_somebody_is_met() {
        let hello = |epoch, reset, unmet: &[(u32, ResetCause)]| Hello {
            nonce: 1,
            epoch,
            uptime: UptimeMs(0),
            released: Position::default(),
            counter: 0,
            reset,
            firmware: Default::default(),
            valves: Default::default(),
            clock: None,
            drift_ms: 0,
            ended: Default::default(),
            unmet: unmet.iter().map(|&(epoch, cause)| UnmetBoot { epoch, cause }).collect(),
        };
        let told = |hello: &Hello, n_unheard, last_heard_h: Option<u64>| {
            let last_heard_at = last_heard_h.map(|hour| T0.plus_ms(hour * HOUR_MS));
            let boots = boots(hello, n_unheard, T0.plus_ms(100 * HOUR_MS), last_heard_at).into_iter();
            boots.map(|(boot, n_unheard)| (boot.epoch, boot.cause, n_unheard)).collect::<Vec<_>>()
        };
        use ResetCause::{Panic, PowerOn, Sleep, Watchdog};
        let unmet = [(4, Watchdog), (5, Panic), (7, Panic)];
        let after = hello(9, PowerOn, &unmet);
        let all = [(4, Watchdog, 1), (5, Panic, 0), (7, Panic, 1), (9, PowerOn, 1)];
        assert_eq!(told(&after, 6, Some(90)), all);
        assert_eq!(
            told(&after, 4, Some(90)),
            all.map(|(epoch, cause, n)| (epoch, cause, if epoch == 5 { 0 } else { n }))[1..]
        );
        // An older node tells none, and one that slept on tells its own boot.
        assert_eq!(told(&hello(9, PowerOn, &[]), 6, None), [(9, PowerOn, 6)]);
        assert_eq!(told(&hello(9, Sleep, &[(9, Watchdog)]), 0, None), [(9, Watchdog, 0), (9, Sleep, 0)]);
        // Whether it was within a day is known where it was heard within a day.
        for (last_heard_h, is_restless) in [(Some(90), true), (Some(70), false), (None, false)] {
            let at = T0.plus_ms(100 * HOUR_MS);
            let last_heard_at = last_heard_h.map(|hour| T0.plus_ms(hour * HOUR_MS));
            let mut news = News::default();
            let told: Vec<_> = boots(&after, 6, at, last_heard_at)
                .into_iter()
                .flat_map(|(restart, n_unheard)| news.handle_boot(&node(), restart, n_unheard))
                .map(|(_, reason)| reason.code())
                .collect();
            assert_eq!(told.iter().filter(|code| **code == "node_restarted").count(), 4);
            assert_eq!(news.is_restless(at), is_restless, "{last_heard_h:?}");
            assert_eq!(news.restart.map(|restart| (restart.epoch, restart.cause)), Some((9, PowerOn)));
        }
    }

    #[test]
    fn a_loss_in_pieces_is_told_once_when_it_is_over() {
        let mut news = News::default();
        assert_eq!(news.handle_records(&node(), &[]), None);
        assert_eq!(news.handle_records(&node(), &[lost(1, 10, 1, 3), lost(12, 12, 3, 5)]), None);
        // A restart of the gateway in between.
        let rows = BTreeMap::from([news.to_row(&node())]);
        let mut news = from_rows(&rows).remove(&node()).expect("kept");
        assert_eq!(news.handle_records(&node(), &[lost(14, 20, 5, 8)]), None);
        let told = Reason::ReadingsLost {
            node: node(),
            n_records: 18,
            from_at: T0.plus_ms(HOUR_MS),
            to_at: T0.plus_ms(8 * HOUR_MS),
        };
        assert_eq!(news.handle_records(&node(), &[]), Some(told));
        assert_eq!(news.handle_records(&node(), &[]), None);
        assert_eq!((news.n_lost, news.loss.map(|loss| loss.n_records)), (18, Some(18)));
        // Another one is one of its own.
        news.handle_records(&node(), &[lost(40, 41, 20, 21)]);
        assert_eq!((news.n_lost, news.loss.map(|loss| loss.n_records)), (20, Some(2)));
    }

    #[test]
    fn what_is_no_news_is_refused() {
        for bad in ["", "{}", "[]", r#"{"restart":{"epoch":1},"failed":[],"told":[],"n_lost":0}"#] {
            assert_eq!(News::from_json(bad), None, "{bad}");
        }
    }
}
