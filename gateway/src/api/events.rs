//! Live state as server-sent events: `overview` at once and then whenever something changed, `diary` for each new entry.

use axum::Router;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::get;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;

use super::auth::SignedIn;
use super::error::Problem;
use super::{Api, ask, model};
use giot_store::DiaryFilter;

/// Changes of the farm are told at most this often, in real time.
const OVERVIEW_EVERY: Duration = Duration::from_secs(1);

/// A comment this often keeps proxies and phones from closing a quiet stream.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Events that may wait for a slow phone; when they do, it gets the newest state next.
const WAITING_MAX: usize = 8;

/// New diary entries told at a time; a page that missed more asks for them.
const ENTRIES_MAX: u32 = 100;

pub(super) fn routes() -> Router<Api> {
    Router::new().route("/api/v1/events", get(events))
}

/// Live state: event `overview` with the body of `/api/v1/overview`, event `diary` with one new entry.
#[utoipa::path(get, path = "/api/v1/events", responses(
    (status = 200, content_type = "text/event-stream", body = String), (status = 401, body = Problem)
))]
pub(crate) async fn events(
    _: SignedIn,
    State(api): State<Api>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    tokio::spawn(feed(api, sender));
    Sse::new(ReceiverStream::new(receiver)).keep_alive(KeepAlive::new().interval(HEARTBEAT))
}

/// Feeds one page until it goes or the gateway stops.
async fn feed(mut api: Api, page: mpsc::Sender<Result<Event, Infallible>>) {
    let mut told = newest_entry(&api).await.unwrap_or(0);
    let mut pace = tokio::time::interval(OVERVIEW_EVERY);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    api.view.mark_changed();
    let (mut stopping, mut diary) = (api.stopping.clone(), api.diary.clone());
    loop {
        tokio::select! {
            biased;
            () = stopped(&mut stopping) => return,
            () = page.closed() => return,
            changed = diary.changed() => {
                if changed.is_err() {
                    return;
                }
                told = tell_diary(&api, &page, told).await;
            }
            _ = pace.tick() => {
                if !api.view.has_changed().unwrap_or(false) {
                    continue;
                }
                let view = api.view.borrow_and_update().clone();
                let overview = model::overview(&view, &api.settings(), &api.clock, &api.sinks);
                if send(&page, "overview", &overview).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, which is a stop as well.
    stopping.wait_for(|stopping| *stopping).await.ok();
}

async fn newest_entry(api: &Api) -> Option<i64> {
    let filter = DiaryFilter { limit: 1, ..DiaryFilter::default() };
    let rows = ask(&api.reader, move |reader| Ok(reader.diary(&filter)?)).await.ok()?;
    rows.first().map(|row| row.id)
}

/// Tells what is newer than `told`, oldest first, and returns the newest id.
async fn tell_diary(api: &Api, page: &mpsc::Sender<Result<Event, Infallible>>, told: i64) -> i64 {
    let filter = DiaryFilter { limit: ENTRIES_MAX, ..DiaryFilter::default() };
    let Ok(rows) = ask(&api.reader, move |reader| Ok(reader.diary(&filter)?)).await else {
        return told;
    };
    let mut newest = told;
    for row in rows.iter().rev().filter(|row| row.id > told) {
        if send(page, "diary", &model::diary_entry(row)).await.is_err() {
            return newest;
        }
        newest = row.id;
    }
    newest
}

async fn send(
    page: &mpsc::Sender<Result<Event, Infallible>>,
    name: &str,
    data: &impl serde::Serialize,
) -> Result<(), ()> {
    let event = match Event::default().event(name).json_data(data) {
        Ok(event) => event,
        Err(error) => {
            tracing::error!(%error, "an event could not be written");
            return Err(());
        }
    };
    page.send(Ok(event)).await.map_err(|_| ())
}
