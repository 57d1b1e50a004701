//! What is built in compressed (`build.rs`): goes out as it is to those who take gzip, as every browser does, unpacked to others.

use std::io::Read;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flate2::read::GzDecoder;

/// The body of an answer, with the headers that say how it is packed.
pub(super) fn answer(wishes: &HeaderMap, packed: &'static [u8]) -> Response {
    let vary = (header::VARY, HeaderValue::from_static("accept-encoding"));
    if takes_gzip(wishes) {
        return ([vary, (header::CONTENT_ENCODING, HeaderValue::from_static("gzip"))], packed)
            .into_response();
    }
    let mut plain = Vec::new();
    match GzDecoder::new(packed).read_to_end(&mut plain) {
        Ok(_) => ([vary], plain).into_response(),
        Err(error) => {
            tracing::error!(%error, "a built-in file cannot be unpacked");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// True when the caller takes gzip (RFC 9110, 12.5.3); one that says nothing gets it plain.
fn takes_gzip(wishes: &HeaderMap) -> bool {
    let wished = wishes.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    wished.flat_map(|value| value.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let is_refused = parts.any(|part| {
            let weight = part.strip_prefix("q=").and_then(|weight| weight.parse::<f32>().ok());
            weight.is_some_and(|weight| weight <= 0.0)
        });
        name.eq_ignore_ascii_case("gzip") && !is_refused
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_goes_only_to_those_who_take_it() {
        for (wish, takes) in [
            ("gzip, deflate, br", true),
            ("br;q=1.0, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip; q=0.000", false),
            ("identity", false),
            ("", false),
        ] {
            let mut wishes = HeaderMap::new();
            wishes.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(wish));
            assert_eq!(takes_gzip(&wishes), takes, "{wish}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[tokio::test]
    async fn what_is_built_in_is_what_was_compressed() {
        let plain = answer(&HeaderMap::new(), super::super::DESCRIPTION);
        assert!(!plain.headers().contains_key(header::CONTENT_ENCODING));
        let body = axum::body::to_bytes(plain.into_body(), usize::MAX).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&body), include_str!("openapi.json"));
        let wishes = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"))]);
        let packed = answer(&wishes, super::super::DESCRIPTION);
        assert_eq!(packed.headers().get(header::CONTENT_ENCODING).unwrap(), "gzip");
        let body = axum::body::to_bytes(packed.into_body(), usize::MAX).await.unwrap();
        assert_eq!(&*body, super::super::DESCRIPTION);
    }
}
