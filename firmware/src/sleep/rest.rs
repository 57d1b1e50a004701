//! The loop's end of sleeping: shows the node to the [`Sleeper`] and tells the board when it has decided.

use super::{Sleeper, Verdict, View, Woken};
use crate::board::Board;
use crate::node::Node;
use crate::outbox::{Level, Outbox};
use crate::settings::{Settings, SettingsError, SleepPlan};
use embedded_storage_async::nor_flash::MultiwriteNorFlash;
use giot_shared::time::UptimeMs;

/// Time until a board that could not sleep is asked again, ms: somebody may hold its button.
const AGAIN_MS: u64 = 20_000;

/// Sleeping, on nodes that are planned to.
#[derive(Debug)]
pub(crate) struct Rest {
    sleeper: Option<Sleeper>,
    contact: bool,
    n_failed: u8,
    n_to_skip: u8,
    /// The board could not sleep: not asked before this uptime.
    again_at: Option<UptimeMs>,
}

impl Rest {
    /// Awake since `now`.
    pub(crate) fn new(plan: Option<SleepPlan>, woken: Option<&Woken>, now: UptimeMs) -> Self {
        let contact = woken.is_none_or(|woken| woken.contact);
        Self {
            sleeper: plan.map(|plan| Sleeper::new(plan, contact, now)),
            contact,
            n_failed: woken.map_or(0, |woken| woken.n_failed),
            n_to_skip: woken.map_or(0, |woken| woken.n_to_skip),
            again_at: None,
        }
    }

    /// A message of the gateway's came.
    pub(crate) const fn heard(&mut self) {
        if let Some(sleeper) = &mut self.sleeper {
            sleeper.heard();
        }
    }

    /// Lets the board sleep when it is time. Returns when to look again, on nodes that sleep; after a sleep it does not
    /// return. `unsent` is whether an answer or a greeting waits for the link.
    pub(crate) async fn look<B: Board>(
        &mut self,
        board: &mut B,
        node: &Node,
        level: Level,
        welcomed: bool,
        unsent: bool,
    ) -> Option<UptimeMs> {
        let sleeper = self.sleeper.as_mut()?;
        let view = View {
            watering: node.is_watering(),
            busy: node.is_busy() || (unsent && welcomed),
            next_at: node.rest_until(),
            welcomed,
            waiting: level.waiting,
        };
        let now = board.uptime();
        if let Some(again_at) = self.again_at.filter(|at| now < *at) {
            return Some(again_at);
        }
        match sleeper.look(now, &view) {
            Verdict::Stay(look_at) => look_at,
            Verdict::Sleep(until) => {
                let mut carry = node.carry(now, level.last);
                (carry.n_failed, carry.n_to_skip) = (self.n_failed, self.n_to_skip);
                carry.note_contact(self.contact, sleeper.was_answered());
                board.sleep_deeply(until, &carry).await;
                self.again_at = Some(board.uptime().plus_ms(AGAIN_MS));
                self.again_at
            }
        }
    }
}

/// Begins counting records: in the epoch that goes on after a deep sleep, or in a new one.
///
/// # Errors
/// The flash failed.
pub(crate) async fn begin_epoch<F: MultiwriteNorFlash>(
    settings: &mut Settings<F>,
    outbox: &mut Outbox<F>,
    woken: Option<&Woken>,
) -> Result<u32, SettingsError> {
    // What flash says counts: memory that kept its content through a sleep may still be that of another installation.
    if let Some(last) = woken.and_then(|woken| woken.last)
        && settings.epoch().await == last.epoch
        && outbox.resume_epoch(last)
    {
        return Ok(last.epoch);
    }
    let epoch = settings.next_epoch(outbox.last().epoch).await?;
    outbox.begin_epoch(epoch);
    Ok(epoch)
}
