//! Where models that are not at hand come from.

use std::path::PathBuf;
use std::time::Duration;

use super::id::Id;

/// A secret that is not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(pub(super) String);

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

    /// Where a file of a repository is.
    pub fn address(&self, id: &Id, file: &str) -> String {
        format!("{}/{}/resolve/{}/{file}", self.endpoint, id.repository, id.revision())
    }
}
