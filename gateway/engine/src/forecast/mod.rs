//! The next days as the pipes will have them: which run of which program would really begin when, and what finds no place.
//!
//! Asks the programs for their starts ([`next_days`]) and plays the zones' errands through the network that admits runs in
//! the field: the same capacities, time between two starts, patience, hours, minimum times off, rests of pumps and order. What
//! is left of starts that are under way is placed the same way, before what is still to come. What holds at the moment is taken
//! to hold on: locks, faults, a pause of all water, rain until it has passed out of its span, times off. It knows nothing of what
//! cannot be known ahead: zones that start by their soil, people, faults, links, and the seconds that pumps and commands take.
//!
//! Bounded: each run of a preview is begun or given up once, and a run that waits costs a look at its pipes whenever
//! something ends on its tree.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use giot_shared::time::{MonoMs, UnixMs};

use crate::ids::{ProgramId, ZoneId};
use crate::network::{Network, Pipes, Rests};
use crate::plan::{DAY_MS, Plan};
use crate::program::{
    Control, Date, FarmState, Group, LeftRun, Outcome, PREVIEW_DAYS_MAX, PlannedRun, PlannedStart, Preview,
    Program, Site, SkippedRun, Timeline, UnderWay, next_days,
};
use crate::reason::Reason;
use crate::rules::{Fit, Rules};
use crate::schedule::Terms;
use crate::zone::{Errand, is_ad_hoc, passes_rest};

/// A run that begins so much later than planned is told to wait; a pump's lead is not worth a word.
const LATE_MS_MIN: u64 = 60_000;

/// For so long ahead it is said that something holds water back at the moment: half a day, a night of frost.
const SOON_MS: u64 = 12 * 3_600_000;

/// What the programs of a plan would do from `from` on for `n_days` days if nothing changed, with every run where the pipes
/// have room for it; runs that find no room are among the skips of their start.
#[must_use]
pub fn forecast(
    plan: &Plan,
    controls: &BTreeMap<ProgramId, Control>,
    farm: &FarmState,
    from: UnixMs,
    n_days: u16,
) -> Preview {
    let rules = Rules::new(plan);
    Play::new(&rules, Pipes::new(plan), plan.timing.patience_s, from).days(controls, farm, n_days)
}

/// What the next days depend on beside the plan, at one moment: settings, pauses, needs, what runs and what waits.
#[derive(Clone, Debug)]
pub struct Outlook {
    pub(crate) from: UnixMs,
    pub(crate) controls: BTreeMap<ProgramId, Control>,
    pub(crate) farm: FarmState,
    pub(crate) stands: BTreeMap<ZoneId, Stand>,
    pub(crate) rests: Rests,
}

/// How a zone stands.
#[derive(Clone, Debug)]
pub(crate) struct Stand {
    /// It holds its pipes until then.
    pub(crate) held_until: Option<UnixMs>,
    /// The program's run that is open, and since when.
    pub(crate) open: Option<(ProgramId, UnixMs)>,
    /// The program's run that ended last: its program, its start, and when it ended.
    pub(crate) ended: Option<(ProgramId, UnixMs, UnixMs)>,
    /// The program whose run holds it, and its start.
    pub(crate) turn: Option<(ProgramId, UnixMs)>,
    /// What waits for it.
    pub(crate) errands: Vec<Errand>,
    /// When it last closed.
    pub(crate) closed_at: Option<UnixMs>,
    /// That run was one of a person's set of runs.
    pub(crate) was_set: bool,
    /// What failed is not tried again before.
    pub(crate) paused_until: Option<UnixMs>,
    /// A person ended its run: nothing begins by itself before.
    pub(crate) rests_until: Option<UnixMs>,
    /// Why nothing that is due is given before a person changes something.
    pub(crate) bar: Option<Reason>,
    /// Why nothing is given by itself at the moment, and until when, where that is known.
    pub(crate) weather: Option<(Reason, Option<UnixMs>)>,
}

