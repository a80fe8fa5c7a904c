//! Questions and the catalogue.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery};
use axum::http::StatusCode;
use axum::response::{Redirect, Response};
use serde_json::{Map, Value, json};

use super::state::{At, Shared};
use super::{bounds, reply};
use crate::ask::{self, Command, Setting, View};
use crate::catalog::Kind;
use crate::diagnostic::{Code, Diagnostic};
use crate::hub::Hub;
use crate::load;
use crate::request::Request;
use crate::search::Stop;

/// That it lives.
pub async fn health() -> Response {
    let alive = json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") });
    reply::json(StatusCode::OK, format!("{alive}\n"))
}

/// Where frameworks describe their addresses: ours are in one document.
pub async fn description() -> Redirect {
    Redirect::temporary("/api/v1/openapi.json")
}

/// The counts and times.
pub async fn metrics(site: At) -> Response {
    let text = site.metrics.text(site.jobs.kept());
    reply::text(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text)
}

/// The object that a body holds.
///
/// # Errors
/// [`Code::Syntax`] for what is no JSON object.
pub fn object(bytes: &Bytes) -> Result<Map<String, Value>, Diagnostic> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| Diagnostic::new(Code::Syntax, "not valid UTF-8").at("the request"))?;
    load::json_object(text, "the request")
}

/// Checks that a question is small enough to be answered at once.
///
/// # Errors
/// [`Code::Range`] for a simulation of more requests than are sent for strangers.
pub fn bounded(map: &Map<String, Value>, most: u64) -> Result<(), Diagnostic> {
    for (key, value) in map {
        // As the request reads it, by whatever name and in whatever form; what it cannot read is refused with the whole.
        let alone = Request::from_map([(key.clone(), value.clone())].into_iter().collect());
        let asked = alone.map_or(None, |request| request.requests.max(request.warmup));
        if asked.is_some_and(|n| n > most) {
            let cause = format!("more than {most} requests are not sent here");
            return Err(Diagnostic::new(Code::Range, cause).at(format!("`{key}`")));
        }
    }
    Ok(())
}

/// Answers a question on a thread of its own, when its turn has come. One that stands for several waits for a place among
/// its kind first: single questions find room beside them.
///
/// # Errors
/// What is answered where too many wait, or where the program is at fault.
async fn work<T: Send + 'static>(
    site: &Shared,
    several: bool,
    then: impl FnOnce(&Shared, &AtomicBool) -> T + Send + 'static,
) -> Result<T, Response> {
    let waiting = &site.metrics.waiting;
    if waiting.fetch_add(1, Ordering::Relaxed) >= site.bounds.waiting as u64 {
        waiting.fetch_sub(1, Ordering::Relaxed);
        return Err(reply::busy());
    }
    let turn = Turn(site.clone());
    let among = match several {
        true => Some(site.lists.clone().acquire_owned().await.map_err(|_| reply::busy())?),
        false => None,
    };
    let permit = site.at_work.clone().acquire_owned().await.map_err(|_| reply::busy())?;
    drop(turn);
    let theirs = site.clone();
    let asker = Asker::default();
    let gone = asker.gone.clone();
    let worked = tokio::task::spawn_blocking(move || {
        let answer = then(&theirs, &gone);
        // The place is free when the work is done, not when the client has gone: it could come again for more.
        drop((permit, among));
        answer
    });
    worked.await.map_err(|_| reply::broke())
}

/// Who asks. Its end, which is that of the handler of a connection that broke, is told to the work.
#[derive(Default)]
struct Asker {
    gone: Arc<AtomicBool>,
}

impl Drop for Asker {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::Relaxed);
    }
}

/// One that waits, until it is dropped: a client that goes away waits no longer.
struct Turn(Shared);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.metrics.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// `POST /api/v1/{command}`; with `?brief` the answer in few bytes.
pub async fn answer(
    site: At,
    Path(command): Path<String>,
    RawQuery(query): RawQuery,
    body: Body,
) -> Response {
    let brief = match query.as_deref() {
        None | Some("") => false,
        Some("brief") => true,
        Some(other) => {
            let cause = format!("unknown parameter `{}`", crate::diagnostic::brief(other));
            let unknown =
                Diagnostic::new(Code::Usage, cause).help("known: `?brief`; the question stands in the body");
            return reply::fault(StatusCode::BAD_REQUEST, &unknown);
        }
    };
    let command: Command = match command.parse() {
        Ok(command) => command,
        Err(unknown) => return reply::fault(StatusCode::NOT_FOUND, &unknown),
    };
    let bytes = match bounds::read(&site, body).await {
        Ok(bytes) => bytes,
        Err(why) => return reply::unread(why, site.bounds.body),
    };
    let map = object(&bytes).and_then(|map| bounded(&map, site.bounds.requests / 10).map(|()| map));
    let map = match map {
        Ok(map) => map,
        Err(fault) => return reply::refused(&fault),
    };
    let several = command.stands_for_several(&map);
    let answered = work(&site.0, several, move |site, gone| {
        let stop = Stop { deadline: Some(Instant::now() + site.bounds.answering), asked: Some(gone) };
        let setting = Setting { catalog: &site.catalog, hub: Hub::none(), stop };
        let asked = brief.then(|| map.clone());
        let answered = ask::answer_map(command, map, &setting, |_| ())?;
        Ok(asked.map_or_else(|| answered.text(), |asked| answered.brief(&asked)))
    });
    match answered.await {
        Ok(Ok(text)) => reply::json(StatusCode::OK, text),
        Ok(Err(fault)) => reply::refused(&fault),
        Err(refused) => refused,
    }
}

/// The kinds of entries that are shown.
fn kind(name: &str) -> Option<Kind> {
    match name {
        "gpus" => Some(Kind::Gpu),
        "clusters" => Some(Kind::Cluster),
        "engines" => Some(Kind::Engine),
        "models" => Some(Kind::Model),
        "frameworks" => Some(Kind::Framework),
        _ => None,
    }
}

fn no_kind(name: &str) -> Response {
    let known = ["gpus", "clusters", "engines", "models", "frameworks"];
    let d = Diagnostic::unknown("kind of entry", name, known, &format!("known: {}", known.join(", ")));
    reply::fault(StatusCode::NOT_FOUND, &d)
}

/// `GET /api/v1/catalog/{kind}`.
pub async fn list(site: At, Path(name): Path<String>) -> Response {
    let Some(kind) = kind(&name) else { return no_kind(&name) };
    if let Some(models) = site.models.get().filter(|_| kind == Kind::Model) {
        return reply::json(StatusCode::OK, models.clone());
    }
    let listed = work(&site.0, false, move |site, _| {
        ask::catalog::list(&site.catalog, kind, View::JSON, (None, None), |_| ())
    });
    match listed.await {
        Ok(Ok(text)) => {
            let bytes = Bytes::from(text + "\n");
            if kind == Kind::Model {
                let _ = site.models.set(bytes.clone());
            }
            reply::json(StatusCode::OK, bytes)
        }
        Ok(Err(fault)) => reply::refused(&fault),
        Err(refused) => refused,
    }
}

/// `GET /api/v1/catalog/{kind}/{id}`.
pub async fn entry(site: At, Path((name, id)): Path<(String, String)>) -> Response {
    let Some(kind) = kind(&name) else { return no_kind(&name) };
    match ask::catalog::show(&site.catalog, kind, &id, View::JSON, true) {
        Ok(text) => reply::json(StatusCode::OK, text + "\n"),
        Err(fault) => reply::fault(StatusCode::NOT_FOUND, &fault),
    }
}
