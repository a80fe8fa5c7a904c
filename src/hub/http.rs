//! Files over HTTP: redirects followed by hand so that the token stays with the hub.

use std::io::Read as _;
use std::time::Duration;

use ureq::http::{HeaderMap, Response};
use ureq::{Agent, Body};

use crate::diagnostic::{Code, Diagnostic};

use super::id::Id;
use super::refusal::Refusal;
use super::source::{Download, Hub, Part};

/// Most redirects followed.
const REDIRECTS: usize = 5;
/// How much longer than one wait a whole answer may take: a server that drips is a fault too.
const PATIENCE: u32 = 12;

/// Gets a file or a part of it; `None` where the repository has no such file.
pub(super) fn get(hub: &Hub, id: &Id, file: &str, part: Part) -> Result<Option<Download>, Diagnostic> {
    let agent = agent(hub.timeout);
    let mut address = hub.address(id, file);
    let fail = |cause: String, help: &str| {
        Diagnostic::new(Code::Hub, cause).at(hub.address(id, file)).help(help.to_owned())
    };
    let mut commit = None;
    for _ in 0..=REDIRECTS {
        let mut response = ask(&agent, hub, &address, part).map_err(|e| transport(hub, id, file, &e))?;
        commit = text(response.headers(), "x-repo-commit").map(str::to_owned).or(commit);
        match response.status().as_u16() {
            200 | 206 => {
                return match read(&mut response, part) {
                    Ok(Some((bytes, whole))) => Ok(Some(Download { bytes, commit, whole })),
                    Ok(None) => Err(fail(
                        format!("`{file}` is larger than {} MiB", limit(part) / 1_048_576),
                        "no such file is that large; is HF_ENDPOINT the address of a hub?",
                    )),
                    Err(e) => Err(transport(hub, id, file, &e)),
                };
            }
            301 | 302 | 303 | 307 | 308 => {
                let target = text(response.headers(), "location").and_then(|to| resolve(&address, to));
                address = target.ok_or_else(|| {
                    fail(
                        "the hub redirects to no address that may be followed".into(),
                        "is HF_ENDPOINT right?",
                    )
                })?;
            }
            status => {
                let headers = response.headers();
                let refusal = Refusal {
                    status,
                    code: text(headers, "x-error-code"),
                    retry_after: text(headers, "retry-after"),
                };
                return match refusal.is_missing_file(file) {
                    true => Ok(None),
                    false => Err(refusal.explain(hub, id, file)),
                };
            }
        }
    }
    Err(fail(format!("the hub redirects more than {REDIRECTS} times"), "is HF_ENDPOINT right?"))
}

fn agent(timeout: Duration) -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("shardfit/", env!("CARGO_PKG_VERSION")))
        .timeout_connect(Some(timeout))
        .timeout_recv_response(Some(timeout))
        .timeout_per_read(Some(timeout))
        .timeout_global(Some(timeout * PATIENCE))
        .build()
        .new_agent()
}

/// One request. The token goes to the hub's own origin only.
fn ask(agent: &Agent, hub: &Hub, address: &str, part: Part) -> Result<Response<Body>, ureq::Error> {
    let mut request = agent.get(address);
    if let Some(token) = &hub.token
        && origin(address) == origin(&hub.endpoint)
    {
        request = request.header("authorization", format!("Bearer {}", token.0));
    }
    if let Part::Range { offset, count } = part {
        let last = offset.saturating_add(count.max(1) - 1);
        request = request.header("range", format!("bytes={offset}-{last}"));
    }
    request.call()
}

/// The bytes asked for and the size of the whole file; `None` when there are more than the limit.
type Bounded = Option<(Vec<u8>, Option<u64>)>;

fn read(response: &mut Response<Body>, part: Part) -> Result<Bounded, ureq::Error> {
    let partial = response.status().as_u16() == 206;
    let range = text(response.headers(), "content-range").and_then(|r| r.rsplit('/').next()?.parse().ok());
    let length = text(response.headers(), "content-length").and_then(|n| n.parse::<u64>().ok());
    let whole = if partial { range } else { length };
    let limit = limit(part);
    let mut bytes = Vec::new();
    let mut body = response.body_mut().as_reader();
    match part {
        Part::Whole { .. } => {
            body.take(limit + 1).read_to_end(&mut bytes).map_err(ureq::Error::from)?;
            if bytes.len() as u64 > limit {
                return Ok(None);
            }
        }
        Part::Range { offset, count } => {
            // A server that knows no ranges sends all of it: what stands before is passed over, within
            // reason.
            if !partial {
                if offset > crate::load::MAX_INPUT_BYTES {
                    return Ok(None);
                }
                std::io::copy(&mut body.by_ref().take(offset), &mut std::io::sink())
                    .map_err(ureq::Error::from)?;
            }
            body.take(count).read_to_end(&mut bytes).map_err(ureq::Error::from)?;
        }
    }
    Ok(Some((bytes, whole)))
}

