//! The loop of one sink: collect, send, keep the cursor, wait. It holds no rule: `delivery`, `window`, `pace` and `verdict` do.
//!
//! Wakes for, in this order: the gateway's stop, an answer, the end of a pause. Stops within the time of one commit: what is under way
//! then is sent again at the next start, which doubles nothing.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::clock::{self, Clock};
use crate::config::SinkPlan;
use giot_store::{ParkedLine, Reader, SinkPlace, SinkRow, SinkSave, SinkState, SinkWish, Writer};

use super::delivery::{Delivery, Manners};
use super::line::Mapping;
use super::pace::Pace;
use super::source::{Item, Source, Work};
use super::verdict::{Answer, Verdict};
use super::window::{Place, Window};

/// How long the cursor's progress may stay in memory while nothing else must be kept: after a start so much more is sent again.
const SAVE_MS: u64 = 60_000;

/// How often it is counted what waits.
const COUNT_MS: u64 = 30_000;

/// How often a sink is asked whether it is there and still the same. Short in tests, so that they see it.
const PROBE_MS: u64 = if cfg!(test) { 20 } else { 20_000 };

/// Pause after the store could not be read or written.
const STORE_PAUSE: Duration = Duration::from_secs(5);

/// Smaller bodies are not worth compressing.
const COMPRESS_BYTES: usize = 512;

/// A way to a time-series store.
pub trait Door: Send + Sync + 'static {
    /// Sends lines.
    fn write(&self, lines: Vec<u8>, is_compressed: bool) -> impl Future<Output = Answer> + Send;
    /// Asks whether anybody is there.
    fn ping(&self) -> impl Future<Output = Answer> + Send;
}

/// How a sink does, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkView {
    /// Its name.
    pub name: String,
    /// One word: new, ok, away, busy, forbidden, unknown or rejecting.
    pub state: &'static str,
    /// What it said last.
    pub detail: String,
    /// Since when it is in that state, ms since 1970.
    pub since_ms: i64,
    /// When it last took something, ms since 1970.
    pub taken_ms: Option<i64>,
    /// Readings and diary entries that wait, about.
    pub n_waiting: u64,
    /// The earliest of them, ms since 1970.
    pub oldest_ms: Option<i64>,
    /// Lines that it refused for good, ever.
    pub n_parked: u64,
}

impl SinkView {
    /// Of a sink that was not reached yet.
    #[must_use]
    pub fn new(name: String) -> Self {
        Self {
            name,
            state: "new",
            detail: String::new(),
            since_ms: 0,
            taken_ms: None,
            n_waiting: 0,
            oldest_ms: None,
            n_parked: 0,
        }
    }
}

/// What a sender is made of.
#[derive(Debug)]
pub struct Parts<D> {
    /// What it was told.
    pub plan: SinkPlan,
    /// The way to the sink.
    pub door: D,
    /// Names and tags.
    pub mapping: Arc<Mapping>,
    /// To the history.
    pub reader: Reader,
    /// To the cursor.
    pub writer: Writer,
    /// The gateway's time.
    pub clock: Clock,
    /// Where people look.
    pub view: watch::Sender<SinkView>,
    /// Turns true when the gateway stops.
    pub stopping: watch::Receiver<bool>,
}

/// Whether the sink takes compressed bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gzip {
    /// Nobody wants it, or it does not.
    Off,
    /// Not known.
    Untried,
    /// The next body goes plain: was it the compression that it refused?
    Doubted,
    /// It does.
    Proven,
}

/// How a delivery ended.
enum End {
    /// Everything was taken or set aside: the lines set aside, and how many more like them.
    Done(Vec<ParkedLine>, usize),
    /// Nothing gets through; the pause that the sink asked for, ms.
    Failed(Verdict, String, Option<u64>),
    /// The gateway stops.
    Stopped,
}

struct Sender<D> {
    plan: SinkPlan,
    door: D,
    reader: Reader,
    writer: Writer,
    clock: Clock,
    view: watch::Sender<SinkView>,
    stopping: watch::Receiver<bool>,
    began: Instant,
    row: SinkRow,
    window: Window,
    manners: Manners,
    pace: Pace,
    gzip: Gzip,
    /// Something was taken in this epoch, which a restart of the sink would undo.
    has_sent: bool,
    /// A line that the sink took in this process.
    last_taken: Option<Vec<u8>>,
    /// Progress that is not on disk.
    unsaved: SinkSave,
    saved_ms: u64,
    counted_ms: Option<u64>,
    probed_ms: u64,
}

