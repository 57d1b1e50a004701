//! Rules: how they stand, and when they would have fired.

#![expect(unused_qualifications, reason = "the macro that describes a path spells its types out")]

use axum::extract::{Query, State};
use axum::{Json, Router, routing::get};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::auth::SignedIn;
use super::error::Problem;
use super::{Api, ask};
use crate::rules::{self, READINGS_MAX, chosen, parse_span_ms, rehearse_store, span_of};

/// Longest rehearsal over HTTP, ms: a longer one belongs on the command line, where it shows how far it is.
const LAST_MS_MAX: u64 = 31 * 86_400_000;

/// All rules.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Rules {
    rules: Vec<RuleRow>,
}

/// One rule.
#[derive(Debug, Serialize, ToSchema)]
struct RuleRow {
    id: String,
    name: String,
    /// The condition as it is written.
    when: String,
    enabled: bool,
    /// What follows, in this order.
    then: Vec<RuleEffect>,
    /// Whether the condition holds; null: a reading is missing or too old, or the rule is switched off.
    holds: Option<bool>,
    /// The first input that is missing or too old.
    missing: Option<String>,
    /// It has fired and is not over.
    active: bool,
    /// It holds and will fire then if it goes on, ms.
    fires_at: Option<i64>,
    /// When it last fired, ms.
    fired_at: Option<i64>,
    /// How often within a day.
    fired_today: u32,
    /// What it sees.
    values: String,
}

/// What follows from a rule: a code with its names and numbers, as a reason has them.
#[derive(Debug, Serialize, ToSchema)]
struct RuleEffect {
    /// notify, start, stop, lock or adjust.
    code: &'static str,
    /// notify: `note`; start: `zone` and `run_s`; stop and lock: `zone`; adjust: `program` and `percent`.
    #[schema(value_type = Object)]
    args: Value,
}

impl From<&rules::Effect> for RuleEffect {
    fn from(effect: &rules::Effect) -> Self {
        let (code, args) = match effect {
            rules::Effect::Notify { note } => ("notify", json!({ "note": note })),
            rules::Effect::Start { zone, run_s } => {
                ("start", json!({ "zone": zone.as_str(), "run_s": run_s }))
            }
            rules::Effect::Stop { zone } => ("stop", json!({ "zone": zone.as_str() })),
            rules::Effect::Lock { zone } => ("lock", json!({ "zone": zone.as_str() })),
            rules::Effect::Adjust { program, percent } => {
                ("adjust", json!({ "program": program.as_str(), "percent": percent.get() }))
            }
        };
        Self { code, args }
    }
}

/// What to rehearse.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct TestQuery {
    /// How far back, as `36h` or `7d`; 7 days when left out, 31 at most.
    last: Option<String>,
    /// Instead: the first day, `today`, `yesterday` or a date such as 2026-03-01, by the farm's clock.
    from: Option<String>,
    /// The last day, with `from`; 31 days at most.
    to: Option<String>,
    /// Only this rule, also one that is switched off.
    rule: Option<String>,
}

/// When rules would have fired.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Test {
    /// First moment, ms.
    from: i64,
    /// End, ms.
    to: i64,
    /// All firings; the list may be shorter.
    n_firings: u64,
    firings: Vec<TestFiring>,
    /// Rules that held from the beginning to the end: when they would have fired lies before.
    held_throughout: Vec<String>,
}

/// One firing.
#[derive(Debug, Serialize, ToSchema)]
struct TestFiring {
    /// When, ms.
    at: i64,
    rule: String,
    /// What would have followed, in this order.
    then: Vec<RuleEffect>,
    /// What the rule saw.
    values: String,
}

pub(super) fn routes() -> Router<Api> {
    Router::new().route("/api/v1/rules", get(list)).route("/api/v1/rules/test", get(test))
}

