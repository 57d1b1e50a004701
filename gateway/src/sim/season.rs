//! Events in the order of time: what nodes do, what links do to messages, when the gateway is woken.
//!
//! Words of one node arrive in the order in which they were said, as in one TCP connection, or not at all; doubles of
//! records and answers may come much later. Orders may be lost, late and doubled, on a bad link overtake one
//! another, and copies of them may be played again days later.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use giot_engine::{Input, ZoneId};
use giot_shared::ids::{CommandId, Position};
use giot_shared::metric::Metric;
use giot_shared::time::UnixMs;
use giot_shared::valve::{CloseReason, RefusalReason};
use giot_shared::wire::{Body, Hello, Reading, Records};

use super::checks::{Checks, TextHash};
use super::dice::Dice;
use super::farm::Farm;
use super::field::Field;
use super::gateway::Gateway;
use super::meter::{Meters, Visit};
use super::node::{Node, Order, Run};
use super::pump::{PumpTrouble, Pumps};
use super::station::Station;
use super::trouble::{ProbeTrouble, Trouble, seen};
use super::{Options, Report};
use crate::ingest::json::Names;

/// The season begins on 2026-01-14T17:00:00Z, a midnight in Sơn La in the dry season.
pub(super) const START: UnixMs = UnixMs(1_768_410_000_000);

pub(super) const MINUTE_MS: u64 = 60_000;
pub(super) const DAY_MS: u64 = 24 * 60 * MINUTE_MS;

/// From one reading to the next: at rest, and while the zone runs.
const SAMPLE_MS: (u64, u64) = (30 * MINUTE_MS, 5 * MINUTE_MS);

/// A batch of records without an Ack is sent again after so long.
const RESEND_MS: u64 = 20_000;

/// A node asks for the time again after so long: the firmware's default.
const HELLO_EVERY_MS: u64 = 6 * 60 * MINUTE_MS;

/// How late beyond its time to live an order may be obeyed: a node's clock drifts until it is told the time again.
const CLOCK_MS_MAX: u64 = 2000;

/// Plum on its soils wants water every few days; troubles and pauses may keep half of that away.
const ZONE_DAYS_A_RUN: u64 = 20;

/// A season with fewer looks at open valves says little about their pumps.
const N_LOOKS_FEW: u64 = 500;

/// A message from a node.
#[derive(Clone, Debug)]
pub(super) enum Up {
    // Boxed: a message holds room for forty records, and events move about a lot.
    Hello(Box<Hello>),
    Records(Box<Records>),
    Answer(CommandId, Option<RefusalReason>),
    /// The broker's word that the connection is over.
    Gone,
}

/// A message to a node.
#[derive(Clone, Copy, Debug)]
pub(super) enum Down {
    /// With whether the clock that it tells is right.
    Welcome {
        nonce: u64,
        unix: Option<UnixMs>,
        stored: Position,
        is_clock_right: bool,
    },
    Ack(Position),
    Order(Order),
}

/// What happens at a moment.
#[derive(Clone, Debug)]
pub(super) enum Happening {
    Up {
        node_idx: usize,
        up: Up,
    },
    /// `session`: a message waits in no queue for a later connection; `None`: somebody plays a copy.
    Down {
        node_idx: usize,
        session: Option<u32>,
        down: Down,
    },
    Sample {
        node_idx: usize,
    },
    Lease {
        node_idx: usize,
    },
    Send {
        node_idx: usize,
    },
    Connect {
        node_idx: usize,
    },
    HelloAgain {
        node_idx: usize,
        session: u32,
    },
    Station {
        station_idx: usize,
    },
    Json {
        station_idx: usize,
        taken_ms: u64,
        percent: Option<f64>,
    },
    Commit,
    Noon,
    Begin(Trouble),
    End(Trouble),
    /// A person comes to what a meter has found.
    Visit(Visit),
    Chance,
}

/// What happens when; of one moment in the order of planning.
#[derive(Debug)]
struct Planned {
    at_ms: u64,
    nth: u64,
    happening: Happening,
}

impl Planned {
    fn place(&self) -> (u64, u64) {
        (self.at_ms, self.nth)
    }
}

