//! The hub's way from what a node tells of itself (`news`) to the diary, the store and the page. It decides nothing.

use giot_engine::{By, Entry, Event, Reason};
use giot_shared::ids::NodeId;
use giot_shared::time::UnixMs;
use giot_shared::wire::Hello;

use super::news::{self, Restart};
use super::{Hub, codec};
use crate::ingest::node::LostRun;
use giot_store::DiaryEntry;

impl Hub {
    /// Tells why a node began anew, and why it had done so while it was out of reach, since `last_heard_at`.
    pub(super) fn tell_boot(
        &mut self,
        node: &NodeId,
        hello: &Hello,
        n_unheard: u32,
        last_heard_at: Option<UnixMs>,
    ) {
        let at = self.clock.wall_unchecked().minus_ms(hello.uptime.0);
        let Some(session) = self.sessions.get_mut(node) else { return };
        let before = session.news.restart;
        let mut told = Vec::new();
        for (restart, n_unheard) in news::boots(hello, n_unheard, at, last_heard_at) {
            let Restart { epoch, cause, .. } = restart;
            let last = session.news.restart;
            told.extend(session.news.handle_boot(node, restart, n_unheard));
            if session.news.restart != last {
                tracing::info!(%node, epoch, cause = cause.code(), n_unheard, "a node began anew");
            }
        }
        if session.news.restart == before {
            return;
        }
        let row = session.news.to_row(node);
        let entries: Vec<_> =
            told.into_iter().map(|(event, reason)| self.entry_of_node(event, reason)).collect();
        self.own.diary.extend(entries);
        self.own.memory.push(row);
    }

    /// Keeps that a node sleeps between samples, once that is known.
    pub(super) fn keep_sleep(&mut self, node: &NodeId) {
        let Some(session) = self.sessions.get_mut(node) else { return };
        if session.records.sleeps() && !session.news.sleeps {
            session.news.sleeps = true;
            self.own.memory.push(session.news.to_row(node));
        }
    }

    /// What is to be kept with records of what was lost before them: the node's row, and the entry of a loss that is over.
    pub(super) fn tell_losses(
        &mut self,
        node: &NodeId,
        lost: &[LostRun],
    ) -> (Option<(String, String)>, Option<DiaryEntry>) {
        for run in lost {
            tracing::warn!(%node, epoch = run.first.epoch, from = run.first.seq, to = run.last.seq,
                "the node's memory was full: its oldest readings are lost");
        }
        let Some(session) = self.sessions.get_mut(node) else { return (None, None) };
        let told = session.news.handle_records(node, lost);
        let is_news = !lost.is_empty() || told.is_some();
        let row = is_news.then(|| session.news.to_row(node));
        self.is_view_old |= is_news;
        (row, told.map(|reason| self.entry_of_node(Event::Notified, reason)))
    }

    fn entry_of_node(&self, event: Event, reason: Reason) -> DiaryEntry {
        let now = self.now();
        let entry = Entry {
            at: now.wall,
            mono: now.mono,
            zone: None,
            event,
            command: None,
            by: By::Node,
            reason,
            run_ms: None,
            volume: None,
        };
        codec::diary_entry(&entry, self.clock.wall_us_unchecked())
    }

    /// Records were not stored: what they told is not kept either, and comes again with them.
    pub(super) fn forget_losses(&mut self, node: &NodeId) {
        match self.reader.memory() {
            Ok(rows) => {
                if let Some(session) = self.sessions.get_mut(node) {
                    session.restore_news(news::from_rows(&rows).remove(node).unwrap_or_default());
                }
            }
            Err(error) => tracing::error!(%node, %error, "what a node told of itself could not be read"),
        }
    }
}
