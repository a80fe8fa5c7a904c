//! Requests to an OpenAI-compatible server.

use std::io::Read;
use std::time::Duration;

use ureq::Agent;

use crate::diagnostic::{Code, Diagnostic};

/// A server that answers over HTTP.
#[derive(Clone, Debug)]
pub struct Client {
    agent: Agent,
    base: String,
    key: Option<Key>,
}

/// A key that is sent to the server and never shown.
#[derive(Clone)]
pub struct Key(pub String);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

impl Client {
    /// A client of the server at an address; `timeout` is that of one answer, `connections` how many are kept open.
    ///
    /// # Errors
    /// [`Code::Syntax`] for an address that is none.
    pub fn new(
        url: &str,
        timeout: Duration,
        connections: usize,
        key: Option<Key>,
    ) -> Result<Client, Diagnostic> {
        let base = url.trim().trim_end_matches('/').trim_end_matches("/v1").to_owned();
        let host = base.strip_prefix("http://").or(base.strip_prefix("https://"));
        let plain = |c: char| !c.is_whitespace() && !c.is_control() && !"?#@".contains(c);
        if !host.is_some_and(|h| !h.is_empty() && h.chars().all(plain)) {
            return Err(Diagnostic::new(Code::Syntax, format!("`{url}` is no address of a server"))
                .at("--url")
                .help("for example --url http://127.0.0.1:8000"));
        }
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("shardfit/", env!("CARGO_PKG_VERSION")))
            .max_idle_connections(connections)
            .max_idle_connections_per_host(connections)
            .timeout_connect(Some(timeout.min(Duration::from_secs(10))))
            .timeout_global(Some(timeout))
            .build()
            .new_agent();
        Ok(Client { agent, base, key })
    }

    /// The address without a path.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// A small text; its status and at most `limit` bytes of it.
    ///
    /// # Errors
    /// Why there is no answer.
    pub fn text(&self, path: &str, limit: u64) -> Result<(u16, String), String> {
        let mut request = self.agent.get(format!("{}{path}", self.base));
        if let Some(Key(key)) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let mut response = request.call().map_err(|e| why(&e))?;
        let status = response.status().as_u16();
        let mut bytes = Vec::new();
        let body = response.body_mut().as_reader().take(limit);
        { body }.read_to_end(&mut bytes).map_err(|_| "the connection broke".to_owned())?;
        Ok((status, String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Sends a JSON body; the answer's status and what it streams.
    ///
    /// # Errors
    /// Why there is no answer.
    pub fn stream(&self, path: &str, body: &str) -> Result<(u16, impl Read + use<>), String> {
        let mut request = self
            .agent
            .post(format!("{}{path}", self.base))
            .header("content-type", "application/json")
            .header("accept", "text/event-stream");
        if let Some(Key(key)) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let response = request.send(body).map_err(|e| why(&e))?;
        let status = response.status().as_u16();
        Ok((status, response.into_body().into_reader()))
    }
}

/// What kept a server from answering.
fn why(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(_) => "no answer in time".to_owned(),
        ureq::Error::HostNotFound => "its host is not known".to_owned(),
        ureq::Error::Io(e) if e.kind() == std::io::ErrorKind::TimedOut => "no answer in time".to_owned(),
        ureq::Error::Io(e) if e.kind() == std::io::ErrorKind::ConnectionRefused => {
            "the connection is refused".to_owned()
        }
        ureq::Error::Io(_) | ureq::Error::ConnectionFailed => "the connection broke".to_owned(),
        other => format!("no proper answer: {other}").chars().take(120).collect(),
    }
}