impl Ord for Planned {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().cmp(&other.place())
    }
}

impl PartialOrd for Planned {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Planned {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for Planned {}

/// What a node's link does to messages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub(super) loss_permille: u64,
    pub(super) double_permille: u64,
    pub(super) late_ms_max: u64,
    /// Orders arrive in the order of their sending, as in one connection.
    pub(super) keeps_order: bool,
}

impl Link {
    pub(super) const GOOD: Self =
        Self { loss_permille: 1, double_permille: 2, late_ms_max: 400, keeps_order: true };
    pub(super) const BAD: Self =
        Self { loss_permille: 150, double_permille: 150, late_ms_max: 45_000, keeps_order: false };
}

/// Everything of a season.
#[derive(Debug)]
pub(super) struct World {
    pub(super) now_ms: u64,
    pub(super) farm: Farm,
    pub(super) field: Field,
    pub(super) nodes: Vec<Node>,
    pub(super) links: Vec<Link>,
    pub(super) probes: BTreeMap<(usize, u8), ProbeTrouble>,
    pub(super) stations: Vec<Station>,
    pub(super) station_troubles: BTreeMap<usize, ProbeTrouble>,
    pub(super) names: Names,
    pub(super) gateway: Gateway,
    pub(super) pumps: Pumps,
    pub(super) meters: Meters,
    pub(super) checks: Checks,
    pub(super) report: Report,
    /// What there is to tell, where a test wants to hear it.
    #[cfg(test)]
    pub(super) told: Option<super::Told>,
    pub(super) hash: TextHash,
    pub(super) chance: Dice,
    queue: BinaryHeap<Reverse<Planned>>,
    n_planned: u64,
    /// By node: when it samples next.
    samples_at_ms: Vec<Vec<u64>>,
    pub(super) link_dice: Dice,
    pub(super) probe_dice: Dice,
    pub(super) visit_dice: Dice,
    /// When the last word of each node arrives.
    last_up_ms: Vec<u64>,
    /// When the last message to each node arrives that was sent over a good link.
    last_down_ms: Vec<u64>,
    /// The commands that nodes have obeyed lately.
    obeyed: VecDeque<CommandId>,
}

/// Lives through a season; with `is_trailing` up to the first break only.
pub(super) fn live(
    options: Options,
    is_trailing: bool,
    on_day: &mut dyn FnMut(u64),
) -> anyhow::Result<Report> {
    let farm = Farm::new(options.n_zones, &mut Dice::new(options.seed, 1))?;
    let mut world = World::new(farm, options.seed, is_trailing);
    world.begin();
    let mut n_days = 0;
    while n_days < options.n_days && !(is_trailing && world.checks.first.is_some()) {
        n_days += 1;
        world.run_until(n_days * DAY_MS);
        world.check_views();
        on_day(n_days);
    }
    if !is_trailing {
        world.check_end();
    }
    Ok(world.into_report())
}

/// Lives through a season and keeps what it has to tell.
#[cfg(test)]
pub(super) fn live_and_tell(options: Options) -> anyhow::Result<super::Told> {
    let farm = Farm::new(options.n_zones, &mut Dice::new(options.seed, 1))?;
    let mut world = World::new(farm, options.seed, false);
    world.told = Some(super::Told { plan: world.farm.plan.clone(), start: START, ..super::Told::default() });
    world.begin();
    for n_hours in 1..=options.n_days * 24 {
        world.run_until(n_hours * 60 * MINUTE_MS);
        world.tell_views();
    }
    Ok(world.told.unwrap_or_default())
}

impl World {
    pub(super) fn new(farm: Farm, seed: u64, is_trailing: bool) -> Self {
        let mut dice = Dice::new(seed, 2);
        let n_nodes = farm.node_ids.len();
        let n_lines = |node_idx| {
            let of_zones = farm.grounds.iter().filter(|ground| ground.node_idx == node_idx).count();
            of_zones + usize::from(farm.pump_nodes().contains(&node_idx))
        };
        // A few parts in a million: the dating of an epoch that lives for months must stay within a minute.
        let drift = |dice: &mut Dice| i64::try_from(dice.below(7)).unwrap_or(3) - 3;
        let nodes = (0..n_nodes)
            .map(|idx| {
                Node::new(n_lines(idx), drift(&mut dice), !farm.pump_nodes().contains(&idx) && idx % 2 == 1)
            })
            .collect();
        Self {
            now_ms: 0,
            field: Field::new(seed, START, &farm.grounds),
            nodes,
            links: vec![Link::GOOD; n_nodes],
            probes: BTreeMap::new(),
            stations: farm.new_stations(),
            station_troubles: BTreeMap::new(),
            names: Names::default(),
            gateway: Gateway::new(farm.grounds.len()),
            pumps: Pumps::default(),
            meters: Meters::new(farm.grounds.len()),
            checks: Checks::new(is_trailing),
            report: Report::default(),
            #[cfg(test)]
            told: None,
            hash: TextHash::default(),
            chance: Dice::new(seed, 3),
            queue: BinaryHeap::new(),
            n_planned: 0,
            samples_at_ms: vec![Vec::new(); n_nodes],
            link_dice: Dice::new(seed, 4),
            probe_dice: Dice::new(seed, 5),
            visit_dice: Dice::new(seed, 6),
            last_up_ms: vec![0; n_nodes],
            last_down_ms: vec![0; n_nodes],
            obeyed: VecDeque::new(),
            farm,
        }
    }

