//! Backtests over the demo's thirty days, whose soil is simulated by somebody else's code, and of trials that must not differ.

use giot_engine::{HeldWater, SoilRule};
use giot_shared::units::MoisturePermyriad;

use super::*;
use crate::config::compile;
use crate::demo::Orchard;
use giot_store::{Store, StoreOptions};

/// A zone of the demo that thresholds alone water.
const ZONE: &str = "man-1";

struct Farm {
    reader: Reader,
    settings: Settings,
    zone: ZoneId,
    span: (Date, Date),
    _store: Store,
    _dir: tempfile::TempDir,
}

async fn farm() -> Farm {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open_with(dir.path(), &StoreOptions::default()).unwrap();
    let start = UnixMs(1_790_000_000_000);
    let (orchard, history) = Orchard::new(7, start);
    orchard.write_history(&history, &store.writer(), |_| {}).await.unwrap();
    let settings = compile("demo", &orchard.farm_file().unwrap()).unwrap();
    let zone = settings.plan.zones.keys().find(|id| id.as_str() == ZONE).cloned();
    let zone = zone.unwrap_or_else(|| panic!("{:?}", settings.plan.zones.keys()));
    let last = Date::of(start, settings.plan.utc_offset_min).plus_days(-1);
    Farm {
        reader: store.reader(),
        settings,
        zone,
        span: (last.plus_days(-24), last),
        _store: store,
        _dir: dir,
    }
}

impl Farm {
    fn play(&self) -> Report {
        self.judge(&self.settings)
    }

    /// Tries the farm's settings where others are in force.
    fn judge(&self, in_force: &Settings) -> Report {
        let both = (&self.settings, Some(in_force));
        backtest(&self.reader, both, &self.zone, None, self.span, &mut |_| {}).unwrap()
    }

    /// Moves both thresholds, in 1/10 000 of the soil's volume.
    fn shift(&mut self, by: i32) {
        let zone = self.settings.plan.zones.get_mut(&self.zone).unwrap();
        let SoilRule::Moisture { start_below, stop_above } = &mut zone.soil else { panic!("by moisture") };
        for threshold in [start_below, stop_above] {
            let moved = u16::try_from(i32::from(threshold.get()) + by).unwrap();
            *threshold = MoisturePermyriad::new(moved).unwrap();
        }
    }
}

#[tokio::test]
async fn the_same_settings_give_about_the_water_that_was_given() {
    let farm = farm().await;
    let report = farm.play();
    assert!(report.really.n_runs >= 5 && report.really.ml > 0, "{report:?}");
    let bucket = report.bucket.expect("25 days of the demo teach enough");
    assert!(bucket.per_m3 > 0.0 && bucket.r2 > 0.1, "{bucket:?}");
    let closed = report.closed.clone().expect("a soil");
    let share = closed.ml as f64 / report.really.ml as f64;
    assert!((0.6..1.6).contains(&share), "{share}: {:?} {:?}", report.really, closed);
    assert!(report.days.len() == 25 && report.days.iter().all(|day| day.really_level.is_some()));
    assert_eq!(report, farm.play(), "the same history gives the same report");
}

#[tokio::test]
async fn wetter_thresholds_take_more_water_and_drier_ones_less() {
    let mut farm = farm().await;
    let base = farm.play().closed.unwrap();
    farm.shift(300);
    let wetter = farm.play().closed.unwrap();
    farm.shift(-700);
    let drier = farm.play().closed.unwrap();
    assert!(drier.ml < base.ml && base.ml < wetter.ml, "{drier:?} {base:?} {wetter:?}");
}

#[tokio::test]
async fn a_history_without_water_or_readings_says_what_is_missing() {
    let farm = farm().await;
    // The first two days: less than what teaches how soil dries.
    let first = farm.span.0;
    let short = backtest(
        &farm.reader,
        (&farm.settings, None),
        &farm.zone,
        None,
        (first, first.plus_days(1)),
        &mut |_| {},
    );
    let short = short.unwrap();
    assert!(short.closed.is_none() && short.bucket.is_err(), "{short:?}");
    let long_ago = first.plus_days(-400);
    let none =
        backtest(&farm.reader, (&farm.settings, None), &farm.zone, None, (long_ago, long_ago), &mut |_| {});
    assert!(none.unwrap_err().to_string().contains("nothing was read"));
}

/// The wetter a setting, the less stress it leaves: days are judged by the settings in force, not by those that are tried.
#[tokio::test]
async fn stress_days_are_those_of_the_plants() {
    let mut farm = farm().await;
    let in_force = farm.settings.clone();
    let base = farm.judge(&in_force);
    let mut days = Vec::new();
    for by in [-1200, 1000, 500] {
        farm.shift(by);
        let report = farm.judge(&in_force);
        assert_eq!(report.stress, base.stress, "the same judge");
        assert_eq!(report.really.stress_days, base.really.stress_days, "what happened does not depend on it");
        days.push(report.closed.unwrap().stress_days.unwrap());
    }
    assert!(days[0] > days[1] && days[1] >= days[2], "{days:?}");
    assert_eq!(base.stress.map(|stress| stress.from), Some(StressFrom::Threshold));
    // The soil goes before the threshold, and needs no settings in force.
    let held = HeldWater {
        field_capacity: MoisturePermyriad::new(3600).unwrap(),
        wilting_point: MoisturePermyriad::new(1600).unwrap(),
    };
    farm.settings.soils.insert(farm.zone.clone(), held);
    farm.settings.zone_labels.get_mut(&farm.zone).unwrap().crop = Some("maize".to_owned());
    let stress = Stress::of(&farm.settings, None, &farm.zone).unwrap();
    assert!((stress.level - (36.0 - 0.55 * 20.0)).abs() < 1e-9 && stress.dry.to_bits() == 16.0_f64.to_bits());
    assert_eq!(stress.from, StressFrom::Soil);
    farm.settings.soils.clear();
    assert_eq!(Stress::of(&farm.settings, None, &farm.zone), None, "nothing to go by");
}

