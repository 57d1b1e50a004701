//! Programs: what they are set to, what the next days bring, and what people may do to them.

#![expect(unused_qualifications, reason = "the macro that describes a path spells its types out")]

use axum::extract::{Path, Query, State};
use axum::{
    Json, Router,
    routing::{get, post},
};
use giot_engine::program::{Outcome, PREVIEW_DAYS_MAX, Percent, SKIPS_MAX, UnderWay, WATER_PAUSE_MS_MAX};
use giot_engine::{Pause, ProgramId, ProgramWish, Shortfall, shortfalls};
use giot_shared::time::UnixMs;
use serde::{Deserialize, Deserializer, Serialize};
use tokio::sync::mpsc;
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::auth::SignedIn;
use super::error::Problem;
use super::model::{Reason, reason};
use super::zones::{Accepted, Answer, wish};
use crate::hub::Wish;

/// Longest pause of starts, ms: a year; what is not wanted for longer is switched off.
pub(super) const PAUSE_MS_MAX: u64 = 366 * 24 * 3_600_000;

/// So much longer is let pass, ms: the clock of whoever asks is not quite this one's, and the engine keeps to its own limit.
const PAUSE_SLACK_MS: u64 = 60_000;

/// Days of a preview where none are asked for.
const PREVIEW_DAYS_DEFAULT: u16 = 7;

/// All programs at one moment.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Programs {
    programs: Vec<Program>,
    /// Nothing starts before: it rained or will.
    rain_delay_until: Option<i64>,
    /// Nothing starts before: somebody paused everything.
    suspended_until: Option<i64>,
    /// No valve opens before; what ran goes on then.
    water_paused_until: Option<i64>,
}

/// One program.
#[derive(Debug, Serialize, ToSchema)]
struct Program {
    id: String,
    name: String,
    enabled: bool,
    /// Of the planned amounts, on top of the season, %.
    adjust_percent: u16,
    /// So many of the next starts are left out.
    skip_next: u16,
    suspended_until: Option<i64>,
    /// Its next start, pauses and skips not counted.
    next_start: Option<i64>,
    /// The runs of its last start were planned to end then.
    busy_until: Option<i64>,
    /// What is wrong with it, as a code; it does not start.
    invalid: Option<String>,
}

/// How far to look ahead.
#[derive(Debug, Deserialize, IntoParams)]
pub(crate) struct Ahead {
    /// Days, at most 31; 7 when left out.
    days: Option<u16>,
}

/// What the next days bring if nothing changes: every run where pipes, hours and turns have room for it. What zones take by
/// their soil or by hand is not known ahead.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Preview {
    starts: Vec<PlannedStart>,
    /// Programs of which only the first starts are told.
    cut_short: Vec<String>,
    /// What a day has no room for: pipes, hours and turns do not suffice.
    short: Vec<Short>,
}

/// What a day has no room for in a zone.
#[derive(Debug, Serialize, ToSchema)]
struct Short {
    /// When the day begins on which the program starts.
    day: i64,
    program: String,
    zone: String,
    /// What is not given, seconds.
    run_s: u64,
    /// The same in litres at the zone's stated flow; null: none is stated.
    litres: Option<u32>,
}

/// A start of a program.
#[derive(Debug, Serialize, ToSchema)]
struct PlannedStart {
    program: String,
    /// When; of a start that is under way, when what is left of it goes on.
    at: i64,
    /// It has begun: these are the runs that are open and those that are still to come.
    under_way: bool,
    runs: Vec<PlannedRun>,
    /// Why the start, or a zone of it, is left out; `waited_too_long` and `window_over`: there is no room for it.
    skipped: Vec<Skipped>,
}

/// One opening of a valve.
#[derive(Debug, Serialize, ToSchema)]
struct PlannedRun {
    zone: String,
    from: i64,
    until: i64,
    /// What limits, hours and the turns of other zones changed.
    notes: Vec<Reason>,
}

/// What is left out.
#[derive(Debug, Serialize, ToSchema)]
struct Skipped {
    /// The zone; null: the whole start.
    zone: Option<String>,
    reason: Reason,
}

