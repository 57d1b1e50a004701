//! Every boot closes every valve, whether a node runs in it or not.
//!
//! A relay falls with its output, which is low after a reset; a latching valve stays as it is until a pulse moves it. Which valves
//! are latching the installation says. Where it cannot be read, or names other valves than before, the settings remember the
//! latching valves of the node that ran last ([`Settings::latching`]): they are written before that node may open one, and outlive
//! `factory-reset`. Where neither is known, every output that can be a coil gets closing pulses: a relay there is on for a moment, a
//! latching valve would stay open for ever. Outputs that a plan of today gives to relays get no pulse for a valve of yesterday.

use crate::board::{Board, Drive, Outputs};
use crate::node::closing_of;
use crate::settings::{Latching, Settings, SettingsError, ValveKind, ValvePlan};
use crate::sleep::Woken;
use embedded_storage_async::nor_flash::MultiwriteNorFlash;
use giot_shared::ids::ValveId;
use giot_shared::wire::VALVES_MAX;

/// The movements that close the valves of an earlier plan which are no latching valves today. `has_coils` says whether a valve's
/// outputs can be a latching valve's coils on this board, as it is wired today.
fn left_over(
    plans: &[ValvePlan],
    last: &Latching,
    has_coils: impl Fn(ValveId) -> bool,
) -> heapless::Vec<Drive, VALVES_MAX> {
    let is_planned =
        |valve: ValveId| plans.iter().any(|plan| plan.valve == valve && plan.kind == ValveKind::Latching);
    let strangers = last.iter().copied().filter(|valve| !is_planned(*valve) && has_coils(*valve));
    let latching = |valve| ValvePlan { kind: ValveKind::Latching, ..ValvePlan::new(valve) };
    strangers.map(|valve| closing_of(&latching(valve))).collect()
}

/// The movements that close the valves of a plan at a boot: all, but after a sleep no latching ones that were closed before, by a supply
/// that sufficed, in a boot that had this plan. One that came into the plan since, at the console, stays as it was until a pulse moves it.
pub(super) fn closings(
    plans: &[ValvePlan],
    woken: Option<&Woken>,
    last: Result<&Option<Latching>, &SettingsError>,
) -> impl Iterator<Item = Drive> {
    let is_plan_of_before = last.is_ok_and(|last| last.as_ref() == Some(&to_remember(plans, &[])));
    let are_at_rest = is_plan_of_before && woken.is_some_and(|woken| !woken.low_power);
    let moved = plans.iter().filter(move |plan| plan.kind != ValveKind::Latching || !are_at_rest);
    moved.map(closing_of)
}

/// What the settings remember, where they could be opened.
pub(super) async fn remembered<F: MultiwriteNorFlash>(
    settings: &mut Result<Settings<F>, SettingsError>,
) -> Result<Option<Latching>, SettingsError> {
    match settings {
        Ok(settings) => settings.latching().await,
        Err(error) => Err(*error),
    }
}

/// Every valve that a board may have, for who cannot know which of them are latching.
pub(super) fn every_valve() -> Latching {
    (0..).take(VALVES_MAX).map(ValveId).collect()
}

/// Closes them at a node's boot. Gives those that did not follow: the node knows no such valve, and the next boot tries again.
pub(super) async fn close_left_over<B: Board>(
    board: &mut B,
    plans: &[ValvePlan],
    last: &Latching,
) -> Latching {
    let mut unclosed = Latching::new();
    for drive in left_over(plans, last, |valve| board.has_coils(valve)) {
        if board.drive_valve(drive).await.is_err() {
            // There are at most as many as before.
            let _full = unclosed.push(drive.valve);
        }
    }
    unclosed
}

/// What a node has to remember before it may open a valve: its latching valves, and those that are still to be closed.
pub(super) fn to_remember(plans: &[ValvePlan], unclosed: &[ValveId]) -> Latching {
    let planned = plans.iter().filter(|plan| plan.kind == ValveKind::Latching).map(|plan| plan.valve);
    let mut latching = Latching::new();
    for valve in planned.chain(unclosed.iter().copied()) {
        if !latching.contains(&valve) {
            // Those of the plan come first, and there is room for them.
            let _full = latching.push(valve);
        }
    }
    latching
}

/// Closes every valve in a boot in which no node runs: those of `plans`, which is `None` where the installation cannot be read, and
/// those that the settings in `flash` remember; every valve that can be a latching one where neither is known. Gives how many did not
/// follow; each is driven again at the next boot. `flash` is `None` where it has no such partition.
pub async fn close_without_node<F: MultiwriteNorFlash>(
    plans: Option<&[ValvePlan]>,
    flash: Option<F>,
    outputs: &mut impl Outputs,
) -> usize {
    let mut n_stuck = 0;
    for plan in plans.unwrap_or_default() {
        n_stuck += usize::from(outputs.drive(closing_of(plan)).await.is_err());
    }
    let last = match flash.map(Settings::open) {
        Some(Ok(mut settings)) => settings.latching().await,
        Some(Err(error)) => Err(error),
        None => Err(SettingsError::Partition),
    };
    let last = match (last, plans) {
        (Ok(Some(last)), _) => last,
        (Ok(None), Some(_)) => Latching::new(),
        (Ok(None), None) | (Err(_), _) => every_valve(),
    };
    for movement in left_over(plans.unwrap_or_default(), &last, |valve| outputs.has_coils(valve)) {
        n_stuck += usize::from(outputs.drive(movement).await.is_err());
    }
    n_stuck
}

#[cfg(test)]
mod tests;
