//! Measured over estimated: the spreads that ranges and chances rest on, by class of servers, and how true they are of
//! models that they were not made from.
//!
//! A class is an engine, whether its kernels were measured on the GPU, what the model is made of, and how the server is
//! loaded. A class's spread is that of its own runs, those of one source, model and GPU counting as the root of their
//! number, and of its relatives: of the runs that share most with it, next most and so on, with the weight of a few. Where a
//! class has few runs of its own, its spread is so that of classes that differ from each other, and wide.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use shardfit::catalog::Catalog;
use shardfit::catalog::residuals::{Architecture, SHARES, Spread, Traffic, deviations_of};
use shardfit::diagnostic::Diagnostic;
use shardfit::estimate::range::architecture;
use shardfit::load;
use shardfit::search::in_parallel;
use shardfit::validate::serving::{predict, predict_by};
use shardfit::validate::{Estimator, Kind, Reader, Row, Table};

use crate::Evidence;

/// Runs that the nearest relatives of a class weigh.
const RELATIVES: f64 = 3.0;

/// Share of that which is left for the next nearest.
const NEXT: f64 = 0.3;

/// The name of the classes of engines that have none of their own.
const ANY: &str = "any";

/// A class of servers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The engine; `any` of all.
    pub engine: String,
    /// Whether kernels were measured on the GPU.
    pub calibrated: bool,
    /// What the model is made of.
    pub architecture: &'static str,
    /// How the server is loaded.
    pub traffic: &'static str,
}

/// What a run is compared in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Figure {
    /// Time to first token.
    Ttft,
    /// Time per output token.
    Tpot,
    /// Request to last token, or the inverse of the throughput of as many in flight.
    E2e,
}

impl Figure {
    const ALL: [Figure; 3] = [Figure::Ttft, Figure::Tpot, Figure::E2e];

    fn name(self) -> &'static str {
        match self {
            Figure::Ttft => "ttft",
            Figure::Tpot => "tpot",
            Figure::E2e => "e2e",
        }
    }
}

/// A figure of a measured run beside its estimate.
#[derive(Clone, Debug)]
pub struct Residual {
    key: Key,
    figure: Figure,
    /// Logarithm of measured over estimated.
    log: f64,
    model: String,
    /// Source, model and GPU.
    group: String,
    set: String,
    weight: f64,
}

/// The residuals of files of measured servers, every run estimated under its own protocol.
///
/// # Errors
/// A file that cannot be read or is no CSV.
pub fn of_files(files: &[PathBuf], catalog: &Catalog) -> Result<Vec<Residual>, Diagnostic> {
    let mut all = Vec::new();
    for file in files {
        let table = Table::parse(&load::text(file)?, &file.display().to_string())?;
        let table = Evidence.told(Kind::Serving, table);
        let rows = in_parallel(table.len(), |i| Ok(of_row(&table.row(i), catalog, file)))?;
        all.extend(rows.into_iter().flatten());
    }
    let mut counts: BTreeMap<(Figure, Key, String), f64> = BTreeMap::new();
    let name = |r: &Residual| (r.figure, r.key.clone(), r.group.clone());
    all.iter().for_each(|r| *counts.entry(name(r)).or_default() += 1.0);
    all.iter_mut().for_each(|r| r.weight = 1.0 / counts[&name(r)].sqrt());
    Ok(all)
}

fn of_row(row: &Row, catalog: &Catalog, file: &Path) -> Vec<Residual> {
    let (mut calibrated, mut traffic) = (false, Traffic::Split);
    let predicted = if row.text("prefill_cfg").is_some() {
        predict(row, catalog, Estimator::Simulate)
    } else {
        predict_by(row, catalog, |run| {
            (calibrated, traffic) = run.standing();
            run.predict(Estimator::Simulate)
        })
    };
    let (Ok(predicted), Ok(model)) = (predicted, row.model(catalog)) else { return Vec::new() };
    let text = |column: &str| row.text(column).unwrap_or("").to_owned();
    let key = Key {
        engine: text("engine"),
        calibrated,
        architecture: architecture(&model).name(),
        traffic: traffic.name(),
    };
    let estimated = |column: &str| predicted.iter().find(|(name, _)| *name == column).map(|(_, x)| *x);
    let log = |measured: Option<f64>, estimated: Option<f64>| {
        let ratio = measured? / estimated?;
        (ratio > 0.0 && ratio.is_finite()).then(|| ratio.ln())
    };
    let of = |column: &str| log(row.number(column), estimated(column));
    let slower = || ["output_tok_s", "req_s", "total_tok_s"].iter().find_map(|c| of(c)).map(|log| -log);
    // Both times over as many tokens as are estimated.
    let together = || {
        let (ttft, tpot, e2e) = (estimated("ttft_ms")?, estimated("tpot_ms")?, estimated("e2e_ms")?);
        let steps = if tpot > 0.0 { (e2e - ttft) / tpot } else { 0.0 };
        log(Some(row.number("ttft_ms")? + row.number("tpot_ms")? * steps), Some(e2e))
    };
    let e2e = of("e2e_ms").or_else(slower).or_else(together);
    let source = text("source");
    let source = source.split([':', '@']).next().unwrap_or("");
    let folder = file.parent().and_then(|f| f.file_name()).unwrap_or_default().to_string_lossy().into_owned();
    let group = format!("{source}|{}|{}", text("model"), text("gpu"));
    let found = [(Figure::Ttft, of("ttft_ms")), (Figure::Tpot, of("tpot_ms")), (Figure::E2e, e2e)];
    let residual = |(figure, log): (Figure, Option<f64>)| {
        let (key, model, group, set) = (key.clone(), text("model"), group.clone(), folder.clone());
        Some(Residual { key, figure, log: log?, model, group, set, weight: 1.0 })
    };
    found.into_iter().filter_map(residual).collect()
}

