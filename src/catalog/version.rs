//! Versions of an engine: how they are written, and what differs in the older ones.

use std::fmt;
use std::str::FromStr;

use itertools::Itertools;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use super::engine::{
    DecodeContext, Engine, EngineDefaultsPatch, MemoryRulePatch, SchedulingPatch, UnsharedHeads,
};
use crate::diagnostic::{Code, Diagnostic};
use crate::dtype::{DType, WeightFormat};

/// A released version: `0.19`, `0.6.4`, `1.2.0rc6`, or a build: `b7000`. Pre-release and post-release suffixes do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version([u32; 3]);

impl Version {
    /// Newer than any.
    pub const NEWEST: Version = Version([u32::MAX; 3]);

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
        let mut numbers = [0; 3];
        let mut parts = text.trim_start_matches(['v', 'b']).split('.');
        for (i, slot) in numbers.iter_mut().enumerate() {
            let Some(part) = parts.next() else { break };
            let digits = part.len() - part.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            // `0.11.x` is 0.11, `0.5.post1` is 0.5; the first part must be a number.
            match part[..digits].parse() {
                Ok(number) => *slot = number,
                Err(_) if i > 0 && digits == 0 && !part.is_empty() => break,
                Err(_) => return Err(wrong()),
            }
            if digits < part.len() {
                break;
            }
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

/// What differs from the newest profile in an older version, or in another backend.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EngineVersion {
    /// First version that it describes; up to the next newer entry.
    pub from: Version,
    /// Name of the backend, if not that of the newest profile: `v0`, `engine`.
    #[serde(default)]
    pub backend: Option<String>,
    /// Whether the backend must be asked for by name.
    #[serde(default)]
    pub on_request: bool,
    /// Weight formats it loads.
    #[serde(default)]
    pub weight_formats: Option<Vec<WeightFormat>>,
    /// Formats it widens to 16 bits.
    #[serde(default)]
    pub weight_only_formats: Option<Vec<WeightFormat>>,
    /// KV cache types.
    #[serde(default)]
    pub kv_types: Option<Vec<DType>>,
    /// Whether the cache follows 8-bit weights.
    #[serde(default)]
    pub kv_follows_weights: Option<bool>,
    /// Whether sliding windows apply without being asked for.
    #[serde(default)]
    pub windows: Option<bool>,
    /// Whether layers that attend in chunks drop what lies before a chunk from their cache.
    #[serde(default)]
    pub chunk_cache: Option<bool>,
    /// Decode attention in which query heads do not share their KV head.
    #[serde(default)]
    pub unshared_heads: Option<UnsharedHeads>,
    /// Tokens per KV block.
    #[serde(default)]
    pub kv_block: Option<u32>,
    /// Caches whose tokens ranks divide (`parallel.decode_context`).
    #[serde(default)]
    pub decode_context: Option<DecodeContext>,
    /// Launch defaults.
    #[serde(default)]
    pub defaults: EngineDefaultsPatch,
    /// Memory rule.
    #[serde(default)]
    pub memory: MemoryRulePatch,
    /// Scheduling.
    #[serde(default)]
    pub scheduling: SchedulingPatch,
}

impl EngineVersion {
    fn apply(&self, to: &mut Engine) {
        if self.backend.is_some() {
            to.backend.clone_from(&self.backend);
        }
        let set = |from: &Option<Vec<WeightFormat>>, slot: &mut Vec<WeightFormat>| {
            if let Some(list) = from {
                slot.clone_from(list);
            }
        };
        set(&self.weight_formats, &mut to.weight_formats);
        set(&self.weight_only_formats, &mut to.weight_only_formats);
        if let Some(types) = &self.kv_types {
            to.kv_types.clone_from(types);
        }
        to.kv_follows_weights = self.kv_follows_weights.unwrap_or(to.kv_follows_weights);
        to.windows = self.windows.unwrap_or(to.windows);
        to.chunk_cache = self.chunk_cache.unwrap_or(to.chunk_cache);
        if self.unshared_heads.is_some() {
            to.unshared_heads.clone_from(&self.unshared_heads);
        }
        to.kv_block = self.kv_block.unwrap_or(to.kv_block);
        if let Some(caches) = &self.decode_context {
            to.parallel.decode_context.clone_from(caches);
        }
        self.defaults.apply(&mut to.defaults);
        self.memory.apply(&mut to.memory);
        self.scheduling.apply(&mut to.scheduling);
    }
}

impl Engine {
    /// The engine as it was in a version: the newest profile, with what the newest entry of `versions`
    /// that is not newer says instead. A version beyond the newest profile has that profile.
    ///
    /// # Errors
    /// [`Code::UnknownName`] for a backend that the engine does not have, [`Code::Range`] for a version
    /// older than all that are described; both name what is.
    pub fn at(&self, asked: &Asked) -> Result<Engine, Diagnostic> {
        let backend = self.named_backend(asked);
        let suffix = |word: &&String| ["rc", "post", "dev"].iter().any(|s| word.starts_with(s));
        let names = || self.backends().chain(self.launches.keys().map(String::as_str));
        let known = |word: &&String| suffix(word) || names().any(|name| name == word.as_str());
        let strange = asked.words.iter().find(|w| !known(w));
        if strange.is_some() || *asked == Asked::default() {
            let text = strange.map_or("", String::as_str);
            let list = format!("known: {}", self.known());
            return Err(
                Diagnostic::unknown("version", text, names(), &list).at(format!("engine {}", self.id))
            );
        }
        let version = asked.version.unwrap_or(Version([u32::MAX; 3]));
        let mut engine = Engine { versions: Vec::new(), ..self.clone() };
        engine.launch_with(&asked.words);
        if let Some(version) = asked.version {
            engine.version = version;
        }
        engine.beyond = (engine.version > self.version).then_some(self.version);
        let newest = version >= self.version && backend.is_none_or(|b| self.backend.as_deref() == Some(b));
        if newest {
            return Ok(engine);
        }
        let fits = |v: &&EngineVersion| match backend {
            Some(name) => v.backend.as_deref().or(self.backend.as_deref()) == Some(name),
            None => !v.on_request,
        };
        let entry = self.versions.iter().filter(fits).filter(|v| v.from <= version).max_by_key(|v| v.from);
        match entry {
            Some(entry) => {
                if asked.version.is_none() {
                    engine.version = entry.from;
                }
                engine.beyond = engine.beyond.map(|_| entry.from);
                entry.apply(&mut engine);
                Ok(engine)
            }
            None => Err(Diagnostic::new(Code::Range, format!("version {version} is not described"))
                .at(format!("engine {}", self.id))
                .help(format!("known: {}", self.known()))),
        }
    }

