//! The gateway's one busy place: takes what devices say, hands it to the store and to the engine, sends what the engine
//! wants, and shows the page what is.
//!
//! A shell: it holds no rule about records (`ingest`), irrigation (`giot-engine`) or disks (`store`). Its own promise is
//! the order of things:
//! - a valve's command never waits for a disk: the engine sees a reading while the store still writes it;
//! - nothing is acknowledged before its commit: acknowledgements ride with the batch into the store and come back;
//! - what the engine decided about a batch is written in the same transaction as the batch (P7);
//! - when the store is behind, the hub stops taking telemetry and goes on serving people, timers and valves.
//!
//! Wake-ups in order of priority: people's requests, commits, the engine's timer, room in the store, deliveries, the view.

pub mod change;
pub mod codec;
mod deliver;
mod doubt;
pub mod farm;
mod memory;
pub mod news;
pub mod orders;
mod recall;
pub mod registry;
mod rules;
mod session;
mod tell;
pub mod turn;
pub mod view;
mod wish;

use crate::clock::{Clock, monotonic};
use crate::config::Settings;
use crate::farm::Begin;
use crate::ingest::json::Names;
use crate::mqtt::{Delivery, Incoming, Link, Qos};
use crate::rules::RuleBook;
use giot_engine::program::Lack;
use giot_engine::{
    Action, By, Engine, Event, FlowView, Input, MetricName, Now, ProbeRef, PumpAction, PumpView, Reason,
    SourceId, ValveRef, ZoneId,
};
use giot_shared::ids::{CommandId, NodeId, Position};
use giot_shared::time::MonoMs;
use giot_shared::units::Millilitres;
use giot_shared::wire::{self, Close, Downlink, Open, Order, Settings as NodeSettings, SettingsText, Topic};
use giot_store::{Batch, CommitError, DiaryEntry, Done, Reader, SubmitError, Writer};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};

use change::{Change, State};
use farm::Versions;
use orders::Counter;
use registry::Registry;
use rules::Ruling;
use session::Session;
use view::{DeviceState, FarmView};

pub use wish::Wish;

/// Deliveries taken per turn: enough to keep the store's group commits large, few enough to look at the timer often.
const TAKE_MAX: usize = 256;

/// Devices remembered beyond the registered ones: bounded against a client that invents names (P9).
const STRANGERS_MAX: usize = 10_000;

/// Requests of people that may wait.
pub const REQUESTS_MAX: usize = 64;

/// How often the page's view is made anew at most, in real time.
const VIEW_EVERY: Duration = Duration::from_millis(250);

/// So long a stop waits for pumps to go off before the valves below them are closed, in real time: their nodes answer within
/// a second, and those that do not are left to their leases.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(3);

/// The view is made anew at least this often, in the gateway's time.
const VIEW_AGE_MAX_MS: u64 = 5_000;

/// After a start nodes are waited for so long, in the gateway's time: they look for it again within a minute. One that has not
/// come to the embedded broker by then is away.
const ABSENT_AFTER_MS: u64 = 120_000;

/// A wish, who has it, and where the answer goes.
#[derive(Debug)]
pub struct Request {
    /// What.
    pub wish: Wish,
    /// Whose.
    pub by: String,
    /// `Err` with the reason of a refusal.
    pub answer: oneshot::Sender<Result<(), Reason>>,
}

/// Probes that some zone decides by, by device.
type Watched = BTreeMap<NodeId, BTreeSet<ProbeRef>>;
/// Gauges that some guard reads, by device.
type Gauges = BTreeMap<NodeId, BTreeSet<MetricName>>;

/// A commit's news for the hub.
enum Committed {
    Records { node: NodeId, last: Position, is_stored: bool },
    Diary,
    Farm(Box<farm::Saving>, oneshot::Sender<Result<(), Reason>>),
    FarmLost,
}

/// What the hub is made of.
#[derive(Debug)]
pub struct Parts {
    /// Its time.
    pub clock: Clock,
    /// What it runs by.
    pub begin: Begin,
    /// Anybody may publish JSON: a demo or a test on loopback.
    pub anonymous: bool,
    /// The devices.
    pub registry: Registry,
    /// Reads what survived the last stop.
    pub reader: Reader,
    /// Writes.
    pub writer: Writer,
    /// To the devices.
    pub link: Link,
    /// From the devices.
    pub incoming: Incoming,
    /// From people.
    pub requests: mpsc::Receiver<Request>,
    /// The page's view goes here.
    pub view: watch::Sender<Arc<FarmView>>,
    /// Counts commits that held diary entries.
    pub diary: watch::Sender<u64>,
}

