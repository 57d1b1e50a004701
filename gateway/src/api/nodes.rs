//! Settings of a node over the air: sent, and what became of them. The node judges them; a node that is away gets them at
//! its next Hello.

use axum::extract::{Path, State};
use axum::{Json, Router, routing::post};
use giot_firmware::settings::Installation;
use giot_firmware::settings::words::{self, WordError};
use giot_shared::ids::NodeId;
use giot_shared::wire::{KEY_LEN, NodeKey, SETTINGS_LEN_MAX, SettingsText};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::auth::SignedIn;
use super::error::Problem;
use super::zones::{Answer, wish};
use crate::hub::Wish;
use crate::hub::change::{Change, State as Stage, row};

/// Time in which a node must be back, where nobody says another, s.
const WITHIN_S: u32 = 600;

/// What is to change.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NodeSettings {
    /// Lines of `KEY=VALUE`, at most 176 bytes; the words of the node's console without `node` and `key`.
    settings: String,
    /// Seconds in which the node must reach the gateway with them, 20 to 3600; else it goes back to what it had.
    #[serde(default = "within_s")]
    #[schema(minimum = 20, maximum = 3600)]
    within_seconds: u32,
    /// Said also when earlier ones still wait for the node, or are being tried by it: these take their place.
    #[serde(default)]
    replace: bool,
}

const fn within_s() -> u32 {
    WITHIN_S
}

/// The last settings sent to a node.
#[derive(Serialize, ToSchema)]
pub(crate) struct NodeChange {
    /// Tells these settings from others that were sent before or since.
    command: String,
    /// The words that change.
    words: String,
    /// waiting, accepted, confirmed, refused or given_back.
    state: &'static str,
    /// Why it was refused or given back.
    why: Option<&'static str>,
    /// When, ms since 1970.
    at: i64,
}

pub(super) fn routes() -> Router<Api> {
    Router::new().route("/api/v1/nodes/{id}/settings", post(change).get(changed))
}

/// Changes a node's settings over the air.
#[utoipa::path(post, path = "/api/v1/nodes/{id}/settings", request_body = NodeSettings, params(("id" = String, Path)), responses(
    (status = 202, description = "Taken; what became of it shows under the same path"),
    (status = 400, body = Problem), (status = 401, body = Problem), (status = 404, body = Problem),
    (status = 409, body = Problem, description = "Earlier settings are on their way: say replace")
))]
pub(crate) async fn change(
    _: SignedIn,
    State(api): State<Api>,
    Path(id): Path<String>,
    Json(body): Json<NodeSettings>,
) -> Answer {
    let node = node(&api, &id)?;
    check(&body.settings).map_err(Problem::bad_request)?;
    if !(20..=3600).contains(&body.within_seconds) {
        return Err(Problem::bad_request("within_seconds: 20 to 3600"));
    }
    let text = SettingsText::new(&body.settings)
        .ok_or_else(|| Problem::bad_request(format!("settings: at most {SETTINGS_LEN_MAX} bytes")))?;
    let now = api.clock.wall_unchecked();
    let earlier =
        last_change(&api, &node).await?.filter(|earlier| earlier.is_under_way(now) && !body.replace);
    if let Some(Change { words, state, .. }) = earlier {
        let where_they_are = match state {
            Stage::Accepted { .. } => "are being tried by it",
            Stage::Waiting { .. } | Stage::Confirmed | Stage::Refused(_) | Stage::GivenBack(_) => {
                "still wait for it"
            }
        };
        let detail = format!(
            "other settings for {node} {where_they_are} ({words}): send these when it has answered, or say that they take their place"
        );
        return Err(Problem::unconfirmed("replace", "settings_under_way", detail));
    }
    wish(&api, Wish::Settings { node, text, within_s: body.within_seconds }).await
}

/// What became of the last settings sent to a node.
#[utoipa::path(get, path = "/api/v1/nodes/{id}/settings", params(("id" = String, Path)), responses(
    (status = 200, body = NodeChange), (status = 401, body = Problem), (status = 404, body = Problem)
))]
pub(crate) async fn changed(
    _: SignedIn,
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Json<NodeChange>, Problem> {
    let node = node(&api, &id)?;
    let change = last_change(&api, &node)
        .await?
        .ok_or_else(|| Problem::not_found("setting that was sent to this node"))?;
    let (state, why) = change.state.code();
    let command = change.command.0.to_string();
    Ok(Json(NodeChange { command, words: change.words, state, why, at: change.at.0 }))
}

async fn last_change(api: &Api, node: &NodeId) -> Result<Option<Change>, Problem> {
    let rows = super::ask(&api.reader, |reader| Ok(reader.memory()?)).await?;
    Ok(rows.get(&row(node)).and_then(|json| Change::from_json(json)))
}

/// Says what is wrong with settings before they go out; the node has the last word on curves and passwords, which depend
/// on what it has.
///
/// # Errors
/// The first line that no node takes, and what would be right.
pub(crate) fn check(settings: &str) -> Result<(), String> {
    let base = "n".parse().ok().and_then(|id| Installation::new(id, NodeKey([0; KEY_LEN]), "10.0.0.1:1883"));
    let base = base.ok_or("no settings can be checked")?;
    let mut n_lines = 0_usize;
    for line in settings.lines().filter(|line| !line.is_empty()) {
        n_lines += 1;
        match words::changed(&base, line) {
            Ok(_) => {}
            Err(WordError::Value(_)) if line.starts_with("curve.") || line.starts_with("wifi_password") => {}
            Err(error) => return Err(format!("{line}: {error}")),
        }
    }
    if n_lines == 0 { Err("settings: one line KEY=VALUE or more".to_owned()) } else { Ok(()) }
}

fn node(api: &Api, id: &str) -> Result<NodeId, Problem> {
    let node: Option<NodeId> = id.parse().ok();
    let view = api.view.borrow();
    let is_node = |node: &NodeId| {
        view.devices.iter().any(|device| device.id == *node && device.is_registered && device.kind != "json")
    };
    node.filter(is_node).ok_or_else(|| Problem::not_found("such node that this gateway has heard of"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_node_takes_is_said_before_it_goes_out() {
        for good in [
            "health_s=60",
            "broker=1.2.3.4:1883\nprobe.0=none",
            "curve.0=2700:0,1200:100",
            "wifi_password=12345678",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for (bad, want) in [
            ("", "one line"),
            ("health_s=1", "10 to 86400"),
            ("key=00", "own console"),
            ("speed=1", "no such setting"),
            ("broker", "KEY=VALUE"),
        ] {
            let error = check(bad).expect_err(bad);
            assert!(error.contains(want), "{error}");
        }
    }
}