#[tokio::test]
async fn a_stop_threshold_that_the_soil_does_not_reach_is_told() {
    let mut farm = farm().await;
    let usual = farm.play();
    assert!(!usual.closed.unwrap().stop_never_reached && !usual.assumed.contains(&"stop_never_reached"));
    // The stop threshold alone: above whatever the soil was read at.
    let zone = farm.settings.plan.zones.get_mut(&farm.zone).unwrap();
    let SoilRule::Moisture { stop_above, .. } = &mut zone.soil else { panic!("by moisture") };
    *stop_above = MoisturePermyriad::new(5500).unwrap();
    let flooded = farm.play();
    assert!(flooded.closed.unwrap().stop_never_reached && flooded.assumed.contains(&"stop_never_reached"));
}

const REFILLED: &str = r#"
[station]
device = "st"
elevation_m = 390.0
[[source]]
id = "well"
capacity_l_per_h = 60000
[[zone]]
id = "z1"
source = "well"
flow_l_per_h = 40000
area_m2 = 1000
valve = { node = "v1" }
probes = [{ device = "st", metric = "soil_vwc" }]
start_below_percent = 22
stop_above_percent = 30
fresh_min = 90
stuck_hours = 0
crop = "maize"
field_capacity_percent = 36
wilting_point_percent = 16
[zone.balance]
since = "04-15"
reset_at = "06:00"
[[program]]
id = "refill"
starts = ["05:00"]
steps = [{ zone = "z1", refill = true, depleted_at_percent = 40 }]
"#;

/// A rainless season whose probes read the same dry soil each morning, because nothing was given: the trial's own water must come off
/// what the balance says, or it is given again each day.
#[test]
fn a_balance_knows_the_water_of_the_trial() {
    let text = format!("latitude_deg = 39.1\nlongitude_deg = -96.6\nutc_offset = \"-06:00\"\n{REFILLED}");
    let settings = compile("farm.toml", &text).unwrap();
    let zone: ZoneId = "z1".parse().unwrap();
    let plan = reduced(&settings.plan, &zone, Some(&"refill".parse().unwrap()));
    let first = Date::new(2022, 6, 1).unwrap();
    let (n_days, offset) = (60, settings.plan.utc_offset_min);
    let (from, to) = (first.begins_at(offset), first.plus_days(n_days).begins_at(offset));
    let balance = settings.balances.get(&zone).unwrap().clone();
    let weather =
        balance::Day { et0: Some((6.0, false)), rain_mm: [Some(0.0); 24], ..balance::Day::default() };
    let days = (-20..n_days).map(|nth| (first.plus_days(nth), weather)).collect();
    let contents: BTreeMap<Date, f64> = (-20..n_days).map(|nth| (first.plus_days(nth), 0.20)).collect();
    let readings = (0..u64::try_from(n_days).unwrap() * 24)
        .map(|hour| (from.plus_ms(hour * 3_600_000), 0, Level::from_unit(20.0)));
    let mut history = History { readings: readings.collect(), ..History::default() };
    let flow = LitresPerHour(40_000);
    let mut litres = |contents: BTreeMap<Date, f64>, given| {
        let facts = balance::Facts { days: BTreeMap::clone(&days), given, contents };
        history.balance = Some((balance.clone(), facts));
        let trial = play(&plan, &history, (from, to), flow, None, &mut |_| {});
        let runs: Vec<u64> = trial.runs.iter().map(|run| run.ml / 1000).collect();
        (runs.iter().sum::<u64>(), runs.len())
    };
    // 60 days take at most 60 × 6 mm × 1.2 over 90 % and 120 mm to begin with, on 1000 m²; most of that must be given.
    let counted = litres(BTreeMap::new(), Vec::new());
    assert!((100_000..600_000).contains(&counted.0) && counted.1 < 20, "{counted:?}");
    let read = litres(contents, Vec::new());
    assert!((100_000..600_000).contains(&read.0) && read.1 < 20, "{read:?}");
    // What was really given is neither believed beside the trial's water nor taken for it.
    let given = (0..n_days).map(|nth| balance::Given {
        at: first.plus_days(nth).begins_at(offset).plus_ms(3_600_000),
        ml: 6_000_000,
    });
    assert_eq!(litres(BTreeMap::new(), given.collect()), counted);
}

/// A zone that a program waters by the calendar, and nothing measures: its runs are played all the same.
#[tokio::test]
async fn a_zone_without_readings_is_played_by_its_programs() {
    let mut farm = farm().await;
    let text = r#"
[[source]]
id = "well"
[[zone]]
id = "z1"
source = "well"
flow_l_per_h = 6000
valve = { node = "v1" }
automatic = false
[[program]]
id = "dawn"
starts = ["05:00"]
steps = [{ zone = "z1", minutes = 20 }]
"#;
    farm.settings = compile("farm.toml", text).unwrap();
    farm.zone = "z1".parse().unwrap();
    let report = farm.play();
    assert_eq!((report.open.n_runs, report.open.ml), (25, 25 * 2_000_000));
    assert!(report.assumed.contains(&"nothing_read"), "{:?}", report.assumed);
    farm.settings.plan.programs.clear();
    let both = (&farm.settings, None);
    let refused = backtest(&farm.reader, both, &farm.zone, None, farm.span, &mut |_| {}).unwrap_err();
    assert!(refused.downcast_ref::<Unplayable>().is_some(), "{refused:#}");
}
