//! The page: files that are in the binary.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, ETAG, HeaderValue, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::reply;

/// A file of the page.
#[derive(Clone, Copy, Debug)]
pub struct File {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: &'static str,
    /// What it holds.
    pub text: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! files {
    ($($name:literal $kind:ident),+ $(,)?) => {
        &[$(File { name: $name, kind: $kind, text: include_str!(concat!("../../assets/web/", $name)) }),+]
    };
}

/// The page itself first, then what it loads from `assets/`.
const FILES: &[File] = files![
    "index.html" HTML,
    "style.css" CSS,
    "icon.svg" SVG,
    "main.js" SCRIPT,
    "ask.js" SCRIPT,
    "dom.js" SCRIPT,
    "chart.js" SCRIPT,
    "controls.js" SCRIPT,
    "export.js" SCRIPT,
    "plan.js" SCRIPT,
    "model.js" SCRIPT,
    "compare.js" SCRIPT,
    "fit.js" SCRIPT,
    "others.js" SCRIPT,
    "sweep.js" SCRIPT,
];

/// Models that the page offers by a click.
pub const POPULAR: [&str; 8] = [
    "llama-3.1-8b",
    "llama-3.1-70b",
    "qwen3-8b",
    "qwen3-32b",
    "mixtral-8x7b",
    "gpt-oss-120b",
    "deepseek-v3",
    "gemma-3-27b-it",
];

/// The files of the page, the page itself first.
pub fn files() -> &'static [File] {
    FILES
}

/// The mark of this build's files: browsers ask whether theirs is still good. FNV-1a of what they hold.
static MARK: LazyLock<String> = LazyLock::new(|| {
    let bytes = FILES.iter().flat_map(|file| file.text.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("\"{hash:016x}\"")
});

fn file(file: &File, headers: &HeaderMap) -> Response {
    let has = headers.get(IF_NONE_MATCH).is_some_and(|mark| mark.as_bytes() == MARK.as_bytes());
    let mut response = match has {
        true => reply::text(StatusCode::NOT_MODIFIED, file.kind, ""),
        false => reply::text(StatusCode::OK, file.kind, file.text),
    };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(mark) = HeaderValue::from_str(&MARK) {
        response.headers_mut().insert(ETAG, mark);
    }
    response
}

/// `GET /`.
pub async fn index(headers: HeaderMap) -> Response {
    file(&FILES[0], &headers)
}

/// `GET /assets/{name}`.
pub async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    match FILES.iter().find(|file| file.name == name) {
        Some(found) => file(found, &headers),
        None => reply::nothing_here().await,
    }
}
