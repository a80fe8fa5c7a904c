//! What is published of models: what they were made for, licence, day of release, scores. Facts of `published/`, whose
//! README names the source of each file.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::sync::LazyLock;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::diagnostic::Diagnostic;
use crate::dtype::WeightFormat;

/// What a model is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Purpose {
    /// It answers in a conversation.
    Chat,
    /// It writes programs.
    Code,
    /// It looks at images.
    Vision,
    /// It makes vectors of texts.
    Embedding,
    /// It thinks before it answers.
    Reasoning,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Purpose; 5] =
        [Purpose::Chat, Purpose::Code, Purpose::Vision, Purpose::Embedding, Purpose::Reasoning];

    /// Name as on the command line and in `published/models.csv`.
    pub const fn name(self) -> &'static str {
        match self {
            Purpose::Chat => "chat",
            Purpose::Code => "code",
            Purpose::Vision => "vision",
            Purpose::Embedding => "embedding",
            Purpose::Reasoning => "reasoning",
        }
    }
}

impl FromStr for Purpose {
    type Err = Diagnostic;
    fn from_str(text: &str) -> Result<Purpose, Diagnostic> {
        let names = Purpose::ALL.map(Purpose::name);
        Purpose::ALL.into_iter().find(|purpose| purpose.name() == text.trim()).ok_or_else(|| {
            Diagnostic::unknown("task", text, names, &format!("allowed: {}", names.join(", ")))
        })
    }
}

/// What is published of one model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// The model of the catalogue that this one is a quantised form of.
    pub of: Option<String>,
    /// Day of its release, `2025-04-28`.
    pub released: Option<String>,
    /// Its licence, as the Hugging Face hub calls it.
    pub license: Option<String>,
    /// What it was made for; that it sees is read from its configuration.
    pub purposes: Vec<Purpose>,
}

impl Facts {
    /// Whether its licence lets everybody use, change and sell it: what the Open Source Initiative approves of.
    pub fn is_permissive(&self) -> bool {
        let known = ["apache-2.0", "mit", "bsd-3-clause", "cc-by-4.0"];
        self.license.as_deref().is_some_and(|license| known.contains(&license))
    }
}

/// A measure of quality that somebody publishes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Measure {
    /// Identifier.
    #[serde(rename = "measure")]
    pub id: String,
    /// What it is called.
    pub title: String,
    /// Name of the purpose that it measures.
    task: String,
    /// Day of its scores.
    pub date: String,
    /// Where they stand.
    pub source: String,
    /// Licence of the copy that they were taken from.
    pub license: String,
}

/// What a model scores by a measure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// The score.
    pub value: f64,
    /// Half the width of its 95 % interval, if that is published.
    pub interval: Option<f64>,
}

#[derive(Deserialize)]
struct ModelRow {
    model: String,
    of: Option<String>,
    released: Option<String>,
    license: Option<String>,
    tasks: String,
}

#[derive(Deserialize)]
struct ScoreRow {
    model: String,
    measure: String,
    score: f64,
    interval: Option<f64>,
}

#[derive(Deserialize)]
struct FormatRow {
    format: String,
    perplexity: f64,
}

/// Everything that ships.
struct Published {
    models: BTreeMap<String, Facts>,
    measures: Vec<Measure>,
    scores: BTreeMap<(String, String), Score>,
    /// Perplexity by format.
    formats: Vec<(WeightFormat, f64)>,
}

fn rows<T: DeserializeOwned>(text: &'static str) -> impl Iterator<Item = T> {
    csv::Reader::from_reader(text.as_bytes()).into_deserialize().map(|row| row.expect("a file that ships"))
}

static PUBLISHED: LazyLock<Published> = LazyLock::new(|| {
    let purposes =
        |names: &str| Purpose::ALL.into_iter().filter(|p| names.split(' ').any(|n| n == p.name())).collect();
    let facts = |row: ModelRow| {
        let purposes = purposes(&row.tasks);
        (row.model, Facts { of: row.of, released: row.released, license: row.license, purposes })
    };
    let score =
        |row: ScoreRow| ((row.model, row.measure), Score { value: row.score, interval: row.interval });
    let format = |row: FormatRow| (row.format.parse().expect("a format that is known"), row.perplexity);
    Published {
        models: rows::<ModelRow>(include_str!("../../published/models.csv")).map(facts).collect(),
        measures: rows(include_str!("../../published/measures.csv")).collect(),
        scores: rows::<ScoreRow>(include_str!("../../published/scores.csv")).map(score).collect(),
        formats: rows::<FormatRow>(include_str!("../../published/formats.csv")).map(format).collect(),
    }
});

/// What is published of a model; nothing of one that does not ship.
pub fn facts(model: &str) -> Option<&'static Facts> {
    PUBLISHED.models.get(model)
}

/// The measure that models are ranked by where they serve a purpose: conversations unless the purpose has its own;
/// `None` where nothing is published of that (embedding).
pub fn measure(purpose: Option<Purpose>) -> Option<&'static Measure> {
    let named = |name| PUBLISHED.measures.iter().find(|measure| measure.task == name);
    match purpose {
        Some(Purpose::Embedding) => None,
        Some(purpose) => named(purpose.name()).or_else(|| named(Purpose::Chat.name())),
        None => named(Purpose::Chat.name()),
    }
}

/// What a model scores by a measure.
pub fn score(model: &str, measure: &Measure) -> Option<Score> {
    PUBLISHED.scores.get(&(model.to_owned(), measure.id.clone())).copied()
}

/// Every licence that a model of the catalogue has, sorted.
pub fn licenses() -> Vec<&'static str> {
    let named = PUBLISHED.models.values().filter_map(|facts| facts.license.as_deref());
    named.collect::<BTreeSet<_>>().into_iter().collect()
}

/// How much a format raises perplexity over 16 bits, as a share, where that is published: of Llama 3 8B, smaller models
/// lose more and larger ones less.
pub fn loss(format: WeightFormat) -> Option<f64> {
    let of = |wanted| PUBLISHED.formats.iter().find(|(format, _)| *format == wanted).map(|(_, ppl)| *ppl);
    Some(of(format)? / of(WeightFormat::Fp16)? - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_scores_and_losses_are_those_of_their_sources() {
        let qwen = facts("Qwen/Qwen3-32B-FP8").unwrap();
        assert_eq!(
            (qwen.of.as_deref(), qwen.license.as_deref()),
            (Some("Qwen/Qwen3-32B"), Some("apache-2.0"))
        );
        assert!(qwen.is_permissive() && qwen.purposes == [Purpose::Chat, Purpose::Reasoning]);
        // arena.ai on 21 August 2026.
        let text = measure(None).unwrap();
        assert_eq!(score("google/gemma-3-27b-it", text).unwrap().value, 1366.0);
        assert_eq!(measure(Some(Purpose::Reasoning)), Some(text));
        assert_eq!(
            score("google/gemma-3-27b-it", measure(Some(Purpose::Vision)).unwrap()).unwrap().value,
            1160.0
        );
        // llama.cpp, tools/perplexity/README.md: a ratio of 1.028160 for Q4_K_M, 1.564849 for Q2_K.
        assert!((loss(WeightFormat::Q4KM).unwrap() - 0.028160).abs() < 1e-4);
        assert!((loss(WeightFormat::Q2K).unwrap() - 0.564849).abs() < 1e-4);
        assert_eq!(loss(WeightFormat::Fp8), None);
    }
}
