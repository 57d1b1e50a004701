//! The water balance of a zone: what its soil lacks and the days behind it.

use axum::extract::{Path, State};
use axum::{Json, Router, routing::get};
use giot_engine::agro::crop;
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::SignedIn;
use super::error::Problem;
use super::{Api, ask, zones};
use crate::balance::{Counted, count_all};

/// What a zone's soil lacks. Depths are mm over the zone's whole area.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ZoneBalance {
    /// What is missing to field capacity at this moment; null while it cannot be counted.
    lack_mm: Option<f64>,
    /// What the root zone holds for plants between field capacity and wilting point.
    available_mm: Option<f64>,
    /// Code of what keeps it from being counted.
    problem: Option<&'static str>,
    /// Days whose evapotranspiration had to be guessed, or of which a number was left out.
    n_guessed: u32,
    /// The row of `giot agro crops` that it goes by, and whether its numbers are printed in their source.
    crop_is_sourced: bool,
    /// The season's days, the present one last.
    days: Vec<BalanceDay>,
}

/// A day of the balance.
#[derive(Debug, Serialize, ToSchema)]
struct BalanceDay {
    /// As 2026-03-01.
    date: String,
    /// Reference evapotranspiration; null while the day is not over.
    et0_mm: Option<f64>,
    /// penman_monteith, hargreaves (only temperature was measured) or guessed (the mean of the days before).
    et0_from: Option<&'static str>,
    /// Crop coefficient, with stress.
    kc: f64,
    /// Evapotranspiration of the crop.
    et_mm: f64,
    rain_mm: f64,
    /// Gross.
    irrigation_mm: f64,
    /// What the probes changed in the morning.
    reset_mm: f64,
    /// 1: no stress.
    ks: f64,
    /// What is missing at its end.
    lack_mm: f64,
    available_mm: f64,
    /// Part of that which roots take without stress.
    ready_mm: f64,
    /// A number that was measured but cannot be, and was left out: rain_mm, u_ms, rhmin, et0_mm, water_content or irrigation_mm.
    doubted: Option<&'static str>,
}

pub(super) fn routes() -> Router<Api> {
    Router::new().route("/api/v1/zones/{id}/balance", get(zone_balance))
}

/// A zone's water balance, counted at this moment; 404 where the zone has none.
#[utoipa::path(get, path = "/api/v1/zones/{id}/balance", params(("id" = String, Path)), responses(
    (status = 200, body = ZoneBalance), (status = 401, body = Problem), (status = 404, body = Problem),
    (status = 503, body = Problem, description = "The gateway's clock is not set")
))]
pub(crate) async fn zone_balance(
    _: SignedIn,
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Json<ZoneBalance>, Problem> {
    let zone = zones::zone(&api, &id)?;
    if !api.settings().balances.contains_key(&zone) {
        return Err(Problem::not_found("balance of this zone"));
    }
    let Some(now) = api.clock.wall() else { return Err(Problem::unavailable()) };
    let (settings, wanted) = (api.settings(), zone.clone());
    let count =
        ask(
            &api.reader,
            move |reader| Ok(count_all(&reader, &settings, now, Some(&wanted))?.remove(&wanted)),
        );
    let count = count.await?.ok_or_else(|| Problem::not_found("balance of this zone"))?;
    let in_force = api.settings();
    let label = in_force.zone_labels.get(&zone).and_then(|label| label.crop.as_deref());
    let status = label.and_then(crop).map(|crop| crop.status);
    Ok(Json(ZoneBalance {
        lack_mm: count.lack.ok().map(|lack| lack.lack.in_mm()),
        available_mm: count.lack.ok().map(|lack| lack.available.in_mm()),
        problem: count.lack.err(),
        n_guessed: count.lack.map_or(0, |lack| lack.n_guessed),
        crop_is_sourced: status == Some(giot_engine::agro::DataStatus::Sourced),
        days: count.days.iter().map(day).collect(),
    }))
}

fn day(day: &Counted) -> BalanceDay {
    let date = day.date;
    BalanceDay {
        date: format!("{:04}-{:02}-{:02}", date.year(), date.month(), date.day()),
        et0_mm: day.et0_mm,
        et0_from: day.et0_from.map(crate::balance::Et0From::code),
        kc: day.kc,
        et_mm: day.et_mm,
        rain_mm: day.rain_mm,
        irrigation_mm: day.irrigation_mm,
        reset_mm: day.reset_mm,
        ks: day.ks,
        lack_mm: day.lack_mm,
        available_mm: day.available_mm,
        ready_mm: day.ready_mm,
        doubted: day.doubted,
    }
}
