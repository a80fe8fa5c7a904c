//! What engines are released as, where that is not every version whose rules are described: a version may be known by its
//! candidates alone.
//!
//! `flags/releases.json` has the facts.

use std::sync::OnceLock;

use serde::Deserialize;

use crate::catalog::version::Version;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    engine: String,
    #[expect(dead_code, reason = "for readers of the file")]
    source: String,
    releases: Vec<String>,
}

/// The releases that are listed of an engine, oldest first; `None` where every version is one.
pub fn releases(engine: &str) -> Option<&'static [String]> {
    static LISTS: OnceLock<Vec<Listed>> = OnceLock::new();
    let lists = LISTS.get_or_init(|| {
        serde_json::from_str(include_str!("../../flags/releases.json")).expect("a test reads the file")
    });
    lists.iter().find(|list| list.engine == engine).map(|list| list.releases.as_slice())
}

/// The release of a version: itself, or the newest candidate for it; `None` where there is neither.
pub fn release_of(engine: &str, version: &str) -> Option<String> {
    let Some(listed) = releases(engine) else { return Some(version.to_owned()) };
    if listed.iter().any(|release| release == version) {
        return Some(version.to_owned());
    }
    let asked: Version = version.parse().ok()?;
    // One that is named by its candidate is taken at its word.
    if version.contains("rc") {
        return Some(version.to_owned());
    }
    listed.iter().rev().find(|release| release.parse() == Ok(asked)).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_is_not_out_is_its_newest_candidate() {
        // `pip index versions --pre tensorrt-llm`, December 2026: no 1.3.0 and no 1.4.0.
        assert_eq!(release_of("trtllm", "1.4.0").as_deref(), Some("1.4.0rc1"));
        assert_eq!(release_of("trtllm", "1.3.0").as_deref(), Some("1.3.0rc29"));
        assert_eq!(release_of("trtllm", "1.2.1").as_deref(), Some("1.2.1"));
        assert_eq!(release_of("trtllm", "1.3.0rc25").as_deref(), Some("1.3.0rc25"));
        assert_eq!(release_of("trtllm", "1.9.0"), None);
        assert_eq!(release_of("vllm", "0.33.0").as_deref(), Some("0.33.0"));
    }
}