/// How many of the next starts are left out.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Skip {
    /// From 0 (take it back) to 100.
    starts: u16,
}

/// On or off.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Enable {
    enabled: bool,
}

/// How much of the planned amounts is given.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Adjust {
    /// From 0 to 250; replaces the one before and holds from the next start on.
    percent: u16,
}

/// Until when nothing starts, or for how long: one of the two.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Until {
    /// Milliseconds since 1970-01-01T00:00:00Z, ahead and at most 366 days; null: go on.
    #[serde(default, deserialize_with = "written")]
    #[schema(value_type = Option<i64>)]
    until: Option<Option<i64>>,
    /// Minutes from now on, by the gateway's clock: more than nothing, and at most 366 days.
    #[schema(minimum = 0.0, exclusive_minimum = 0.0)]
    for_min: Option<f64>,
}

/// Until when or for how long, one of the two, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PauseAll {
    /// Milliseconds since 1970-01-01T00:00:00Z, ahead and at most 366 days; null: go on.
    #[serde(default, deserialize_with = "written")]
    #[schema(value_type = Option<i64>)]
    until: Option<Option<i64>>,
    /// Minutes from now on, by the gateway's clock: more than nothing, and at most 366 days.
    #[schema(minimum = 0.0, exclusive_minimum = 0.0)]
    for_min: Option<f64>,
    /// It rained or will.
    #[serde(default)]
    rain: bool,
    /// Not the starts of programs, but water: what runs stops, no valve opens, and the rest goes on afterwards. At most three hours.
    #[serde(default)]
    water: bool,
}

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/api/v1/programs", get(list))
        .route("/api/v1/programs/preview", get(preview))
        .route("/api/v1/programs/{id}/start", post(start))
        .route("/api/v1/programs/{id}/stop", post(stop))
        .route("/api/v1/programs/{id}/skip", post(skip))
        .route("/api/v1/programs/{id}/enable", post(enable))
        .route("/api/v1/programs/{id}/adjust", post(adjust))
        .route("/api/v1/programs/{id}/suspend", post(suspend))
        .route("/api/v1/pause", post(pause))
}

/// Every program with its settings and its next start.
#[utoipa::path(get, path = "/api/v1/programs", responses(
    (status = 200, body = Programs), (status = 401, body = Problem)
))]
pub(crate) async fn list(_: SignedIn, State(api): State<Api>) -> Json<Programs> {
    let view = api.view.borrow().clone();
    let ms = |at: Option<UnixMs>| at.map(|at| at.0);
    let programs = view.programs.iter().map(|program| Program {
        id: program.program.to_string(),
        name: api.settings().program_names.get(&program.program).cloned().unwrap_or_default(),
        enabled: program.control.is_enabled,
        adjust_percent: program.control.adjust.get(),
        skip_next: program.control.skip_next,
        suspended_until: ms(program.control.suspended_until),
        next_start: ms(program.next_start),
        busy_until: ms(program.control.busy_until),
        invalid: program.invalid.clone(),
    });
    Json(Programs {
        programs: programs.collect(),
        rain_delay_until: ms(view.farm.rain_delay_until),
        suspended_until: ms(view.farm.suspended_until),
        water_paused_until: ms(view.farm.water_paused_until),
    })
}