    pub(super) fn begin(&mut self) {
        self.start_gateway();
        for node_idx in 0..self.farm.pump_nodes().start {
            let at_ms = self.link_dice.below(SAMPLE_MS.0);
            self.plan_sample(node_idx, at_ms);
        }
        for station_idx in 0..self.stations.len() {
            let at_ms = self.link_dice.below(SAMPLE_MS.0);
            self.plan(at_ms, Happening::Station { station_idx });
        }
        self.plan(DAY_MS / 2, Happening::Noon);
        self.plan(0, Happening::Chance);
    }

    pub(super) fn plan(&mut self, in_ms: u64, happening: Happening) {
        self.n_planned += 1;
        let at_ms = self.now_ms.saturating_add(in_ms);
        self.queue.push(Reverse(Planned { at_ms, nth: self.n_planned, happening }));
    }

    pub(super) fn zone_idx(&self, zone: &ZoneId) -> Option<usize> {
        self.farm.zone_ids.binary_search(zone).ok()
    }

    pub(super) fn run_until(&mut self, end_ms: u64) {
        loop {
            let event_ms = self.queue.peek().map(|Reverse(planned)| planned.at_ms);
            let engine_ms = self.engine_timeout_ms();
            let next_ms = event_ms.into_iter().chain(engine_ms).min();
            let Some(next_ms) = next_ms.filter(|next_ms| *next_ms <= end_ms) else { break };
            self.now_ms = self.now_ms.max(next_ms);
            if engine_ms.is_some_and(|at_ms| at_ms <= self.now_ms) {
                self.feed(Input::Timeout);
            } else if let Some(Reverse(planned)) = self.queue.pop() {
                self.happen(planned.happening);
                self.check_pumps();
            }
        }
        self.now_ms = end_ms;
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Up { node_idx, up } => self.hear(node_idx, up),
            Happening::Down { node_idx, session, down } => self.arrive(node_idx, session, down),
            Happening::Sample { node_idx } => self.sample(node_idx),
            Happening::Lease { node_idx } => self.end_leases(node_idx),
            Happening::Send { node_idx } => self.send_records(node_idx),
            Happening::Connect { node_idx } => self.connect(node_idx),
            Happening::HelloAgain { node_idx, session } => self.hello_again(node_idx, session),
            Happening::Station { station_idx } => self.station_samples(station_idx),
            Happening::Json { station_idx, taken_ms, percent } => {
                self.take_json(station_idx, taken_ms, percent);
            }
            Happening::Commit => {
                if self.is_gateway_up() {
                    self.commit();
                }
            }
            Happening::Noon => self.noon(),
            Happening::Begin(trouble) => self.begin_trouble(trouble),
            Happening::End(trouble) => self.end_trouble(trouble),
            Happening::Visit(visit) => self.visit(&visit),
            Happening::Chance => self.take_chances(),
        }
    }

