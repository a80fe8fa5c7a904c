//! What was seen of a server under a load, and the figures that are compared.

use std::collections::BTreeMap;

use super::metrics::Counters;
use crate::validate::Row;

/// A figure that is compared: its column in measured rows, and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figure {
    /// Column of measured rows.
    pub column: &'static str,
    /// What it is, for people.
    pub meaning: &'static str,
    /// Whether more of it is better.
    pub more_is_better: bool,
}

const fn figure(column: &'static str, meaning: &'static str, more_is_better: bool) -> Figure {
    Figure { column, meaning, more_is_better }
}

/// Every figure, in the order of reports.
pub const FIGURES: [Figure; 8] = [
    figure("ttft_ms", "time to first token, mean", false),
    figure("median_ttft_ms", "time to first token, median", false),
    figure("tpot_ms", "time per output token after the first, mean", false),
    figure("median_tpot_ms", "the same, median", false),
    figure("e2e_ms", "request to last token, mean", false),
    figure("output_tok_s", "output tokens per second", true),
    figure("req_s", "requests per second", true),
    figure("kv_cache_tokens", "tokens that the KV cache holds", true),
];

/// Figures by column.
pub type Figures = BTreeMap<&'static str, f64>;

/// What was seen of a server under a load.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observation {
    /// Where it was seen: an address, or a file with the row's name.
    pub source: String,
    /// The model as the server or the file names it.
    pub model: Option<String>,
    /// The engine's version as the server tells it.
    pub version: Option<String>,
    /// Prompt tokens of a request, mean.
    pub isl: f64,
    /// Output tokens of a request, mean.
    pub osl: f64,
    /// Requests in flight, of a closed loop.
    pub concurrency: Option<u64>,
    /// Requests per second, of an open loop.
    pub rate: Option<f64>,
    /// Requests that were answered.
    pub answered: u64,
    /// What was measured.
    pub measured: Figures,
    /// Requests that failed, by why.
    pub failures: BTreeMap<String, u64>,
    /// What the server counts of itself.
    pub counters: Counters,
    /// Time of a round trip that computes nothing, in milliseconds.
    pub round_trip_ms: Option<f64>,
    /// What a reader should know: usage that cannot be true, requests that were sent late.
    pub notes: Vec<String>,
}

impl Observation {
    /// The observation of a measured row.
    ///
    /// # Errors
    /// A row without lengths.
    pub fn of_row(row: &Row, source: &str) -> Result<Observation, String> {
        let length = |column: &str| row.number(column).ok_or_else(|| format!("no {column}"));
        let measured = FIGURES.iter().filter_map(|f| Some((f.column, row.number(f.column)?)));
        Ok(Observation {
            source: format!("{source}, {}", row.id()),
            model: row.text("model").map(str::to_owned),
            version: row.text("engine_version").map(str::to_owned),
            isl: length("isl")?,
            osl: length("osl")?,
            concurrency: row.number("concurrency").map(|n| n.round().max(1.0) as u64),
            rate: row.number("rate"),
            answered: row.whole("num_requests").unwrap_or(0),
            measured: measured.collect(),
            ..Observation::default()
        })
    }

    /// The cells of a measured row, engine and GPUs apart.
    pub fn cells(&self) -> BTreeMap<&'static str, String> {
        let mut out: BTreeMap<&'static str, String> = BTreeMap::new();
        let mut put = |column, value: Option<String>| {
            if let Some(value) = value {
                out.insert(column, value);
            }
        };
        put("id", Some(self.source.clone()));
        put("model", self.model.clone());
        put("engine_version", self.version.clone());
        put("isl", Some(self.isl.round().to_string()));
        put("osl", Some(self.osl.round().to_string()));
        put("concurrency", self.concurrency.map(|n| n.to_string()));
        put("rate", self.rate.map(|r| r.to_string()));
        put("num_requests", Some(self.answered.to_string()));
        let closed = self.concurrency.is_some() || self.rate.is_none();
        put("protocol", Some(if closed { "closed-loop" } else { "open-loop" }.to_owned()));
        for (column, value) in &self.measured {
            put(column, Some(value.to_string()));
        }
        out
    }
}
