//! The page's files, embedded in the binary; without the `web` feature a sentence that says so.

use axum::Router;
#[cfg(not(feature = "web"))]
use axum::http::StatusCode;
use axum::http::{HeaderMap, Uri, header};
use axum::response::{IntoResponse, Response};

use super::Api;
#[cfg(feature = "web")]
use super::packed;

/// What the page may do in a browser: nothing from outside, nothing inline.
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

pub(super) fn routes() -> Router<Api> {
    Router::new().fallback(file)
}

async fn file(uri: Uri, wishes: HeaderMap) -> Response {
    let path = match uri.path().trim_start_matches('/') {
        "" => "index.html",
        path => path,
    };
    serve(path, &wishes)
}

#[cfg(feature = "web")]
fn serve(path: &str, wishes: &HeaderMap) -> Response {
    /// Names and compressed contents of the files of `web/dist`.
    const FILES: &[(&str, &[u8])] = &include!(concat!(env!("OUT_DIR"), "/page.rs"));

    let Some((_, packed)) = FILES.iter().find(|(name, _)| *name == path) else {
        return super::error::Problem::not_found("such page").into_response();
    };
    // The bundler puts a hash into the names below assets/: they never change; everything else is asked for anew.
    let cache = if path.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    let headers = [
        (header::CONTENT_TYPE, content_type(path)),
        (header::CACHE_CONTROL, cache),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, packed::answer(wishes, packed)).into_response()
}

#[cfg(not(feature = "web"))]
fn serve(path: &str, _: &HeaderMap) -> Response {
    if path != "index.html" {
        return super::error::Problem::not_found("such page").into_response();
    }
    let text = "Giọt was built without its page. The API is at /api/v1/openapi.json.\n";
    let headers =
        [(header::CONTENT_TYPE, content_type("index.txt")), (header::CONTENT_SECURITY_POLICY, POLICY)];
    (StatusCode::OK, headers, text).into_response()
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "webmanifest" => "application/manifest+json",
        "json" => "application/json",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
