//! The loop: moves bytes, time and flash between the cores and the board, and holds no rule.
//!
//! Wake-ups in order of priority, at every turn:
//! 1. valve deadlines and everything else that the node does about valves (actions are taken valves first);
//! 2. downlinks: the network future is polled before the board's wait;
//! 3. sampling: one probe at a time, which is begun here and waited for beside everything else;
//! 4. sending: answers and Hellos before records, which wait for a moment for those of the next probe.
//!
//! No wait for the network or for a probe can hold up a valve: neither is ever awaited alone, but beside the node.
//! Flash writes are awaited; the slowest of them, a page erase, takes some 50 ms.

mod closing;
mod owner;
mod reader;

pub use closing::close_without_node;
pub use owner::{Held, held};

use crate::apart::apart;
use crate::board::{Board, Connector, Drive, NodeStatus, Probes, Wake};
use crate::link::LinkMs;
use crate::link::backoff::Backoff;
use crate::link::session::{Identity, ONLINE, RX_LEN, TX_LEN};
use crate::link::window::{Due, Window};
use crate::node::{Action, Boot, Node, Standing};
use crate::outbox::{Outbox, OutboxError};
use crate::settings::{NodeConfig, Settings, SettingsError, Setup, Trial};
use crate::sleep::{Rest, begin_epoch};
use closing::{close_left_over, closings, every_valve, remembered, to_remember};
use core::fmt;
use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::task::Poll;
use embassy_futures::select::{Either, Either3, select, select3};
use embassy_time::{Instant, Timer};
use embedded_io_async::{Read, Write};
use embedded_storage_async::nor_flash::MultiwriteNorFlash;
use giot_shared::ids::{Position, ProbeId};
use giot_shared::time::UptimeMs;
use giot_shared::valve::{CloseReason, RefusalReason};
use giot_shared::wire::{Answer, Body, Hello, PAYLOAD_LEN_MAX, Uplink, VALVES_MAX};
use minimq::{Connection, Error, Publication, QoS, TopicFilter};
use reader::{Read as ProbeRead, Reader, Reads, read_of};

/// Time for a stream and the MQTT greeting, ms: a lost SYN is sent again after 1, 3 and 7 s (RFC 6298).
const CONNECT_MS: u64 = 30_000;
/// Time for one publication to reach the network's buffers, ms.
const PUBLISH_MS: u64 = 30_000;
/// Silence after which a session is given up, ms: two keep-alive rounds.
const SILENCE_MS: u64 = 60_000;
/// How long records wait for those of the next probe, ms: a probe that answers takes a third of it, and a message costs more than a record.
const LINGER_MS: u64 = 1000;
/// Answers that wait for the link.
const ANSWERS_MAX: usize = 8;

/// The flash partitions of a node, each seen from its own address 0.
#[derive(Clone, Debug)]
pub struct Partitions<F> {
    /// Counters: two pages or more.
    pub settings: F,
    /// Readings: two pages or more.
    pub readings: F,
    /// Valve events: three pages or more.
    pub events: F,
    /// What a person set up; `None` where it does not come from flash, so that nothing of it can be changed over the air.
    pub installation: Option<F>,
}

/// Working memory of the link, kept out of the loop's own frame so that a board can place it.
#[derive(Debug)]
pub struct Memory {
    rx: [u8; RX_LEN],
    tx: [u8; TX_LEN],
    payload: [u8; PAYLOAD_LEN_MAX],
}

impl Memory {
    /// Zeroed memory.
    #[must_use]
    pub const fn new() -> Self {
        Self { rx: [0; RX_LEN], tx: [0; TX_LEN], payload: [0; PAYLOAD_LEN_MAX] }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

/// Why the loop ended in good order; every valve is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The board wanted it.
    Stopped,
    /// The node needs a reset to take a higher epoch.
    Restart,
}

/// Why a node cannot run; every valve was driven closed before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunError {
    /// Settings.
    Settings(SettingsError),
    /// Outbox.
    Outbox(OutboxError),
    /// The topic prefix is too long, or the MQTT client takes none of the configuration.
    Config,
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings(error) => error.fmt(f),
            Self::Outbox(error) => error.fmt(f),
            Self::Config => f.write_str("the link takes no such configuration"),
        }
    }
}

