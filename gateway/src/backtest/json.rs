//! A report as JSON: the command line and the API give the same.

use giot_engine::ZoneId;
use giot_engine::program::Date;
use serde_json::{Value, json};

use super::{Report, Sum, iso};

/// Litres, seconds, and levels in the unit of the zone's probes.
#[must_use]
pub fn to_json(report: &Report, zone: &ZoneId, (first, last): (Date, Date)) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "volumes of a year are far below 2^53 ml")]
    let litres = |ml: u64| ml as f64 / 1000.0;
    let sum = |sum: &Sum| json!({ "runs": sum.n_runs, "run_s": sum.run_s, "litres": litres(sum.ml), "stress_days": sum.stress_days, "stop_never_reached": sum.stop_never_reached });
    let days = report.days.iter().map(|day| {
        json!({
            "date": iso(day.date), "really_litres": litres(day.really_ml), "open_litres": litres(day.open_ml),
            "closed_litres": day.closed_ml.map(litres), "really_level": day.really_level, "closed_level": day.closed_level,
        })
    });
    let bucket = report.bucket.ok().map(|bucket| {
        json!({
            "percent_per_m3": bucket.per_m3, "runs_over_at": bucket.over, "full_at": bucket.full, "runs_over_per_hour": bucket.drains,
            "taken_per_day": bucket.taken, "delay_h": bucket.delay_h, "r2": bucket.r2, "hours": bucket.n_hours,
        })
    });
    let skips: serde_json::Map<String, Value> =
        report.skips.iter().map(|(code, skips)| ((*code).to_owned(), json!(skips.n))).collect();
    json!({
        "zone": zone.to_string(), "from": iso(first), "to": iso(last), "really": sum(&report.really),
        "open": sum(&report.open), "closed": report.closed.as_ref().map(sum), "bucket": bucket,
        "no_bucket": report.bucket.err(), "stress_level": report.stress.map(|stress| stress.level), "skips": skips, "days": days.collect::<Vec<_>>(),
        "assumed": report.assumed, "readings": report.n_readings,
    })
}