    fn noon(&mut self) {
        for zone_idx in 0..self.farm.grounds.len() {
            self.field.advance(zone_idx, self.now_ms);
            self.report.n_stress_days += u64::from(self.field.is_stressed(zone_idx));
        }
        self.plan(DAY_MS, Happening::Noon);
    }

    // ---- links -----------------------------------------------------------------------------------------------------

    pub(super) fn connect_soon(&mut self, node_idx: usize) {
        let in_ms = self.link_dice.between(1000, MINUTE_MS);
        self.plan(in_ms, Happening::Connect { node_idx });
    }

    fn connect(&mut self, node_idx: usize) {
        let is_up = self.is_gateway_up();
        let Some(node) = self.nodes.get_mut(node_idx) else { return };
        if is_up && node.is_powered && node.is_linked && node.session.is_none() {
            let (hello, session) = node.connect(self.now_ms);
            self.send_up(node_idx, Up::Hello(Box::new(hello)));
            // A Welcome may be lost on the way.
            self.plan(2 * MINUTE_MS, Happening::HelloAgain { node_idx, session });
        }
    }

    /// A node that waits for its Welcome says Hello again, and every one now and then.
    fn hello_again(&mut self, node_idx: usize, session: u32) {
        let Some(node) = self.nodes.get(node_idx).filter(|node| node.session == Some(session)) else {
            return;
        };
        let (knows_time, hello_ms) = (node.knows_time(), node.hello_ms);
        if !knows_time || self.now_ms.saturating_sub(hello_ms) >= HELLO_EVERY_MS {
            self.say_hello(node_idx);
        }
        let in_ms = if knows_time { HELLO_EVERY_MS } else { 2 * MINUTE_MS };
        self.plan(in_ms, Happening::HelloAgain { node_idx, session });
    }

    fn say_hello(&mut self, node_idx: usize) {
        let node = self.nodes.get_mut(node_idx).filter(|node| node.session.is_some());
        if let Some(hello) = node.map(|node| node.hello(self.now_ms)) {
            self.send_up(node_idx, Up::Hello(Box::new(hello)));
        }
    }

    /// The connection is over; the broker notices after a while, behind everything that the node had said.
    pub(super) fn disconnect(&mut self, node_idx: usize) {
        let Some(node) = self.nodes.get_mut(node_idx) else { return };
        if node.session.take().is_some() {
            let noticed_ms = self.link_dice.between(1000, 90_000);
            self.queue_up(node_idx, noticed_ms, Up::Gone);
        }
    }

    fn queue_up(&mut self, node_idx: usize, late_ms: u64, up: Up) {
        let Some(last_ms) = self.last_up_ms.get_mut(node_idx) else { return };
        *last_ms = (*last_ms).max(self.now_ms.saturating_add(late_ms));
        let in_ms = last_ms.saturating_sub(self.now_ms);
        self.plan(in_ms, Happening::Up { node_idx, up });
    }

    fn send_up(&mut self, node_idx: usize, up: Up) {
        let Some(link) = self.links.get(node_idx).copied() else { return };
        let is_hello = matches!(up, Up::Hello(_));
        if !is_hello && self.link_dice.permille(link.loss_permille) {
            return;
        }
        let is_doubled = !is_hello && self.link_dice.permille(link.double_permille);
        let copy = is_doubled.then(|| (self.link_dice.below(60_000), up.clone()));
        let late_ms = self.link_dice.between(20, link.late_ms_max);
        self.queue_up(node_idx, late_ms, up);
        // A copy follows what it is a copy of: it overtakes no word that was said before.
        if let Some((later_ms, up)) = copy {
            let first_ms = self.last_up_ms.get(node_idx).copied().unwrap_or(self.now_ms);
            self.plan(first_ms.saturating_sub(self.now_ms) + later_ms, Happening::Up { node_idx, up });
        }
    }