impl Outlook {
    /// Like [`forecast()`], from the moment of the outlook on: what runs holds its pipes, and what waits goes first.
    #[must_use]
    pub fn forecast(&self, plan: &Plan, n_days: u16) -> Preview {
        let rules = Rules::new(plan);
        self.play(&rules, Network::new(plan), plan.timing.patience_s, n_days)
    }

    /// The same by rules and a network of which nobody holds anything.
    pub(crate) fn play(&self, rules: &Rules, network: Network, patience_s: u32, n_days: u16) -> Preview {
        let pipes = Pipes { network, rests: self.rests.clone() };
        let mut play = Play::new(rules, pipes, patience_s, self.from);
        for (idx, id) in rules.site.zones.keys().enumerate() {
            if let Some(stand) = self.stands.get(id) {
                play.stands(idx, id, stand);
            }
        }
        play.days(&self.controls, &self.farm, n_days)
    }
}

/// A run on its way.
#[derive(Debug)]
struct Job {
    errand: Errand,
    of: Of,
}

/// Where a run comes from; what waits from before goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Of {
    /// What waited when the play began: which, of all zones.
    Left(usize),
    /// A start, and the run of it.
    Start(usize, usize),
}

/// What waited when the play began.
#[derive(Debug)]
struct Left {
    program: ProgramId,
    zone: ZoneId,
    from: UnixMs,
    run_s: u32,
}

/// One zone.
#[derive(Debug, Default)]
struct Line {
    paused_until: Option<UnixMs>,
    rests_until: Option<UnixMs>,
    bar: Option<Reason>,
    weather: Option<(Reason, Option<UnixMs>)>,
    /// By their moments.
    jobs: VecDeque<Job>,
    held_until: Option<UnixMs>,
    closed_at: Option<UnixMs>,
    was_set: bool,
    /// The program whose run holds it, and its start.
    turn: Option<(ProgramId, UnixMs)>,
    /// The program's run that ended last: its program, its start, and when it ended.
    ended: Option<(ProgramId, UnixMs, UnixMs)>,
    /// The deadline of its first job while that waits for room.
    deadline: Option<UnixMs>,
}

/// What became of a run.
#[derive(Debug)]
enum Fate {
    Given {
        from: UnixMs,
        run_ms: u64,
    },
    /// There is no room for it.
    Dropped(Reason),
    /// There would be room.
    Barred(Reason),
}

/// The zones and their pipes in played time.
#[derive(Debug)]
struct Play<'a> {
    rules: &'a Rules,
    network: Network,
    rests: Rests,
    /// Zones that have enough at the moment that is played.
    leaving: Vec<usize>,
    /// Zones that hold their pipes.
    running: BTreeSet<usize>,
    patience_ms: u64,
    base: UnixMs,
    /// A pause of all water ends then.
    opens_from: UnixMs,
    ids: Vec<&'a ZoneId>,
    lines: Vec<Line>,
    /// When which zone is to be looked at.
    wakes: BTreeSet<(UnixMs, usize)>,
    fates: BTreeMap<Of, Fate>,
    left: Vec<Left>,
    under_way: BTreeMap<ProgramId, UnderWay>,
}

impl Line {
    /// Why what is due is not given.
    fn bar_of(&self, errand: &Errand, at: UnixMs) -> Option<Reason> {
        let weather = self.weather.as_ref().filter(|(_, until)| until.is_some_and(|until| at < until));
        let weather = weather.filter(|_| !errand.by_hand).map(|(reason, _)| reason);
        self.bar.as_ref().or(weather).cloned()
    }

    /// When the zone has had the rests that a run waits for, of which one lasts so long.
    fn free_at(&self, errand: &Errand, rest_ms: u64) -> UnixMs {
        let closed_at = self.closed_at.filter(|closed_at| !passes_rest(errand, (*closed_at, self.was_set)));
        let rested_at = closed_at.map(|closed_at| closed_at.plus_ms(rest_ms));
        let of_person = self.rests_until.filter(|_| !errand.by_hand);
        rested_at.into_iter().chain(self.paused_until).chain(of_person).fold(UnixMs(0), UnixMs::max)
    }
}