    /// What to know of a version that is newer than all that are described: which the newest of them is, and that
    /// its rules stand in. Releases of one family, `0.21.0` and `0.21.3`, are taken to be alike.
    pub fn caveat(&self) -> Option<String> {
        let newest = self.beyond.filter(|newest| newest.family() != self.version.family())?;
        let (id, asked) = (&self.id, self.version);
        Some(format!(
            "{id} {asked} is newer than {newest}, the newest that is described: the rules of {id} {newest} stand in, \
             for memory, limits and scheduling"
        ))
    }

    /// The same for a version as a log writes it: what cannot be made out has the newest profile.
    #[must_use]
    pub fn logged(&self, text: &str) -> Engine {
        let mut asked = Asked::read(text);
        asked.words.retain(|word| self.backends().any(|b| b == word));
        self.at(&asked).unwrap_or_else(|_| {
            // Older than all that is described: the oldest comes closest.
            let first = self.versions.iter().filter(|v| !v.on_request).map(|v| v.from).min();
            let oldest = Asked {
                version: first.filter(|first| asked.version.is_some_and(|v| v < *first)),
                words: Vec::new(),
            };
            self.at(&oldest).unwrap_or_else(|_| self.clone())
        })
    }

    fn backends(&self) -> impl Iterator<Item = &str> {
        self.backend.as_deref().into_iter().chain(self.versions.iter().filter_map(|v| v.backend.as_deref()))
    }

    fn named_backend(&self, asked: &Asked) -> Option<&str> {
        self.backends().find(|b| asked.words.iter().any(|w| w == b))
    }

    /// The versions that are described, in words.
    fn known(&self) -> String {
        let newest = format!("{} and later", self.version);
        let name = |v: &EngineVersion| match &v.backend {
            Some(backend) if v.on_request => format!("{} on ({backend})", v.from),
            _ => format!("{} on", v.from),
        };
        let launches = self.launches.keys().map(|name| format!("launched with {name}"));
        std::iter::once(newest).chain(self.versions.iter().map(name)).chain(launches).join(", ")
    }

