//! Versions of an engine, as they are written.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

/// A released version: `0.19`, `0.6.4`, `1.2.0rc6`, the last of a series: `0.11.x`, or a build: `b7000`. Pre-release and post-release suffixes do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version([u32; 3]);

impl Version {
    /// Newer than any.
    pub const NEWEST: Version = Version([u32::MAX; 3]);

    /// Whether it stands for the last release of a series: `0.11.x`.
    pub fn is_series(self) -> bool {
        self.0[2] == u32::MAX
    }

    /// A release that is known to be: the first of a series, else the version itself.
    #[must_use]
    pub fn released(self) -> Version {
        Version(self.0.map(|part| if part == u32::MAX { 0 } else { part }))
    }

    /// Its first two parts: `0.19`.
    pub fn family(self) -> String {
        format!("{}.{}", self.0[0], self.0[1])
    }
}

impl FromStr for Version {
    type Err = String;
    fn from_str(text: &str) -> Result<Version, String> {
        let text = text.trim();
        let wrong = || format!("`{text}` is not a version; write 0.19 or 0.19.0");
        let (mut numbers, mut series) = ([0; 3], None);
        let mut parts = text.trim_start_matches(['v', 'b']).split('.');
        for (i, slot) in numbers.iter_mut().enumerate() {
            let Some(part) = parts.next() else { break };
            let digits = part.len() - part.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            // `0.5.post1` is 0.5; the first part must be a number.
            match part[..digits].parse() {
                Ok(number) => *slot = number,
                Err(_) if i > 0 && part == "x" => {
                    series = Some(i);
                    break;
                }
                Err(_) if i > 0 && digits == 0 && !part.is_empty() => break,
                Err(_) => return Err(wrong()),
            }
            if digits < part.len() {
                break;
            }
        }
        if let Some(from) = series {
            numbers[from..].fill(u32::MAX);
        }
        Ok(Version(numbers))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            // Builds that are numbered instead of versioned, as llama.cpp's.
            [build, 0, 0] if build >= 1000 => f.pad(&format!("b{build}")),
            [major, minor, patch] => f.pad(&format!("{major}.{minor}.{patch}")),
        }
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Version, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Version {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Version".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^ *[vb]?[0-9]",
            "examples": ["0.19.0"],
        })
    }
}

/// Which version of an engine is asked for: `0.19.0`, `v0`, `0.8.5-v0`, or as logs write it
/// (`0.8.5 (V0)`, `>=0.27`, `0.17-0.18 pytorch`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The version, if one is named.
    pub version: Option<Version>,
    /// Words beside it, of which one may name a backend.
    pub words: Vec<String>,
}

impl Asked {
    /// Takes the first version and every other word; never fails, since logs hold anything.
    pub fn read(text: &str) -> Asked {
        let mut asked = Asked::default();
        // All that is said.
        let major = Some(text.trim()).filter(|t| t.len() < 4 && t.bytes().all(|b| b.is_ascii_digit()));
        let separators = |c: char| c.is_whitespace() || matches!(c, '-' | '/' | '(' | ')' | '+' | '@');
        for word in text.split(separators).filter(|w| !w.is_empty()) {
            let number = word.trim_start_matches(['>', '=', '<', '~']);
            // A date or a build number is no version.
            match number.parse::<Version>() {
                Ok(v)
                    if asked.version.is_none()
                        && (number.contains('.') || number.starts_with('b') || major == Some(number)) =>
                {
                    asked.version = Some(v)
                }
                _ => asked.words.push(word.to_ascii_lowercase()),
            }
        }
        asked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn versions_compare_by_number_and_suffixes_do_not_count() {
        assert!(version("0.9.2") < version("0.10"));
        assert_eq!(version("1.2.0rc6.post2"), version("1.2"));
        // Whoever writes `0.11.x` runs a release of the series, the last of them most likely.
        assert!(version("0.11.x") > version("0.11.2") && version("0.11.x") < version("0.12"));
        assert!("".parse::<Version>().is_err() && "main".parse::<Version>().is_err());
    }

    #[test]
    fn logs_write_versions_in_many_ways() {
        let read = |text| Asked::read(text).version.map(|v| v.to_string());
        assert_eq!(read("0.19.0 (V1)").as_deref(), Some("0.19.0"));
        assert_eq!(read(">=0.27 (V1)").as_deref(), Some("0.27.0"));
        assert_eq!(read("0.17-0.18 pytorch").as_deref(), Some("0.17.0"));
        assert_eq!(read("nightly-dev-20260216-d3bae71e"), None);
        assert_eq!(Asked::read("0.8.5 (V0)").words, ["v0"]);
    }
}