/// Sends to one sink until the gateway stops.
///
/// # Errors
/// Never: whatever happens to a sink, the gateway goes on.
pub async fn run<D: Door>(parts: Parts<D>) -> anyhow::Result<()> {
    let Parts { plan, door, mapping, reader, writer, clock, view, mut stopping } = parts;
    let wish = SinkWish::Register {
        name: plan.name.clone(),
        mapping: mapping.fingerprint(),
        since_us: plan.since_us,
    };
    let row = loop {
        match writer.sink(wish.clone()).await {
            Ok(row) => break row,
            Err(error) => {
                tracing::warn!(sink = plan.name, %error, "the sink's cursor cannot be kept; tried again");
                if is_stopped_after(&mut stopping, STORE_PAUSE).await {
                    return Ok(());
                }
            }
        }
    };
    let source = Source::new(reader.clone(), row.id, mapping, plan.metrics.clone());
    let gzip = if plan.gzip { Gzip::Untried } else { Gzip::Off };
    let window = Window::new(plan.lag_ms, Place { journal: row.journal_id, diary: row.diary_id });
    let mut sender = Sender {
        door,
        reader,
        writer,
        clock,
        view,
        stopping,
        began: clock::monotonic(),
        window,
        manners: Manners::default(),
        pace: Pace::default(),
        gzip,
        has_sent: false,
        last_taken: None,
        unsaved: SinkSave::default(),
        saved_ms: 0,
        counted_ms: None,
        probed_ms: 0,
        plan,
        row,
    };
    sender.tell_folding(0);
    sender.view.send_modify(|view| {
        view.since_ms = sender.clock.wall_unchecked().0;
        view.taken_ms = sender.row.taken_us.map(|at_us| at_us.div_euclid(1000));
        view.n_parked = sender.row.n_parked;
    });
    sender.work(source).await;
    Ok(())
}

impl<D: Door> Sender<D> {
    async fn work(&mut self, mut source: Source) {
        loop {
            let (epoch, sent) = (self.row.epoch, self.window.sent());
            let collected = tokio::task::spawn_blocking(move || {
                let row = source.row();
                let work = source.collect(epoch, sent);
                (source, row, work)
            });
            // A panic while collecting ends the task, and the gateway says so.
            let Ok((back, row, work)) = collected.await else { return };
            source = back;
            let work = match (row, work) {
                (Ok(row), Ok(work)) => {
                    if self.heed(row) {
                        continue;
                    }
                    work
                }
                (Err(error), _) | (_, Err(error)) => {
                    tracing::warn!(sink = self.plan.name, %error, "the history cannot be read for the sink");
                    if self.pause(STORE_PAUSE).await {
                        break;
                    }
                    continue;
                }
            };
            if self.go_on(&source, work).await {
                break;
            }
        }
        self.save().await;
    }

    /// Deals with what was collected; true when the gateway stops.
    async fn go_on(&mut self, source: &Source, work: Work) -> bool {
        self.set_aside_names(&work);
        if let Some(is_stopped) = self.probe().await {
            return is_stopped;
        }
        if work.items.is_empty() && work.spans.is_empty() {
            // Commits without a wanted reading move the cursor as well.
            self.window.note(self.now_ms(), work.place);
            return self.idle().await;
        }
        match self.deliver(source, &work).await {
            End::Stopped => true,
            End::Done(parked, n_more) => {
                self.unsaved.n_refused += u64::try_from(n_more).unwrap_or(u64::MAX);
                self.done(work, parked).await;
                *self.stopping.borrow()
            }
            End::Failed(verdict, detail, asked_ms) => {
                self.show(verdict.word(), detail);
                if verdict == Verdict::Away {
                    self.start_over().await;
                }
                self.save_if_due().await;
                let pause_ms = self.pace.failed_asking(verdict, asked_ms, random());
                self.count().await;
                self.pause(Duration::from_millis(pause_ms)).await
            }
        }
    }

