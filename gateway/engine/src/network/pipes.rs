//! What water goes through on its way, in played time, and how much longer the runs of one program last because of it.

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
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flow {
    /// Runs of one line follow each other.
    pub(crate) line: usize,
    pub(crate) zone_idx: usize,
    pub(crate) from: UnixMs,
    pub(crate) until: UnixMs,
}

/// Runs on their way.
struct Play {
    pipes: Pipes,
    /// By line: what is still to come, and how much later than wished it is.
    lines: BTreeMap<usize, (VecDeque<Flow>, u64)>,
    running: BTreeSet<(UnixMs, usize)>,
    wakes: BTreeSet<UnixMs>,
    /// When the last one ended.
    until: UnixMs,
}

impl Pipes {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self { network: Network::new(plan), rests: Rests::of(plan) }
    }

    /// When the last of some runs ends that are alone on the farm and begin in their order, each line's by itself, as soon as
    /// there is room and their pumps have rested. What has no room at all does not count.
    ///
    /// Bounded: a look at the first run of each line whenever a run ends, a pump has rested or a time between two starts is over.
    pub(crate) fn until(&self, flows: impl Iterator<Item = Flow>) -> UnixMs {
        let mut lines: BTreeMap<usize, (VecDeque<Flow>, u64)> = BTreeMap::new();
        for flow in flows {
            lines.entry(flow.line).or_default().0.push_back(flow);
        }
        let wakes = lines.values().filter_map(|(flows, _)| Some(flows.front()?.from)).collect();
        let mut play =
            Play { pipes: self.clone(), lines, running: BTreeSet::new(), wakes, until: UnixMs(i64::MIN) };
        while let Some(at) = play.wakes.pop_first() {
            play.look(at);
        }
        play.until
    }
}

impl Play {
    fn look(&mut self, at: UnixMs) {
        let mut leaving = Vec::new();
        while let Some((until, zone_idx)) = self.running.first().copied().filter(|(until, _)| *until <= at) {
            self.running.remove(&(until, zone_idx));
            self.pipes.network.set_held(zone_idx, false);
            self.pipes.rests.close(zone_idx, until);
            leaving.push(zone_idx);
        }
        let mono = MonoMs(at.since_ms(UnixMs(0)));
        self.pipes.network.forget_staggers(mono);
        let first = |(line, (flows, late_ms)): (&usize, &(VecDeque<Flow>, u64))| {
            let flow = flows.front().copied()?;
            (flow.from.plus_ms(*late_ms) <= at).then_some((flow.from, *line, flow))
        };
        let mut due: Vec<_> = self.lines.iter().filter_map(first).collect();
        due.sort_by_key(|(from, line, _)| (*from, *line));
        for (_, _, flow) in due {
            self.admit(flow, at, mono, &leaving);
        }
        if let Some(over_at) = self.pipes.network.stagger_over_at() {
            self.wakes.insert(UnixMs(0).plus_ms(over_at.0));
        }
    }

    fn admit(&mut self, flow: Flow, at: UnixMs, mono: MonoMs, leaving: &[usize]) {
        let Pipes { network, rests } = &mut self.pipes;
        // Its neighbour on the same pipes ends first, and is waited for.
        if network.barrier(flow.zone_idx, mono).is_some() {
            return;
        }
        let is_handed_over = network.has_room_beside(flow.zone_idx, leaving);
        let free_at = rests.free_at(flow.zone_idx, at, is_handed_over);
        if free_at > at {
            self.wakes.insert(free_at);
            return;
        }
        let until = at.plus_ms(flow.until.since_ms(flow.from));
        rests.open(flow.zone_idx, at, is_handed_over);
        network.note_start(flow.zone_idx, mono);
        network.set_held(flow.zone_idx, true);
        self.running.insert((until, flow.zone_idx));
        self.until = self.until.max(until);
        let Some((flows, late_ms)) = self.lines.get_mut(&flow.line) else { return };
        flows.pop_front();
        *late_ms = at.since_ms(flow.from);
        let next_at = flows.front().map(|next| next.from.plus_ms(*late_ms));
        self.wakes.extend(next_at.into_iter().chain([until]));
    }
}