    pub(super) fn send_down(&mut self, node_idx: usize, down: Down) {
        let (Some(link), Some(node)) = (self.links.get(node_idx).copied(), self.nodes.get(node_idx)) else {
            return;
        };
        let Some(session) = node.session else { return };
        let mut n_copies = u64::from(!self.link_dice.permille(link.loss_permille));
        n_copies += u64::from(self.link_dice.permille(link.double_permille));
        for _ in 0..n_copies {
            let late_ms = self.link_dice.between(20, link.late_ms_max);
            let in_ms = if link.keeps_order { self.in_order(node_idx, late_ms) } else { late_ms };
            self.plan(in_ms, Happening::Down { node_idx, session: Some(session), down });
        }
        if matches!(down, Down::Order(_)) && self.link_dice.permille(5) {
            let in_ms = self.link_dice.between(MINUTE_MS, 3 * DAY_MS);
            self.plan(in_ms, Happening::Down { node_idx, session: None, down });
        }
    }

    /// How late a message arrives that does not overtake those before it.
    fn in_order(&mut self, node_idx: usize, late_ms: u64) -> u64 {
        let Some(last_ms) = self.last_down_ms.get_mut(node_idx) else { return late_ms };
        *last_ms = (*last_ms).max(self.now_ms.saturating_add(late_ms));
        last_ms.saturating_sub(self.now_ms)
    }

    fn arrive(&mut self, node_idx: usize, session: Option<u32>, down: Down) {
        let now_ms = self.now_ms;
        let Some(node) = self.nodes.get_mut(node_idx).filter(|node| node.session.is_some()) else { return };
        if session.is_some() && session != node.session {
            return;
        }
        match down {
            Down::Welcome { nonce, unix, stored, is_clock_right } => {
                node.welcome(now_ms, nonce, unix, stored, is_clock_right);
                self.check_released(node_idx);
                self.send_records(node_idx);
            }
            Down::Ack(stored) => {
                node.release(stored);
                self.check_released(node_idx);
                self.send_records(node_idx);
            }
            Down::Order(order) => self.obey(node_idx, &order),
        }
    }

    /// P1: what a node lets go of is in the store.
    fn check_released(&mut self, node_idx: usize) {
        let Some(node) = self.nodes.get(node_idx) else { return };
        let stored = self.gateway.kept.marks.get(&node_idx).copied().unwrap_or_default();
        self.checks.demand(node.released <= stored, self.now_ms, || {
            format!("P1: node {node_idx} released {:?}, stored is {stored:?}", node.released)
        });
    }

    pub(super) fn send_records(&mut self, node_idx: usize) {
        let now_ms = self.now_ms;
        let Some(node) = self.nodes.get_mut(node_idx) else { return };
        let mut batches = Vec::new();
        while let Some(records) = node.batch(now_ms) {
            node.sending_until_ms = Some(now_ms + RESEND_MS);
            batches.push(records);
        }
        for records in batches {
            self.plan(RESEND_MS, Happening::Send { node_idx });
            self.send_up(node_idx, Up::Records(records));
        }
    }

    // ---- nodes -----------------------------------------------------------------------------------------------------

    pub(super) fn zone_of(&self, node_idx: usize, line_idx: usize) -> Option<usize> {
        self.farm.zones_of(node_idx).nth(line_idx)
    }

    fn obey(&mut self, node_idx: usize, order: &Order) {
        let now_ms = self.now_ms;
        let zone_idx = self.zone_of(node_idx, order.line_idx);
        let trouble = self.pumps.troubles.get(&node_idx).copied();
        if trouble == Some(PumpTrouble::Mute) {
            return;
        }
        let meter_ml = zone_idx.map_or(0, |zone_idx| {
            self.field.advance(zone_idx, now_ms);
            self.field.metered_ml(zone_idx)
        });
        let Some(node) = self.nodes.get_mut(node_idx) else { return };
        let is_busy = order.open.is_some() && trouble == Some(PumpTrouble::Busy);
        let refused = node.refusal(now_ms, order).or(is_busy.then_some(RefusalReason::Busy));
        self.checks.note(now_ms, || format!("node {node_idx} gets {order:?}: {refused:?}"));
        if let Some(refusal) = refused {
            self.count_refusal(refusal);
            if refusal == RefusalReason::Expired {
                // The time is asked for again.
                self.say_hello(node_idx);
            }
        } else if let Some((run_s, _, ttl_s)) = order.open {
            self.check_order(node_idx, order, ttl_s);
            let is_first = self.nodes.get(node_idx).is_some_and(|node| {
                node.runs
                    .get(order.line_idx)
                    .is_some_and(|run| run.is_none_or(|run| run.commanded_ms.is_none()))
            });
            if zone_idx.is_some() {
                self.report.n_runs += u64::from(is_first);
            } else {
                self.note_pump_order(node_idx, order, ttl_s);
            }
            if !is_first || trouble != Some(PumpTrouble::DoesNotStart) {
                let limits = (run_s, order.volume_ml);
                self.open(node_idx, order.line_idx, Some(order.command), limits, meter_ml);
                self.check_flows();
            }
        } else {
            self.close(node_idx, order.line_idx, CloseReason::Commanded);
        }
        self.send_up(node_idx, Up::Answer(order.command, refused));
        self.send_records(node_idx);
    }