/// The hub.
pub struct Hub {
    clock: Clock,
    settings: Arc<Settings>,
    farm: Versions,
    anonymous: bool,
    /// Whether this gateway's own broker checks the nodes' logins: only then can a key be exchanged for another.
    checks_logins: bool,
    registry: Registry,
    reader: Reader,
    writer: Writer,
    link: Link,
    incoming: Incoming,
    requests: mpsc::Receiver<Request>,
    view: watch::Sender<Arc<FarmView>>,
    diary: watch::Sender<u64>,
    engine: Engine,
    ruling: Ruling,
    orders: Counter,
    commands: Counter,
    sessions: BTreeMap<NodeId, Session>,
    /// Probes that some zone decides by, with the device's metrics.
    watched: Watched,
    /// Gauges that some guard reads, by device.
    gauges: Gauges,
    /// Why the engine refused a person's last wish.
    last_refusal: Option<Reason>,
    /// The last diary entry of each zone from before this start.
    earlier: BTreeMap<ZoneId, DiaryEntry>,
    /// Settings on their way to nodes.
    changes: BTreeMap<NodeId, Change>,
    names: Names,
    committed_tx: mpsc::UnboundedSender<Committed>,
    committed: mpsc::UnboundedReceiver<Committed>,
    /// A batch that found the store's queue full; nothing is taken while it waits.
    waiting: Option<(Batch, Done)>,
    /// What the engine wants kept that belongs to no delivery.
    own: Batch,
    is_view_old: bool,
    shown_at: MonoMs,
    n_bad: u64,
    last_bad_at: Option<Instant>,
    /// When nodes that have not come count as away; `None`: they do already, or it is another broker that knows.
    absent_at: Option<MonoMs>,
    /// Who wants the gateway to stop, and until when its last Closes may take.
    stopping: Option<(oneshot::Sender<Result<(), Reason>>, Instant)>,
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").field("sessions", &self.sessions.len()).finish_non_exhaustive()
    }
}

impl Hub {
    /// Puts the hub together from what survived the last stop.
    ///
    /// # Errors
    /// When the store cannot be read or does not take the counters' reservation.
    pub async fn new(parts: Parts) -> anyhow::Result<Self> {
        let Parts {
            clock,
            begin,
            anonymous,
            registry,
            reader,
            writer,
            link,
            incoming,
            requests,
            view,
            diary,
        } = parts;
        let (settings, farm) = Versions::at_start(begin);
        let rows = reader.memory()?;
        let rule_memory = rules::memory_from_rows(&rows);
        let change =
            |(row, json): (&String, &String)| Some((change::node_of(row)?, Change::from_json(json)?));
        let changes = rows.iter().filter_map(change).collect();
        let sessions = session::restore_all(&registry, &reader, &rows)?;
        let names = rows.keys().cloned().collect();
        let mut memory = memory::memory_from_rows(rows);
        doubt::lock(&mut memory, &names, &settings.plan, (&reader, &writer)).await?;
        let orders = Counter::new("order", reader.counter("order")?.unwrap_or(0));
        let commands = Counter::new("command", reader.counter("command")?.unwrap_or(0));
        // Before the first use: a number that is sent must never come again.
        let reservation =
            Batch { counters: vec![orders.reservation(), commands.reservation()], ..Batch::default() };
        writer.commit(reservation).await?;
        let now = Now { mono: clock.mono(), wall: clock.wall() };
        let engine = Engine::new(settings.plan.clone(), memory, CommandId(commands.next()), now);
        let book = RuleBook::new(&settings.rules, &rule_memory, settings.plan.utc_offset_min, now);
        let ruling = Ruling::new(book, &settings);
        let (watched, gauges) = watched_series(&settings);
        let (committed_tx, committed) = mpsc::unbounded_channel();
        let mut hub = Self {
            clock,
            checks_logins: settings.broker.is_none() && !anonymous,
            absent_at: settings.broker.is_none().then(|| clock.mono().plus_ms(ABSENT_AFTER_MS)),
            settings,
            farm,
            anonymous,
            registry,
            reader,
            writer,
            link,
            incoming,
            requests,
            view,
            diary,
            engine,
            ruling,
            orders,
            commands,
            sessions,
            watched,
            gauges,
            last_refusal: None,
            earlier: BTreeMap::new(),
            changes,
            names: Names::default(),
            committed_tx,
            committed,
            waiting: None,
            own: Batch::default(),
            is_view_old: true,
            shown_at: clock.mono(),
            n_bad: 0,
            last_bad_at: None,
            stopping: None,
        };
        hub.recall()?;
        hub.begin_farm();
        hub.act(&mut None);
        hub.flush();
        hub.show();
        Ok(hub)
    }

