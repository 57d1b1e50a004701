//! Who may use the API: one place decides. The cooperative's admin secret opens a session; the session is a signed
//! cookie with an end, so that nothing about it has to be stored and a restart signs nobody out.
//!
//! On loopback with `--anonymous` (a demo or a test) everybody is signed in.

use axum::extract::{ConnectInfo, FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing::post};
use giot_shared::time::UnixMs;
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use subtle::ConstantTimeEq;
use utoipa::ToSchema;

use super::Api;
use super::error::Problem;

/// How long a sign-in lasts: a season's phone should not ask every week.
const SESSION_MS: u64 = 30 * 86_400_000;

/// Wrong secrets in a row from one address before its sign-in pauses.
const FAILURES_MAX: u32 = 5;

/// Addresses whose failures are remembered; beyond, the longest quiet one is forgotten.
const ADDRESSES_MAX: usize = 1000;

/// How long it pauses then: at 5 tries a minute a 128-bit secret stays unguessed.
const PAUSE_MS: u64 = 60_000;

const COOKIE: &str = "giot_session";

/// The decision, shared by all requests.
#[derive(Clone, Debug)]
pub struct Auth {
    secret: Arc<str>,
    is_open: bool,
    failures: Arc<Mutex<BTreeMap<IpAddr, Failures>>>,
}

#[derive(Debug, Default)]
struct Failures {
    in_a_row: u32,
    last_at: UnixMs,
}

impl Auth {
    /// Sessions opened by `secret`; `is_open` lets everybody in.
    #[must_use]
    pub fn new(secret: &str, is_open: bool) -> Self {
        Self { secret: secret.into(), is_open, failures: Arc::default() }
    }

    fn tag(&self, ends_at: UnixMs) -> String {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length (RFC 2104)")]
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).expect("HMAC takes any key");
        mac.update(b"giot session ");
        mac.update(&ends_at.0.to_be_bytes());
        crate::hex(&mac.finalize().into_bytes())
    }

    fn cookie(&self, now: UnixMs) -> String {
        let ends_at = now.plus_ms(SESSION_MS);
        let max_age_s = SESSION_MS / 1000;
        format!(
            "{COOKIE}={}.{}; Path=/; HttpOnly; SameSite=Strict; Max-Age={max_age_s}",
            ends_at.0,
            self.tag(ends_at)
        )
    }

    fn is_signed_in(&self, headers: &HeaderMap, now: UnixMs) -> bool {
        if self.is_open {
            return true;
        }
        headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok()).any(|cookies| {
            cookies.split(';').filter_map(|cookie| cookie.trim().strip_prefix(COOKIE)?.strip_prefix('=')).any(
                |value| {
                    let Some((ends_at, tag)) = value.split_once('.') else { return false };
                    let Ok(ends_at) = ends_at.parse().map(UnixMs) else { return false };
                    bool::from(self.tag(ends_at).as_bytes().ct_eq(tag.as_bytes())) && now < ends_at
                },
            )
        })
    }

    /// Judges a secret; `None` while sign-in pauses for an address after too many wrong ones from it. A stranger who
    /// guesses locks nobody else out.
    fn check(&self, secret: &str, from: IpAddr, now: UnixMs) -> Option<bool> {
        let mut by_address = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if by_address.len() >= ADDRESSES_MAX && !by_address.contains_key(&from) {
            let quietest = by_address.iter().min_by_key(|(_, failures)| failures.last_at).map(|(ip, _)| *ip);
            quietest.and_then(|ip| by_address.remove(&ip));
        }
        let failures = by_address.entry(from).or_default();
        if failures.in_a_row >= FAILURES_MAX && now.since_ms(failures.last_at) < PAUSE_MS {
            return None;
        }
        let is_right = bool::from(self.secret.as_bytes().ct_eq(secret.trim().as_bytes()));
        failures.in_a_row = if is_right { 0 } else { failures.in_a_row.saturating_add(1) };
        failures.last_at = now;
        Some(is_right)
    }
}

/// Proof that the request comes from somebody signed in; a handler that takes it cannot be reached otherwise.
#[derive(Debug)]
pub(crate) struct SignedIn;

impl FromRequestParts<Api> for SignedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        // Demo time runs ahead of the world: sessions live by the clock that made them.
        if api.auth.is_signed_in(&parts.headers, api.clock.wall_unchecked()) {
            Ok(Self)
        } else {
            Err(Problem::signed_out())
        }
    }
}

