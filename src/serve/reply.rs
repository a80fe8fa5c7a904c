//! Answers over HTTP: JSON, and faults as cause, place and help.

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::response::Response;

use crate::ask;
use crate::diagnostic::{Code, Diagnostic};

/// A body of a type, which no one keeps.
pub fn text(status: StatusCode, kind: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// JSON as it is written.
pub fn json(status: StatusCode, body: impl Into<Body>) -> Response {
    text(status, "application/json", body)
}

/// What is wrong, as data.
pub fn fault(status: StatusCode, diagnostic: &Diagnostic) -> Response {
    json(status, format!("{:#}\n", ask::fault(diagnostic)))
}

/// What is wrong with a question: 400 for what is no JSON object, 422 for what makes no
/// sense, 503 for what took too long to answer.
pub fn refused(diagnostic: &Diagnostic) -> Response {
    let status = match diagnostic.code {
        Code::Syntax => StatusCode::BAD_REQUEST,
        Code::Stopped => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    };
    fault(status, diagnostic)
}

/// That there is too much to do.
pub fn busy() -> Response {
    let d = Diagnostic::new(Code::Usage, "too many questions are waiting").help("ask again in a moment");
    let mut response = fault(StatusCode::SERVICE_UNAVAILABLE, &d);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// Why a request was not read.
#[derive(Clone, Copy, Debug)]
pub enum Unread {
    /// It is larger than is allowed.
    TooLarge,
    /// It took too long to come, or the connection broke.
    TooSlow,
}

/// Why a body was not read.
pub fn unread(why: Unread, most: usize) -> Response {
    match why {
        Unread::TooLarge => {
            let d = Diagnostic::new(Code::Range, "the request is too large, or broke off")
                .help(format!("at most {most} bytes"));
            fault(StatusCode::PAYLOAD_TOO_LARGE, &d)
        }
        Unread::TooSlow => fault(
            StatusCode::REQUEST_TIMEOUT,
            &Diagnostic::new(Code::Usage, "the request takes too long to come"),
        ),
    }
}

/// What is asked with GET beside the questions.
const KNOWN: [&str; 2] = ["openapi.json", "schema"];

/// That an answer broke off, which is a fault of the program.
pub fn broke() -> Response {
    let d = Diagnostic::new(Code::Usage, "the question was not answered: a fault of this program");
    fault(StatusCode::INTERNAL_SERVER_ERROR, &d)
}

/// An address that is none.
pub async fn nothing_here() -> Response {
    let d = Diagnostic::new(Code::UnknownName, "nothing is here")
        .help("/api/v1/openapi.json lists what there is");
    fault(StatusCode::NOT_FOUND, &d)
}

/// A method that an address does not have; of a question that is none, that nothing is there.
pub async fn another_method(uri: Uri) -> Response {
    let question = uri.path().strip_prefix("/api/v1/").filter(|name| !name.contains('/') && *name != "jobs");
    if question.is_some_and(|name| name.parse::<ask::Command>().is_err() && !KNOWN.contains(&name)) {
        return nothing_here().await;
    }
    let way = if question.is_some_and(|name| name.parse::<ask::Command>().is_ok()) {
        "ask with POST and the request as a JSON object; /api/v1/openapi.json lists what there is"
    } else {
        "/api/v1/openapi.json lists what there is"
    };
    let d = Diagnostic::new(Code::Usage, "this address is asked in another way").help(way);
    fault(StatusCode::METHOD_NOT_ALLOWED, &d)
}