impl<'a> Play<'a> {
    /// Zones that are all closed.
    fn new(rules: &'a Rules, pipes: Pipes, patience_s: u32, from: UnixMs) -> Self {
        let Pipes { network, rests } = pipes;
        Self {
            rules,
            network,
            rests,
            leaving: Vec::new(),
            running: BTreeSet::new(),
            patience_ms: u64::from(patience_s) * 1000,
            base: from,
            opens_from: from,
            ids: rules.site.zones.keys().collect(),
            lines: rules.site.zones.values().map(|_| Line::default()).collect(),
            wakes: BTreeSet::new(),
            fates: BTreeMap::new(),
            left: Vec::new(),
            under_way: BTreeMap::new(),
        }
    }

    /// A zone holds its pipes until a moment, and what waits for it already.
    fn stands(&mut self, zone_idx: usize, id: &ZoneId, stand: &Stand) {
        let Stand { held_until, open, errands, .. } = stand;
        let (base, held_until) = (self.base, *held_until);
        let Some(line) = self.lines.get_mut(zone_idx) else { return };
        (line.closed_at, line.was_set) = (stand.closed_at, stand.was_set);
        (line.paused_until, line.rests_until) = (stand.paused_until, stand.rests_until);
        (line.bar, line.weather) = (stand.bar.clone(), stand.weather.clone());
        for errand in errands {
            line.jobs.push_back(Job { errand: errand.clone(), of: Of::Left(self.left.len()) });
            let Errand { program, from, run_s, .. } = errand.clone();
            self.left.push(Left { program, zone: id.clone(), from, run_s });
        }
        if let Some((program, from)) = open {
            let until = held_until.unwrap_or(base);
            let run = LeftRun { zone: id.clone(), from: *from, until, notes: Vec::new() };
            self.under_way(program).runs.push(run);
        }
        let Some(line) = self.lines.get_mut(zone_idx) else { return };
        line.held_until = held_until;
        line.turn.clone_from(&stand.turn);
        line.ended.clone_from(&stand.ended);
        self.network.set_held(zone_idx, held_until.is_some());
        if held_until.is_some() {
            self.running.insert(zone_idx);
            self.rests.is_open(zone_idx);
        }
        self.wakes.insert((held_until.unwrap_or(base), zone_idx));
    }

    /// Plays the days from the beginning on. One more is played than told, so that the last has its neighbour.
    fn days(mut self, controls: &BTreeMap<ProgramId, Control>, farm: &FarmState, n_days: u16) -> Preview {
        let (programs, site) = (&self.rules.programs, &self.rules.site);
        self.opens_from = farm.water_paused_until.map_or(self.base, |until| until.max(self.base));
        let n_days = n_days.min(PREVIEW_DAYS_MAX);
        let mut preview = next_days(programs, controls, site, farm, self.base, n_days.saturating_add(1));
        self.take(&preview);
        self.run();
        let end = self.base.plus_ms(u64::from(n_days) * DAY_MS.unsigned_abs());
        for (start_idx, start) in preview.starts.iter_mut().enumerate() {
            if let Outcome::Runs(timeline) = &mut start.outcome {
                self.settle(start_idx, timeline);
                timeline.runs.iter_mut().for_each(|run| run.note_finish(start.start.finish_at));
            }
        }
        preview.starts.retain(|planned| planned.start.at < end);
        self.settle_left();
        preview.under_way = self.under_way.into_values().collect();
        preview
    }

    fn under_way(&mut self, program: &ProgramId) -> &mut UnderWay {
        let none =
            || UnderWay { program: program.clone(), at: self.base, runs: Vec::new(), skips: Vec::new() };
        self.under_way.entry(program.clone()).or_insert_with(none)
    }

