//! What water goes through on its way, in played time, and what pipes and pumps make of the runs of one program.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use giot_shared::time::{MonoMs, UnixMs};

use super::{Network, Rests};
use crate::plan::Plan;

/// The pipes and pumps of a farm; nobody holds anything at first. One that is made by `default` lets everything through.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pipes {
    pub(crate) network: Network,
    pub(crate) rests: Rests,
}

/// A run that is to go through pipes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flow {
    /// Runs of one line follow each other.
    pub(crate) line: usize,
    pub(crate) zone_idx: usize,
    pub(crate) from: UnixMs,
    pub(crate) run_ms: u64,
}

/// What became of runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Led {
    /// When the last one ends; `None`: there is none.
    pub(crate) until: Option<UnixMs>,
    /// All of them together, ms.
    pub(crate) run_ms: u64,
    /// Runs that were put off, from when they could have begun if no hours were closed, in that order.
    pub(crate) turns: Vec<Flow>,
}

/// When a run that pipes or pumps have put off to a moment may begin, and how long it may last; `None`: it is left out.
pub(crate) type Hours<'a> = dyn Fn(&Flow, UnixMs) -> Option<(UnixMs, u64)> + 'a;

/// Runs that follow each other.
#[derive(Default)]
struct Line {
    flows: VecDeque<Flow>,
    /// How much later than wished the first of them is, ms.
    late_ms: u64,
    /// Pipes and pumps have let the first one through.
    has_turn: bool,
}

/// Runs on their way.
struct Play<'a> {
    pipes: Pipes,
    hours: &'a Hours<'a>,
    lines: BTreeMap<usize, Line>,
    running: BTreeSet<(UnixMs, usize)>,
    /// Zones that have just had enough, and when.
    leaving: (UnixMs, Vec<usize>),
    wakes: BTreeSet<UnixMs>,
    led: Led,
}

impl Pipes {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self { network: Network::new(plan), rests: Rests::of(plan) }
    }

    /// Leads runs that are alone on the farm, each line's in their order, through it as soon as there is room and their pumps have
    /// rested. What has no room at all is left out.
    ///
    /// Bounded: a look at the first run of each line whenever a run ends, hours open, a pump has rested or a time between two starts
    /// is over.
    pub(crate) fn lead(&self, flows: &[Flow], hours: &Hours<'_>) -> Led {
        if self.are_free_for(flows) {
            let mut led = Led::default();
            flows.iter().for_each(|flow| led.count(flow.from, flow.run_ms));
            return led;
        }
        let mut lines: BTreeMap<usize, Line> = BTreeMap::new();
        for flow in flows {
            lines.entry(flow.line).or_default().flows.push_back(*flow);
        }
        let wakes = lines.values().filter_map(|line| Some(line.flows.front()?.from)).collect();
        let (pipes, running, leaving, led) =
            (self.clone(), BTreeSet::new(), (UnixMs(0), Vec::new()), Led::default());
        let mut play = Play { pipes, hours, lines, running, leaving, wakes, led };
        while let Some(at) = play.wakes.pop_first() {
            play.look(at);
        }
        play.led
    }

    /// Whether nothing can put runs off: they follow each other, and nothing between them has to rest.
    fn are_free_for(&self, flows: &[Flow]) -> bool {
        let follow =
            |pair: &[Flow]| matches!(pair, [a, b] if a.line == b.line && a.from.plus_ms(a.run_ms) <= b.from);
        flows.windows(2).all(follow)
            && !self.network.has_staggers()
            && !flows.iter().any(|flow| self.rests.has_rest(flow.zone_idx))
    }
}

impl Led {
    fn count(&mut self, from: UnixMs, run_ms: u64) {
        self.until = self.until.max(Some(from.plus_ms(run_ms)));
        self.run_ms = self.run_ms.saturating_add(run_ms);
    }
}

impl Play<'_> {
    fn look(&mut self, at: UnixMs) {
        if self.leaving.0 != at {
            self.leaving = (at, Vec::new());
        }
        while let Some((until, zone_idx)) = self.running.first().copied().filter(|(until, _)| *until <= at) {
            self.running.remove(&(until, zone_idx));
            self.pipes.network.set_held(zone_idx, false);
            self.pipes.rests.close(zone_idx, until);
            self.leaving.1.push(zone_idx);
        }
        let mono = MonoMs(at.since_ms(UnixMs(0)));
        self.pipes.network.forget_staggers(mono);
        let first = |(number, line): (&usize, &Line)| {
            let flow = line.flows.front().copied()?;
            (flow.from.plus_ms(line.late_ms) <= at).then_some((flow.from, *number, flow))
        };
        let mut due: Vec<_> = self.lines.iter().filter_map(first).collect();
        due.sort_by_key(|(from, line, _)| (*from, *line));
        for (_, _, flow) in due {
            self.admit(flow, at, mono);
        }
        if let Some(over_at) = self.pipes.network.stagger_over_at() {
            self.wakes.insert(UnixMs(0).plus_ms(over_at.0));
        }
    }

    fn admit(&mut self, flow: Flow, at: UnixMs, mono: MonoMs) {
        let Pipes { network, rests } = &mut self.pipes;
        // Its neighbour on the same pipes ends first, and is waited for.
        if network.barrier(flow.zone_idx, mono).is_some() {
            return;
        }
        let is_handed_over = network.has_room_beside(flow.zone_idx, &self.leaving.1);
        let free_at = rests.free_at(flow.zone_idx, at, is_handed_over);
        if free_at > at {
            self.wakes.insert(free_at);
            return;
        }
        let Some(line) = self.lines.get_mut(&flow.line) else { return };
        let is_put_off = at > flow.from;
        if is_put_off && !std::mem::replace(&mut line.has_turn, true) {
            self.led.turns.push(Flow { from: at, ..flow });
        }
        let in_time = (!is_put_off).then_some((at, flow.run_ms));
        match in_time.or_else(|| (self.hours)(&flow, at)) {
            Some((opens_at, _)) if opens_at > at => {
                self.wakes.insert(opens_at);
                return;
            }
            Some((_, run_ms)) => {
                let until = at.plus_ms(run_ms);
                rests.open(flow.zone_idx, at, is_handed_over);
                network.note_start(flow.zone_idx, mono);
                network.set_held(flow.zone_idx, true);
                self.running.insert((until, flow.zone_idx));
                self.wakes.insert(until);
                self.led.count(at, run_ms);
            }
            None => {}
        }
        // It has begun or is left out.
        line.flows.pop_front();
        (line.late_ms, line.has_turn) = (at.since_ms(flow.from), false);
        self.wakes.extend(line.flows.front().map(|next| next.from.plus_ms(line.late_ms).max(at)));
    }
}