    /// Sends everything of `work`.
    async fn deliver(&mut self, source: &Source, work: &Work) -> End {
        let mut delivery = Delivery::new(work.items.len());
        while let Some(range) = delivery.next(&self.manners) {
            let (body, n) = match source.encode(&work.items, range) {
                Ok(encoded) => encoded,
                Err(reason) => {
                    delivery.unspeakable(&reason);
                    continue;
                }
            };
            let is_compressed =
                matches!(self.gzip, Gzip::Untried | Gzip::Proven) && body.len() >= COMPRESS_BYTES;
            let first_line = body.split_inclusive(|byte| *byte == b'\n').next().map(<[u8]>::to_vec);
            let answer = tokio::select! {
                biased;
                _ = self.stopping.wait_for(|stopping| *stopping) => return End::Stopped,
                answer = self.door.write(body, is_compressed) => answer,
            };
            let verdict = Verdict::of(&answer, is_compressed);
            let text = text_of(&answer);
            tracing::debug!(sink = self.plan.name, n_lines = n, ?verdict, text, "sent");
            let goes_on = match verdict {
                Verdict::Taken | Verdict::Outdated => {
                    self.taken(n, is_compressed, verdict, &text);
                    delivery.taken(n, &mut self.manners);
                    if verdict == Verdict::Taken {
                        self.last_taken = first_line;
                    }
                    true
                }
                Verdict::BadLine if is_compressed && self.gzip == Gzip::Untried => {
                    self.gzip = Gzip::Doubted;
                    true
                }
                Verdict::BadLine => {
                    if self.gzip == Gzip::Doubted {
                        // Plain it is refused as well: the compression was not at fault.
                        self.gzip = Gzip::Proven;
                    }
                    let is_believed = delivery.bad(n, &text, &mut self.manners);
                    if !is_believed && self.takes_others().await {
                        refuse_series(&mut delivery, &work.items, &mut self.manners);
                        continue;
                    }
                    is_believed
                }
                Verdict::TooLarge => delivery.too_large(n, &text, &mut self.manners),
                Verdict::NoCompression => {
                    self.gzip = Gzip::Off;
                    true
                }
                Verdict::Busy => {
                    self.show(verdict.word(), text);
                    let pause_ms = self.pace.failed_asking(verdict, answer.later_ms(), random());
                    if self.pause(Duration::from_millis(pause_ms)).await {
                        return End::Stopped;
                    }
                    continue;
                }
                Verdict::Forbidden | Verdict::Unknown | Verdict::Away => false,
            };
            if !goes_on {
                return End::Failed(verdict, text, answer.later_ms());
            }
        }
        let at_us = self.clock.wall_us_unchecked();
        let parked = delivery.refused().iter().map(|(idx, reason)| {
            let line = source.encode(&work.items, *idx..idx + 1).map_or_else(
                |_| format!("{:?}", work.items.get(*idx)),
                |(line, _)| String::from_utf8_lossy(&line).trim_end().to_owned(),
            );
            ParkedLine { at_us, line, reason: reason.clone() }
        });
        End::Done(parked.collect(), delivery.n_refused_unasked())
    }

    /// Whether the sink takes a line that it took before: then it is the others that are at fault.
    async fn takes_others(&self) -> bool {
        let Some(line) = self.last_taken.clone() else { return false };
        Verdict::of(&self.door.write(line, false).await, false) == Verdict::Taken
    }

    /// The sink has `n` more lines.
    fn taken(&mut self, n: usize, is_compressed: bool, verdict: Verdict, text: &str) {
        self.gzip = match self.gzip {
            Gzip::Untried if is_compressed => Gzip::Proven,
            Gzip::Doubted => Gzip::Off,
            known @ (Gzip::Untried | Gzip::Off | Gzip::Proven) => known,
        };
        self.pace.succeeded();
        self.has_sent = true;
        self.unsaved.n_sent += u64::try_from(n).unwrap_or(u64::MAX);
        let now_us = self.clock.wall_us_unchecked();
        self.unsaved.taken_us = Some(now_us);
        self.show("ok", if verdict == Verdict::Outdated { text.to_owned() } else { String::new() });
        self.view.send_modify(|view| view.taken_ms = Some(now_us.div_euclid(1000)));
    }

    /// Everything of `work` is dealt with.
    async fn done(&mut self, work: Work, parked: Vec<ParkedLine>) {
        let now_ms = self.now_ms();
        self.window.note(now_ms, work.place);
        self.tell_folding(now_ms);
        for ParkedLine { line, reason, .. } in &parked {
            tracing::error!(
                sink = self.plan.name,
                line,
                reason,
                "the sink refuses a line for good; it is set aside"
            );
        }
        self.unsaved.spans.extend(work.spans);
        self.unsaved.parked.extend(parked);
        let has_refused = !self.unsaved.parked.is_empty() || self.unsaved.n_refused > 0;
        if self.unsaved.spans.is_empty() && !has_refused {
            self.save_if_due().await;
        } else {
            // The same spans would be due again otherwise.
            while !self.save().await && !self.pause(STORE_PAUSE).await {}
        }
        self.count().await;
    }