    /// Puts what waited where it found room; sets of runs that people asked for are no program's.
    fn settle_left(&mut self) {
        for (left_idx, Left { program, zone, from, run_s }) in
            std::mem::take(&mut self.left).into_iter().enumerate()
        {
            let fate = self.fates.remove(&Of::Left(left_idx));
            if !self.rules.programs.contains_key(&program) {
                continue;
            }
            match fate {
                Some(Fate::Given { from: given_at, run_ms }) => {
                    let late_ms = given_at.since_ms(from);
                    let mut notes = Vec::new();
                    if late_ms >= LATE_MS_MIN {
                        notes.push(Reason::TurnAwaited { late_s: late_ms / 1000 });
                    }
                    let wanted_s = u64::from(run_s);
                    if run_ms / 1000 < wanted_s {
                        notes.push(Reason::RunCut { wanted_s, run_s: run_ms / 1000 });
                    }
                    let until = given_at.plus_ms(run_ms);
                    self.under_way(&program).runs.push(LeftRun { zone, from: given_at, until, notes });
                }
                Some(Fate::Dropped(reason) | Fate::Barred(reason)) => {
                    self.under_way(&program).skips.push((zone, reason));
                }
                None => {}
            }
        }
        for rest in self.under_way.values_mut() {
            rest.runs.sort_by(|a, b| (a.from, &a.zone).cmp(&(b.from, &b.zone)));
            rest.at = rest.runs.first().map_or(rest.at, |run| run.from);
        }
    }

    /// Hands the runs of all starts to their zones.
    fn take(&mut self, preview: &Preview) {
        let mut next_of: BTreeMap<&ProgramId, UnixMs> = BTreeMap::new();
        let idx_of: BTreeMap<&ZoneId, usize> =
            self.ids.iter().enumerate().map(|(idx, id)| (*id, idx)).collect();
        for (start_idx, PlannedStart { program, start, outcome, .. }) in
            preview.starts.iter().enumerate().rev()
        {
            let terms = Terms {
                start_at: start.at,
                next: next_of.insert(program, start.at),
                finish_at: start.finish_at,
                catch_up_ms: self.rules.programs.get(program).map_or(0, Program::catch_up_ms),
                by_hand: false,
            };
            let Outcome::Runs(timeline) = outcome else { continue };
            for (run_idx, run) in timeline.runs.iter().enumerate() {
                let run_s = u32::try_from(run.run_ms() / 1000).unwrap_or(u32::MAX);
                let line = idx_of.get(&run.zone).and_then(|idx| Some((*idx, self.lines.get_mut(*idx)?)));
                let Some((zone_idx, line)) = line.filter(|_| run_s > 0) else { continue };
                let errand = terms.errand(program, run, run_s);
                self.wakes.insert((errand.from, zone_idx));
                line.jobs.push_back(Job { errand, of: Of::Start(start_idx, run_idx) });
            }
        }
        for line in &mut self.lines {
            line.jobs.make_contiguous().sort_by_key(|job| (job.errand.from, job.of));
        }
    }

    fn run(&mut self) {
        while let Some((at, zone_idx)) = self.wakes.pop_first() {
            self.look(zone_idx, at);
            // What happens at one moment is weighed together.
            if self.wakes.first().is_some_and(|(next, _)| *next == at) {
                continue;
            }
            self.network.forget_staggers(self.mono(at));
            for tree_idx in self.network.first_waiting() {
                self.network.poke(tree_idx);
                self.admit(tree_idx, at);
            }
            self.leaving.clear();
        }
    }

    fn mono(&self, at: UnixMs) -> MonoMs {
        MonoMs(at.since_ms(self.base))
    }

