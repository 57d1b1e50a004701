//! The farm as one text: read, checked while it is written, saved with its history. Secrets are in no answer: a mask stands
//! for each, and for what is known of its sink where it is saved.
//!
//! Nothing is saved that has a problem, that was not made from the newest version, or that needs a start of the gateway.

#![allow(unused_qualifications, reason = "utoipa's macro writes the types of queries with their path")]

use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use giot_engine::Reason;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::sync::Semaphore;
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::auth::SignedIn;
use super::error::Problem;
use super::zones::{PERSON, wish};
use crate::config::{self, Settings};
use crate::farm::diff::{self, Change, DiffLine};
use crate::farm::{Author, Draft, NOTE_CHARS_MAX, Removed, TEXT_BYTES_MAX, are_known, needs_restart};
use crate::hub::Wish;
use crate::hub::farm::Saving;
use giot_store::FarmRow;

/// Longest body: a text in which every byte is escaped, and a note.
const BODY_MAX: usize = 2 * TEXT_BYTES_MAX + 8 * 1024;

/// Drafts that are judged at once: each takes a core for a moment.
const CHECKS_MAX: usize = 2;

/// Versions of one answer where nobody says another number.
const VERSIONS: u32 = 50;

/// The farm.
#[derive(Serialize, ToSchema)]
pub(crate) struct FarmText {
    /// The newest version; `version` 0 and an empty text before the first.
    #[serde(flatten)]
    newest: Version,
    /// All of it, as TOML; tokens are masked.
    text: String,
    /// The version that the gateway runs by.
    in_force: u32,
    /// Zones that must be closed before the newest version takes over.
    awaited_zones: Vec<String>,
    /// Sources whose pumps must be off before.
    awaited_sources: Vec<String>,
}

/// One version of the farm.
#[derive(Default, Serialize, ToSchema)]
pub(crate) struct Version {
    /// Its number, from 1.
    version: u32,
    /// When it was saved, ms since 1970.
    saved_at: i64,
    /// Who saved it.
    by: String,
    /// `page`, `command` or `file`.
    origin: String,
    /// The file that it came from.
    file: Option<String>,
    /// What that person says about it.
    note: String,
    /// Since when it has been in force, ms since 1970; null: never.
    in_force_at: Option<i64>,
}

/// A version with its text and what it changed.
#[derive(Serialize, ToSchema)]
pub(crate) struct VersionText {
    #[serde(flatten)]
    version: Version,
    /// All of it, as TOML; tokens are masked.
    text: String,
    /// What is different from the version before, or from the one asked for, with three lines around each difference.
    diff: Vec<Line>,
}

/// Versions, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct Versions {
    versions: Vec<Version>,
}

/// A line of a difference.
#[derive(Serialize, ToSchema)]
pub(crate) struct Line {
    /// `same`, `added` or `removed`.
    change: &'static str,
    /// Its number in the earlier text.
    before: Option<usize>,
    /// Its number in the later text.
    after: Option<usize>,
    /// The line.
    text: String,
}

/// Something that is wrong with a draft.
#[derive(Serialize, ToSchema)]
pub(crate) struct DraftProblem {
    /// Line, from 1; null where no single line is to blame.
    line: Option<usize>,
    /// Place in the line, in characters from 1.
    column: Option<usize>,
    /// The key, as a path such as `zone[2].window`.
    field: String,
    /// What is wrong and what would be right.
    what: String,
}

/// What a draft would be.
#[derive(Serialize, ToSchema)]
pub(crate) struct Judgement {
    /// Everything that is wrong with it; empty: it can be saved.
    problems: Vec<DraftProblem>,
    /// What is different from the newest version.
    diff: Vec<Line>,
    /// Keys that are taken in only when the gateway starts: with them it cannot be saved here.
    needs_restart: Vec<&'static str>,
    /// Zones that the farm would get, by id.
    zones_added: Vec<String>,
    /// Zones that it would lose: their valves are closed first.
    zones_removed: Vec<String>,
    /// Programs that it would lose.
    programs_removed: Vec<String>,
    /// No zone would stay: it is saved only with `remove_all`.
    removes_all: bool,
}