/// Whether a class is alike enough.
type Alike<'a> = Box<dyn Fn(&Key) -> bool + 'a>;

/// How much runs share with a class: a list of what has to be equal, the most first.
fn relatives(key: &Key) -> Vec<Alike<'_>> {
    let own = |k: &Key| key.engine == ANY || k.engine == key.engine;
    let built = |k: &Key| k.architecture == key.architecture;
    let loaded = |k: &Key| k.traffic == key.traffic;
    let known = |k: &Key| k.calibrated == key.calibrated;
    vec![
        Box::new(move |k| own(k) && known(k) && built(k) && loaded(k)),
        Box::new(move |k| own(k) && known(k) && loaded(k)),
        Box::new(move |k| known(k) && built(k) && loaded(k)),
        Box::new(move |k| known(k) && loaded(k)),
        Box::new(move |k| known(k)),
        Box::new(|_| true),
    ]
}

/// The spread of a class, as logarithms, from residuals of one figure.
fn spread<'r>(key: &Key, residuals: impl Iterator<Item = &'r Residual> + Clone) -> Option<[f64; 9]> {
    let (mut sample, mut left) = (Vec::new(), RELATIVES);
    for (degree, is) in relatives(key).iter().enumerate() {
        let found = residuals.clone().filter(|r| is(&r.key));
        let total: f64 = found.clone().map(|r| r.weight).sum();
        if total > 0.0 {
            let scale = if degree == 0 { 1.0 } else { (left / total).min(1.0) };
            sample.extend(found.map(|r| (r.log, r.weight * scale)));
            left *= if degree == 0 { 1.0 } else { NEXT };
        }
        if left < RELATIVES * NEXT {
            break;
        }
    }
    if sample.is_empty() {
        return None;
    }
    sample.sort_by(|a, b| a.0.total_cmp(&b.0));
    let total: f64 = sample.iter().map(|(_, weight)| weight).sum();
    let mut below = 0.0;
    let places: Vec<(f64, f64)> = sample
        .iter()
        .map(|(log, weight)| {
            below += weight;
            ((below - weight / 2.0) / total, *log)
        })
        .collect();
    let at = |share: f64| {
        let next = places.partition_point(|(place, _)| *place < share);
        match (next.checked_sub(1).map(|i| places[i]), places.get(next)) {
            (Some(a), Some(b)) => a.1 + (b.1 - a.1) * (share - a.0) / (b.0 - a.0).max(1e-12),
            (Some(one), None) => one.1,
            (None, one) => one.map_or(0.0, |one| one.1),
        }
    };
    let mut spread = SHARES.map(at);
    // Shares rise, and so does what lies below them.
    for i in 1..spread.len() {
        spread[i] = spread[i].max(spread[i - 1] + 1e-3);
    }
    Some(spread)
}

/// The classes that there are runs of, and of no engine in particular every one.
fn keys(residuals: &[Residual]) -> Vec<Key> {
    let mut keys: Vec<Key> = residuals.iter().map(|r| r.key.clone()).collect();
    for architecture in Architecture::ALL {
        for traffic in Traffic::ALL {
            for calibrated in [false, true] {
                if calibrated && traffic == Traffic::Split {
                    continue;
                }
                let (architecture, traffic) = (architecture.name(), traffic.name());
                keys.push(Key { engine: ANY.to_owned(), calibrated, architecture, traffic });
            }
        }
    }
    keys.sort();
    keys.dedup();
    keys
}