    /// Runs until the devices' link has stopped and everything it brought is with the store.
    ///
    /// # Errors
    /// When the store has closed under it.
    pub async fn run(mut self) -> anyhow::Result<()> {
        let mut view_tick = tokio::time::interval(VIEW_EVERY);
        view_tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut taken: Vec<Delivery> = Vec::with_capacity(TAKE_MAX);
        loop {
            let timer = self.timer();
            tokio::select! {
                biased;
                Some(request) = self.requests.recv() => self.serve(request),
                Some(news) = self.committed.recv() => self.handle_committed(news),
                () = sleep_or_never(timer) => self.time_passed(),
                room = self.writer.room(), if self.waiting.is_some() => {
                    room.map_err(|_| anyhow::anyhow!("the store has closed"))?;
                    self.resubmit()?;
                }
                n_taken = self.incoming.recv_many(&mut taken, TAKE_MAX), if self.waiting.is_none() => {
                    if n_taken == 0 {
                        break;
                    }
                    self.writer.expect_soon();
                    for delivery in taken.drain(..) {
                        self.deliver(delivery).await?;
                    }
                }
                _ = view_tick.tick() => self.show(),
            }
            self.answer_shut_down();
            self.flush();
        }
        self.last_words().await
    }

    fn now(&self) -> Now {
        Now { mono: self.clock.mono(), wall: self.clock.wall() }
    }

    /// The link has stopped: waits for what the store still holds, so that marks and diary are whole.
    async fn last_words(mut self) -> anyhow::Result<()> {
        if let Some((batch, done)) = self.waiting.take() {
            self.writer.submit(batch, done).await.map_err(|_| anyhow::anyhow!("the store has closed"))?;
        }
        let own = std::mem::take(&mut self.own);
        Ok(self.writer.commit(own).await?)
    }

    /// Real time until engine or rules want to be woken.
    fn timer(&self) -> Option<Duration> {
        let at = self.engine.poll_timeout().into_iter().chain(self.ruling.book.poll_timeout());
        let at = at.chain(self.absent_at).min();
        at.map(|at| self.clock.until(at))
    }

    fn time_passed(&mut self) {
        let now = self.now();
        self.engine.handle(now, Input::Timeout);
        self.ruling.book.handle_timeout(now);
        if self.absent_at.take_if(|at| *at <= now.mono).is_some() {
            self.tell_absent(now);
        }
        self.act(&mut None);
    }

    /// Tells the engine of nodes that have not come since the start: nothing is ordered from them.
    fn tell_absent(&mut self, now: Now) {
        let plan = &self.settings.plan;
        let of_pumps = plan.sources.values().filter_map(|source| Some(&source.pump.as_ref()?.valve.node));
        let nodes = plan.zones.values().map(|zone| &zone.valve.node).chain(of_pumps);
        let is_away = |node: &&NodeId| self.sessions.get(*node).is_none_or(|session| !session.is_online);
        let away: BTreeSet<NodeId> = nodes.filter(is_away).cloned().collect();
        for node in &away {
            tracing::info!(%node, "a node has not come since the start");
            self.engine.handle(now, Input::NodeOffline { node });
        }
    }

    /// Does what the engine wants, and the rules of it. What must be kept goes into `batch`, or into the hub's own where
    /// there is none. Ends, because rules see what they did to zones a second later.
    fn act(&mut self, batch: &mut Option<&mut Batch>) {
        loop {
            self.obey(batch);
            while self.run_rules(batch) {
                self.obey(batch);
            }
            if !self.follow_farm() {
                return;
            }
        }
    }