/// A draft.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DraftText {
    /// All of it, at most 512 KiB.
    text: String,
}

/// A draft that is to be saved.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Save {
    /// All of it, at most 512 KiB.
    text: String,
    /// The version that it was made from.
    version: u32,
    /// What it is about, at most 200 characters.
    #[serde(default)]
    note: String,
    /// `page`, or `command` where a command line saves it.
    #[serde(default)]
    origin: Option<String>,
    /// That no zone stays of those that there are is meant.
    #[serde(default)]
    remove_all: bool,
}

/// A draft was taken in.
#[derive(Serialize, ToSchema)]
pub(crate) struct Saved {
    /// The number of the version that holds it.
    version: u32,
    /// It says what the newest version says: there is no other version for it, and the diary tells nothing.
    unchanged: bool,
    /// Zones that it takes away: their valves are closed first.
    zones_removed: Vec<String>,
    /// Programs that it takes away.
    programs_removed: Vec<String>,
}

/// Which versions.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct VersionsQuery {
    /// Only versions before this one.
    before: Option<u32>,
    /// At most so many, and never more than 200.
    limit: Option<u32>,
}

/// What a version is compared with.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct VersionQuery {
    /// Another version; without it the one before.
    against: Option<u32>,
}

/// A draft that cannot be saved.
#[derive(Serialize, ToSchema)]
pub(crate) struct Unsound {
    title: &'static str,
    status: u16,
    /// How many problems there are, and the first.
    detail: String,
    code: &'static str,
    /// Everything that is wrong with it.
    problems: Vec<DraftProblem>,
}

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/api/v1/farm", get(farm).post(save))
        .route("/api/v1/farm/check", post(check))
        .route("/api/v1/farm/versions", get(versions))
        .route("/api/v1/farm/versions/{version}", get(version))
        .layer(DefaultBodyLimit::max(BODY_MAX))
}

/// The farm's text, and which version is in force.
#[utoipa::path(get, path = "/api/v1/farm", responses((status = 200, body = FarmText), (status = 401, body = Problem)))]
pub(crate) async fn farm(_: SignedIn, State(api): State<Api>) -> Result<Json<FarmText>, Problem> {
    let newest = newest(&api).await?;
    let (in_force, awaited) = {
        let view = api.view.borrow();
        (view.version.in_force, view.version.awaited.clone().unwrap_or_default())
    };
    Ok(Json(FarmText {
        text: newest.as_ref().map(|row| row.text.clone()).unwrap_or_default(),
        newest: newest.map(Version::from).unwrap_or_default(),
        in_force,
        awaited_zones: awaited.0.iter().map(ToString::to_string).collect(),
        awaited_sources: awaited.1.iter().map(ToString::to_string).collect(),
    }))
}

/// Says everything that is wrong with a draft, and what it would change. Changes nothing.
#[utoipa::path(post, path = "/api/v1/farm/check", request_body = DraftText, responses(
    (status = 200, body = Judgement), (status = 401, body = Problem), (status = 503, body = Problem)
))]
pub(crate) async fn check(
    _: SignedIn,
    State(api): State<Api>,
    Json(body): Json<DraftText>,
) -> Result<Json<Judgement>, Problem> {
    let in_force = api.settings();
    let judged = judge(&api, body.text, newest(&api).await?).await?;
    let (added, removed) = (judged.added(&in_force), judged.removed(&in_force));
    Ok(Json(Judgement {
        needs_restart: judged.needs_restart(&in_force),
        problems: judged.problems.into_iter().map(DraftProblem::from).collect(),
        diff: judged.diff,
        zones_added: added,
        zones_removed: removed.zones,
        programs_removed: removed.programs,
        removes_all: removed.all_zones,
    }))
}