/// Whether this browser is signed in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Session {
    /// Requests will be answered.
    signed_in: bool,
    /// Nobody needs to sign in: a demo or a test on this machine.
    open: bool,
}

/// The cooperative's admin secret, as the file `admin-secret` in the data folder holds it.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Secret {
    secret: String,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

pub(super) fn routes() -> Router<Api> {
    Router::new().route("/api/v1/session", post(sign_in).get(session).delete(sign_out))
}

/// Says whether this browser is signed in.
#[utoipa::path(get, path = "/api/v1/session", responses((status = 200, body = Session)))]
pub(crate) async fn session(State(api): State<Api>, headers: HeaderMap) -> Json<Session> {
    let signed_in = api.auth.is_signed_in(&headers, api.clock.wall_unchecked());
    Json(Session { signed_in, open: api.auth.is_open })
}

/// Signs in.
#[utoipa::path(post, path = "/api/v1/session", request_body = Secret, responses(
    (status = 204, description = "Signed in; the answer sets the session cookie"),
    (status = 401, body = Problem, description = "Wrong secret"),
    (status = 429, body = Problem, description = "Too many wrong secrets: wait a minute"),
))]
pub(crate) async fn sign_in(
    State(api): State<Api>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    Json(body): Json<Secret>,
) -> Result<Response, Problem> {
    let now = api.clock.wall_unchecked();
    match api.auth.check(&body.secret, from.ip(), now) {
        Some(true) => {
            Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, api.auth.cookie(now))]).into_response())
        }
        Some(false) => {
            Err(Problem::new(StatusCode::UNAUTHORIZED, "wrong_secret", "this is not the admin secret"))
        }
        None => {
            let wait = "too many wrong secrets: wait a minute";
            Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_tries", wait))
        }
    }
}

/// Signs out.
#[utoipa::path(delete, path = "/api/v1/session", responses((status = 204, description = "Signed out")))]
pub(crate) async fn sign_out() -> Response {
    let gone = format!("{COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, gone)]).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMs = UnixMs(1_800_000_000_000);

    fn headers(cookie: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, cookie.parse().expect("a header"));
        headers
    }

    #[test]
    fn a_cookie_holds_until_its_end_and_only_for_its_secret() {
        let auth = Auth::new("right", false);
        let cookie = auth.cookie(NOW);
        let pair = cookie.split(';').next().expect("name and value");
        assert!(auth.is_signed_in(&headers(&format!("a=b; {pair}")), NOW));
        assert!(!auth.is_signed_in(&headers(pair), NOW.plus_ms(SESSION_MS)));
        assert!(!Auth::new("other", false).is_signed_in(&headers(pair), NOW));
        let later = pair.replacen("18", "19", 1);
        assert!(!auth.is_signed_in(&headers(&later), NOW), "a changed end is not signed");
        assert!(!auth.is_signed_in(&headers("giot_session="), NOW));
        assert!(!auth.is_signed_in(&HeaderMap::new(), NOW));
        assert!(Auth::new("right", true).is_signed_in(&HeaderMap::new(), NOW));
    }

    #[test]
    fn guessing_pauses() {
        let auth = Auth::new("right", false);
        let [thief, owner] = [7, 8].map(|last| IpAddr::from([10, 0, 0, last]));
        for _ in 0..FAILURES_MAX {
            assert_eq!(auth.check("wrong", thief, NOW), Some(false));
        }
        assert_eq!(auth.check("right", thief, NOW), None);
        assert_eq!(auth.check("right", owner, NOW), Some(true), "nobody else has to wait");
        assert_eq!(auth.check(" right\n", thief, NOW.plus_ms(PAUSE_MS)), Some(true));
    }

    #[test]
    fn the_addresses_that_are_remembered_are_bounded() {
        let auth = Auth::new("right", false);
        for n in 0..=u32::try_from(ADDRESSES_MAX).expect("small") {
            let from = IpAddr::from(std::net::Ipv4Addr::from_bits(n));
            assert_eq!(auth.check("wrong", from, NOW.plus_ms(n.into())), Some(false));
        }
        assert_eq!(auth.failures.lock().expect("no panic").len(), ADDRESSES_MAX);
    }
}
