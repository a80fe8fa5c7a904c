//! An engine in the version that is asked for: the newest profile, and what differs in older ones.

use itertools::Itertools;

use super::engine::Engine;
use super::profile::EngineVersion;
use super::version::{Asked, Version};
use crate::diagnostic::{Code, Diagnostic};
use crate::dtype::WeightFormat;

impl EngineVersion {
    fn apply(&self, to: &mut Engine) {
        if self.backend.is_some() {
            to.backend.clone_from(&self.backend);
        }
        if self.kernel_set.is_some() {
            to.kernel_set.clone_from(&self.kernel_set);
        }
        let set = |from: &Option<Vec<WeightFormat>>, slot: &mut Vec<WeightFormat>| {
            if let Some(list) = from {
                slot.clone_from(list);
            }
        };
        set(&self.weight_formats, &mut to.weight_formats);
        set(&self.weight_only_formats, &mut to.weight_only_formats);
        if let Some(lacks) = &self.lacks {
            to.lacks.clone_from(lacks);
        }
        if let Some(types) = &self.kv_types {
            to.kv_types.clone_from(types);
        }
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
    /// Checks that the figures make sense together.
    ///
    /// # Errors
    /// The first of [`Engine::problems`].
    pub fn validate(&self) -> Result<(), Diagnostic> {
        self.problems().into_iter().next().map_or(Ok(()), Err)
    }

    /// Figures that make no sense, in the profile or in a version, [`Code::Catalog`] naming the field.
    pub fn problems(&self) -> Vec<Diagnostic> {
        let mut problems = self.profile_problems();
        // What is wrong with the profile is wrong with the versions too, and said once.
        if problems.is_empty() {
            problems = self.version_problems();
            problems.extend(self.launch_problems());
        }
        problems
    }

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
        let version = asked.version.unwrap_or(Version::NEWEST);
        let mut engine = Engine { versions: Vec::new(), ..self.clone() };
        engine.launch_with(&asked.words);
        if let Some(version) = asked.version {
            engine.version = version.released();
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
                match asked.version {
                    None => engine.version = entry.from,
                    Some(version) if version.is_series() => engine.version = engine.version.max(entry.from),
                    Some(_) => {}
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

    /// The engine in a version as a log writes it: what cannot be made out has the newest profile.
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
    fn version_problems(&self) -> Vec<Diagnostic> {
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
    use crate::catalog;

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
        let error = catalog::engine("vllm@0.1").unwrap_err();
        assert!(error.to_string().contains("0.17.0"), "{error}");
        for name in ["vllm@v9", "vllm@0.8.5-v9", "vllm@", "vllm@latest"] {
            assert!(catalog::engine(name).is_err(), "{name}");
        }
    }
}