    /// Brings a zone up to a moment: what runs may be over, its first job may wait or be given up.
    fn look(&mut self, zone_idx: usize, at: UnixMs) {
        let mono = self.mono(at);
        let Some(line) = self.lines.get_mut(zone_idx) else { return };
        if let Some(held_until) = line.held_until {
            if held_until > at {
                return;
            }
            line.held_until = None;
            let turn = line.turn.take();
            line.was_set = turn.as_ref().is_some_and(|(program, _)| is_ad_hoc(program));
            line.closed_at = Some(held_until);
            line.ended =
                turn.map(|(program, start_at)| (program, start_at, held_until)).or(line.ended.take());
            self.running.remove(&zone_idx);
            self.network.set_held(zone_idx, false);
            self.rests.close(zone_idx, at);
            self.leaving.push(zone_idx);
        }
        loop {
            let Some(line) = self.lines.get_mut(zone_idx) else { return };
            line.deadline = None;
            let Some(job) = line.jobs.front() else { break };
            if let Some(reason) = line.bar_of(&job.errand, at).filter(|_| job.errand.from <= at) {
                if let Some(Job { of, .. }) = line.jobs.pop_front() {
                    self.fates.insert(of, Fate::Barred(reason));
                }
                continue;
            }
            let facts = self.ids.get(zone_idx).and_then(|id| self.rules.site.zones.get(id));
            let rest_ms = facts.map_or(0, |facts| facts.rest_before_ms(job.errand.cycle));
            let begins_at = line.free_at(&job.errand, rest_ms).max(job.errand.from).max(self.opens_from);
            if begins_at > at {
                self.wakes.insert((begins_at, zone_idx));
                break;
            }
            let Some(id) = self.ids.get(zone_idx) else { return };
            let late_s = at.since_ms(job.errand.from) / 1000;
            let run_s = u64::from(job.errand.run_s);
            let fit = self.rules.fit_errand(&job.errand, id, at);
            let reason = match fit {
                _ if at > job.errand.latest => Reason::WaitedTooLong { late_s, run_s },
                Fit::Never(_) if late_s > 0 => Reason::WindowOver { late_s, run_s },
                Fit::Never(reason) => reason,
                Fit::Runs { .. } => {
                    let deadline = job.errand.deadline(id, at, self.rules);
                    line.deadline = Some(deadline);
                    // When it can wait no longer, or its hours have closed, it is looked at again.
                    let closes_at = self.rules.closes_at(&job.errand.program, id, at);
                    let again_at = job.errand.latest.plus_ms(1);
                    let again_at = closes_at.map_or(again_at, |closes_at| closes_at.min(again_at));
                    self.wakes.insert((again_at, zone_idx));
                    self.network.set_waiting(zone_idx, Some(mono));
                    return;
                }
                Fit::Waits(_) => {
                    let opens_at = self.rules.opens_at(&job.errand, id, at);
                    let again_at = opens_at.filter(|opens_at| *opens_at > at);
                    let latest = job.errand.latest.plus_ms(1);
                    self.wakes.insert((again_at.map_or(latest, |again_at| again_at.min(latest)), zone_idx));
                    break;
                }
            };
            if let Some(Job { of, .. }) = line.jobs.pop_front() {
                self.fates.insert(of, Fate::Dropped(reason));
            }
        }
        self.network.set_waiting(zone_idx, None);
    }

    /// Lets those begin that wait on a tree and have room, in the engine's order.
    fn admit(&mut self, tree_idx: usize, at: UnixMs) {
        let mono = self.mono(at);
        let rank = |line: &Line| Some((line.deadline?, line.jobs.front()?.errand.from));
        let mut ranked: Vec<_> = (self.network.take_waiting(tree_idx).into_iter())
            .filter_map(|(idx, since)| Some((rank(self.lines.get(idx)?)?, idx, since)))
            .collect();
        ranked.sort_by_key(|(rank, idx, _)| (*rank, *idx));
        for (_, zone_idx, since) in ranked {
            if let Some(until) = self.other_turn(zone_idx).filter(|until| *until > at) {
                self.wakes.insert((until, zone_idx));
                continue;
            }
            if self.network.barrier(zone_idx, mono).is_some() {
                if mono.since_ms(since) >= self.patience_ms {
                    self.network.keep_for(zone_idx);
                }
                continue;
            }
            let is_handed_over = self.network.has_room_beside(zone_idx, &self.leaving);
            let free_at = self.rests.free_at(zone_idx, at, is_handed_over);
            if free_at > at {
                self.wakes.insert((free_at, zone_idx));
                continue;
            }
            self.begin(zone_idx, at, is_handed_over);
        }
        let stagger_at = self.network.stagger_over_at();
        if let Some(zone_idx) = self.network.first_waiting().first().copied()
            && let Some(stagger_at) = stagger_at
        {
            self.wakes.insert((self.base.plus_ms(stagger_at.0), zone_idx));
        }
    }

