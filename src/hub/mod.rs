//! The Hugging Face hub: its local cache first, then the network.
//!
//! Names, variables and the cache's layout are those of the `huggingface_hub` package
//! (`constants.py`, `file_download.py`); what an answer means is in its `utils/_http.py`.

mod cache;
mod environment;
#[cfg(feature = "fetch")]
mod http;
#[cfg(feature = "fetch")]
mod refusal;

use std::path::PathBuf;
use std::time::Duration;

use crate::diagnostic::{Code, Diagnostic};
use crate::load;

/// A model on the hub: `org/name` or `org/name@revision`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Id {
    /// `org/name`.
    pub repository: String,
    /// Branch, tag or commit; `main` when none is named.
    pub revision: Option<String>,
}

impl Id {
    /// Reads `org/name` or `org/name@revision`; `None` when the text cannot be one.
    pub fn parse(text: &str) -> Option<Id> {
        let (repository, revision) = match text.split_once('@') {
            Some((repository, revision)) => (repository, Some(revision)),
            None => (text, None),
        };
        let (organisation, name) = repository.split_once('/')?;
        let fits = is_part(organisation) && is_part(name) && revision.is_none_or(is_revision);
        fits.then(|| Id { repository: repository.to_owned(), revision: revision.map(str::to_owned) })
    }

    /// The branch, tag or commit.
    pub fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or("main")
    }

    /// The name of its file in a folder of models: `org--name.json`.
    pub fn file_name(&self) -> String {
        format!("{}.json", self.repository.replacen('/', "--", 1))
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.revision {
            Some(revision) => write!(f, "{}@{revision}", self.repository),
            None => f.write_str(&self.repository),
        }
    }
}

/// One half of `org/name` (`validate_repo_id` of `huggingface_hub`): letters, digits, `-`, `_`, `.`, at
/// most 96, no `--` or `..`, neither `-` nor `.` at an end.
fn is_part(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=96).contains(&text.len())
        && text.chars().all(allowed)
        && !text.contains("--")
        && !text.contains("..")
        && !text.starts_with(['-', '.'])
        && !text.ends_with(['-', '.'])
}

/// A branch, tag or commit that is safe in an address and in a path.
fn is_revision(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    (1..=255).contains(&text.len())
        && text.chars().all(allowed)
        && text.split('/').all(|part| !part.is_empty() && !part.starts_with('.'))
}

/// A secret that is not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Where models that are not at hand come from.
#[derive(Clone, Debug)]
pub struct Hub {
    /// Address of the hub, without a slash at its end.
    pub endpoint: String,
    /// Sent to the endpoint and to nobody else.
    pub token: Option<Token>,
    /// The local cache: `models--org--name/snapshots/<commit>/…`.
    pub cache: Option<PathBuf>,
    /// Whether the network may not be used.
    pub offline: bool,
    /// Longest wait for a connection and for each part of an answer.
    pub timeout: Duration,
    /// Told before the network is used.
    pub announce: fn(&str),
}

/// The hub's address unless `HF_ENDPOINT` names another.
pub const ENDPOINT: &str = "https://huggingface.co";

/// A file of a repository as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// What it says.
    pub text: String,
    /// The commit that it is from, if known.
    pub commit: Option<String>,
}

/// A file of a repository, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Download {
    /// The bytes asked for.
    pub bytes: Vec<u8>,
    /// The commit that they are from, if the hub says.
    pub commit: Option<String>,
    /// Bytes of the whole file, if it was asked for in part.
    pub whole: Option<u64>,
}

/// Which part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it, up to a limit.
    Whole {
        /// Largest size accepted.
        limit: u64,
    },
    /// Some bytes.
    Range {
        /// First byte.
        offset: u64,
        /// How many; fewer come where the file ends before.
        count: u64,
    },
}

impl Hub {
    /// No cache and no network: only what is at hand.
    pub fn none() -> Hub {
        Hub {
            endpoint: ENDPOINT.to_owned(),
            token: None,
            cache: None,
            offline: true,
            timeout: Duration::from_secs(10),
            announce: |_| {},
        }
    }

    /// A file of a repository as text: from the local cache, else from the hub. `None` where the
    /// repository is known not to have it.
    ///
    /// # Errors
    /// [`Code::Hub`] when neither has the repository, or the hub cannot be asked.
    pub fn text(&self, id: &Id, file: &str) -> Result<Option<Text>, Diagnostic> {
        if let Some(snapshot) = self.snapshot(id)
            && snapshot.join("config.json").is_file()
        {
            let path = snapshot.join(file);
            let commit = snapshot.file_name().map(|name| name.to_string_lossy().into_owned());
            let text = if path.is_file() { Some(load::text(&path)?) } else { None };
            return Ok(text.map(|text| Text { text, commit }));
        }
        let part = Part::Whole { limit: load::MAX_INPUT_BYTES };
        let Some(download) = self.get(id, file, part)? else { return Ok(None) };
        let text = String::from_utf8(download.bytes).map_err(|_| {
            Diagnostic::new(Code::Hub, format!("`{file}` is not text")).at(self.address(id, file))
        })?;
        Ok(Some(Text { text, commit: download.commit }))
    }

    /// A file, or a part of one, over the network. `None` where the repository has no such file.
    ///
    /// # Errors
    /// [`Code::Hub`] when offline, refused, missing, too large, or out of reach.
    pub fn get(&self, id: &Id, file: &str, part: Part) -> Result<Option<Download>, Diagnostic> {
        if self.offline {
            return Err(Diagnostic::new(
                Code::Hub,
                format!("`{id}` is not in the local cache, and the network is off"),
            )
            .help("leave out --offline and HF_HUB_OFFLINE, or name a path to its config.json"));
        }
        #[cfg(feature = "fetch")]
        {
            (self.announce)(&format!("asking {} for {file} of {id}", self.endpoint));
            http::get(self, id, file, part)
        }
        #[cfg(not(feature = "fetch"))]
        {
            let _ = (file, part);
            Err(Diagnostic::new(
                Code::Hub,
                format!("`{id}` is not in the local cache, and this build cannot fetch it"),
            )
            .help("build with the feature `fetch`, or name a path to its config.json"))
        }
    }

    /// Where a file of a repository is.
    pub fn address(&self, id: &Id, file: &str) -> String {
        format!("{}/{}/resolve/{}/{file}", self.endpoint, id.repository, id.revision())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_an_organisation_and_a_name_with_or_without_a_revision() {
        let id = Id::parse("meta-llama/Llama-3.1-8B@refs/pr/3").unwrap();
        assert_eq!((id.repository.as_str(), id.revision()), ("meta-llama/Llama-3.1-8B", "refs/pr/3"));
        assert_eq!(Id::parse("gpt/oss").unwrap().revision(), "main");
        assert_eq!(id.file_name(), "meta-llama--Llama-3.1-8B.json");
    }

    #[test]
    fn paths_and_addresses_are_no_ids() {
        for text in [
            "llama", "a/b/c", "../x", "a/..", "a/b@", "a/b@../c", "a/b@/c", "/a", "a/", "a b/c", "a/b?x",
            "é/b",
        ] {
            assert_eq!(Id::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_token_is_not_printed() {
        let hub = Hub { token: Some(Token("hf_secret".into())), ..Hub::none() };
        assert!(!format!("{hub:?}").contains("secret"));
    }

    #[test]
    fn offline_says_what_to_do() {
        let id = Id::parse("a/b").unwrap();
        let error = Hub::none().text(&id, "config.json").unwrap_err();
        assert_eq!(error.code, Code::Hub);
        assert!(error.help.unwrap().contains("--offline"));
    }
}
