//! An answer over HTTP with the pause that it asks for (RFC 9110, section 10.2.3).

use super::verdict::Answer;
use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};

/// The answer of these parts. A pause counts where there is no time (429, 503): with other answers it says something else.
#[must_use]
pub fn heard(status: u16, headers: &HeaderMap, text: String) -> Answer {
    match (status, later_ms(headers)) {
        (429 | 503, Some(ms)) => Answer::Later(status, text, ms),
        _ => Answer::Status(status, text),
    }
}

/// `Retry-After`: seconds, or a moment by the clock of the server, which its `Date` tells.
fn later_ms(headers: &HeaderMap) -> Option<u64> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let later = text(RETRY_AFTER)?;
    if let Ok(seconds) = later.parse::<u64>() {
        return Some(seconds.saturating_mul(1000));
    }
    let moment = |text| chrono::DateTime::parse_from_rfc2822(text).ok();
    let pause = moment(later)?.signed_duration_since(moment(text(DATE)?)?);
    u64::try_from(pause.num_milliseconds()).ok()
}
