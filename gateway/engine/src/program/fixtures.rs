//! Farms and programs for the tests of this folder.

use giot_shared::time::UnixMs;

use super::civil::Date;
use super::control::Season;
use super::day_rule::DayRule;
use super::site::{Group, RunLimits, Site, ZoneFacts};
use super::start::{MinuteOfDay, StartRule};
use super::sun::Place;
use super::windows::{Crossing, Windows};
use super::{Program, Sequence, Step, Target};
use crate::ids::ZoneId;

pub(super) const MINUTE_MS: u64 = 60_000;

pub(super) const OFFSET_MIN: i32 = 420;

pub(super) fn zone(name: &str) -> ZoneId {
    name.parse().unwrap()
}

/// A zone with 100 l/h on 10 m² with 10 plants, up to two hours a run.
pub(super) fn zone_facts(source: &str) -> ZoneFacts {
    ZoneFacts {
        source: source.parse().unwrap(),
        flow_ml_h: Some(100_000),
        area_dm2: Some(1000),
        n_plants: Some(10),
        limits: RunLimits { skip_below_ms: 0, run_ms_min: 0, run_ms_max: 120 * MINUTE_MS },
        rest_ms: 0,
        cycle: None,
        group: Group::default(),
        windows: Windows::default(),
        ignores_rain_delay: false,
    }
}

/// Zones `a` to `d` near Sơn La.
pub(super) fn site() -> Site {
    Site {
        utc_offset_min: OFFSET_MIN,
        place: Place::new(21.33, 103.92),
        zones: ["a", "b", "c", "d"].map(|name| (zone(name), zone_facts("pump"))).into(),
        ..Site::default()
    }
}

pub(super) fn minutes_of(steps: &[(&str, u32)]) -> Sequence {
    Sequence::of(
        steps.iter().map(|(name, minutes)| Step::of(zone(name), Target::minutes(*minutes))).collect(),
    )
}

pub(super) fn at_hour(hour: u16, minute: u16) -> StartRule {
    StartRule::at(MinuteOfDay::new(hour, minute).unwrap())
}

/// A program that starts daily at 06:00.
pub(super) fn program(steps: &[(&str, u32)]) -> Program {
    Program {
        days: DayRule::EVERY_DAY,
        starts: vec![at_hour(6, 0)],
        sequence: minutes_of(steps),
        total_ms: None,
        season: Season::NONE,
        windows: Windows::default(),
        crossing: Crossing::Cut,
        catch_up_min: 10,
    }
}

pub(super) fn date(year: i32, month: u8, day: u8) -> Date {
    Date::new(year, month, day).unwrap()
}

/// A moment of local time in November 2026.
pub(super) fn at(day: u8, hour: u64, minute: u64) -> UnixMs {
    date(2026, 11, day).begins_at(OFFSET_MIN).plus_ms((hour * 60 + minute) * MINUTE_MS)
}