    /// Series whose names line protocol cannot carry are told once.
    fn set_aside_names(&mut self, work: &Work) {
        let at_us = self.clock.wall_us_unchecked();
        for what in &work.unspeakable {
            tracing::error!(sink = self.plan.name, what, "a series cannot be sent");
            let reason = "its readings are not sent".to_owned();
            self.unsaved.parked.push(ParkedLine { at_us, line: what.clone(), reason });
        }
    }

    /// Takes over what another process changed; true when the cursor moved.
    fn heed(&mut self, row: Option<SinkRow>) -> bool {
        let expected = self.row.diary_id;
        let Some(row) = row.filter(|row| row.diary_id < expected) else { return false };
        self.window.rewind_diary(row.diary_id);
        self.row = SinkRow { epoch: self.row.epoch, ..row };
        true
    }

    /// The sink may have restarted: what it took and is not safe goes again.
    async fn start_over(&mut self) {
        if !self.has_sent {
            return;
        }
        match self.writer.sink(SinkWish::NextEpoch(self.row.id)).await {
            Ok(row) => {
                self.row.epoch = row.epoch;
                self.has_sent = false;
                self.window.start_over();
                self.tell_folding(self.now_ms());
                tracing::info!(sink = self.plan.name, "what it may have lost will be sent again");
            }
            Err(error) => tracing::warn!(sink = self.plan.name, %error, "the sink's cursor cannot be kept"),
        }
    }

    /// Asks now and then whether the sink is there and still the same. `Some` when what was collected no longer holds: whether the
    /// gateway stops.
    async fn probe(&mut self) -> Option<bool> {
        let now_ms = self.now_ms();
        if now_ms.saturating_sub(self.probed_ms) < PROBE_MS {
            return None;
        }
        self.probed_ms = now_ms;
        let answer = tokio::select! {
            biased;
            _ = self.stopping.wait_for(|stopping| *stopping) => return Some(true),
            answer = self.door.ping() => answer,
        };
        let is_away = Verdict::of_any(&answer) == Verdict::Away;
        let state = self.view.borrow().state;
        if is_away {
            self.show(Verdict::Away.word(), text_of(&answer));
        } else if state == Verdict::Away.word() {
            self.show("ok", String::new());
        }
        if !is_away || !self.has_sent {
            return None;
        }
        self.start_over().await;
        Some(false)
    }

    /// Nothing is new; true when the gateway stops.
    async fn idle(&mut self) -> bool {
        let now_ms = self.now_ms();
        self.window.settle(now_ms);
        self.save_if_due().await;
        self.count().await;
        self.pause(Duration::from_millis(self.plan.interval_ms)).await
    }

    async fn save_if_due(&mut self) {
        let is_pressing = self.unsaved.state.is_some() || !self.unsaved.parked.is_empty();
        if is_pressing || self.now_ms().saturating_sub(self.saved_ms) >= SAVE_MS {
            self.save().await;
        }
    }

    /// Keeps the progress; false when the disk does not take it, and then it stays in memory.
    async fn save(&mut self) -> bool {
        let now_ms = self.now_ms();
        self.window.settle(now_ms);
        let (safe, sent) = (self.window.safe(), self.window.sent());
        let same_place = (safe.journal, safe.diary) == (self.row.journal_id, self.row.diary_id)
            && (sent.journal, sent.diary) == (self.row.journal_sent, self.row.diary_sent);
        self.saved_ms = now_ms;
        if same_place && self.unsaved == SinkSave::default() {
            return true;
        }
        let save = SinkSave {
            sink: self.row.id,
            epoch: self.row.epoch,
            journal_id: safe.journal,
            journal_sent: sent.journal,
            diary_id: (self.row.diary_id, safe.diary),
            diary_sent: sent.diary,
            now_ms: signed(now_ms),
            safe_ms: signed(now_ms.saturating_sub(self.plan.lag_ms)),
            ..self.unsaved.clone()
        };
        match self.writer.sink(SinkWish::Save(save)).await {
            Ok(row) => {
                if row.diary_id < safe.diary {
                    self.window.rewind_diary(row.diary_id);
                }
                self.view.send_modify(|view| view.n_parked = row.n_parked);
                self.row = row;
                self.unsaved = SinkSave::default();
                true
            }
            Err(error) => {
                tracing::warn!(sink = self.plan.name, %error, "the sink's cursor cannot be kept; tried again");
                false
            }
        }
    }

