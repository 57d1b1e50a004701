//! Messages: what the diary says of faults, locks and rules goes to people by HTTP, wherever they are.
//!
//! The diary is the queue: a message's place in it is kept on the disk (`message/NAME` among the gateway's settings) and moves when a
//! message was taken. So nothing is lost while there is no Internet or no power, and nothing waits in memory. An answer that got lost
//! means that a message comes twice. What was written before a message was set up is not told.
//!
//! Responsible for: telling in the end (P8), in few messages. Must not slow or end the gateway, nor show an address.

pub mod letter;
pub mod post;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::config::MessagePlan;
use crate::hub::view::FarmView;
use crate::sinks::pace::Pace;
use crate::sinks::sender::{is_stopped_after, random, text_of};
use crate::sinks::verdict::Verdict;
use crate::supervisor::Supervisor;
use crate::words::{Names, Words};
use giot_store::{Batch, DiaryFilter, DiaryRow, Reader, Writer};

use self::letter::Letter;
use self::post::Post;

/// Entries that are looked at for one message: with more than these behind, it says that there are more.
const ROWS_MAX: u32 = 5_000;

/// Between two messages: a fault seldom comes alone, and phones should not ring for each.
const REST: Duration = Duration::from_secs(if cfg!(debug_assertions) { 1 } else { 10 });

/// Pause after the store could not be read or written.
const STORE_PAUSE: Duration = Duration::from_secs(5);

/// So many entries that nobody wanted may be looked at again after a start.
const UNSAVED_MAX: i64 = 1_000;

/// What all messages share.
#[derive(Clone, Debug)]
pub struct Around {
    /// To the diary.
    pub reader: Reader,
    /// To the places in it.
    pub writer: Writer,
    /// The farm as it is: names and time zone.
    pub view: watch::Receiver<Arc<FarmView>>,
    /// Moves with the diary.
    pub diary: watch::Receiver<u64>,
    /// Every text in both languages.
    pub words: Arc<Words>,
    /// Turns true when the gateway stops.
    pub stopping: watch::Receiver<bool>,
}

/// Starts a task for each message. One whose files cannot be read says so and is not sent: a farm is watered all the same.
pub fn start(plans: &[MessagePlan], around: &Around, tasks: &mut Supervisor) {
    for plan in plans {
        match Post::open(plan) {
            Ok(post) => {
                let teller = Teller { post, plan: plan.clone(), around: around.clone() };
                tasks.spawn("message", teller.run());
            }
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(
                    message = plan.name,
                    error,
                    "nothing is told there until a start with this mended"
                );
            }
        }
    }
}

/// The name of a message's place among the gateway's settings.
#[must_use]
pub fn place_key(name: &str) -> String {
    format!("message/{name}")
}

struct Teller {
    plan: MessagePlan,
    post: Post,
    around: Around,
}

/// What there is to tell.
struct Round {
    letter: Option<Letter>,
    /// The diary up to which it goes.
    newest: i64,
}

impl Teller {
    async fn run(mut self) -> anyhow::Result<()> {
        let (mut told, mut saved, mut pace) = (None, 0, Pace::default());
        loop {
            // What comes from here on wakes the wait at the end.
            self.around.diary.borrow_and_update();
            let pause = match self.round(told).await {
                Err(error) => {
                    tracing::warn!(message = self.plan.name, %error, "the diary cannot be read for messages");
                    Some(STORE_PAUSE)
                }
                Ok(round) => {
                    let failed = match &round.letter {
                        Some(letter) => self.send(letter, &mut pace).await,
                        None => None,
                    };
                    if failed.is_none() {
                        let is_first = told.replace(round.newest).is_none();
                        if is_first || round.letter.is_some() || round.newest - saved >= UNSAVED_MAX {
                            self.save(round.newest).await;
                            saved = round.newest;
                        }
                    }
                    failed.or_else(|| round.letter.map(|_| REST))
                }
            };
            if self.is_stopped(pause).await {
                return Ok(());
            }
        }
    }

