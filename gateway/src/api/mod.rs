//! The HTTP API `/api/v1` and the page: one file a resource. Shapes for JSON live here and nowhere else; the core types
//! they are made from are not serialisable. Everything but the session needs a sign-in.
//!
//! Nothing here decides about water: a wish goes to the hub and comes back granted or refused with a reason.

mod auth;
mod backtest;
mod balance;
pub(crate) mod client;
#[cfg(test)]
mod description;
mod diary;
mod error;
mod events;
mod export;
mod farm;
mod history;
mod model;
mod nodes;
mod overview;
mod packed;
mod page;
mod past;
mod pieces;
mod programs;
mod rejection;
mod rules;
mod series;
mod sources;
mod store;
mod why;
mod zones;

use crate::clock::Clock;
use crate::config::Settings;
use crate::hub::Request;
use crate::hub::view::FarmView;
use crate::scrub::Look;
use crate::sinks::sender::Views;
use crate::words::Words;
use anyhow::Context;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderMap, header};
use axum::middleware;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::serve::ListenerExt;
use giot_store::Reader;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

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
    /// The last look through the history.
    pub(crate) looked: watch::Receiver<Option<Arc<Look>>>,
    /// Turns true when the gateway stops: open streams end.
    pub stopping: watch::Receiver<bool>,
}

impl Api {
    /// What the gateway runs by.
    fn settings(&self) -> Arc<Settings> {
        self.view.borrow().settings.clone()
    }
}

/// The description of the API: made from the handlers by a test (`description.rs`), so that the program need not hold its making.
/// Compressed, because hardly anybody asks.
const DESCRIPTION: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/openapi.json.gz"));

/// Every route.
fn resources() -> Router<Api> {
    Router::new()
        .route("/api/v1/openapi.json", get(describe))
        .merge(auth::routes())
        .merge(overview::routes())
        .merge(zones::routes())
        .merge(sources::routes())
        .merge(store::routes())
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
}

/// Every route over `api`.
fn routes(api: Api) -> Router {
    resources()
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(middleware::map_response(error::as_problem))
        .layer(middleware::from_fn(error::in_its_language))
        .with_state(api)
}

async fn describe(headers: HeaderMap) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], packed::answer(&headers, DESCRIPTION))
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