    /// What makes no sense about the versions: their order, and the profile that each makes.
    pub(super) fn version_problems(&self) -> Vec<Diagnostic> {
        let mut problems = Vec::new();
        let mut fail = |why: String| {
            let problem = Diagnostic::new(Code::Catalog, format!("versions: {why}"));
            problems.push(problem.at(format!("engine {}", self.id)).field("versions"));
        };
        for pair in self.versions.windows(2) {
            if pair[0].from < pair[1].from {
                fail(format!("{} stands before {}: newest first", pair[0].from, pair[1].from));
            }
        }
        for entry in &self.versions {
            if entry.from >= self.version && !entry.on_request {
                fail(format!("{} is not older than the profile, {}", entry.from, self.version));
            }
            if entry.on_request && entry.backend.is_none() {
                fail(format!("{} is on request and needs a backend to ask for", entry.from));
            }
        }
        for entry in &self.versions {
            let mut engine = Engine { versions: Vec::new(), ..self.clone() };
            entry.apply(&mut engine);
            let within = |d: Diagnostic| d.within(format!("version {}", entry.from)).field("versions");
            problems.extend(engine.profile_problems().into_iter().map(within));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn versions_compare_by_number_and_suffixes_do_not_count() {
        assert!(version("0.9.2") < version("0.10"));
        assert_eq!(version("1.2.0rc6.post2"), version("1.2"));
        assert_eq!(version("0.11.x"), version("0.11.0"));
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

    #[test]
    fn vllm_changes_with_its_versions() {
        let at = |text| catalog::engine(&format!("vllm@{text}")).unwrap();
        assert_eq!((at("0.21").memory.fraction, at("0.19.0").memory.fraction), (0.92, 0.9));
        assert!(at("0.27").memory.graphs_inside_fraction && !at("0.20").memory.graphs_inside_fraction);
        assert_eq!(at("0.16").memory.sampler_values_per_logit, 9.7);
        assert_eq!(at("0.17").memory.sampler_values_per_logit, 3.85);
        assert!(!at("0.7.3").scheduling.mixes_prefill, "V0 computes prompts alone");
        assert_eq!(at("v0").backend.as_deref(), Some("v0"));
        // Turing and Volta stayed on V0 for a while.
        assert_eq!(at("0.8.5-v0").memory, at("0.7.3").memory);
        assert_ne!(at("0.8.5").memory, at("0.7.3").memory);
    }

    #[test]
    fn a_backend_on_request_is_not_taken_unasked() {
        let at = |text| catalog::engine(&format!("trtllm@{text}")).unwrap().backend.unwrap();
        assert_eq!((at("0.19").as_str(), at("0.19-pytorch").as_str()), ("engine", "pytorch"));
        assert_eq!((at("1.0").as_str(), at("1.0-engine").as_str()), ("pytorch", "engine"));
    }

    #[test]
    fn a_version_newer_than_all_says_whose_rules_stand_in() {
        let newest = catalog::engine("vllm").unwrap().version;
        for name in ["vllm@0.99", "vllm@1", "vllm@2026.1"] {
            let said = catalog::engine(name).unwrap().caveat().unwrap();
            assert!(said.contains(&format!("the rules of vllm {newest} stand in")), "{name}: {said}");
        }
        // The newest profile of the backend that was asked for.
        let said = catalog::engine("trtllm@9.9-engine").unwrap().caveat().unwrap();
        assert!(said.contains("trtllm 9.9.0 is newer than 0.12.0"), "{said}");
        for name in ["vllm", "vllm@0.19", &format!("vllm@{}.9", newest.family())] {
            assert_eq!(catalog::engine(name).unwrap().caveat(), None, "{name}");
        }
    }

    #[test]
    fn a_version_older_than_all_is_refused_with_the_known_ones() {
        let error = catalog::engine("vllm@0.2").unwrap_err();
        assert!(error.to_string().contains("0.17.0"), "{error}");
        for name in ["vllm@v9", "vllm@0.8.5-v9", "vllm@", "vllm@latest"] {
            assert!(catalog::engine(name).is_err(), "{name}");
        }
    }
}
