//! Requests within their bounds, and what every answer carries.

use std::sync::atomic::Ordering;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::http::header::{CONTENT_SECURITY_POLICY, HOST, HeaderName, HeaderValue, ORIGIN};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use hyper::body::Body as _;

use super::limits::Bounds;
use super::reply::{self, Unread};
use super::state::At;

/// Bytes of a request that are always read.
const SMALL: usize = 32 << 10;

/// What a page may load: what is served here, and images that it draws itself.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Whether the names in the headers are those of this site: a page of another site gets no answer, whatever name it
/// has the browser call us by.
fn is_ours(headers: &HeaderMap, loopback: bool) -> bool {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(host) = text(HOST) else { return true };
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    let name = name.map_or(host, |(name, _)| name);
    let local = matches!(name, "localhost" | "[::1]") || name.starts_with("127.");
    let same = |origin: &str| origin.split_once("://").is_some_and(|(_, from)| from == host);
    (local || !loopback) && text(ORIGIN).is_none_or(same)
}

/// Counts and times every request, refuses those of other sites, and says what a page may load.
pub async fn watch(site: At, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let metrics = &site.metrics;
    metrics.in_flight.fetch_add(1, Ordering::Relaxed);
    let route = request.extensions().get::<MatchedPath>().map_or("other", MatchedPath::as_str).to_owned();
    let route = match route.as_str() {
        "/api/v1/{command}" => request.uri().path().to_owned(),
        _ => route,
    };
    let mut response = match is_ours(request.headers(), site.loopback) {
        true => next.run(request).await,
        false => reply::fault(
            StatusCode::FORBIDDEN,
            &crate::diagnostic::Diagnostic::new(
                crate::diagnostic::Code::Usage,
                "a page of another site may not ask here",
            ),
        ),
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (HeaderName::from_static("x-content-type-options"), "nosniff"),
        (HeaderName::from_static("referrer-policy"), "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    metrics.in_flight.fetch_sub(1, Ordering::Relaxed);
    metrics.answered(&route, response.status(), begun.elapsed());
    response
}

/// Reads the body of a request within the bounds of size and time.
///
/// # Errors
/// Which bound it exceeds.
pub async fn read(site: &At, body: Body) -> Result<axum::body::Bytes, Unread> {
    let Bounds { body: most, reading, .. } = site.bounds;
    let small = body.size_hint().upper().is_some_and(|size| size <= SMALL as u64);
    if body.size_hint().lower() > most as u64 {
        return Err(Unread::TooLarge);
    }
    let whole = async {
        let room = if small { None } else { Some(site.large.acquire().await) };
        let bytes = axum::body::to_bytes(body, most).await;
        drop(room);
        bytes
    };
    match tokio::time::timeout(reading, whole).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => Err(Unread::TooLarge),
        Err(_) => Err(Unread::TooSlow),
    }
}
