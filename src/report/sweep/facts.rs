//! What the summary and the report need of each case, small enough to keep for all.

use std::collections::HashMap;

use serde_json::Value as Json;

use super::columns::Head;
use crate::estimate::Provenance;
use crate::plan::Axis;

/// Number of a text among those that were seen.
pub type Name = u32;

/// What is kept of a case.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fact {
    /// Whether cost and output are of requests, of embedding and reranking, and not of tokens.
    pub pooled: bool,
    pub case: u64,
    pub model: Name,
    pub cluster: Name,
    pub workload: Name,
    pub targets: Name,
    pub objective: Name,
    pub month: Option<Name>,
    pub status: Name,
    /// The plan in words, where one was found; else why there is none.
    pub words: Name,
    pub fits: bool,
    pub provenance: Option<Name>,
    pub gpus: f64,
    pub cost: f64,
    pub monthly: f64,
    pub ttft: f64,
    pub tpot: f64,
    pub e2e: f64,
    pub output: f64,
    pub output_per_gpu: f64,
    pub energy: f64,
    pub headroom_gib: f64,
    pub load_headroom: f64,
    pub rate: f64,
    pub tightest: Option<Name>,
    pub tightest_percent: f64,
    /// GPUs like those of the cluster that would serve the rate, where the cluster does not.
    pub enough_gpus: f64,
    /// Their dollars an hour.
    pub enough_hourly: f64,
}

impl Fact {
    /// Whether there is a plan.
    pub fn found(&self) -> bool {
        self.e2e.is_finite()
    }

    /// Whether its kernel times rest on no measurement of its GPU.
    pub fn is_uncalibrated(&self, facts: &Facts) -> bool {
        self.provenance.is_some_and(|name| facts.text(name) == Provenance::Uncalibrated.name())
    }
}

/// The facts of all cases.
#[derive(Debug)]
pub struct Facts {
    pub cases: Vec<Fact>,
    texts: Vec<String>,
    known: HashMap<String, Name>,
    places: HashMap<&'static str, usize>,
}

impl Facts {
    pub fn new(columns: &[Head]) -> Facts {
        let places = columns.iter().enumerate().map(|(place, column)| (column.name, place)).collect();
        Facts { cases: Vec::new(), texts: Vec::new(), known: HashMap::new(), places }
    }

    /// The text of a name.
    pub fn text(&self, name: Name) -> &str {
        self.texts.get(name as usize).map_or("", String::as_str)
    }

    /// Cases with a plan.
    pub fn found(&self) -> usize {
        self.cases.iter().filter(|f| f.found()).count()
    }

    fn name(&mut self, text: &str) -> Name {
        if let Some(known) = self.known.get(text) {
            return *known;
        }
        // There are at most a million cases, each with a few texts of its own.
        let name = self.texts.len() as Name;
        self.texts.push(text.to_owned());
        self.known.insert(text.to_owned(), name);
        name
    }

    fn cell<'a>(&self, cells: &'a [Json], column: &str) -> &'a Json {
        self.places.get(column).and_then(|place| cells.get(*place)).unwrap_or(&Json::Null)
    }

    /// Takes a row in.
    pub fn add(&mut self, cells: &[Json]) -> Fact {
        let number = |column: &str| self.cell(cells, column).as_f64().unwrap_or(f64::NAN);
        let text = |column: &str| self.cell(cells, column).as_str();
        // Embedding and reranking answer in requests where others answer in tokens.
        let pooled = number("requests_per_s_per_gpu").is_finite();
        let of = |column: &str, in_requests: &str| number(if pooled { in_requests } else { column });
        let fact = Fact {
            pooled,
            case: self.cell(cells, "case").as_u64().unwrap_or_default(),
            fits: text("verdict") == Some("fits"),
            gpus: number("gpus"),
            cost: of("cost_usd_per_mtok_output", "cost_usd_per_million_requests"),
            monthly: number("cost_usd_per_month"),
            ttft: number("ttft_ms"),
            tpot: number("tpot_ms"),
            e2e: number("e2e_ms"),
            output: of("output_tokens_per_s", "requests_per_s"),
            output_per_gpu: of("output_tokens_per_s_per_gpu", "requests_per_s_per_gpu"),
            energy: number("energy_j_per_output_token"),
            headroom_gib: number("headroom_gib"),
            load_headroom: number("load_headroom_percent"),
            rate: number("rate_per_s"),
            tightest_percent: number("tightest_target_percent"),
            enough_gpus: number("enough_gpus"),
            enough_hourly: number("enough_usd_per_hour"),
            model: 0,
            cluster: 0,
            workload: 0,
            targets: 0,
            objective: 0,
            month: None,
            status: 0,
            words: 0,
            provenance: None,
            tightest: None,
        };
        let words = self.words(cells, fact.found());
        let mut of = |column: &str| {
            let text = self.cell(cells, column).as_str().map(str::to_owned);
            text.map(|text| self.name(&text))
        };
        let fact = Fact {
            model: of("model").unwrap_or_default(),
            cluster: of("cluster").unwrap_or_default(),
            workload: of("workload").unwrap_or_default(),
            targets: of("targets").unwrap_or_default(),
            objective: of("objective").unwrap_or_default(),
            status: of("status").unwrap_or_default(),
            month: of("month"),
            provenance: of("provenance"),
            tightest: of("tightest_target"),
            words: self.name(&words),
            ..fact
        };
        self.cases.push(fact);
        fact
    }

    /// `vllm tp=4 ep=2, 2 replicas`, or the reason.
    fn words(&self, cells: &[Json], found: bool) -> String {
        if !found {
            return self.cell(cells, "reason").as_str().unwrap_or("no plan").to_owned();
        }
        let mut words = self.cell(cells, "engine").as_str().unwrap_or_default().to_owned();
        for axis in Axis::WRITTEN {
            match self.cell(cells, axis.name()).as_u64() {
                // A layout is written with its tensor parallelism, and with what else divides it.
                Some(degree) if degree != 1 || axis == Axis::Tensor => {
                    words += &format!(" {}={degree}", axis.heading());
                }
                _ => {}
            }
        }
        let replicas = self.cell(cells, "replicas").as_u64().unwrap_or(1);
        words += &format!(", {replicas} {}", if replicas == 1 { "replica" } else { "replicas" });
        words
    }
}
