//! The page's files, embedded in the binary; without the `web` feature a sentence that says so.

use axum::Router;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use super::Api;

/// What the page may do in a browser: nothing from outside, nothing inline.
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

pub(super) fn routes() -> Router<Api> {
    Router::new().fallback(file)
}

async fn file(uri: Uri) -> Response {
    let path = match uri.path().trim_start_matches('/') {
        "" => "index.html",
        path => path,
    };
    serve(path)
}

#[cfg(feature = "web")]
fn serve(path: &str) -> Response {
    #[derive(rust_embed::RustEmbed)]
    #[folder = "web/dist"]
    struct Page;

    let Some(file) = Page::get(path) else {
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
    (StatusCode::OK, headers, file.data).into_response()
}

#[cfg(not(feature = "web"))]
fn serve(path: &str) -> Response {
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
