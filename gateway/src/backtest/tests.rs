//! Backtests over the demo's thirty days, whose soil is simulated by somebody else's code, and of trials that must not differ.

use giot_engine::SoilRule;
use giot_shared::units::MoisturePermyriad;

use super::*;
use crate::config::compile;
use crate::demo::Orchard;
use crate::store::{Store, StoreOptions};

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
        backtest(&self.reader, &self.settings, &self.zone, None, self.span, &mut |_| {}).unwrap()
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
    let short =
        backtest(&farm.reader, &farm.settings, &farm.zone, None, (first, first.plus_days(1)), &mut |_| {});
    let short = short.unwrap();
    assert!(short.closed.is_none() && short.bucket.is_err(), "{short:?}");
    let long_ago = first.plus_days(-400);
    let none = backtest(&farm.reader, &farm.settings, &farm.zone, None, (long_ago, long_ago), &mut |_| {});
    assert!(none.unwrap_err().to_string().contains("nothing was read"));
}