fn limit(part: Part) -> u64 {
    match part {
        Part::Whole { limit } => limit,
        Part::Range { count, .. } => count,
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Scheme, host and port of an address.
fn origin(address: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = address.split_once("://")?;
    Some((scheme, rest.split(['/', '?', '#']).next()?))
}

/// Where a `Location` leads from an address; `None` where it may not be followed: to another scheme
/// than HTTP, or from an encrypted address to one that is not.
fn resolve(from: &str, location: &str) -> Option<String> {
    let (scheme, host) = origin(from)?;
    if location.contains(|c: char| c.is_control() || c == ' ') {
        return None;
    }
    let target = if location.starts_with("http://") || location.starts_with("https://") {
        location.to_owned()
    } else if let Some(rest) = location.strip_prefix("//") {
        format!("{scheme}://{rest}")
    } else if location.starts_with('/') {
        format!("{scheme}://{host}{location}")
    } else if location.contains(':') {
        return None;
    } else {
        let folder = from.split(['?', '#']).next()?.rsplit_once('/')?.0;
        format!("{folder}/{location}")
    };
    let downgraded = from.starts_with("https://") && target.starts_with("http://");
    (!downgraded && origin(&target).is_some_and(|(_, host)| !host.is_empty())).then_some(target)
}

/// What kept the hub from answering.
fn transport(hub: &Hub, id: &Id, file: &str, error: &ureq::Error) -> Diagnostic {
    use ureq::Error;
    let host = origin(&hub.endpoint).map_or("the hub", |(_, host)| host);
    let reach = "check the network, proxy variables and HF_ENDPOINT; or say --offline and name a path";
    let timed_out = |e: &std::io::Error| e.kind() == std::io::ErrorKind::TimedOut;
    let (cause, help) = match error {
        Error::Timeout(_) => slow(hub),
        Error::Io(e) if timed_out(e) => slow(hub),
        Error::Tls(_) | Error::Rustls(_) | Error::Pem(_) => {
            (format!("no secure connection to {host}: {error}"), CERTIFICATE.to_owned())
        }
        // What rustls makes of a wrong certificate, or of an answer that is not encrypted.
        Error::Io(e) if hub.endpoint.starts_with("https://") && broken(e) => {
            (format!("no secure connection to {host}: {e}"), CERTIFICATE.to_owned())
        }
        Error::HostNotFound => (format!("{host} is not known"), reach.to_owned()),
        Error::Io(e) => (format!("{host} cannot be reached: {e}"), reach.to_owned()),
        other => (format!("{host} gave no proper answer: {other}"), reach.to_owned()),
    };
    Diagnostic::new(Code::Hub, cause).at(hub.address(id, file)).help(help)
}

fn broken(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{InvalidData, UnexpectedEof};
    matches!(error.kind(), InvalidData | UnexpectedEof)
}

const CERTIFICATE: &str =
    "does a proxy stand between? then fetch config.json by other means and name its path";

fn slow(hub: &Hub) -> (String, String) {
    let seconds = hub.timeout.as_secs_f64();
    let help = "try again, or set HF_HUB_DOWNLOAD_TIMEOUT to more seconds";
    (format!("the hub did not answer in {seconds} s"), help.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_taken_relative_to_where_it_was_found() {
        let from = "https://hub/org/name/resolve/main/config.json?x";
        for (location, target) in [
            ("/api/cache/config.json", Some("https://hub/api/cache/config.json")),
            ("other.json", Some("https://hub/org/name/resolve/main/other.json")),
            ("//cdn/file", Some("https://cdn/file")),
            ("https://cdn:8443/file", Some("https://cdn:8443/file")),
            ("http://hub/file", None),
            ("ftp://hub/file", None),
            ("file:///etc/passwd", None),
            ("https:///x", None),
            ("/a b", None),
        ] {
            assert_eq!(resolve(from, location).as_deref(), target, "{location}");
        }
    }

    #[test]
    fn another_port_is_another_origin() {
        assert_ne!(origin("http://h:1/x"), origin("http://h:2/x"));
        assert_eq!(origin("http://h:1/x?y"), origin("http://h:1"));
    }
}
