//! The HTTP API `/api/v1` and the page: one file a resource. Shapes for JSON live here and nowhere else; the core types
//! they are made from are not serialisable. Everything but the session needs a sign-in.
//!
//! Nothing here decides about water: a wish goes to the hub and comes back granted or refused with a reason.

mod auth;
mod backtest;
mod balance;
pub(crate) mod client;
mod diary;
mod error;
mod events;
mod export;
mod farm;
mod history;
mod model;
mod nodes;
mod overview;
mod page;
mod past;
mod pieces;
mod programs;
mod rules;
mod series;
mod sources;
mod why;
mod zones;

use crate::clock::Clock;
use crate::config::Settings;
use crate::hub::Request;
use crate::hub::view::FarmView;
use crate::sinks::sender::Views;
use crate::store::Reader;
use crate::words::Words;
use anyhow::Context;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::header;
use axum::middleware;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::serve::ListenerExt;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use utoipa::OpenApi;

pub use auth::Auth;
pub(crate) use nodes::check as check_node_settings;
pub use pieces::Places;

/// Longest request body, bytes: the largest is a sentence about a lock.
const BODY_MAX: usize = 16 * 1024;

/// What every request can reach. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Api {
    /// Who may.
    pub auth: Auth,
    /// The gateway's time.
    pub clock: Clock,
    /// The farm at the last look.
    pub view: watch::Receiver<Arc<FarmView>>,
    /// Counts commits that held diary entries.
    pub diary: watch::Receiver<u64>,
    /// To the hub.
    pub requests: mpsc::Sender<Request>,
    /// To the history.
    pub reader: Reader,
    /// Places for long answers.
    pub places: Places,
    /// The catalogues.
    pub words: Arc<Words>,
    /// How the sinks do.
    pub sinks: Arc<Views>,
    /// Turns true when the gateway stops: open streams end.
    pub stopping: watch::Receiver<bool>,
}

impl Api {
    /// What the gateway runs by.
    fn settings(&self) -> Arc<Settings> {
        self.view.borrow().settings.clone()
    }
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Giọt",
        description = "Soil, water and irrigation diary of one gateway. Times are milliseconds since 1970-01-01T00:00:00Z, \
                       moisture is % of the soil's volume, volumes are litres.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    paths(
        auth::session,
        auth::sign_in,
        auth::sign_out,
        overview::overview,
        zones::start,
        zones::extend,
        zones::irrigated,
        zones::stop,
        zones::stop_all,
        zones::test_valves,
        zones::run_once,
        zones::lock,
        zones::unlock,
        zones::clear_fault,
        sources::list,
        sources::clear_fault,
        programs::list,
        programs::preview,
        programs::start,
        programs::stop,
        programs::skip,
        programs::enable,
        programs::adjust,
        programs::suspend,
        programs::pause,
        rules::list,
        rules::test,
        history::zone_history,
        backtest::zone_backtest,
        balance::zone_balance,
        why::why,
        nodes::change,
        nodes::changed,
        series::latest,
        series::samples,
        series::spans,
        past::series,
        past::chart,
        past::spans,
        export::export,
        farm::farm,
        farm::check,
        farm::save,
        farm::versions,
        farm::version,
        diary::diary,
        events::events
    )
)]
struct Description;

/// The description of the API, as served at `/api/v1/openapi.json`.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn openapi() -> anyhow::Result<String> {
    Description::openapi().to_pretty_json().context("write the API's description")
}

/// Every route over `api`.
fn routes(api: Api) -> Router {
    Router::new()
        .route("/api/v1/openapi.json", get(describe))
        .merge(auth::routes())
        .merge(overview::routes())
        .merge(zones::routes())
        .merge(sources::routes())
        .merge(programs::routes())
        .merge(rules::routes())
        .merge(history::routes())
        .merge(why::routes())
        .merge(balance::routes())
        .merge(backtest::routes())
        .merge(nodes::routes())
        .merge(series::routes())
        .merge(past::routes())
        .merge(export::routes())
        .merge(farm::routes())
        .merge(diary::routes())
        .merge(events::routes())
        .merge(page::routes())
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(middleware::map_response(error::as_problem))
        .with_state(api)
}

async fn describe() -> Result<impl IntoResponse, error::Problem> {
    Ok(([(header::CONTENT_TYPE, "application/json")], openapi()?))
}

/// Serves until the gateway stops.
///
/// # Errors
/// When the socket fails.
pub async fn serve(listener: TcpListener, api: Api) -> anyhow::Result<()> {
    let mut stopping = api.stopping.clone();
    let listener = listener.tap_io(|socket| {
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%error, "a socket keeps Nagle's delay");
        }
    });
    axum::serve(listener, routes(api).into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(async move {
            // An error means that the sender is gone, which is a stop as well.
            stopping.wait_for(|stopping| *stopping).await.ok();
        })
        .await
        .context("serve HTTP")
}

/// Runs a question to the store where it may block.
async fn ask<T: Send + 'static>(
    reader: &Reader,
    question: impl FnOnce(Reader) -> anyhow::Result<T> + Send + 'static,
) -> Result<T, error::Problem> {
    let reader = reader.clone();
    let answer = tokio::task::spawn_blocking(move || question(reader)).await;
    Ok(answer.map_err(anyhow::Error::from)??)
}
