//! The history's own health: whether its disk has room, what was given up for room, what was lost when it was mended, and what the
//! last look through it has found.
//!
//! What to do about it needs the machine the gateway runs on: `giot doctor` says it there, with the names of what was lost.

use anyhow::Context;
use axum::extract::State;
use axum::{Json, Router, routing::get};
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::SignedIn;
use super::error::Problem;
use super::{Api, ask};
use crate::scrub::Look;
use giot_store::{DiskRoom, DiskState, MendNote, Reader, RoomNote};

/// How the history does.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StoreHealth {
    disk: Disk,
    /// What was last given up because the store was larger than it may be (`store.disk_mib_max`); null: nothing ever.
    given_up: Option<GivenUp>,
    /// What the last mending of a damaged store came to; null: it never was.
    mended: Option<Mended>,
    /// What the last look through the whole history came to, of which there is one a day; null: none since the gateway's start.
    looked: Option<Looked>,
}

/// The disk that the history is on.
#[derive(Debug, Serialize, ToSchema)]
struct Disk {
    /// ok; low: less than may be needed at once; full: nothing more is stored, and nodes keep their readings.
    state: &'static str,
    free_bytes: u64,
}

/// What went for room.
#[derive(Debug, Serialize, ToSchema)]
struct GivenUp {
    /// When.
    at: i64,
    used_bytes: u64,
    allowed_bytes: u64,
    /// Readings before this became hours and days.
    readings_before: Option<i64>,
    /// Hours before this went too; their days stay.
    hours_before: Option<i64>,
    /// It is still larger than it may be, and nothing is left that may go.
    over: bool,
}

/// A store that was damaged.
#[derive(Debug, Serialize, ToSchema)]
struct Mended {
    /// When.
    at: i64,
    /// How many parts of the past were lost.
    lost: u64,
    /// The first of them, in the words of `giot doctor`.
    parts: Vec<String>,
    /// Name of the damaged file in the data folder; null once somebody has taken it away.
    file: Option<String>,
}

/// A look through the whole history.
#[derive(Debug, Serialize, ToSchema)]
struct Looked {
    /// When it ended.
    at: i64,
    /// Readings that were looked at.
    readings: u64,
    /// How many parts are damaged.
    damaged: u64,
    /// The first of them, in the words of `giot store check`.
    parts: Vec<String>,
}

impl From<&Look> for Looked {
    fn from(look: &Look) -> Self {
        let Look { at, n_samples, n_damages, named } = look.clone();
        Self { at: at.0, readings: n_samples, damaged: n_damages, parts: named }
    }
}

pub(super) fn routes() -> Router<Api> {
    Router::new().route("/api/v1/store", get(store))
}

/// How the history does: its disk, what was given up for room, what is damaged or was lost by damage.
#[utoipa::path(get, path = "/api/v1/store", responses(
    (status = 200, body = StoreHealth), (status = 401, body = Problem)
))]
pub(crate) async fn store(_: SignedIn, State(api): State<Api>) -> Result<Json<StoreHealth>, Problem> {
    let looked = api.looked.borrow().as_deref().map(Looked::from);
    Ok(Json(ask(&api.reader, |reader| health(reader, looked)).await?))
}

fn health(reader: Reader, looked: Option<Looked>) -> anyhow::Result<StoreHealth> {
    let room = DiskRoom::of(reader.dir()).context("ask for the disk's room")?;
    let DiskRoom { free_bytes, state } = room;
    let disk = Disk { state: DiskState::word(state), free_bytes };
    let mended = reader.mended()?.map(|note| mended(&reader, note));
    Ok(StoreHealth { disk, given_up: reader.room()?.map(given_up), mended, looked })
}

fn given_up(note: RoomNote) -> GivenUp {
    let RoomNote { at_us, used_bytes, bytes_max, readings_before_us, hours_before_us, is_over } = note;
    GivenUp {
        at: ms(at_us),
        used_bytes,
        allowed_bytes: bytes_max,
        readings_before: readings_before_us.map(ms),
        hours_before: hours_before_us.map(ms),
        over: is_over,
    }
}

fn mended(reader: &Reader, note: MendNote) -> Mended {
    let MendNote { at_us, file, n_lost, lost } = note;
    let file = file.filter(|name| reader.dir().join(name).exists());
    Mended { at: ms(at_us), lost: n_lost, parts: lost, file }
}

fn ms(us: i64) -> i64 {
    us.div_euclid(1000)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use giot_store::{Batch, DeviceSamples, MetricSample, Retention, Store, Upkeep};

    const T0: i64 = 1_700_000_000_000_000;
    const HOUR: i64 = 3_600_000_000;

    fn json(store: &Store) -> serde_json::Value {
        serde_json::to_value(health(store.reader(), None).unwrap()).unwrap()
    }

    #[test]
    fn what_was_given_up_for_room_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let well = json(&store);
        assert!(well["given_up"].is_null() && well["mended"].is_null(), "{well}");
        assert!(well["disk"]["free_bytes"].as_u64().unwrap() > 0, "{well}");
        let sample = |n: i64| MetricSample {
            metric: "soil".into(),
            at_us: T0 + n * HOUR,
            value: Some(1.5),
            quality: 0,
        };
        let samples =
            vec![DeviceSamples { device: "n01".into(), samples: (0..24 * 400).map(sample).collect() }];
        store.writer().commit_blocking(Batch { samples, ..Batch::default() }).unwrap();
        store.fold().unwrap();
        let retention = Some(Arc::new(Retention { bytes_max: Some(1), ..Retention::default() }));
        let now_us = T0 + 24 * 400 * HOUR;
        assert!(store.writer().tend(Upkeep { now_us, retention }).unwrap());
        while store.n_rounds() == 0 {
            std::thread::yield_now();
        }
        let told = json(&store)["given_up"].clone();
        assert_eq!(
            (&told["at"], &told["over"], &told["allowed_bytes"]),
            (&(now_us / 1000).into(), &true.into(), &1.into())
        );
        let before = told["readings_before"].as_i64().unwrap();
        assert!((T0 / 1000..now_us / 1000).contains(&before), "{told}");
    }
}