    fn obey(&mut self, batch: &mut Option<&mut Batch>) {
        while let Some(action) = self.engine.poll_action() {
            self.is_view_old = true;
            match action {
                Action::Open { command, valve, run_s, volume, ttl_s, .. } => {
                    self.order_open(&valve, command, (run_s, ttl_s), volume, true);
                }
                Action::Pump(PumpAction::Open { command, valve, run_s, ttl_s, .. }) => {
                    self.order_open(&valve, command, (run_s, ttl_s), None, false);
                }
                Action::Close { command, valve, .. }
                | Action::Pump(PumpAction::Close { command, valve, .. }) => {
                    let close = Close { command, valve: Some(valve.valve) };
                    self.order(&valve.node, Order::Close(close), CLOSE_TTL_S);
                }
                Action::Pump(PumpAction::Remember { source, memory }) => {
                    let row = (memory::source_row(&source), memory::source_to_json(&memory));
                    batch.as_deref_mut().unwrap_or(&mut self.own).memory.push(row);
                }
                Action::Diary(entry) => {
                    if entry.event == Event::Refused && matches!(entry.by, By::Person(_)) {
                        self.last_refusal = Some(entry.reason.clone());
                    }
                    entry.zone.iter().for_each(|zone| self.ruling.touch(zone));
                    let row = codec::diary_entry(&entry, self.clock.wall_us_unchecked());
                    tracing::info!(
                        zone = row.zone,
                        event = row.event,
                        reason = row.reason,
                        args = row.args,
                        "diary"
                    );
                    batch.as_deref_mut().unwrap_or(&mut self.own).diary.push(row);
                }
                Action::Remember { zone, memory } => {
                    let row = (zone.to_string(), memory::memory_to_json(&memory));
                    batch.as_deref_mut().unwrap_or(&mut self.own).memory.push(row);
                }
                Action::RememberProgram { program, control } => {
                    let row = (memory::program_row(&program), memory::control_to_json(&control));
                    batch.as_deref_mut().unwrap_or(&mut self.own).memory.push(row);
                }
                Action::RememberGuards { memory } => {
                    let row = (memory::GUARDS_ROW.to_owned(), memory::guards_to_json(&memory));
                    batch.as_deref_mut().unwrap_or(&mut self.own).memory.push(row);
                }
                Action::RememberFarm { farm } => {
                    let row = (memory::FARM_ROW.to_owned(), memory::farm_to_json(&farm));
                    batch.as_deref_mut().unwrap_or(&mut self.own).memory.push(row);
                }
            }
        }
        if let Some(reservation) = self.commands.skip_to(self.engine.next_command().0) {
            self.own.counters.push(reservation);
        }
    }

    /// `is_outlet`: the valve is a zone's, and no pump or master valve.
    fn order_open(
        &mut self,
        valve: &ValveRef,
        command: CommandId,
        (run_s, ttl_s): (u32, u32),
        volume: Option<Millilitres>,
        is_outlet: bool,
    ) {
        let issued_at = self.clock.wall_unchecked();
        let open = Open { command, valve: valve.valve, run_s, volume, issued_at, ttl_s, is_outlet };
        self.order(&valve.node, Order::Open(open), ttl_s);
    }

    fn order(&mut self, node: &NodeId, order: Order, ttl_s: u32) {
        let (counter, reservation) = self.orders.take();
        self.own.counters.extend(reservation);
        let ttl = self.clock.real(Duration::from_secs(u64::from(ttl_s)));
        if let Some(session) = self.sessions.get_mut(node) {
            session.asked = Some((order.command(), self.clock.mono()));
        }
        self.send(node, &Downlink::Order(counter, order), Some(ttl));
    }

    fn send(&mut self, node: &NodeId, message: &Downlink, ttl: Option<Duration>) {
        let Some(device) = self.registry.get(node) else {
            tracing::warn!(%node, "no such node is registered: giot node add {node}");
            return;
        };
        let sent = orders::sealed(&device.key, node, message).and_then(|bytes| {
            let topic = wire::topic(&self.settings.topic_prefix, node, Topic::Down)
                .map_err(|_| anyhow::anyhow!("the topic prefix is too long"))?;
            Ok(self.link.publish(&topic, bytes, Qos::AtLeastOnce, false, ttl)?)
        });
        if let Err(error) = sent {
            tracing::warn!(%node, error = format!("{error:#}"), "a message to a node was not sent");
        }
    }