/// `residuals/serving.yaml`.
pub fn yaml(residuals: &[Residual], (source, made): (&str, &str)) -> String {
    let mut out = format!(
        "# How far measured servers lie from what is estimated: made by `shardfit-evidence residuals`, {made}.\n\
         # Of each class the multiples of the estimate that 2, 5, 10, 25, 50, 75, 90, 95 and 98 % of its servers stay below.\n\
         source: {source:?}\n\
         made: {made}\n\
         classes:\n"
    );
    for key in keys(residuals) {
        let of = |figure: Figure| residuals.iter().filter(move |r| r.figure == figure);
        let is_own = |r: &&Residual| relatives(&key)[0](&r.key);
        let rows = Figure::ALL.map(|figure| of(figure).filter(is_own).count()).into_iter().max().unwrap_or(0);
        let _ = write!(
            out,
            "  - {{engine: {}, calibrated: {}, architecture: {}, traffic: {}, rows: {rows}",
            key.engine, key.calibrated, key.architecture, key.traffic
        );
        for figure in Figure::ALL {
            let found = spread(&key, of(figure)).unwrap_or_default();
            let listed: Vec<String> = found.iter().map(|log| format!("{:.4}", log.exp())).collect();
            let _ = write!(out, ", {}: [{}]", figure.name(), listed.join(", "));
        }
        out += "}\n";
    }
    out
}

/// A residual with the spread of its class, with its model left out and with it.
struct Judged<'r> {
    residual: &'r Residual,
    apart: Spread,
    with: Spread,
}

fn judged(residuals: &[Residual]) -> Vec<Judged<'_>> {
    let mut out = Vec::new();
    for figure in Figure::ALL {
        let all = || residuals.iter().filter(move |r| r.figure == figure);
        let mut by: BTreeMap<(&Key, &str), Vec<&Residual>> = BTreeMap::new();
        all().for_each(|r| by.entry((&r.key, r.model.as_str())).or_default().push(r));
        for ((key, model), own) in by {
            let others = spread(key, all().filter(move |r| r.model != model));
            let (Some(apart), Some(with)) = (others, spread(key, all())) else { continue };
            let (apart, with) = (Spread(apart.map(f64::exp)), Spread(with.map(f64::exp)));
            out.extend(own.into_iter().map(|residual| Judged { residual, apart, with }));
        }
    }
    out
}

/// Chances that plans are made for.
const CONFIDENCES: [f64; 6] = [0.5, 0.6, 0.7, 0.8, 0.9, 0.95];

/// The tables of the documentation: how many runs lie within the range of their class, by set of runs and by class, and
/// how many keep a limit that they were said to keep with some chance.
pub fn report(residuals: &[Residual]) -> String {
    let judged = judged(residuals);
    let mut out = String::from(
        "| runs | figure | n | within, model left out % | within % | range |\n| --- | --- | --: | --: | --: | --: |\n",
    );
    let mut line = |name: &str, figure: Figure, of: &[&Judged]| {
        let share = |spread: for<'a, 'r> fn(&'a Judged<'r>) -> &'a Spread| {
            let within = |j: &&&Judged| {
                let (x, spread) = (j.residual.log.exp(), spread(j));
                (spread.low()..=spread.high()).contains(&x)
            };
            100.0 * of.iter().filter(within).count() as f64 / of.len() as f64
        };
        let mut widths: Vec<f64> = of.iter().map(|j| (j.with.high() / j.with.low()).sqrt()).collect();
        widths.sort_by(f64::total_cmp);
        let _ = writeln!(
            out,
            "| {name} | {} | {} | {:.0} | {:.0} | ÷× {:.2} |",
            figure.name(),
            of.len(),
            share(|j| &j.apart),
            share(|j| &j.with),
            widths[widths.len() / 2]
        );
    };
    let of = |figure: Figure| judged.iter().filter(move |j| j.residual.figure == figure);
    for figure in Figure::ALL {
        let mut sets: BTreeMap<&str, Vec<&Judged>> = BTreeMap::new();
        of(figure).for_each(|j| sets.entry(&j.residual.set).or_default().push(j));
        sets.iter().for_each(|(set, of)| line(set, figure, of));
    }
    for figure in Figure::ALL {
        let mut classes: BTreeMap<&Key, Vec<&Judged>> = BTreeMap::new();
        of(figure).for_each(|j| classes.entry(&j.residual.key).or_default().push(j));
        for (key, of) in classes {
            let known = if key.calibrated { "calibrated" } else { "not" };
            line(&format!("{}, {known}, {}, {}", key.engine, key.architecture, key.traffic), figure, &of);
        }
    }
    out += "\n| said to hold with % | TTFT holds % | TPOT holds % | end to end holds % |\n| --: | --: | --: | --: |\n";
    for confidence in CONFIDENCES {
        let deviations = deviations_of(confidence);
        let held = Figure::ALL.map(|figure| {
            let holds = |j: &&Judged| j.residual.log.exp() <= j.apart.at(deviations);
            100.0 * of(figure).filter(holds).count() as f64 / of(figure).count().max(1) as f64
        });
        let [ttft, tpot, e2e] = held;
        let _ = writeln!(out, "| {:.0} | {ttft:.0} | {tpot:.0} | {e2e:.0} |", 100.0 * confidence);
    }
    out
}