    /// Until when a program's run before holds back the zone's, as the engine has it.
    fn other_turn(&self, zone_idx: usize) -> Option<UnixMs> {
        let group_of = |idx: usize| {
            Some(self.rules.site.zones.get(*self.ids.get(idx)?)?.group).filter(Group::is_in_turn)
        };
        let Errand { program, start_at, .. } = &self.lines.get(zone_idx)?.jobs.front()?.errand;
        let sequence = &self.rules.programs.get(program)?.sequence;
        let group = group_of(zone_idx)?;
        let is_other = |other: &usize| *other != zone_idx && group_of(*other) == Some(group);
        let running = self.running.iter().filter(|other| is_other(other));
        let lines = running.filter_map(|other| self.lines.get(*other));
        let turns = lines.filter(|line| line.turn.as_ref().is_some_and(|(of, _)| of == program));
        let until_end = turns.filter_map(|line| Some(line.held_until?.minus_ms(sequence.overlap_ms())));
        let delay = |zone: &ZoneId| {
            let other = self.ids.binary_search(&zone).ok().filter(is_other)?;
            let (of, of_start, at) = self.lines.get(other)?.ended.as_ref()?;
            (of == program && of_start == start_at).then(|| at.plus_ms(sequence.delay_after_ms(zone)))
        };
        let until_delay = sequence.steps.iter().filter_map(|step| delay(&step.zone));
        until_end.chain(until_delay).max()
    }

    fn begin(&mut self, zone_idx: usize, at: UnixMs, is_handed_over: bool) {
        let mono = self.mono(at);
        let (Some(line), Some(id)) = (self.lines.get_mut(zone_idx), self.ids.get(zone_idx)) else { return };
        let Some(job) = line.jobs.front() else { return };
        // Hours that closed at this very moment: the look that is due then gives it up.
        let Fit::Runs { run_s } = self.rules.fit_errand(&job.errand, id, at) else { return };
        let run_ms = u64::from(run_s) * 1000;
        let until = at.plus_ms(run_ms);
        if let Some(Job { of, errand }) = line.jobs.pop_front() {
            line.turn = Some((errand.program, errand.start_at));
            self.running.insert(zone_idx);
            self.fates.insert(of, Fate::Given { from: at, run_ms });
        }
        (line.held_until, line.deadline) = (Some(until), None);
        self.rests.open(zone_idx, at, is_handed_over);
        self.network.note_start(zone_idx, mono);
        self.network.set_held(zone_idx, true);
        self.wakes.insert((until, zone_idx));
    }

    /// What holds a zone's water back at the moment, where nobody knows how long it will, for a run of the next hours.
    fn held_back(&self, zone: &ZoneId, from: UnixMs) -> Option<Reason> {
        if from.since_ms(self.base) >= SOON_MS {
            return None;
        }
        let idx = self.ids.binary_search(&zone).ok()?;
        let (reason, until) = self.lines.get(idx)?.weather.as_ref()?;
        until.is_none().then(|| reason.clone())
    }