    fn serve(&mut self, request: Request) {
        let Request { wish, by, answer } = request;
        let by = by.as_str();
        let input = match &wish {
            Wish::Shutdown => return self.shut_down(answer),
            Wish::Lacks { age_ms, lacks } => return self.take_lacks(*age_ms, lacks),
            Wish::Outlook { tell } => {
                if let Some(outlook) = self.engine.outlook(self.now()) {
                    // Whoever asked may have gone.
                    tell.try_send(outlook).ok();
                }
                answer.send(Ok(())).ok();
                return;
            }
            Wish::Farm(_) => return self.save_farm(wish, answer),
            Wish::Settings { node, text, within_s } => {
                self.change(node, *text, *within_s);
                return self.answer_when_kept(answer);
            }
            Wish::Start { zone, run_s } => Input::ManualStart { zone, run_s: *run_s, by },
            Wish::Extend { zone, by_s } => Input::Extend { zone, by_s: *by_s, by },
            Wish::Irrigated { zone, run_s, litres } => {
                Input::Irrigated { zone, run_s: *run_s, litres: *litres, by }
            }
            Wish::Stop { zone } => Input::ManualStop { zone, by },
            Wish::StopAll => Input::StopAll { by },
            Wish::Runs { set, runs } => Input::Runs { set: *set, runs, by },
            Wish::ClearSource { source } => Input::ClearSource { source, by },
            Wish::Lock { zone, note } => Input::Lock { zone, by, note },
            Wish::Unlock { zone } => Input::Unlock { zone, by },
            Wish::ClearFault { zone } => Input::ClearFault { zone, by },
            Wish::SuspendZone { zone, until } => Input::SuspendZone { zone, until: *until, by },
            Wish::Program { program, wish } => Input::Program { program, wish: *wish, by },
            Wish::Pause { kind, until } => Input::Pause { kind: *kind, until: *until, by },
        };
        self.engine.handle(self.now(), input);
        self.last_refusal = None;
        self.act(&mut None);
        let result = self.last_refusal.take().map_or(Ok(()), Err);
        // Who asks next is to see what came of it.
        self.show_at_once();
        // Whoever asked may have gone; the diary has it.
        answer.send(result).ok();
    }

