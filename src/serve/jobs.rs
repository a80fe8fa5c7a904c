//! Long questions: begun, watched over server-sent events, cancelled.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::job::{Job, Stand};
use super::state::At;
use super::{api, bounds, reply};
use crate::ask::{self, Command, Setting};
use crate::diagnostic::{Code, Diagnostic};
use crate::hub::Hub;
use crate::request::Request;
use crate::search::Stop;
use crate::simulate::{Observer, State};

/// Longest time of a job.
const LONGEST: Duration = Duration::from_secs(600);

/// Requests between two looks at the progress.
const REFRESH: u64 = 1024;

/// Tells a job how far a replica has come.
struct Progress {
    job: Arc<Job>,
    of: Option<u64>,
    said: u64,
    until: Instant,
}

impl Observer for Progress {
    fn saw(&mut self, state: &State) {
        if state.answered >= self.said + REFRESH {
            self.said = state.answered;
            self.job.stand.send_replace(Stand::Running(state.answered, self.of));
        }
    }

    fn goes_on(&self) -> bool {
        !self.job.cancelled.load(Ordering::Relaxed) && Instant::now() < self.until
    }
}

fn said(stand: &Stand) -> Value {
    match stand {
        Stand::Running(done, of) => json!({ "state": "running", "done": done, "of": of }),
        Stand::Done(answer, timeline) => {
            let answer = serde_json::from_str::<Value>(answer).unwrap_or_default();
            match timeline {
                Value::Null => json!({ "state": "done", "answer": answer }),
                rows => json!({ "state": "done", "answer": answer, "timeline": rows }),
            }
        }
        Stand::Failed(fault) => {
            let mut value = json!({ "state": "failed" });
            value["error"] = fault["error"].clone();
            value
        }
    }
}

/// `POST /api/v1/jobs`: `{"command": "simulate", "request": {…}}`.
pub async fn begin(site: At, body: Body) -> Response {
    let bytes = match bounds::read(&site, body).await {
        Ok(bytes) => bytes,
        Err(why) => return reply::unread(why, site.bounds.body),
    };
    let wanted = api::object(&bytes).and_then(|mut map| {
        let strange = map.keys().find(|key| !matches!(key.as_str(), "command" | "request"));
        if let Some(strange) = strange {
            return Err(Diagnostic::unknown(
                "key",
                strange,
                ["command", "request"],
                "known: command, request",
            ));
        }
        let command = map.get("command").and_then(Value::as_str).ok_or_else(|| {
            Diagnostic::new(Code::Usage, "`command` is missing").help("for example \"simulate\"")
        })?;
        let command: Command = command.parse()?;
        match map.remove("request") {
            Some(Value::Object(request)) => {
                api::bounded(&request, site.bounds.requests).map(|()| (command, request))
            }
            _ => Err(Diagnostic::new(Code::Usage, "`request` is missing or no object")),
        }
    });
    let (command, request) = match wanted {
        Ok(wanted) => wanted,
        Err(fault) => return reply::refused(&fault),
    };
    let Some((id, job)) = site.jobs.add(site.bounds.jobs) else { return reply::busy() };
    let theirs = site.0.clone();
    tokio::task::spawn_blocking(move || {
        let until = Instant::now() + LONGEST;
        let stop = Stop { deadline: Some(until), asked: Some(&job.cancelled) };
        let watcher = |of| Progress { job: job.clone(), of, said: 0, until };
        let answered = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let setting = Setting { catalog: &theirs.catalog, hub: Hub::none(), stop };
            match command {
                Command::Simulate => {
                    let request = Request::from_map(request)?;
                    ask::simulate::with_timeline(&request, &setting, watcher)
                }
                _ => ask::answer_map(command, request, &setting, watcher)
                    .map(|answered| (answered, Value::Null)),
            }
        }));
        job.stand.send_replace(match answered {
            Ok(Ok((answered, timeline))) => Stand::Done(answered.text(), timeline),
            Ok(Err(fault)) => Stand::Failed(ask::fault(&fault)),
            Err(_) => {
                let d =
                    Diagnostic::new(Code::Usage, "the question was not answered: a fault of this program");
                Stand::Failed(ask::fault(&d))
            }
        });
    });
    reply::json(
        StatusCode::ACCEPTED,
        format!("{}\n", json!({ "id": format!("{id:016x}"), "state": "running" })),
    )
}

fn no_job() -> Response {
    let d = Diagnostic::new(Code::UnknownName, "no such job").help("the last 64 are kept");
    reply::fault(StatusCode::NOT_FOUND, &d)
}

/// `GET /api/v1/jobs/{id}`.
pub async fn show(site: At, Path(id): Path<String>) -> Response {
    match site.jobs.find(&id) {
        Some(job) => {
            let stand = job.stand.borrow().clone();
            reply::json(StatusCode::OK, format!("{:#}\n", said(&stand)))
        }
        None => no_job(),
    }
}

/// `DELETE /api/v1/jobs/{id}`: ends with what was found by then, or not at all.
pub async fn cancel(site: At, Path(id): Path<String>) -> Response {
    match site.jobs.find(&id) {
        Some(job) => {
            job.cancelled.store(true, Ordering::Relaxed);
            let stand = job.stand.borrow().clone();
            reply::json(StatusCode::OK, format!("{:#}\n", said(&stand)))
        }
        None => no_job(),
    }
}

/// What waits for the next stand: it, and what to wait with after it; none at the end.
type Next = Pin<Box<dyn Future<Output = Option<(Stand, watch::Receiver<Stand>)>> + Send>>;

/// Each stand of a job as an event, up to its end.
struct Events {
    next: Next,
    over: bool,
}

async fn next(mut stands: watch::Receiver<Stand>) -> Option<(Stand, watch::Receiver<Stand>)> {
    stands.changed().await.ok()?;
    // Faster than anyone reads is no use.
    tokio::time::sleep(Duration::from_millis(30)).await;
    let stand = stands.borrow_and_update().clone();
    Some((stand, stands))
}

impl hyper::body::Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, Infallible>>> {
        if self.over {
            return Poll::Ready(None);
        }
        match self.next.as_mut().poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Ready(Some((stand, stands))) => {
                self.over = !matches!(stand, Stand::Running(..));
                self.next = Box::pin(next(stands));
                let event = format!("data: {}\n\n", said(&stand));
                Poll::Ready(Some(Ok(hyper::body::Frame::data(event.into()))))
            }
        }
    }
}

/// `GET /api/v1/jobs/{id}/events`: server-sent events, the last with the answer.
pub async fn events(site: At, Path(id): Path<String>) -> Response {
    let Some(job) = site.jobs.find(&id) else { return no_job() };
    let mut stands = job.stand.subscribe();
    stands.mark_changed();
    let events = Events { next: Box::pin(next(stands)), over: false };
    reply::text(StatusCode::OK, "text/event-stream", Body::new(events))
}