/// What the programs will do in the next days if nothing changes, behind what runs and waits at the moment.
#[utoipa::path(get, path = "/api/v1/programs/preview", params(Ahead), responses(
    (status = 200, body = Preview), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 503, body = Problem, description = "The gateway's clock is not set")
))]
pub(crate) async fn preview(
    _: SignedIn,
    State(api): State<Api>,
    Query(ahead): Query<Ahead>,
) -> Result<Json<Preview>, Problem> {
    let n_days = ahead.days.unwrap_or(PREVIEW_DAYS_DEFAULT);
    if !(1..=PREVIEW_DAYS_MAX).contains(&n_days) {
        return Err(Problem::bad_request(format!("days: between 1 and {PREVIEW_DAYS_MAX}")));
    }
    let is_clock_set = api.view.borrow().clock_set;
    let (tell, mut told) = mpsc::channel(1);
    let (_, _) = wish(&api, Wish::Outlook { tell }).await?;
    let outlook = told.recv().await.filter(|_| is_clock_set).ok_or_else(Problem::unavailable)?;
    // Eight years of starts may be looked at for each program.
    let planned = tokio::task::spawn_blocking(move || {
        let plan = &api.settings().plan;
        let planned = outlook.forecast(plan, n_days);
        let short = shortfalls(&planned, &plan.site());
        (planned, short)
    });
    let (planned, short) = planned.await.map_err(anyhow::Error::from)?;
    let of_before = planned.under_way.into_iter().map(PlannedStart::under_way);
    let ahead = planned.starts.into_iter().map(|start| {
        let (runs, skipped) = match start.outcome {
            Outcome::Skipped(why) => (Vec::new(), vec![Skipped { zone: None, reason: reason(&why) }]),
            Outcome::Runs(timeline) => {
                let skip = |zone: &giot_engine::ZoneId, why| Skipped {
                    zone: Some(zone.to_string()),
                    reason: reason(why),
                };
                let runs = timeline.runs.iter().map(|run| PlannedRun {
                    zone: run.zone.to_string(),
                    from: run.from.0,
                    until: run.until.0,
                    notes: run.notes.iter().map(reason).collect(),
                });
                (runs.collect(), timeline.skips.iter().map(|one| skip(&one.zone, &one.reason)).collect())
            }
        };
        let (program, at) = (start.program.to_string(), start.start.at.0);
        PlannedStart { program, at, under_way: false, runs, skipped }
    });
    let mut starts: Vec<_> = of_before.chain(ahead).collect();
    starts.sort_by_key(|start| start.at);
    Ok(Json(Preview {
        starts,
        cut_short: planned.cut_short.iter().map(ToString::to_string).collect(),
        short: short.into_iter().map(Short::of).collect(),
    }))
}

/// Starts a program once, at once: hours and rests are not looked at; locks, faults, pipes and unreachable nodes are.
#[utoipa::path(post, path = "/api/v1/programs/{id}/start", params(("id" = String, Path)), responses(
    (status = 202, body = Accepted), (status = 401, body = Problem), (status = 404, body = Problem),
    (status = 409, body = Problem, description = "Refused; `code` is the engine's reason")
))]
pub(crate) async fn start(_: SignedIn, State(api): State<Api>, Path(id): Path<String>) -> Answer {
    of_program(&api, &id, ProgramWish::Start).await
}

/// Stops what a program does and forgets what of it waits.
#[utoipa::path(post, path = "/api/v1/programs/{id}/stop", params(("id" = String, Path)), responses(
    (status = 202, body = Accepted), (status = 401, body = Problem), (status = 404, body = Problem)
))]
pub(crate) async fn stop(_: SignedIn, State(api): State<Api>, Path(id): Path<String>) -> Answer {
    of_program(&api, &id, ProgramWish::Stop).await
}

/// Leaves out the next starts of a program.
#[utoipa::path(post, path = "/api/v1/programs/{id}/skip", request_body = Skip, params(("id" = String, Path)), responses(
    (status = 202, body = Accepted), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 404, body = Problem)
))]
pub(crate) async fn skip(
    _: SignedIn,
    State(api): State<Api>,
    Path(id): Path<String>,
    Json(body): Json<Skip>,
) -> Answer {
    if body.starts > SKIPS_MAX {
        return Err(Problem::bad_request(format!("starts: at most {SKIPS_MAX}")));
    }
    of_program(&api, &id, ProgramWish::SkipNext(body.starts)).await
}

/// Switches a program on or off.
#[utoipa::path(post, path = "/api/v1/programs/{id}/enable", request_body = Enable, params(("id" = String, Path)), responses(
    (status = 202, body = Accepted), (status = 401, body = Problem), (status = 404, body = Problem)
))]
pub(crate) async fn enable(
    _: SignedIn,
    State(api): State<Api>,
    Path(id): Path<String>,
    Json(body): Json<Enable>,
) -> Answer {
    of_program(&api, &id, ProgramWish::Enable(body.enabled)).await
}