    /// P4: no order is obeyed twice, and none long after its time to live. An order that a wrong clock dated, or that a node
    /// gets which was told a wrong time, may look fresh when it is not: then the counter alone protects the valve.
    fn check_order(&mut self, node_idx: usize, order: &Order, ttl_s: u32) {
        let late_ms = self.now_ms.saturating_sub(order.sent_ms);
        let late_ms_max = u64::from(ttl_s) * 1000 + CLOCK_MS_MAX;
        let is_dated_well =
            order.is_clock_right && self.nodes.get(node_idx).is_some_and(|node| node.is_clock_right);
        self.checks.demand(late_ms <= late_ms_max || !is_dated_well, self.now_ms, || {
            format!("P4: command {} is obeyed {late_ms} ms after it was sent", order.command.0)
        });
        let is_first = !self.obeyed.contains(&order.command);
        self.checks.demand(is_first, self.now_ms, || format!("P4: command {} twice", order.command.0));
        if self.obeyed.len() == 256 {
            self.obeyed.pop_front();
        }
        self.obeyed.push_back(order.command);
    }

    pub(super) fn open(
        &mut self,
        node_idx: usize,
        line_idx: usize,
        command: Option<CommandId>,
        limits: (u32, Option<u64>),
        meter_ml: u64,
    ) {
        let now_ms = self.now_ms;
        let run = self.nodes.get(node_idx).and_then(|node| *node.runs.get(line_idx)?);
        let is_first = run.is_none();
        if let Some(node) = self.nodes.get_mut(node_idx) {
            node.open(now_ms, line_idx, command, limits, meter_ml);
        }
        let run = self.nodes.get(node_idx).and_then(|node| *node.runs.get(line_idx)?);
        let until_ms = run.map_or(now_ms, |run| run.until_ms);
        self.plan(until_ms.saturating_sub(now_ms), Happening::Lease { node_idx });
        if let Some(zone_idx) = self.zone_of(node_idx, line_idx) {
            self.field.set_valve(zone_idx, true, now_ms);
            self.meters.begin(zone_idx, self.field.given_ml(zone_idx), is_first);
            self.plan_enough(zone_idx);
            self.plan_sample(node_idx, MINUTE_MS);
        } else {
            self.turn_water(node_idx);
        }
    }

    pub(super) fn close(&mut self, node_idx: usize, line_idx: usize, why: CloseReason) {
        let now_ms = self.now_ms;
        let Some(zone_idx) = self.zone_of(node_idx, line_idx) else {
            if let Some(node) = self.nodes.get_mut(node_idx) {
                node.close(now_ms, line_idx, why, 0);
            }
            return self.turn_water(node_idx);
        };
        self.field.set_valve(zone_idx, false, now_ms);
        let meter_ml = self.field.metered_ml(zone_idx);
        let run = self.nodes.get_mut(node_idx).and_then(|node| node.close(now_ms, line_idx, why, meter_ml));
        if let Some(run) = run {
            self.meters.end(zone_idx, self.field.given_ml(zone_idx));
            self.check_run(zone_idx, &run);
        }
    }