    /// Counts what waits, now and then.
    async fn count(&mut self) {
        let now_ms = self.now_ms();
        if self.counted_ms.is_some_and(|counted_ms| now_ms.saturating_sub(counted_ms) < COUNT_MS) {
            return;
        }
        self.counted_ms = Some(now_ms);
        let sent = self.window.sent();
        let row = SinkRow { journal_sent: sent.journal, diary_sent: sent.diary, ..self.row.clone() };
        let reader = self.reader.clone();
        if let Ok(Ok(size)) = tokio::task::spawn_blocking(move || reader.backlog(&row)).await {
            self.view.send_modify(|view| {
                view.n_waiting = size.n_readings + size.n_diary;
                view.oldest_ms = size.oldest_us.map(|at_us| at_us.div_euclid(1000));
            });
        }
    }

    /// Shows a state, and says in the log when it changes.
    fn show(&mut self, state: &'static str, detail: String) {
        let (before, detail_before) = {
            let view = self.view.borrow();
            (view.state, view.detail.clone())
        };
        if (before, detail_before.as_str()) == (state, detail.as_str()) {
            return;
        }
        let since_us = self.clock.wall_us_unchecked();
        if before != state {
            match state {
                "ok" => tracing::info!(sink = self.plan.name, "the sink takes the history"),
                _ => tracing::warn!(
                    sink = self.plan.name,
                    state,
                    detail,
                    "the sink takes nothing; it is tried again"
                ),
            }
            self.view.send_modify(|view| view.since_ms = since_us.div_euclid(1000));
            self.unsaved.state =
                Some(SinkState { state: state.to_owned(), detail: detail.clone(), since_us });
        }
        self.view.send_modify(|view| {
            view.state = state;
            view.detail = detail;
        });
    }

    fn tell_folding(&self, now_ms: u64) {
        let place = SinkPlace {
            epoch: self.row.epoch,
            journal_sent: self.window.sent().journal,
            sent_ms: signed(now_ms),
        };
        self.reader.set_sink_place(self.row.id, place);
    }

    /// Waits; true when the gateway stops. Cancel-safe.
    async fn pause(&mut self, pause: Duration) -> bool {
        is_stopped_after(&mut self.stopping, pause).await
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Sets aside what is left of the series that the next line belongs to.
fn refuse_series(delivery: &mut Delivery, items: &[Item], manners: &mut Manners) {
    let series_of = |idx: usize| match items.get(idx) {
        Some(Item::Sample { series, .. }) => Some(*series),
        Some(Item::Diary(_)) | None => None,
    };
    let series = delivery.next(manners).and_then(|next| series_of(next.start));
    tracing::error!(series, "the sink refuses a series; its readings are set aside");
    delivery.refuse_kind(|idx| series_of(idx) == series, manners);
}

pub(crate) async fn is_stopped_after(stopping: &mut watch::Receiver<bool>, pause: Duration) -> bool {
    // An error means that the gateway is gone, which is a stop as well.
    tokio::time::timeout(pause, stopping.wait_for(|stopping| *stopping)).await.is_ok()
}

/// An answer in words.
#[must_use]
pub fn text_of(answer: &Answer) -> String {
    match answer {
        Answer::Status(status, text) if text.is_empty() => format!("HTTP {status}"),
        Answer::Status(status, text) => format!("HTTP {status}: {text}"),
        Answer::Later(status, text, ms) => {
            let answer = text_of(&Answer::Status(*status, text.clone()));
            format!("{answer} (asks to be left alone for {} s)", ms.div_ceil(1000))
        }
        Answer::None(text) => text.clone(),
    }
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

pub(crate) fn random() -> u32 {
    let mut bytes = [0; 4];
    // Without randomness there is no jitter, which only makes a crowd come back in step.
    getrandom::fill(&mut bytes).ok();
    u32::from_ne_bytes(bytes)
}

/// Receivers of what sinks show.
pub type Views = BTreeMap<String, watch::Receiver<SinkView>>;