/// Saves a draft as the newest version; the gateway runs by it as soon as what it has no place for is closed.
#[utoipa::path(post, path = "/api/v1/farm", request_body = Save, responses(
    (status = 200, body = Saved), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 409, body = Problem, description = "Somebody saved another version meanwhile, it needs a start of the gateway, or it takes every zone away and `remove_all` does not say so"),
    (status = 422, body = Unsound), (status = 503, body = Problem)
))]
pub(crate) async fn save(
    _: SignedIn,
    State(api): State<Api>,
    Json(body): Json<Save>,
) -> Result<Response, Problem> {
    if body.note.chars().count() > NOTE_CHARS_MAX {
        return Err(Problem::parameter("note", format_args!("at most {NOTE_CHARS_MAX} characters")));
    }
    let origin = match body.origin.as_deref() {
        None | Some("page") => "page",
        Some("command") => "command",
        Some(_) => return Err(Problem::parameter("origin", "page or command")),
    };
    let before = newest(&api).await?;
    let newest = before.as_ref().map_or(0, |row| row.version);
    if newest != body.version {
        return Err(Problem::refused(&api, &Reason::FarmConflict { version: newest }));
    }
    let judged = judge(&api, body.text, before.clone()).await?;
    let removed = judged.removed(&api.settings());
    let Some(draft) = judged.draft else { return Ok(unsound(judged.problems)) };
    let (zones_removed, programs_removed) = (Vec::new(), Vec::new());
    if judged.is_known {
        let saved = Saved { version: newest, unchanged: true, zones_removed, programs_removed };
        return Ok(Json(saved).into_response());
    }
    if removed.all_zones && !body.remove_all {
        return Err(Problem::unconfirmed("remove_all", "farm_removes_all", removed.question()));
    }
    // The hub looks once more: somebody may save meanwhile.
    let author = Author { by: PERSON.to_owned(), origin, file: None, note: body.note };
    let row = draft.row(before.as_ref(), author, api.clock.wall_us_unchecked());
    let version = row.version;
    let saving = Saving { row, settings: Arc::new(draft.settings), n_lines: judged.n_lines };
    let (_, _) = wish(&api, Wish::Farm(Box::new(saving))).await?;
    let Removed { zones: zones_removed, programs: programs_removed, .. } = removed;
    Ok(Json(Saved { version, unchanged: false, zones_removed, programs_removed }).into_response())
}

/// Versions of the farm, newest first, without their texts.
#[utoipa::path(get, path = "/api/v1/farm/versions", params(VersionsQuery), responses(
    (status = 200, body = Versions), (status = 400, body = Problem), (status = 401, body = Problem)
))]
pub(crate) async fn versions(
    _: SignedIn,
    State(api): State<Api>,
    Query(query): Query<VersionsQuery>,
) -> Result<Json<Versions>, Problem> {
    let limit = query.limit.unwrap_or(VERSIONS);
    let rows = super::ask(&api.reader, move |reader| Ok(reader.farm_versions(query.before, limit)?)).await?;
    Ok(Json(Versions { versions: rows.into_iter().map(Version::from).collect() }))
}

/// One version of the farm, and what it changed.
#[utoipa::path(get, path = "/api/v1/farm/versions/{version}", params(("version" = u32, Path), VersionQuery), responses(
    (status = 200, body = VersionText), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 404, body = Problem)
))]
pub(crate) async fn version(
    _: SignedIn,
    State(api): State<Api>,
    Path(version): Path<u32>,
    Query(query): Query<VersionQuery>,
) -> Result<Json<VersionText>, Problem> {
    let against = query.against;
    let answer = super::ask(&api.reader, move |reader| {
        let Some(row) = reader.farm_version(version)? else { return Ok(None) };
        let other = match against {
            Some(against) => reader.farm_version(against)?,
            None => reader.farm_versions(Some(version), 1)?.pop(),
        };
        if against.is_some() && other.is_none() {
            return Ok(None);
        }
        let (text, before) = (row.text.clone(), other.map(|row| row.text).unwrap_or_default());
        let diff = diff::hunks(diff::lines(&before, &text)).into_iter().map(Line::from).collect();
        Ok(Some(VersionText { version: row.into(), text, diff }))
    });
    answer.await?.map(Json).ok_or_else(|| Problem::not_found("such version of the farm"))
}