    /// P3: no run is longer than the plan's longest.
    pub(super) fn check_run(&mut self, zone_idx: usize, run: &Run) {
        let plan = self.farm.zone_ids.get(zone_idx).and_then(|id| self.farm.plan.zones.get(id));
        let (Some(plan), Some(since_ms)) = (plan, run.commanded_ms) else { return };
        let open_ms = self.now_ms.saturating_sub(since_ms);
        self.checks.demand(open_ms <= u64::from(plan.run_max_s) * 1000, self.now_ms, || {
            format!("P3: zone {zone_idx} was open for {} s of {} s", open_ms / 1000, plan.run_max_s)
        });
    }

    fn end_leases(&mut self, node_idx: usize) {
        let Some(runs) = self.nodes.get(node_idx).map(|node| node.runs.clone()) else { return };
        for (line_idx, run) in runs.into_iter().enumerate() {
            let Some(run) = run else { continue };
            let meter_ml = self.zone_of(node_idx, line_idx).filter(|_| run.enough_at_ml.is_some());
            let meter_ml = meter_ml.map_or(0, |zone_idx| {
                self.field.advance(zone_idx, self.now_ms);
                self.field.metered_ml(zone_idx)
            });
            if let Some(why) = run.ended_by(self.now_ms, meter_ml) {
                self.close(node_idx, line_idx, why);
                if why == CloseReason::VolumeReached {
                    self.foresaw_not_last(node_idx);
                }
            }
        }
        self.send_records(node_idx);
    }

    /// P5: valves that are open under commands take no more than each branch carries. What a person opened at the node or
    /// what does not close is not the engine's.
    fn check_flows(&mut self) {
        let mut open: Vec<(usize, Option<u32>)> = Vec::new();
        for (zone_idx, ground) in self.farm.grounds.iter().enumerate() {
            let run = self.nodes.get(ground.node_idx).and_then(|node| *node.runs.get(ground.line_idx)?);
            if run.is_some_and(|run| run.commanded_ms.is_some()) {
                open.push((zone_idx, ground.planned_l_h));
            }
        }
        for branch in &self.farm.branches {
            let is_fed = |(zone_idx, _): &&(usize, Option<u32>)| branch.zones.binary_search(zone_idx).is_ok();
            let fed = || open.iter().filter(is_fed);
            let taken = fed().map(|(_, flow)| *flow).sum::<Option<u32>>();
            let is_carried = match (taken, branch.capacity_l_h) {
                (Some(taken), Some(capacity)) => taken <= capacity,
                (None, _) | (_, None) => fed().count() <= 1,
            };
            self.checks.demand(is_carried, self.now_ms, || {
                format!("P5: {} does not carry {:?}", branch.source, fed().collect::<Vec<_>>())
            });
        }
    }

    fn sample(&mut self, node_idx: usize) {
        let now_ms = self.now_ms;
        for zone_idx in self.farm.zones_of(node_idx) {
            self.field.advance(zone_idx, now_ms);
            self.look_at_way(zone_idx);
            let theta = self.field.theta(zone_idx);
            self.read_meter(node_idx, zone_idx);
            let Some((first, n)) = self.farm.grounds.get(zone_idx).map(|g| (g.first_probe, g.n_probes))
            else {
                continue;
            };
            for probe in first..first + n {
                let noise = 0.0015 * self.probe_dice.bell();
                let trouble = self.probes.get(&(node_idx, probe)).copied();
                let Some((value, flaw)) = seen(theta + noise, trouble, self.probe_dice.below(10_000)) else {
                    continue;
                };
                let metric = Metric::SoilMoisture.wire();
                let reading = Reading { probe, metric, value, raw: None, flaw };
                if let Some(node) = self.nodes.get_mut(node_idx) {
                    node.record(now_ms, Body::Reading(reading));
                }
            }
        }
        self.send_records(node_idx);
        // One rhythm at rest; samples while a valve is open are planned beside it.
        let is_running = self.nodes.get(node_idx).is_some_and(|node| node.runs.iter().any(Option::is_some));
        let grid_ms = if is_running { SAMPLE_MS.1 } else { SAMPLE_MS.0 };
        if let Some(planned) = self.samples_at_ms.get_mut(node_idx) {
            planned.retain(|at_ms| *at_ms > now_ms);
            if planned.iter().any(|at_ms| *at_ms <= now_ms + grid_ms) {
                return;
            }
        }
        self.plan_sample(node_idx, grid_ms);
    }