/// How the rules stand.
#[utoipa::path(get, path = "/api/v1/rules", responses(
    (status = 200, body = Rules), (status = 401, body = Problem)
))]
pub(crate) async fn list(_: SignedIn, State(api): State<Api>) -> Json<Rules> {
    let view = api.view.borrow().clone();
    let row = |rule: &crate::rules::Rule| {
        let state = view.rules.iter().find(|state| state.rule == rule.id);
        RuleRow {
            id: rule.id.to_string(),
            name: rule.name.clone(),
            when: rule.when_text.clone(),
            enabled: rule.is_enabled,
            then: rule.then.iter().map(RuleEffect::from).collect(),
            holds: state.and_then(|state| state.holds),
            missing: state.and_then(|state| state.missing.clone()),
            active: state.is_some_and(|state| state.is_active),
            fires_at: state.and_then(|state| state.fires_at).map(|at| view.date(at).0),
            fired_at: state.and_then(|state| state.fired_at).map(|at| at.0),
            fired_today: state.map_or(0, |state| state.n_fired),
            values: state.map(|state| state.values.clone()).unwrap_or_default(),
        }
    };
    Json(Rules { rules: api.settings().rules.iter().map(row).collect() })
}

/// When the rules would have fired on the last days, or on those of a past season: the same rules over the stored history; nothing is changed.
#[utoipa::path(get, path = "/api/v1/rules/test", params(TestQuery), responses(
    (status = 200, body = Test), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 503, body = Problem, description = "Too many long answers at once")
))]
pub(crate) async fn test(
    _: SignedIn,
    State(api): State<Api>,
    Query(query): Query<TestQuery>,
) -> Result<Json<Test>, Problem> {
    let last_ms = parse_span_ms(query.last.as_deref().unwrap_or("7d"))
        .ok()
        .filter(|last_ms| *last_ms <= LAST_MS_MAX)
        .ok_or_else(|| Problem::bad_request("last: a number of hours or days, as 36h or 7d; at most 31d"))?;
    let days = match (query.from.as_deref(), query.to.as_deref()) {
        (Some(_), Some(_)) if query.last.is_some() => {
            return Err(Problem::bad_request("either last, or from and to"));
        }
        (Some(from), Some(to)) => Some((from, to)),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => return Err(Problem::bad_request("from and to go together")),
    };
    let settings = api.settings();
    let rules = chosen(&settings, query.rule.as_deref()).map_err(Problem::bad_request)?;
    let now = api.view.borrow().now;
    let (from, to) =
        span_of(days, last_ms, now, settings.plan.utc_offset_min).map_err(Problem::bad_request)?;
    if to.since_ms(from) > LAST_MS_MAX {
        return Err(Problem::bad_request("from, to: at most 31 days"));
    }
    let _place = api.places.take().await?;
    let rehearsal = ask(&api.reader, move |reader| {
        rehearse_store(&reader, &settings, &rules, (from, to), READINGS_MAX, &mut |_| {})
    })
    .await?;
    let firings = rehearsal.firings.into_iter().map(|(at, firing)| TestFiring {
        at: at.0,
        rule: firing.rule.to_string(),
        then: firing.then.iter().map(RuleEffect::from).collect(),
        values: firing.values,
    });
    let (firings, n_firings) = (firings.collect(), rehearsal.n_firings);
    let held_throughout = rehearsal.held_throughout.iter().map(ToString::to_string).collect();
    Ok(Json(Test { from: from.0, to: to.0, n_firings, firings, held_throughout }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_from_a_rule_is_a_code_with_its_names_and_numbers() {
        let zone = || "man-1".parse().expect("an id");
        let effects = [
            rules::Effect::Notify { note: "đi xem".to_owned() },
            rules::Effect::Start { zone: zone(), run_s: 900 },
            rules::Effect::Stop { zone: zone() },
            rules::Effect::Lock { zone: zone() },
            rules::Effect::Adjust {
                program: "dem".parse().expect("an id"),
                percent: giot_engine::program::Percent::new(80).expect("in range"),
            },
        ];
        let told: Vec<RuleEffect> = effects.iter().map(RuleEffect::from).collect();
        assert_eq!(
            json!(told),
            json!([
                { "code": "notify", "args": { "note": "đi xem" } },
                { "code": "start", "args": { "zone": "man-1", "run_s": 900 } },
                { "code": "stop", "args": { "zone": "man-1" } },
                { "code": "lock", "args": { "zone": "man-1" } },
                { "code": "adjust", "args": { "program": "dem", "percent": 80 } },
            ])
        );
    }
}
