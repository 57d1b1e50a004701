//! The next days of all programs: what would start, run and be left out if nothing changed.
//!
//! Asks each program as the engine would, start after start. Without hydraulics: runs of different programs may lie at the
//! same time; [`forecast`](crate::forecast()) puts them where the pipes have room. Each program by itself never overlaps itself.

use std::collections::BTreeMap;

use giot_shared::time::UnixMs;

use super::Program;
use super::calendar::{Calendar, SkippedStart};
use super::control::{Control, FarmState, Level};
use super::site::Site;
use super::start::Start;
use super::timeline::Timeline;
use crate::ids::{ProgramId, ZoneId};
use crate::plan::DAY_MS;
use crate::reason::Reason;

/// Longest preview, days.
pub const PREVIEW_DAYS_MAX: u16 = 31;

/// Starts and runs of a preview after which no further start is told, shared evenly among the programs: some megabytes,
/// and several times what 40 programs with ten steps do twice a day in a week.
pub const PREVIEW_ENTRIES_MAX: usize = 50_000;

/// What the programs would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preview {
    /// The starts, by their moment, then by program.
    pub starts: Vec<PlannedStart>,
    /// The programs of which not all starts are told, because of [`PREVIEW_ENTRIES_MAX`].
    pub cut_short: Vec<ProgramId>,
    /// What is left of starts from before, by program; only who knows the zones as they stand can tell
    /// ([`Outlook::forecast`](crate::Outlook::forecast)).
    pub under_way: Vec<UnderWay>,
}

/// What is left of a program's start that is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnderWay {
    /// The program.
    pub program: ProgramId,
    /// When the first of what is left began or begins.
    pub at: UnixMs,
    /// What is open and what is still to come, by their moments.
    pub runs: Vec<LeftRun>,
    /// Runs that will find no room, with the reason.
    pub skips: Vec<(ZoneId, Reason)>,
}

/// A run of a start that is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftRun {
    /// The zone.
    pub zone: ZoneId,
    /// When it begins, or began.
    pub from: UnixMs,
    /// When it ends.
    pub until: UnixMs,
    /// What hours and the turns of other zones change.
    pub notes: Vec<Reason>,
}

/// One start of a preview.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedStart {
    /// The program.
    pub program: ProgramId,
    /// The start.
    pub start: Start,
    /// What becomes of it.
    pub outcome: Outcome,
    /// What each zone does not get because the whole start finds no room, ms.
    pub short_ms: BTreeMap<ZoneId, u64>,
}

/// What becomes of a start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It takes place with these runs.
    Runs(Timeline),
    /// It is left out.
    Skipped(Reason),
}

/// What the programs would do from `from` on for `n_days` days; a program without a control has the default one.
#[must_use]
pub fn next_days(
    programs: &BTreeMap<ProgramId, Program>,
    controls: &BTreeMap<ProgramId, Control>,
    site: &Site,
    farm: &FarmState,
    from: UnixMs,
    n_days: u16,
) -> Preview {
    let to = from.plus_ms(u64::from(n_days.min(PREVIEW_DAYS_MAX)) * DAY_MS.unsigned_abs());
    let fresh = Control::default();
    let n_entries_max = PREVIEW_ENTRIES_MAX / programs.len().max(1);
    let mut preview = Preview::default();
    for (id, program) in programs {
        let control = controls.get(id).unwrap_or(&fresh);
        let (planned, is_whole) = Calendar { program, control, site, farm }.until(from, to, n_entries_max);
        if !is_whole {
            preview.cut_short.push(id.clone());
        }
        let mut wanted =
            Wanted { calendar: Calendar { program, control, site, farm }, by_level: BTreeMap::new() };
        preview.starts.extend(planned.into_iter().map(|(start, outcome)| PlannedStart {
            program: id.clone(),
            short_ms: wanted.without(&start, &outcome),
            start,
            outcome,
        }));
    }
    // Stable: programs stay in their order within a moment.
    preview.starts.sort_by_key(|planned| planned.start.at);
    preview
}

impl Outcome {
    /// A refill of a later day: nobody can know yet what will be lacking then.
    fn looked_ahead(mut self) -> Self {
        if let Self::Runs(timeline) = &mut self {
            let skips = timeline.skips.iter_mut();
            for skip in skips.filter(|skip| matches!(skip.reason, Reason::BalanceStale { .. })) {
                skip.reason = Reason::BalanceAhead {};
            }
        }
        self
    }

    fn n_entries(&self) -> usize {
        match self {
            Self::Runs(timeline) => 1 + timeline.runs.len() + timeline.skips.len(),
            Self::Skipped(_) => 1,
        }
    }
}

/// What a program wants to give, by the level of its amounts, so that many starts cost one timeline.
struct Wanted<'a> {
    calendar: Calendar<'a>,
    by_level: BTreeMap<Level, BTreeMap<ZoneId, u64>>,
}