    fn plan_sample(&mut self, node_idx: usize, in_ms: u64) {
        if let Some(planned) = self.samples_at_ms.get_mut(node_idx) {
            planned.push(self.now_ms + in_ms);
        }
        self.plan(in_ms, Happening::Sample { node_idx });
    }

    /// Nothing more breaks.
    pub(super) fn forget_troubles(&mut self) {
        self.queue.retain(|Reverse(planned)| {
            !matches!(planned.happening, Happening::Begin(_) | Happening::End(_) | Happening::Chance)
        });
    }

    // ---- the end ---------------------------------------------------------------------------------------------------

    /// After the season everything works for a while: then every record must have arrived, once.
    fn check_end(&mut self) {
        self.mend_everything();
        self.run_until(self.now_ms + DAY_MS / 4);
        for node_idx in 0..self.nodes.len() {
            let Some(node) = self.nodes.get(node_idx) else { continue };
            let n_waiting = node.outbox.len();
            let stored = self.gateway.kept.marks.get(&node_idx).copied().unwrap_or_default();
            // What was said within the last minute may be on its way.
            // A pump's node has nothing to say before it is switched on.
            let is_whole = n_waiting <= 16 && (stored.epoch == node.epoch || node.last_seq() == 0);
            self.checks.demand(is_whole, self.now_ms, || {
                format!(
                    "P1: node {node_idx} keeps {n_waiting} records up to {}, stored is {stored:?}",
                    node.last_seq()
                )
            });
            self.check_litres(node_idx);
        }
    }

    /// P7: every litre that a node measured and told is in the store, and so (checked at each commit) in the diary.
    fn check_litres(&mut self, node_idx: usize) {
        let Some(node) = self.nodes.get(node_idx) else { return };
        if node.outbox.iter().any(|(_, record)| matches!(record.body, Body::Valve(_))) {
            return;
        }
        for (line_idx, told_ml) in node.told_ml.clone().into_iter().enumerate() {
            let Some(zone_idx) = self.zone_of(node_idx, line_idx) else { continue };
            let heard_ml = self.gateway.kept.heard_ml.get(&zone_idx).copied().unwrap_or(0);
            self.checks.demand(heard_ml == told_ml, self.now_ms, || {
                format!("P7: node {node_idx} told {told_ml} ml of valve {line_idx}, stored are {heard_ml} ml")
            });
            self.check_given(zone_idx, heard_ml);
        }
    }

    fn into_report(mut self) -> Report {
        let told_ml: u64 = self.gateway.kept.told_ml.values().sum();
        let wetted_m2: u64 = self.farm.grounds.iter().map(|ground| u64::from(ground.wetted_m2)).sum();
        self.report.litres = told_ml / 1000;
        self.report.mm = (told_ml / 1000).checked_div(wetted_m2).unwrap_or(0);
        self.report.n_records = self.gateway.kept.n_records;
        let (n_dry, n_looks) = (self.report.n_dry_looks, self.report.n_looks);
        // A pump that fails costs some of them; one that goes off and on again would cost many more.
        self.checks.demand(n_dry * 25 <= n_looks + N_LOOKS_FEW, self.now_ms, || {
            format!("P5: {n_dry} of {n_looks} looks at open valves find their pump or master valve off")
        });
        // Whoever waters nothing breaks no other promise.
        let n_zone_days = u64::try_from(self.farm.grounds.len()).unwrap_or(0) * self.now_ms / DAY_MS;
        self.checks.demand(self.report.n_runs >= n_zone_days / ZONE_DAYS_A_RUN, self.now_ms, || {
            format!("P6: {} runs in {n_zone_days} days of zones", self.report.n_runs)
        });
        self.report.n_lost = self.nodes.iter().map(|node| node.n_lost).sum();
        self.report.actions_hash = self.hash.0;
        self.report.n_violations = self.checks.n_violations;
        self.report.first = self.checks.first.take();
        self.report.trail = self.checks.trail();
        self.report
    }
}
