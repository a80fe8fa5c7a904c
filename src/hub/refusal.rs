//! What an answer of the hub other than the file means, and what to do about it.

use crate::diagnostic::{Code, Diagnostic};

use super::id::Id;
use super::source::Hub;

/// An answer that is not the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal<'a> {
    /// HTTP status.
    pub status: u16,
    /// `X-Error-Code`: `GatedRepo`, `RepoNotFound`, `RevisionNotFound`, `EntryNotFound`.
    pub code: Option<&'a str>,
    /// `Retry-After`.
    pub retry_after: Option<&'a str>,
}

impl Refusal<'_> {
    /// Whether the repository is there and the file is not. Mirrors that give no reason are taken at
    /// their status, but for the file that every model has.
    pub fn is_missing_file(&self, file: &str) -> bool {
        let unexplained = self.status == 404 && self.code.is_none() && file != "config.json";
        self.code == Some("EntryNotFound") || unexplained
    }

    /// What it means.
    pub fn explain(&self, hub: &Hub, id: &Id, file: &str) -> Diagnostic {
        let (cause, help) = match (self.status, self.code) {
            (_, Some("RevisionNotFound")) => {
                let cause = format!("`{}` has no revision `{}`", id.repository, id.revision());
                (cause, format!("{}/{}/commits lists them", hub.endpoint, id.repository))
            }
            (_, Some("GatedRepo")) => self.gated(hub, id),
            (401 | 404, Some("RepoNotFound")) | (404, None) => self.missing(hub, id),
            // Without a token the hub answers 401 for what is private and for what is not there.
            (401, _) => self.missing(hub, id),
            (403, _) => self.gated(hub, id),
            (404, _) => (format!("`{id}` has no file `{file}`"), "is it a model of another library?".into()),
            (429, _) => {
                let when = self.retry_after.filter(|text| text.len() < 40);
                let help = match when {
                    Some(seconds) => format!("try again after {seconds} s; a token raises the limit"),
                    None => "try again in some minutes; a token raises the limit".to_owned(),
                };
                ("the hub refuses for now: too many requests".to_owned(), help)
            }
            (500..=599, _) => {
                (format!("the hub has a fault of its own (status {})", self.status), "try again later".into())
            }
            (status, _) => (
                format!("the hub answered with status {status}"),
                "is HF_ENDPOINT the address of a hub?".into(),
            ),
        };
        Diagnostic::new(Code::Hub, cause).at(hub.address(id, file)).help(help)
    }

    fn gated(&self, hub: &Hub, id: &Id) -> (String, String) {
        let page = format!("{}/{}", hub.endpoint, id.repository);
        let help = match hub.token {
            Some(_) => format!("your token is known, but has no access yet: ask for it at {page}"),
            None => format!("ask for access at {page}, then set HF_TOKEN or run `hf auth login`"),
        };
        (format!("`{}` is gated", id.repository), help)
    }

    fn missing(&self, hub: &Hub, id: &Id) -> (String, String) {
        let help = match hub.token {
            Some(_) => "check the spelling, and that your token may read it",
            None => "check the spelling; if it is private or gated, set HF_TOKEN or run `hf auth login`",
        };
        (format!("the hub has no model `{}` that it lets you see", id.repository), help.to_owned())
    }
}