impl core::error::Error for RunError {}

impl From<SettingsError> for RunError {
    fn from(error: SettingsError) -> Self {
        Self::Settings(error)
    }
}

impl From<OutboxError> for RunError {
    fn from(error: OutboxError) -> Self {
        Self::Outbox(error)
    }
}

/// Runs the node on its board until the board wants it to stop. Dropping the future is a power cut, and as safe.
///
/// # Errors
/// [`RunError`] when flash or configuration do not carry a node.
pub async fn run<B: Board, P: Probes, C: Connector, F: MultiwriteNorFlash>(
    config: NodeConfig,
    board: &mut B,
    probes: P,
    connector: &mut C,
    flash: Partitions<F>,
    memory: &mut Memory,
) -> Result<End, RunError> {
    let woken = board.take_woken();
    let mut settings = Settings::open(flash.settings);
    let last = remembered(&mut settings).await;
    let mut stuck: heapless::Vec<Drive, VALVES_MAX> = heapless::Vec::new();
    for drive in closings(&config.valves, woken.as_ref(), last.as_ref()) {
        if board.drive_valve(drive).await.is_err() {
            // One entry per valve: there is always room.
            let _full = stuck.push(drive);
        }
    }
    let left = last.clone().map_or_else(|_| every_valve(), Option::unwrap_or_default);
    let unclosed = close_left_over(board, &config.valves, &left).await;
    // Whatever fails from here on, the valves are closed. A map that cannot be read is begun anew below.
    let mut settings = settings?;
    let identity = Identity::new(&config).map_err(|_| RunError::Config)?;
    let mut outbox = Outbox::open(flash.readings, flash.events, settings.lost_tails().await).await?;
    let epoch = apart(pin!(owner::begin(&mut settings, &mut outbox, &config.id, woken.as_ref()))).await?;
    let latching = to_remember(&config.valves, &unclosed);
    if last.ok().flatten().as_ref() != Some(&latching) || settings.was_renewed() {
        settings.store_latching(&latching).await?;
    }
    let mut setup = flash.installation.map(Setup::new);
    let mut kept = settings.kept().await;
    if outbox.drop_told(&mut kept).await? {
        settings.store_kept(&kept).await?;
    }
    let boot = Boot {
        epoch,
        reset: board.reset_cause(),
        unmet: settings.note_boot(epoch, board.reset_cause()).await,
        kept,
        released: settings.released().await,
        nonce_seed: board.random(),
        standing: standing(&mut setup).await,
        ended: outbox.ended(),
    };
    let now = board.uptime();
    let rest = Rest::new(config.sleep, woken.as_ref(), now);
    let mut node = Node::new(config, boot, now);
    if let Some(woken) = &woken {
        node.resume(now, woken);
    }
    node.handle_outbox(outbox.level());
    for drive in stuck {
        node.handle_drive_fault(now, drive);
    }
    let place = pin!(None);
    let mut runner = Runner {
        board,
        reader: Reader::new(probes, read_of::<P>, place),
        node,
        settings,
        setup,
        outbox,
        window: Window::default(),
        backoff: Backoff::default(),
        hello: None,
        answers: heapless::Deque::new(),
        status: NodeStatus::default(),
        connected: false,
        barren: None,
        rest,
        lingers_until: None,
        end: None,
    };
    loop {
        runner.session(connector, &identity, memory).await?;
        runner.connected = false;
        runner.window.disconnected();
        runner.hello = None;
        runner.answers.clear();
        runner.node.handle_disconnected(runner.board.uptime());
        let wait_ms = runner.backoff.next_ms(runner.board.random());
        let until = Some(link_now().plus_ms(wait_ms));
        runner.beside(pin!(core::future::pending::<()>()), until, false).await;
        if let Some(end) = runner.ended() {
            return Ok(end);
        }
    }
}

/// What ended a wait beside the node.
enum Beside<T> {
    Done(T),
    TimedOut,
    /// There is something to send.
    Wanted,
    /// The loop is to end.
    End,
}