impl Wanted<'_> {
    /// What zones do not get because of a start that finds no room.
    fn without(&mut self, start: &Start, outcome: &Outcome) -> BTreeMap<ZoneId, u64> {
        let is_without_room = matches!(
            outcome,
            Outcome::Skipped(
                Reason::ProgramBusy { .. } | Reason::FinishTooLong { .. } | Reason::FinishTooNear { .. }
            )
        );
        if !is_without_room {
            return BTreeMap::new();
        }
        let calendar = self.calendar;
        let of_level = || {
            let mut wanted_ms: BTreeMap<ZoneId, u64> = BTreeMap::new();
            for run in calendar.timeline_by_hand(start, start.at).runs {
                let run_ms = run.run_ms().saturating_add(run.short_ms);
                let of_zone = wanted_ms.entry(run.zone).or_default();
                *of_zone = of_zone.saturating_add(run_ms);
            }
            wanted_ms
        };
        self.by_level.entry(calendar.level(start.day)).or_insert_with(of_level).clone()
    }
}

impl Calendar<'_> {
    /// The starts of one program with their outcomes, and whether these are all.
    fn until(self, from: UnixMs, to: UnixMs, n_entries_max: usize) -> (Vec<(Start, Outcome)>, bool) {
        let due = self.due(from);
        let skipped = due.skipped.into_iter();
        let mut planned: Vec<_> =
            skipped.map(|SkippedStart { start, reason }| (start, Outcome::Skipped(reason))).collect();
        let mut control = due.control;
        if let Some(start) = due.start {
            planned.push((start, control.follow(self.timeline(&start, from))));
        }
        let mut n_entries: usize = planned.iter().map(|(_, outcome)| outcome.n_entries()).sum();
        for start in self.starts(control.handled_until.unwrap_or(from).max(from), to) {
            if control.is_finished(&start) {
                continue;
            }
            if n_entries >= n_entries_max {
                return (planned, false);
            }
            let before = control.clone();
            let outcome = match self.take(&mut control, &start, start.at) {
                Ok(()) => control.follow(Calendar { control: &before, ..self }.timeline(&start, start.at)),
                Err(reason) => Outcome::Skipped(reason),
            };
            n_entries += outcome.n_entries();
            planned.push((start, outcome.looked_ahead()));
        }
        (planned, true)
    }
}

impl Control {
    /// Remembers until when a timeline goes on, as the engine does with the one that it follows.
    fn follow(&mut self, timeline: Timeline) -> Outcome {
        self.busy_until = timeline.until().or(self.busy_until);
        Outcome::Runs(timeline)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{at, at_hour, program, site};
    use super::super::start::{Repeat, StartRule};
    use super::*;

    fn id(name: &str) -> ProgramId {
        name.parse().unwrap()
    }

    #[test]
    fn programs_are_told_in_the_order_of_their_starts() {
        let mut early = program(&[("a", 10)]);
        early.starts = vec![at_hour(5, 0), at_hour(6, 0)];
        let programs = BTreeMap::from([(id("late"), program(&[("b", 10)])), (id("early"), early)]);
        let controls = BTreeMap::from([(id("late"), Control { skip_next: 1, ..Control::default() })]);
        let preview = next_days(&programs, &controls, &site(), &FarmState::default(), at(24, 0, 0), 2);
        let told: Vec<_> = preview
            .starts
            .iter()
            .map(|planned| {
                (planned.program.as_str(), planned.start.at, matches!(planned.outcome, Outcome::Runs(_)))
            })
            .collect();
        let want = [
            ("early", at(24, 5, 0), true),
            ("early", at(24, 6, 0), true),
            ("late", at(24, 6, 0), false),
            ("early", at(25, 5, 0), true),
            ("early", at(25, 6, 0), true),
            ("late", at(25, 6, 0), true),
        ];
        assert_eq!(told, want);
        assert_eq!(preview.cut_short, []);
    }

    #[test]
    fn a_program_does_not_overlap_itself() {
        let mut busy = program(&[("a", 90)]);
        busy.starts = vec![StartRule { repeat: Repeat::new(60, 2), ..at_hour(6, 0) }];
        let programs = BTreeMap::from([(id("busy"), busy)]);
        let preview = next_days(&programs, &BTreeMap::new(), &site(), &FarmState::default(), at(24, 0, 0), 1);
        let skips: Vec<_> = preview
            .starts
            .iter()
            .filter_map(|planned| match &planned.outcome {
                Outcome::Skipped(reason) => Some((planned.start.at, reason.clone())),
                Outcome::Runs(_) => None,
            })
            .collect();
        assert_eq!(skips, [(at(24, 7, 0), Reason::ProgramBusy { remaining_s: 1800 })]);
    }

    #[test]
    fn a_preview_is_bounded() {
        let mut greedy = program(&[("a", 1)]);
        greedy.starts = vec![StartRule { repeat: Repeat::new(5, 287), ..at_hour(0, 0) }; 8];
        for (minute, rule) in (0_u16..).zip(&mut greedy.starts) {
            rule.clock = at_hour(0, minute).clock;
        }
        let programs: BTreeMap<_, _> = (0..20).map(|n| (id(&format!("p{n}")), greedy.clone())).collect();
        let preview =
            next_days(&programs, &BTreeMap::new(), &site(), &FarmState::default(), at(24, 0, 0), u16::MAX);
        let n_entries: usize = preview.starts.iter().map(|planned| planned.outcome.n_entries()).sum();
        assert!((PREVIEW_ENTRIES_MAX..=PREVIEW_ENTRIES_MAX + 20).contains(&n_entries), "{n_entries}");
        assert_eq!(preview.cut_short.len(), 20);
    }
}
