//! Published sizes recomputed: what papers, model cards and the hub state beside our counts.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::diagnostic::Diagnostic;
use crate::load;
use crate::model::{self, Scope};

/// The published figures, with their sources.
static SIZES: &str = include_str!("published_sizes.yaml");

/// One published size.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Published {
    model: String,
    total: u64,
    active: Option<u64>,
    source: String,
    differs: Option<String>,
    #[serde(default)]
    beside: i64,
    #[serde(default)]
    active_beside: i64,
    config: Option<Map<String, Value>>,
}

/// A published size and ours.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownSize {
    /// Catalogue name, or the paper's.
    pub model: String,
    /// Published total, rounded as published.
    pub total: u64,
    /// Our total.
    pub our_total: u64,
    /// Published active parameters.
    pub active: Option<u64>,
    /// Ours.
    pub our_active: u64,
    /// Who published it.
    pub source: String,
    /// What the published figure counts differently from ours.
    pub differs: Option<String>,
    /// Parameters that the published total counts beside ours; negative where it counts fewer.
    pub beside: i64,
    /// The same of the active ones.
    pub active_beside: i64,
}

/// Most that a rounded figure of a paper or a card may be off, in per cent: `57B` stands for 56.5 to 57.5, and an
/// active `2.7B` for 2.65 to 2.75.
const ROUNDED_PERCENT: (f64, f64) = (1.5, 2.0);

/// The same of a checkpoint's exact total, where what it counts beside ours is known but for scales and buffers.
const DESCRIBED_PERCENT: f64 = 0.01;

impl KnownSize {
    /// Whether ours, with what the published figures count beside it, is what was published: exactly where the figure
    /// is exact, else within what rounding explains.
    pub fn passes(&self) -> bool {
        let exact = !self.total.is_multiple_of(10_000_000);
        let total = match (exact, &self.differs) {
            (false, _) => ROUNDED_PERCENT.0,
            (true, Some(_)) => DESCRIBED_PERCENT,
            (true, None) => 0.0,
        };
        let off =
            |ours: u64, beside: i64, published| percent(ours.saturating_add_signed(beside), published).abs();
        off(self.our_total, self.beside, self.total) <= total
            && self.active.is_none_or(|published| {
                off(self.our_active, self.active_beside, published) <= ROUNDED_PERCENT.1
            })
    }

    /// Error of our total, in per cent of the published one.
    pub fn error_percent(&self) -> f64 {
        percent(self.our_total, self.total)
    }

    /// Error of our active parameters, in per cent of the published ones.
    pub fn active_error_percent(&self) -> Option<f64> {
        self.active.map(|published| percent(self.our_active, published))
    }
}

fn percent(ours: u64, published: u64) -> f64 {
    100.0 * (ours as f64 - published as f64) / published as f64
}

/// Every published size, recomputed.
///
/// # Errors
/// Never for the file that ships; the type is that of reading a model.
pub fn known_sizes() -> Result<Vec<KnownSize>, Diagnostic> {
    let published: Vec<Published> = load::yaml(SIZES, "published_sizes.yaml")?;
    published.into_iter().map(recompute).collect()
}

/// The config of a model that a paper or card describes and the catalogue lacks, where its name's letters and digits
/// are these.
pub(super) fn config_of(bare: impl Fn(&str) -> String, wanted: &str) -> Option<Map<String, Value>> {
    let published: Vec<Published> = load::yaml(SIZES, "published_sizes.yaml").ok()?;
    published.into_iter().find(|p| bare(&p.model) == wanted).and_then(|p| p.config)
}

fn recompute(p: Published) -> Result<KnownSize, Diagnostic> {
    let model = match &p.config {
        Some(config) => model::from_config(config, &p.model, Scope::Full)?,
        None => model::find(&p.model, &[], Scope::Full)?,
    };
    let count = model.parameters()?;
    Ok(KnownSize {
        model: p.model,
        total: p.total,
        our_total: count.total,
        active: p.active,
        our_active: count.active,
        source: p.source,
        differs: p.differs,
        beside: p.beside,
        active_beside: p.active_beside,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_published_size_is_met_with_what_it_counts_beside_ours() {
        for known in known_sizes().unwrap() {
            assert!(known.passes(), "{known:?}");
        }
    }

    #[test]
    fn a_size_that_is_off_does_not_pass() {
        let known =
            known_sizes().unwrap().into_iter().find(|k| k.model == "meta-llama/Meta-Llama-3-8B").unwrap();
        assert!(known.passes());
        assert!(!KnownSize { our_total: known.our_total + 1, ..known }.passes());
    }

    #[test]
    fn the_sizes_that_everybody_knows_come_out() {
        let all = known_sizes().unwrap();
        let ours = |name: &str| all.iter().find(|k| k.model == name).map(|k| k.our_total).unwrap();
        assert_eq!(ours("LLaMA 7B"), 6_738_415_616);
        assert_eq!(ours("LLaMA 13B"), 13_015_864_320);
        assert_eq!(ours("LLaMA 65B"), 65_285_660_672);
        assert_eq!(ours("meta-llama/Llama-2-70b-hf"), 68_976_648_192);
        assert_eq!(ours("GPT-3 175B"), 174_604_259_328);
    }
}