/// Why there is nothing to wait for.
enum Over {
    TimedOut,
    /// There is something to send.
    Wanted,
    /// The loop is to end.
    End,
}

/// Until when it may be waited.
struct Times {
    node: Option<UptimeMs>,
    link: Option<LinkMs>,
}

/// The next message to send.
enum Composed {
    Answer,
    Hello,
    Records(Position),
}

struct Runner<'a, B, R, F: MultiwriteNorFlash> {
    board: &'a mut B,
    reader: R,
    node: Node,
    settings: Settings<F>,
    setup: Option<Setup<F>>,
    outbox: Outbox<F>,
    window: Window,
    backoff: Backoff,
    hello: Option<Hello>,
    answers: heapless::Deque<Answer, ANSWERS_MAX>,
    status: NodeStatus,
    connected: bool,
    /// Where the outbox had nothing to give although it holds records: unreadable ones, or a flash that does not
    /// answer. The next record is the next chance.
    barren: Option<(Position, Position)>,
    rest: Rest,
    /// Until when records wait for those of the probe that is being read.
    lingers_until: Option<LinkMs>,
    end: Option<End>,
}

impl<B: Board, R: Reads, F: MultiwriteNorFlash> Runner<'_, B, R, F> {
    /// One connection, from the attempt to its end. An error is one of configuration only.
    async fn session<C: Connector>(
        &mut self,
        connector: &mut C,
        identity: &Identity,
        memory: &mut Memory,
    ) -> Result<(), RunError> {
        let mut mqtt = identity.session(&mut memory.rx, &mut memory.tx).map_err(|_| RunError::Config)?;
        let attempt = async {
            let stream = connector.connect().await.ok()?;
            mqtt.connect(stream).await.ok()
        };
        let until = Some(link_now().plus_ms(CONNECT_MS));
        if let Beside::Done(Some(mut connection)) = self.beside(pin!(attempt), until, false).await {
            self.converse(&mut connection, identity, &mut memory.payload).await;
        }
        Ok(())
    }

    /// A standing connection, until it is lost.
    async fn converse<T: Read + Write>(
        &mut self,
        connection: &mut Connection<'_, '_, T>,
        identity: &Identity,
        payload: &mut [u8; PAYLOAD_LEN_MAX],
    ) {
        if self.open(connection, identity).await.is_none() {
            return;
        }
        self.connected = true;
        self.window.connected();
        let now = self.board.uptime();
        self.node.handle_connected(now);
        let mut silent_at = link_now().plus_ms(SILENCE_MS);
        loop {
            let Some(room) = self.send_all(connection, identity, payload).await else { return };
            let until = self.window.poll_timeout().map_or(silent_at, |at| at.min(silent_at));
            match self.beside(pin!(connection.poll()), Some(until), room).await {
                Beside::Done(Ok(message)) => {
                    silent_at = link_now().plus_ms(SILENCE_MS);
                    if let Some(message) = message.filter(|m| m.topic() == identity.down.as_str()) {
                        let now = self.board.uptime();
                        if self.node.handle_downlink(now, message.payload()) {
                            self.rest.heard();
                        }
                    }
                }
                Beside::TimedOut => {
                    let now = link_now();
                    if now >= silent_at {
                        return;
                    }
                    if self.window.handle_timeout(now) == Some(Due::Hello) {
                        self.node.request_hello();
                    }
                }
                Beside::Wanted => {}
                Beside::Done(Err(_)) | Beside::End => return,
            }
        }
    }

    /// Subscribes, waits for the broker's word on it, and says that the node is there. `None`: the connection is lost.
    async fn open<T: Read + Write>(
        &mut self,
        connection: &mut Connection<'_, '_, T>,
        identity: &Identity,
    ) -> Option<()> {
        let until = Some(link_now().plus_ms(CONNECT_MS));
        let options = minimq::SubscriptionOptions::default().maximum_qos(QoS::AtLeastOnce);
        let filters = [TopicFilter::new(&identity.down).options(options)];
        let Beside::Done(Ok(subscription)) =
            self.beside(pin!(connection.subscribe(&filters, &[])), until, false).await
        else {
            return None;
        };
        while connection.is_pending(&subscription) {
            // A message before the broker's word is none of ours: the session is clean.
            let Beside::Done(Ok(_)) = self.beside(pin!(connection.poll()), until, false).await else {
                return None;
            };
        }
        let online = Publication::bytes(&identity.status, ONLINE).qos(QoS::AtLeastOnce).retain();
        match self.beside(pin!(connection.publish(online)), until, false).await {
            Beside::Done(Ok(_)) => Some(()),
            Beside::Done(Err(_)) | Beside::TimedOut | Beside::Wanted | Beside::End => None,
        }
    }

    /// Sends what may be sent. Gives whether there is room for more; `None` when the connection is lost.
    async fn send_all<T: Read + Write>(
        &mut self,
        connection: &mut Connection<'_, '_, T>,
        identity: &Identity,
        payload: &mut [u8; PAYLOAD_LEN_MAX],
    ) -> Option<bool> {
        // What the last message brought is answered before records are looked for.
        self.serve().await;
        while connection.can_publish(QoS::AtLeastOnce) {
            let Some((what, len)) = self.compose(payload).await else { return Some(true) };
            let message = Publication::bytes(&identity.up, payload.get(..len)?).qos(QoS::AtLeastOnce);
            let until = Some(link_now().plus_ms(PUBLISH_MS));
            match self.beside(pin!(connection.publish(message)), until, false).await {
                Beside::Done(Ok(_)) => self.composed_is_sent(&what),
                Beside::Done(Err(minimq::PubError::Session(Error::NotReady | Error::Resource(_)))) => {
                    return Some(false);
                }
                Beside::Done(Err(_)) | Beside::TimedOut | Beside::Wanted | Beside::End => return None,
            }
        }
        Some(false)
    }

    /// Writes the next message into `payload`: answers, then Hello, then records.
    async fn compose(&mut self, payload: &mut [u8; PAYLOAD_LEN_MAX]) -> Option<(Composed, usize)> {
        if let Some(answer) = self.answers.front() {
            let len = Uplink::Answer(*answer).encode(payload).ok()?.len();
            return Some((Composed::Answer, len));
        }
        if let Some(hello) = &self.hello {
            let len = Uplink::Hello(hello.clone()).encode(payload).ok()?.len();
            return Some((Composed::Hello, len));
        }
        let cursor = self.window.next(self.outbox.last())?;
        let Ok(Some(records)) = self.outbox.batch(cursor).await else {
            self.barren = Some((cursor, self.outbox.last()));
            return None;
        };
        let last = records.last();
        let len = Uplink::Records(records).encode(payload).ok()?.len();
        Some((Composed::Records(last), len))
    }

    fn composed_is_sent(&mut self, what: &Composed) {
        match what {
            Composed::Answer => {
                self.answers.pop_front();
            }
            Composed::Hello => {
                self.hello = None;
                self.window.hello_sent(link_now());
            }
            Composed::Records(last) => self.window.sent(link_now(), *last),
        }
    }

    /// Awaits `work` while the node goes on. With `eager`, returns as soon as there is something to send.
    async fn beside<W: Future>(
        &mut self,
        mut work: Pin<&mut W>,
        until: Option<LinkMs>,
        eager: bool,
    ) -> Beside<W::Output> {
        loop {
            let times = match self.prepare(until, eager).await {
                Ok(times) => times,
                Err(Over::TimedOut) => return Beside::TimedOut,
                Err(Over::Wanted) => return Beside::Wanted,
                Err(Over::End) => return Beside::End,
            };
            if let Either::First(done) = select(work.as_mut(), self.wait(times)).await {
                return Beside::Done(done);
            }
        }
    }

    /// Does what the node wants done, and gives until when it may be waited then, or that the waiting is over.
    async fn prepare(&mut self, until: Option<LinkMs>, eager: bool) -> Result<Times, Over> {
        // Looked at here too: a link that always has something to say must not keep a probe from its turn.
        let polled = poll_fn(|context| Poll::Ready(self.reader.poll(context))).await;
        if let Poll::Ready((probe, read)) = polled {
            self.handle_read(probe, read);
        }
        self.serve().await;
        if self.end.is_some() {
            return Err(Over::End);
        }
        let now = link_now();
        let sends_at = if eager { self.sends_at(now) } else { None };
        if sends_at.is_some_and(|at| at <= now) {
            return Err(Over::Wanted);
        }
        // Checked here too: a board that always has something to say must not keep the link from its time.
        if until.is_some_and(|at| at <= now) {
            return Err(Over::TimedOut);
        }
        Ok(Times { node: self.rest().await, link: until.into_iter().chain(sends_at).min() })
    }

    /// Waits for the probe that is being read, for the board, or for a time. Cancel-safe.
    async fn wait(&mut self, times: Times) {
        let timer = async {
            match times.link {
                Some(at) => Timer::at(Instant::from_millis(at.0)).await,
                None => core::future::pending().await,
            }
        };
        match select3(self.reader.done(), self.board.wait(times.node), timer).await {
            Either3::First((probe, read)) => self.handle_read(probe, read),
            Either3::Second(wake) => self.handle_wake(wake),
            Either3::Third(()) => {}
        }
    }

    fn handle_read(&mut self, probe: ProbeId, read: ProbeRead) {
        self.lingers_until = Some(link_now().plus_ms(LINGER_MS));
        let now = self.board.uptime();
        self.node.handle_sample(now, probe, read);
    }

    /// Sleeps deeply, when that is planned and nothing is left to do; otherwise gives when there is something to do.
    async fn rest(&mut self) -> Option<UptimeMs> {
        let unsent = !self.answers.is_empty() || self.hello.is_some();
        let level = self.outbox.level();
        let look_at = self.rest.look(self.board, &self.node, level, self.window.is_open(), unsent).await;
        self.node.poll_timeout().into_iter().chain(look_at).min()
    }

    fn handle_wake(&mut self, wake: Wake) {
        let now = self.board.uptime();
        match wake {
            Wake::Timer => {}
            Wake::Button(valve) => self.node.handle_button(now, valve),
            Wake::Value(probe, metric, value) => self.node.handle_value(now, probe, metric, value),
            Wake::Stop => {
                self.node.shut(now);
                self.end = Some(End::Stopped);
            }
            Wake::Asleep => self.end = Some(End::Stopped),
        }
    }

    /// Does what the node wants done.
    async fn serve(&mut self) {
        if !self.reader.hangs(link_now()) {
            self.board.feed_watchdog();
        }
        loop {
            let now = self.board.uptime();
            let pulses = self.board.take_pulses();
            if pulses > 0 {
                self.node.handle_pulses(now, pulses);
            }
            if self.node.poll_timeout().is_some_and(|at| at <= now) {
                self.node.handle_timeout(now);
            }
            let Some(action) = self.node.poll_action(now) else { break };
            self.perform(action).await;
        }
        self.report();
    }

    async fn perform(&mut self, action: Action) {
        match action {
            Action::Drive(drive, _) => {
                if self.board.drive_valve(drive).await.is_err() {
                    let now = self.board.uptime();
                    self.node.handle_drive_fault(now, drive);
                }
            }
            Action::Keep(at, body) => {
                let is_outcome = matches!(body, Body::Settings(_));
                if matches!(body, Body::Valve(_)) {
                    self.lingers_until = None;
                }
                let kept = self.outbox.push(&mut self.settings, at, body).await.is_ok();
                self.node.handle_outbox(self.outbox.level());
                if let Some(setup) = self.setup.as_mut().filter(|_| kept && is_outcome) {
                    // Told again after the next boot otherwise.
                    let _told = setup.told().await;
                }
                let now = self.board.uptime();
                self.node.handle_kept(now, kept);
            }
            Action::Persist(kept) => {
                let persisted = self.settings.store_kept(&kept).await.is_ok();
                let now = self.board.uptime();
                self.node.handle_persisted(now, persisted);
            }
            // The link holds as many as the node: only a stalled link leaves no room, and its answers are void.
            Action::Answer(answer) => {
                let _full = self.answers.push_back(answer);
            }
            Action::Hello(hello) => {
                let clock = self.board.civil_time();
                self.hello = Some(Hello { clock, ..hello });
            }
            Action::Welcome(stored) => {
                self.backoff.succeed();
                self.settings.forget_boots().await;
                self.window.welcome(link_now(), stored);
                self.release(stored).await;
            }
            Action::Release(stored) => {
                self.window.acknowledge(link_now(), stored);
                self.release(stored).await;
            }
            Action::Restart(epoch) => {
                // Without the higher epoch a reset would bring the same question: it is asked again at the next Hello.
                if self.settings.raise_epoch(epoch).await.is_ok() {
                    let now = self.board.uptime();
                    self.node.close_all(now, CloseReason::Boot);
                    self.end = Some(End::Restart);
                }
            }
            Action::Change(settings) => {
                let refused = match &mut self.setup {
                    None => Some(RefusalReason::Unsupported),
                    Some(setup) => match setup.begin(&settings, &self.node.config().id).await {
                        Ok(true) => None,
                        Ok(false) => Some(RefusalReason::BadSetting),
                        Err(_) => Some(RefusalReason::Busy),
                    },
                };
                let now = self.board.uptime();
                self.node.handle_changed(now, settings.command, refused);
            }
            Action::Settle(event) => {
                let is_kept = match &mut self.setup {
                    None => false,
                    Some(setup) => setup.settle(event.outcome).await.is_ok(),
                };
                let now = self.board.uptime();
                self.node.handle_settled(now, event, is_kept);
            }
            Action::PowerProbes(on) => self.power_probes(on),
            Action::ReadProbe(probe) => self.reader.begin(probe, link_now()),
            Action::ReadVitals => {
                let vitals = self.board.read_vitals().await;
                let now = self.board.uptime();
                self.node.handle_vitals(now, vitals);
            }
        }
    }

    fn power_probes(&mut self, on: bool) {
        self.board.power_probes(on);
        let now = self.board.uptime();
        self.node.handle_powered(now);
    }

    /// Whether the loop is over; the probes on the line have no supply then.
    fn ended(&mut self) -> Option<End> {
        self.end.inspect(|_| self.board.power_probes(false))
    }

    /// Forgets what the gateway has. A flash that fails here costs a resend, nothing else.
    async fn release(&mut self, upto: Position) {
        if self.outbox.release(&mut self.settings, upto).await.is_ok() {
            let _kept_in_memory = self.settings.store_released(upto).await;
        }
        self.node.handle_outbox(self.outbox.level());
    }

    /// When there is something to send.
    fn sends_at(&self, now: LinkMs) -> Option<LinkMs> {
        let records = self.window.next(self.outbox.last()).is_some_and(|cursor| {
            self.outbox.has_after(cursor) && self.barren != Some((cursor, self.outbox.last()))
        });
        if !self.answers.is_empty() || self.hello.is_some() {
            return Some(now);
        }
        let lingers_until = self.lingers_until.filter(|_| self.reader.is_busy());
        records.then(|| lingers_until.map_or(now, |until| until.max(now)))
    }

    fn report(&mut self) {
        let level = self.outbox.level();
        let status = NodeStatus {
            epoch: self.node.epoch(),
            connected: self.connected,
            welcomed: self.window.is_open(),
            waiting: level.waiting,
            last: level.last,
            released: self.node.released(),
            lost: level.lost,
        };
        if status != self.status {
            self.status = status;
            self.board.report(&status);
        }
    }
}

/// Where this boot stands with settings from over the air. A partition that cannot be read keeps none.
async fn standing<F: MultiwriteNorFlash>(setup: &mut Option<Setup<F>>) -> Standing {
    let Some(setup) = setup else { return Standing::default() };
    let Ok(trial) = setup.trial().await else { return Standing::default() };
    let (last, trying_s, news) = match trial {
        Trial::None => (None, None, None),
        Trial::Running { command, within_s } => (Some(command), Some(within_s), None),
        Trial::Over(event) => (Some(event.command), None, Some(event)),
        Trial::Told(command) => (Some(command), None, None),
    };
    Standing { can_change: true, last, trying_s, news }
}

fn link_now() -> LinkMs {
    LinkMs(Instant::now().as_millis())
}

#[cfg(test)]
mod tests;
