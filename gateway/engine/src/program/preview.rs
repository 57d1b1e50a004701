//! The next days of all programs: what would start, run and be left out if nothing changed.
//!
//! Asks each program as the engine would, start after start. Without hydraulics: runs of different programs may lie at the
//! same time, and whoever knows the pipes puts them one after another. Each program by itself never overlaps itself.

use std::collections::BTreeMap;

use giot_shared::time::UnixMs;

use super::Program;
use super::calendar::{Calendar, SkippedStart};
use super::control::{Control, FarmState};
use super::site::Site;
use super::start::Start;
use super::timeline::Timeline;
use crate::ids::ProgramId;
use crate::plan::DAY_MS;
use crate::reason::Reason;

/// Longest preview, days.
pub const PREVIEW_DAYS_MAX: u16 = 31;

/// Most starts of one program in a preview.
pub const PREVIEW_STARTS_MAX: usize = 1000;

/// What the programs would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preview {
    /// The starts, by their moment, then by program.
    pub starts: Vec<PlannedStart>,
    /// The programs of which only the first [`PREVIEW_STARTS_MAX`] starts are told.
    pub cut_short: Vec<ProgramId>,
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
    let mut preview = Preview::default();
    for (id, program) in programs {
        let control = controls.get(id).unwrap_or(&fresh);
        let calendar = Calendar { program, control, site, farm };
        let planned = calendar.until(from, to);
        if planned.len() > PREVIEW_STARTS_MAX {
            preview.cut_short.push(id.clone());
        }
        let planned = planned.into_iter().take(PREVIEW_STARTS_MAX);
        preview.starts.extend(planned.map(|(start, outcome)| PlannedStart {
            program: id.clone(),
            start,
            outcome,
        }));
    }
    // Stable: programs stay in their order within a moment.
    preview.starts.sort_by_key(|planned| planned.start.at);
    preview
}

impl Calendar<'_> {
    /// The starts of one program with their outcomes; one more than [`PREVIEW_STARTS_MAX`] at most.
    fn until(self, from: UnixMs, to: UnixMs) -> Vec<(Start, Outcome)> {
        let due = self.due(from);
        let skipped = due.skipped.into_iter();
        let mut planned: Vec<_> =
            skipped.map(|SkippedStart { start, reason }| (start, Outcome::Skipped(reason))).collect();
        let mut control = due.control;
        if let Some(start) = due.start {
            let runs = self.timeline(&start, from);
            control.busy_until = runs.until().or(control.busy_until);
            planned.push((start, Outcome::Runs(runs)));
        }
        let later = control.handled_until.unwrap_or(from).max(from);
        for start in self.starts(later, to) {
            if planned.len() > PREVIEW_STARTS_MAX {
                break;
            }
            if control.is_finished(&start) {
                continue;
            }
            let before = control.clone();
            let outcome = match control.take(&start, start.at, self.farm) {
                Ok(()) => {
                    let runs = Calendar { control: &before, ..self }.timeline(&start, start.at);
                    control.busy_until = runs.until().or(control.busy_until);
                    Outcome::Runs(runs)
                }
                Err(reason) => Outcome::Skipped(reason),
            };
            planned.push((start, outcome));
        }
        planned
    }
}