async fn newest(api: &Api) -> Result<Option<FarmRow>, Problem> {
    super::ask(&api.reader, |reader| Ok(reader.farm_newest()?)).await
}

/// A draft, judged.
struct Judged {
    draft: Option<Draft>,
    /// It says what the version before says, secrets included.
    is_known: bool,
    problems: Vec<config::Problem>,
    diff: Vec<Line>,
    n_lines: (u32, u32),
}

impl Judged {
    fn needs_restart(&self, in_force: &Settings) -> Vec<&'static str> {
        self.draft.as_ref().map(|draft| needs_restart(in_force, &draft.settings)).unwrap_or_default()
    }

    /// What the draft takes away.
    fn removed(&self, in_force: &Settings) -> Removed {
        self.draft.as_ref().map(|draft| Removed::between(in_force, &draft.settings)).unwrap_or_default()
    }

    /// Zones that the draft has more.
    fn added(&self, in_force: &Settings) -> Vec<String> {
        let draft = self.draft.as_ref();
        draft.map(|draft| Removed::between(&draft.settings, in_force).zones).unwrap_or_default()
    }
}

static CHECKS: Semaphore = Semaphore::const_new(CHECKS_MAX);

/// Judges a draft where it may take its time.
async fn judge(api: &Api, text: String, before: Option<FarmRow>) -> Result<Judged, Problem> {
    let _place = CHECKS.acquire().await.map_err(anyhow::Error::from)?;
    let timing = api.settings().plan.timing;
    super::ask(&api.reader, move |reader| {
        let is_first = before.is_none();
        let before = before.map(|row| row.text).unwrap_or_default();
        let known = reader.farm_secrets()?;
        let (draft, problems) = match Draft::of("farm", &text, &known, timing) {
            Ok(draft) => (Some(draft), Vec::new()),
            Err(error) => (None, error.problems),
        };
        let says_the_same = |draft: &Draft| draft.text == before && are_known(&known, &draft.secrets);
        let is_known = !is_first && draft.as_ref().is_some_and(says_the_same);
        let text = draft.as_ref().map_or(text.as_str(), |draft| draft.text.as_str());
        let lines = diff::lines(&before, text);
        let n_lines = diff::counts(&lines);
        let diff = diff::hunks(lines).into_iter().map(Line::from).collect();
        Ok(Judged { draft, is_known, problems, diff, n_lines })
    })
    .await
}

fn unsound(problems: Vec<config::Problem>) -> Response {
    let first = problems.first();
    let first = first.map(|problem| format!("{}: {}", problem.field, problem.what)).unwrap_or_default();
    let line = problems.first().and_then(|problem| problem.line);
    let line = line.map(|line| format!("line {line}: ")).unwrap_or_default();
    let body = Unsound {
        title: "Unprocessable Entity",
        status: StatusCode::UNPROCESSABLE_ENTITY.as_u16(),
        detail: format!("{} problem(s); the first: {line}{first}", problems.len()),
        code: "unsound_farm",
        problems: problems.into_iter().map(DraftProblem::from).collect(),
    };
    let kind = [(axum::http::header::CONTENT_TYPE, "application/problem+json")];
    (StatusCode::UNPROCESSABLE_ENTITY, kind, serde_json::to_vec(&body).unwrap_or_default()).into_response()
}

impl From<FarmRow> for Version {
    fn from(row: FarmRow) -> Self {
        let FarmRow { version, saved_us, by, origin, file, note, in_force_us, .. } = row;
        let ms = |us: i64| us.div_euclid(1000);
        Self { version, saved_at: ms(saved_us), by, origin, file, note, in_force_at: in_force_us.map(ms) }
    }
}

impl From<config::Problem> for DraftProblem {
    fn from(problem: config::Problem) -> Self {
        let config::Problem { line, column, field, what } = problem;
        Self { line, column, field, what }
    }
}

impl From<DiffLine<'_>> for Line {
    fn from(line: DiffLine<'_>) -> Self {
        let change = match line.change {
            Change::Same => "same",
            Change::Added => "added",
            Change::Removed => "removed",
        };
        Self { change, before: line.before, after: line.after, text: line.text.to_owned() }
    }
}