/// Sets how much of a program's amounts is given.
#[utoipa::path(post, path = "/api/v1/programs/{id}/adjust", request_body = Adjust, params(("id" = String, Path)), responses(
    (status = 202, body = Accepted), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 404, body = Problem)
))]
pub(crate) async fn adjust(
    _: SignedIn,
    State(api): State<Api>,
    Path(id): Path<String>,
    Json(body): Json<Adjust>,
) -> Answer {
    let percent = Percent::new(body.percent);
    let percent = percent.ok_or_else(|| Problem::bad_request("percent: between 0 and 250".to_owned()))?;
    of_program(&api, &id, ProgramWish::Adjust(percent)).await
}

/// Pauses a program until a moment, or for some minutes.
#[utoipa::path(post, path = "/api/v1/programs/{id}/suspend", request_body = Until, params(("id" = String, Path)), responses(
    (status = 202, body = Accepted), (status = 400, body = Problem), (status = 401, body = Problem), (status = 404, body = Problem),
    (status = 503, body = Problem, description = "The gateway's clock is not set: give `until`")
))]
pub(crate) async fn suspend(
    _: SignedIn,
    State(api): State<Api>,
    Path(id): Path<String>,
    Json(body): Json<Until>,
) -> Answer {
    let until = body.end(&api, PAUSE_MS_MAX)?;
    of_program(&api, &id, ProgramWish::SuspendUntil(until)).await
}

/// Pauses all that starts by itself, or all water, until a moment or for some minutes; it survives a restart.
#[utoipa::path(post, path = "/api/v1/pause", request_body = PauseAll, responses(
    (status = 202, body = Accepted), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 503, body = Problem, description = "The gateway's clock is not set: give `until`")
))]
pub(crate) async fn pause(_: SignedIn, State(api): State<Api>, Json(body): Json<PauseAll>) -> Answer {
    let kind = match (body.rain, body.water) {
        (true, true) => return Err(Problem::bad_request("rain, water: one of them at a time".to_owned())),
        (true, false) => Pause::Rain,
        (false, true) => Pause::Water,
        (false, false) => Pause::Farm,
    };
    let most_ms = if kind == Pause::Water { WATER_PAUSE_MS_MAX } else { PAUSE_MS_MAX };
    let until = pause_end(api.clock.wall(), body.until, body.for_min, most_ms)?;
    wish(&api, Wish::Pause { kind, until }).await
}

/// A value that is written, be it null.
fn written<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Option<i64>>, D::Error> {
    Option::deserialize(value).map(Some)
}

impl Until {
    /// The end of a pause of at most so long; `None`: it ends at once.
    pub(super) fn end(&self, api: &Api, most_ms: u64) -> Result<Option<UnixMs>, Problem> {
        pause_end(api.clock.wall(), self.until, self.for_min, most_ms)
    }
}

/// The end of a pause that is told by its moment or by its length, which lies ahead and not too far.
fn pause_end(
    now: Option<UnixMs>,
    until: Option<Option<i64>>,
    for_min: Option<f64>,
    most_ms: u64,
) -> Result<Option<UnixMs>, Problem> {
    match (until, for_min) {
        (Some(None), None) => Ok(None),
        (Some(Some(until)), None) => end_ahead(now, UnixMs(until), most_ms).map(Some),
        (None, Some(for_min)) => end_of(now, for_min, most_ms).map(Some),
        (None, None) => Err(Problem::parameter(
            "until",
            "needed, or for_min: minutes from now on; until null ends a pause",
        )),
        (Some(_), Some(_)) => Err(Problem::parameter("for_min", "either until or for_min, not both")),
    }
}

fn end_ahead(now: Option<UnixMs>, until: UnixMs, most_ms: u64) -> Result<UnixMs, Problem> {
    // Without a clock nobody can say what lies ahead; the engine takes such a pause as far as it can.
    let Some(now) = now else { return Ok(until) };
    if until <= now {
        let what = format!("the moment {} lies in the past; it is {} now; null ends a pause", until.0, now.0);
        return Err(Problem::parameter("until", what));
    }
    if until.since_ms(now) > most_ms + PAUSE_SLACK_MS {
        let what =
            format!("at most {} hours ahead: {} ms since 1970", most_ms / 3_600_000, now.plus_ms(most_ms).0);
        return Err(Problem::parameter("until", what));
    }
    Ok(until)
}

