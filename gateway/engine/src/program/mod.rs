//! Programs by the calendar: when they start, which runs follow, what is left out and why.
//!
//! Values and pure functions. Nothing in here opens a valve, knows a pipe or reads a clock: the engine asks
//! [`Calendar::due`] with its own time, keeps the [`Control`] that it gets back, and treats the [`Timeline`] of a start as a
//! wish, which hydraulics and guards may delay, shorten or refuse. Every "no" is a [`Reason`](crate::Reason).
//!
//! | file | holds |
//! |---|---|
//! | `civil` | dates, weekdays, sets of them |
//! | `sun` | sunrise and sunset |
//! | `day_rule` | on which days |
//! | `start` | at which moments of a day |
//! | `site` | what is known of farm and zones |
//! | `amount` | minutes, litres, mm → run time |
//! | `control` | percentages, pauses, skips, memory |
//! | `sequence` | steps and their order |
//! | `windows` | hours, and runs that meet their ends |
//! | `timeline` | the runs of one start |
//! | `calendar` | the starts of a program; which is due |
//! | `refill` | what a soil lacks, and the run that gives it back |
//! | `preview` | the next days of all programs |
//! | `check` | every problem of a program, with its field |
//!
//! Numbers are integers (ms, ml, µm, 1/10 000); only the sun is computed in `f64`, through `libm`.

mod amount;
mod calendar;
mod check;
mod civil;
mod control;
mod day_rule;
mod preview;
mod refill;
mod sequence;
mod site;
mod start;
mod sun;
mod timeline;
mod windows;

#[cfg(test)]
mod fixtures;

pub use crate::network::Pipes;
pub use amount::{AMOUNT_MAX, AmountError, Target};
pub use calendar::{CATCH_UP_MIN_MAX, Calendar, Due, LOOK_AHEAD_DAYS, MISSED_DAYS_MAX, SkippedStart};
pub use check::{PROGRAMS_MAX, ProgramProblem, ProgramProblemKind, check_programs};
pub use civil::{Date, MonthDays, Months, Weekday, Weekdays, YEAR_MAX, YEAR_MIN};
pub(crate) use control::Suspension;
pub use control::{Control, FarmState, Level, PERCENT_MAX, Percent, SKIPS_MAX, Season, WATER_PAUSE_MS_MAX};
pub use day_rule::{DayRule, EVERY_DAYS_MAX, EveryDays, Parity, YearSpan};
pub use preview::{
    LeftRun, Outcome, PREVIEW_DAYS_MAX, PREVIEW_ENTRIES_MAX, PlannedStart, Preview, UnderWay, next_days,
};
pub use refill::{Lack, LackState, Lacks, Millimetres};
pub use sequence::{DELAY_S_MAX, Direction, Order, OrderBy, REPEATS_MAX, STEPS_MAX, Sequence, Step};
pub use site::{CYCLE_MS_MIN, Cycle, Group, RUN_MS_MAX, RunLimits, SOAK_MS_MAX, Site, ZoneFacts};
pub use start::{
    Anchor, Cause, Clock, MinuteOfDay, Repeat, START_REPEATS_MAX, START_RULES_MAX, SUN_OFFSET_MIN_MAX, Start,
    StartRule, SunOffset,
};
pub use sun::{Place, SunTimes};
pub use timeline::{Bars, Conditions, PlannedRun, RUNS_MAX, Scale, SkippedRun, Timeline, timeline};
pub use windows::{CLOSED_MS_MAX, Crossing, WAIT_MS_MAX, WINDOWS_MAX, Window, Windows};

use crate::ids::ZoneId;

/// A program: on which days and when it starts, what it waters, and what it respects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// On which days.
    pub days: DayRule,
    /// When on those days; at most [`START_RULES_MAX`].
    pub starts: Vec<StartRule>,
    /// What it waters.
    pub sequence: Sequence,
    /// All its runs together last so long before the season and a person's share, ms, shared out in the proportion of the steps;
    /// `None`: each step by its own amount.
    pub total_ms: Option<u64>,
    /// Seasonal adjustment.
    pub season: Season,
    /// When its runs may take place.
    pub windows: Windows,
    /// What becomes of runs that meet closed hours.
    pub crossing: Crossing,
    /// A start that was missed is made up for within so many minutes, at most [`CATCH_UP_MIN_MAX`]; 0: never.
    pub catch_up_min: u16,
}

impl Program {
    /// The zones that it refills.
    pub fn refills(&self) -> impl Iterator<Item = &ZoneId> {
        let is_refill = |step: &&Step| step.is_enabled && matches!(step.target, Target::Refill { .. });
        self.sequence.steps.iter().filter(is_refill).map(|step| &step.zone)
    }

    /// For so long a missed start is made up for, ms.
    pub(crate) fn catch_up_ms(&self) -> u64 {
        u64::from(self.catch_up_min.min(CATCH_UP_MIN_MAX)) * 60_000
    }
}

#[cfg(test)]
mod tests;