    /// Shows the engine what soils lack.
    fn take_lacks(&mut self, age_ms: u64, lacks: &[(ZoneId, Result<Lack, &'static str>)]) {
        for (zone, lack) in lacks {
            self.engine.handle(self.now(), Input::Lack { zone, age_ms, lack: *lack });
        }
        self.is_view_old = true;
        self.act(&mut None);
    }

    /// Says yes when what the hub wants kept is on the disk, so that whoever asks next finds it; at once where the store is
    /// behind, because people do not wait for telemetry.
    fn answer_when_kept(&mut self, answer: oneshot::Sender<Result<(), Reason>>) {
        if self.waiting.is_some() {
            // Whoever asked may have gone.
            answer.send(Ok(())).ok();
            return;
        }
        let batch = std::mem::take(&mut self.own);
        let done = self.done(!batch.diary.is_empty(), move |is_stored| {
            if is_stored {
                answer.send(Ok(())).ok();
            }
        });
        self.submit(batch, done);
    }

    /// Takes settings for a node: said now if it is there, and at its next Hello until it has answered.
    fn change(&mut self, node: &NodeId, text: SettingsText, within_s: u32) -> CommandId {
        // The engine counts its own commands: these have numbers that it never reaches.
        let (number, reservation) = self.orders.take();
        self.own.counters.extend(reservation);
        let command = CommandId(SETTINGS_COMMANDS | number);
        let change = Change::new(command, text, within_s, self.clock.wall_unchecked());
        self.changes.insert(node.clone(), change);
        self.keep_change(node);
        self.say_change(node);
        command
    }

    /// Says the settings that wait for a node.
    fn say_change(&mut self, node: &NodeId) {
        let Some(Change { command, state: State::Waiting { text, within_s }, .. }) = self.changes.get(node)
        else {
            return;
        };
        let issued_at = self.clock.wall_unchecked();
        let settings = NodeSettings {
            command: *command,
            text: *text,
            issued_at,
            ttl_s: CHANGE_TTL_S,
            within_s: *within_s,
        };
        self.order(node, Order::Settings(settings), CHANGE_TTL_S);
    }

    /// Writes down where a node's settings are.
    fn keep_change(&mut self, node: &NodeId) {
        let Some(change) = self.changes.get(node) else { return };
        let (state, why) = change.state.code();
        tracing::info!(%node, words = change.words, state, why, "settings of a node");
        self.own.memory.push((change::row(node), change.to_json()));
    }

    /// Closes what this gateway opened: a stopped gateway cannot watch it. The nodes record the closing, and the next start
    /// reads it from them. Whoever asked gets the answer when every Close is sent; valves that a pump relies on follow it.
    fn shut_down(&mut self, answer: oneshot::Sender<Result<(), Reason>>) {
        self.engine.handle(self.now(), Input::Shutdown);
        self.act(&mut None);
        self.stopping = Some((answer, monotonic() + SHUTDOWN_PATIENCE));
        self.answer_shut_down();
    }

    /// Answers the wish to stop once its Closes are sent, or when its patience is over: leases guard what is left.
    fn answer_shut_down(&mut self) {
        let is_over = self
            .stopping
            .as_ref()
            .is_some_and(|(_, until)| self.engine.is_shut_down() || monotonic() >= *until);
        if let Some((answer, _)) = self.stopping.take_if(|_| is_over) {
            // Whoever asked may have gone.
            answer.send(Ok(())).ok();
        }
    }

    fn handle_committed(&mut self, news: Committed) {
        let mut acks = BTreeMap::new();
        let mut next = Some(news);
        while let Some(news) = next {
            match news {
                Committed::Diary => self.diary.send_modify(|count| *count += 1),
                Committed::Farm(saving, answer) => self.farm_saved(*saving, answer),
                Committed::FarmLost => self.farm.is_saving = false,
                Committed::Records { node, last, is_stored } => {
                    if !is_stored {
                        self.forget_losses(&node);
                    }
                    if let Some(session) = self.sessions.get_mut(&node) {
                        if !is_stored {
                            session.records.handle_not_stored();
                        } else if session.records.handle_stored(last) {
                            // One Ack covers all commits of this turn.
                            acks.insert(node, last);
                        }
                    }
                }
            }
            next = self.committed.try_recv().ok();
        }
        for (node, stored) in acks {
            self.send(&node, &Downlink::Ack(wire::Ack { stored }), None);
        }
    }

    /// Hands the hub's own rows to the store; they wait for the next turn while its queue is full.
    fn flush(&mut self) {
        if self.own == Batch::default() || self.waiting.is_some() {
            return;
        }
        let batch = std::mem::take(&mut self.own);
        let done = self.done(!batch.diary.is_empty(), |_| {});
        self.submit(batch, done);
    }

    fn submit(&mut self, batch: Batch, done: Done) {
        match self.writer.try_submit(batch, done) {
            Ok(()) => {}
            Err(SubmitError::Full(back)) => self.waiting = Some(*back),
            Err(SubmitError::Closed(_)) => tracing::error!("the store has closed under the gateway"),
        }
    }

    fn resubmit(&mut self) -> anyhow::Result<()> {
        let Some((batch, done)) = self.waiting.take() else { return Ok(()) };
        match self.writer.try_submit(batch, done) {
            Ok(()) => Ok(()),
            Err(SubmitError::Full(back)) => {
                self.waiting = Some(*back);
                Ok(())
            }
            Err(SubmitError::Closed(_)) => anyhow::bail!("the store has closed"),
        }
    }

    /// Wraps what follows a commit: `then`, and news for the pages where the batch holds diary entries.
    fn done(&self, has_diary: bool, then: impl FnOnce(bool) + Send + 'static) -> Done {
        let committed = self.committed_tx.clone();
        Done::call(move |result: Result<(), CommitError>| {
            match &result {
                Err(error @ CommitError::Refused(_)) => tracing::error!(%error, "a batch was not stored"),
                // The store has told it once, with the number of batches.
                Err(error @ CommitError::Unavailable(_)) => tracing::debug!(%error, "a batch was not stored"),
                Ok(()) => {}
            }
            then(result.is_ok());
            if has_diary && result.is_ok() {
                // Fails only when the hub is gone, and then nobody looks.
                committed.send(Committed::Diary).ok();
            }
        })
    }

    /// Shows the page the present, where something has changed since the last look.
    fn show(&mut self) {
        // Ages and stale readings move with time alone.
        let is_due = self.clock.mono().since_ms(self.shown_at) >= VIEW_AGE_MAX_MS;
        if !std::mem::take(&mut self.is_view_old) && !is_due {
            return;
        }
        self.shown_at = self.clock.mono();
        let now = self.now();
        let zones = self.settings.plan.zones.keys().filter_map(|id| self.engine.zone_view(id, now)).collect();
        let devices = self.sessions.iter().map(|(id, session)| {
            let device = self.registry.get(id);
            DeviceState {
                id: id.clone(),
                label: device.as_ref().map(|device| device.label.clone()).unwrap_or_default(),
                kind: device.as_ref().map_or("json", |device| device.kind.code()),
                is_registered: device.is_some(),
                is_online: session.is_online,
                heard_at: session.heard_at,
                battery_mv: session.battery_mv,
                news: session.news.clone(),
            }
        });
        let view = FarmView {
            now: self.clock.wall_unchecked(),
            settings: self.settings.clone(),
            version: self.farm.view(&self.engine),
            mono: now.mono,
            clock_set: now.wall.is_some(),
            zones,
            pumps: self.pumps(now),
            source_faults: self.source_faults(),
            flows: self.flows(),
            programs: self.engine.program_ids().filter_map(|id| self.engine.program_view(id)).collect(),
            farm: self.engine.farm_state(),
            rules: self.ruling.book.states(now).collect(),
            earlier: self.earlier.clone(),
            devices: devices.collect(),
        };
        self.view.send_replace(Arc::new(view));
    }

    fn source_faults(&self) -> BTreeMap<SourceId, Reason> {
        let sources = self.settings.plan.sources.keys();
        sources.filter_map(|id| Some((id.clone(), self.engine.source_fault(id)?.clone()))).collect()
    }

    fn flows(&self) -> BTreeMap<ZoneId, FlowView> {
        let zones = self.settings.plan.zones.keys();
        zones.filter_map(|id| Some((id.clone(), self.engine.flow_view(id)?))).collect()
    }

    fn pumps(&self, now: Now) -> BTreeMap<SourceId, PumpView> {
        let sources = self.settings.plan.sources.keys();
        sources.filter_map(|id| Some((id.clone(), self.engine.pump_view(id, now)?))).collect()
    }

    /// Counts what could not be used and logs it, at most once a second: a broken device must not fill the disk.
    fn bad(&mut self, node: &NodeId, error: &dyn std::fmt::Display) {
        self.n_bad += 1;
        let now = monotonic();
        if self.last_bad_at.is_none_or(|last| now.duration_since(last) >= Duration::from_secs(1)) {
            self.last_bad_at = Some(now);
            tracing::warn!(%node, %error, n_bad = self.n_bad, "a message could not be used");
        }
    }
}

/// Set in every number of a command that carries settings.
const SETTINGS_COMMANDS: u64 = 1 << 63;

/// Settings that a node hears later than this are said anew, s: at its next Hello.
const CHANGE_TTL_S: u32 = 120;

/// By device: the probes that some zone decides by, and the gauges that some guard reads.
fn watched_series(settings: &Settings) -> (Watched, Gauges) {
    let mut watched = Watched::new();
    for probe in settings.plan.zones.values().flat_map(|zone| &zone.probes) {
        watched.entry(probe.device.clone()).or_default().insert(probe.clone());
    }
    let mut gauges = Gauges::new();
    for gauge in settings.plan.gauges() {
        gauges.entry(gauge.device.clone()).or_default().insert(gauge.metric.clone());
    }
    (watched, gauges)
}

/// A Close is worth sending for as long as any lease can last.
const CLOSE_TTL_S: u32 = 2 * 3600;

async fn sleep_or_never(span: Option<Duration>) {
    match span {
        Some(span) => tokio::time::sleep(span).await,
        None => std::future::pending().await,
    }
}