    /// Puts the runs of a start where they found room.
    fn settle(&mut self, start_idx: usize, timeline: &mut Timeline) {
        for (run_idx, mut run) in std::mem::take(&mut timeline.runs).into_iter().enumerate() {
            match self.fates.remove(&Of::Start(start_idx, run_idx)) {
                Some(Fate::Given { from, run_ms }) => {
                    let late_ms = from.since_ms(run.from);
                    if late_ms >= LATE_MS_MIN {
                        run.notes.push(Reason::TurnAwaited { late_s: late_ms / 1000 });
                    }
                    run.notes.extend(self.held_back(&run.zone, from));
                    // Whole seconds are given: less than one is no cut.
                    let wanted_ms = run.run_ms();
                    let is_cut = run_ms + 1000 <= wanted_ms;
                    if is_cut {
                        let (wanted_s, run_s) = (wanted_ms / 1000, run_ms / 1000);
                        run.notes.push(Reason::RunCut { wanted_s, run_s });
                        run.short_ms = run.short_ms.saturating_add(wanted_ms - run_ms);
                    }
                    let given_ms = if is_cut { run_ms } else { wanted_ms };
                    (run.from, run.until) = (from, from.plus_ms(given_ms));
                    timeline.runs.push(run);
                }
                Some(Fate::Dropped(reason)) => {
                    let short_ms = run.short_ms.saturating_add(run.run_ms());
                    let PlannedRun { zone, step_idx, .. } = run;
                    timeline.skips.push(SkippedRun { zone, step_idx, reason, short_ms });
                }
                Some(Fate::Barred(reason)) => {
                    let PlannedRun { zone, step_idx, short_ms, .. } = run;
                    timeline.skips.push(SkippedRun { zone, step_idx, reason, short_ms });
                }
                None => timeline.runs.push(run),
            }
        }
        timeline.runs.sort_by_key(|run| run.from);
    }
}

/// What the starts of a day have no room for in a zone: runs that are left out or cut because of hours, of turns that come too
/// late or of their zone's longest run, and starts that fall into the program's own runs or cannot be finished in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortfall {
    /// The beginning of the civil day on which the starts lie.
    pub day: UnixMs,
    /// The program.
    pub program: ProgramId,
    /// The zone.
    pub zone: ZoneId,
    /// What is not given, seconds.
    pub short_s: u64,
    /// The same at the zone's stated flow, litres; `None`: no flow is stated.
    pub short_l: Option<u32>,
}

/// What the days of a [`forecast`] have no room for, day by day, by program and zone.
#[must_use]
pub fn shortfalls(preview: &Preview, site: &Site) -> Vec<Shortfall> {
    let mut short_ms: BTreeMap<(UnixMs, &ProgramId, &ZoneId), u64> = BTreeMap::new();
    for PlannedStart { program, start, outcome, short_ms: of_start } in &preview.starts {
        let day = Date::of(start.at, site.utc_offset_min).begins_at(site.utc_offset_min);
        let (runs, skips) = match outcome {
            Outcome::Runs(timeline) => (timeline.runs.as_slice(), timeline.skips.as_slice()),
            Outcome::Skipped(_) => ([].as_slice(), [].as_slice()),
        };
        let of_runs = runs.iter().map(|run| (&run.zone, run.short_ms));
        let of_skips = skips.iter().map(|skip| (&skip.zone, skip.short_ms));
        let of_start = of_start.iter().map(|(zone, of_zone_ms)| (zone, *of_zone_ms));
        for (zone, more_ms) in of_runs.chain(of_skips).chain(of_start) {
            let sum_ms = short_ms.entry((day, program, zone)).or_default();
            *sum_ms = sum_ms.saturating_add(more_ms);
        }
    }
    let shortfall = |((day, program, zone), short_ms): ((UnixMs, &ProgramId, &ZoneId), u64)| {
        let volume_ml = site.zones.get(zone).and_then(|facts| facts.volume_ml(short_ms));
        Shortfall {
            day,
            program: program.clone(),
            zone: zone.clone(),
            short_s: short_ms / 1000,
            short_l: volume_ml.map(|ml| u32::try_from(ml / 1000).unwrap_or(u32::MAX)),
        }
    };
    short_ms.into_iter().filter(|(_, short_ms)| *short_ms >= 1000).map(shortfall).collect()
}