fn end_of(now: Option<UnixMs>, for_min: f64, most_ms: u64) -> Result<UnixMs, Problem> {
    let most_min = most_ms / 60_000;
    let wanted_ms = for_min * 60_000.0;
    #[expect(clippy::cast_precision_loss, reason = "a year of milliseconds is far below 2^53")]
    let most = most_ms as f64;
    if !(wanted_ms >= 1000.0 && wanted_ms <= most) {
        let what = format!("at least a second and at most {most_min} minutes; until null ends a pause");
        return Err(Problem::parameter("for_min", what));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "range checked above")]
    let wanted_ms = wanted_ms.round() as u64;
    let now = now.ok_or_else(Problem::clock_unset)?;
    Ok(now.plus_ms(wanted_ms))
}

impl PlannedStart {
    /// What is left of a start that has begun.
    fn under_way(rest: UnderWay) -> Self {
        let runs = rest.runs.iter().map(|run| PlannedRun {
            zone: run.zone.to_string(),
            from: run.from.0,
            until: run.until.0,
            notes: run.notes.iter().map(reason).collect(),
        });
        let skip = |(zone, why): &(giot_engine::ZoneId, giot_engine::Reason)| Skipped {
            zone: Some(zone.to_string()),
            reason: reason(why),
        };
        let (program, at) = (rest.program.to_string(), rest.at.0);
        let skipped = rest.skips.iter().map(skip).collect();
        Self { program, at, under_way: true, runs: runs.collect(), skipped }
    }
}

impl Short {
    fn of(short: Shortfall) -> Self {
        let Shortfall { day, program, zone, short_s, short_l } = short;
        Self {
            day: day.0,
            program: program.to_string(),
            zone: zone.to_string(),
            run_s: short_s,
            litres: short_l,
        }
    }
}

async fn of_program(api: &Api, id: &str, what: ProgramWish) -> Answer {
    let program =
        id.parse::<ProgramId>().ok().filter(|program| api.settings().plan.programs.contains_key(program));
    let program = program.ok_or_else(|| Problem::not_found("such program"))?;
    wish(api, Wish::Program { program, wish: what }).await
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMs = UnixMs(1_790_000_000_000);
    const HOUR_MS: u64 = 3_600_000;

    /// The end of a pause of at most three hours that a body asks for, ms from now on, or the field to blame.
    fn check(body: &str, want: Result<Option<i64>, &str>) {
        let body: Until = serde_json::from_str(body).unwrap();
        let found = pause_end(Some(NOW), body.until, body.for_min, 3 * HOUR_MS);
        let found = found.map(|until| until.map(|until| until.0 - NOW.0));
        assert_eq!(found.map_err(|problem| problem.blamed().unwrap()), want);
    }

    #[test]
    fn a_pause_is_told_by_its_end_or_by_its_length() {
        check("{\"until\":null}", Ok(None));
        check("{\"until\":1790000060000}", Ok(Some(60_000)));
        check("{\"for_min\":90}", Ok(Some(5_400_000)));
        check("{\"for_min\":0.5}", Ok(Some(30_000)));
        check("{\"for_min\":180}", Ok(Some(10_800_000)));
        check("{\"for_min\":180.1}", Err("for_min"));
        check("{\"for_min\":0}", Err("for_min"));
        check("{\"for_min\":-5}", Err("for_min"));
        check("{\"for_min\":1e300}", Err("for_min"));
        check("{\"until\":1789999999999}", Err("until"));
        check("{}", Err("until"));
        check("{\"for_min\":null}", Err("until"));
        check("{\"until\":1790000060000,\"for_min\":1}", Err("for_min"));
        check("{\"until\":null,\"for_min\":1}", Err("for_min"));
    }

    #[test]
    fn without_a_clock_a_pause_is_told_by_its_end_only() {
        let unset =
            |until, for_min| pause_end(None, until, for_min, HOUR_MS).map_err(|problem| problem.blamed());
        assert_eq!(unset(Some(Some(NOW.0)), None), Ok(Some(NOW)));
        assert_eq!(unset(None, Some(5.0)), Err(None));
    }
}