    /// Reads what is new; `told`: up to where everything is told, `None` at the start.
    async fn round(&self, told: Option<i64>) -> anyhow::Result<Round> {
        let (reader, name) = (self.around.reader.clone(), self.plan.name.clone());
        let read = tokio::task::spawn_blocking(move || news(&reader, &name, told)).await?;
        let (rows, newest, is_more) = read?;
        let wanted: Vec<&DiaryRow> = rows.iter().filter(|row| is_wanted(&self.plan, row)).collect();
        if wanted.is_empty() {
            return Ok(Round { letter: None, newest });
        }
        let settings = self.around.view.borrow().settings.clone();
        let letter = Letter::of(
            &wanted,
            is_more,
            self.plan.lang,
            &self.around.words,
            &Names::of(&settings),
            &settings,
        );
        Ok(Round { letter: Some(letter), newest })
    }

    /// Sends a letter; how long to wait where nobody took it.
    async fn send(&mut self, letter: &Letter, pace: &mut Pace) -> Option<Duration> {
        let answer = tokio::select! {
            biased;
            _ = self.around.stopping.wait_for(|stopping| *stopping) => return Some(Duration::ZERO),
            answer = self.post.send(letter) => answer,
        };
        let verdict = Verdict::of_any(&answer);
        let (name, what) = (&self.plan.name, text_of(&answer));
        match verdict {
            Verdict::Taken | Verdict::Outdated => pace.succeeded(),
            // It would be refused for ever, and keep back what comes after it.
            Verdict::BadLine | Verdict::TooLarge | Verdict::NoCompression => {
                tracing::error!(
                    message = name,
                    what,
                    "a message was refused, and what it told stays in the diary only"
                );
                pace.succeeded();
            }
            Verdict::Forbidden | Verdict::Unknown | Verdict::Busy | Verdict::Away => {
                let pause_ms = pace.failed_asking(verdict, answer.later_ms(), random());
                tracing::warn!(message = name, what, pause_ms, "a message did not arrive; tried again");
                return Some(Duration::from_millis(pause_ms));
            }
        }
        None
    }

    async fn save(&self, newest: i64) {
        let meta = vec![(place_key(&self.plan.name), newest.to_string())];
        if let Err(error) = self.around.writer.commit(Batch { meta, ..Batch::default() }).await {
            tracing::warn!(message = self.plan.name, %error, "what was told may be told again after a restart");
        }
    }

    /// Waits for the end of a pause, or for something new.
    async fn is_stopped(&mut self, pause: Option<Duration>) -> bool {
        if let Some(pause) = pause {
            return is_stopped_after(&mut self.around.stopping, pause).await;
        }
        tokio::select! {
            biased;
            _ = self.around.stopping.wait_for(|stopping| *stopping) => true,
            changed = self.around.diary.changed() => changed.is_err(),
        }
    }
}

fn is_wanted(plan: &MessagePlan, row: &DiaryRow) -> bool {
    let entry = &row.entry;
    let is_of_zone = |zone: &String| plan.zones.iter().any(|wanted| wanted.as_str() == zone);
    plan.events.iter().any(|event| event.code() == entry.event)
        && (plan.zones.is_empty() || entry.zone.as_ref().is_some_and(is_of_zone))
}

/// What the diary says since a message's place, newest first; its newest entry, and whether there was more.
fn news(reader: &Reader, name: &str, told: Option<i64>) -> anyhow::Result<(Vec<DiaryRow>, i64, bool)> {
    let head = reader.diary(&DiaryFilter { limit: 1, ..DiaryFilter::default() })?;
    let newest = head.first().map_or(0, |row| row.id);
    let kept = || anyhow::Ok(reader.meta(&place_key(name))?.and_then(|place| place.parse().ok()));
    // A place beyond the end is of another diary; one that is new begins at the end.
    let told =
        told.map_or_else(kept, |told| Ok(Some(told)))?.filter(|told| *told <= newest).unwrap_or(newest);
    let n_new = u32::try_from(newest - told).unwrap_or(u32::MAX);
    if n_new == 0 {
        return Ok((Vec::new(), newest, false));
    }
    let filter =
        DiaryFilter { limit: n_new.min(ROWS_MAX), before_id: Some(newest + 1), ..DiaryFilter::default() };
    Ok((reader.diary(&filter)?, newest, n_new > ROWS_MAX))
}
