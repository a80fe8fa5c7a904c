//! Choosing by prediction: how much throughput is lost, and how often a limit is broken, when the layout
//! that is predicted best under a limit on TPOT is the one that is deployed.

use std::collections::BTreeMap;

use crate::catalog::version::{Asked, Version};

use super::serving::INFERENCEX_MEAN_LENGTH;
use super::{Prediction, Row, Table};

/// Limits on TPOT in milliseconds.
pub const LIMITS: [f64; 4] = [20.0, 30.0, 50.0, 100.0];

/// What choosing by prediction costs under one limit on TPOT.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Choice {
    /// The limit in milliseconds.
    pub limit: f64,
    /// Groups in which some row keeps the limit, measured and predicted.
    pub groups: usize,
    /// Mean loss of measured throughput against the best row under the limit, in per cent, over the picks
    /// that keep it.
    pub loss: f64,
    /// Picks that break the limit when measured, in per cent.
    pub broken: f64,
}

/// One measured row with its prediction.
#[derive(Clone, Copy, Debug)]
struct Point {
    tp: u32,
    pp: u32,
    ep: u32,
    attention_dp: u32,
    tpot: f64,
    throughput: f64,
    predicted_tpot: f64,
    predicted_throughput: f64,
}

/// The choices of a file of closed-loop rows, one per limit; empty when no group has two layouts.
pub fn choices(table: &Table, predictions: &[Prediction]) -> Vec<Choice> {
    let mut groups: BTreeMap<String, Vec<Point>> = BTreeMap::new();
    for (number, prediction) in predictions.iter().enumerate() {
        let row = table.row(number);
        if let Some(point) = prediction.as_ref().ok().and_then(|p| point(&row, p)) {
            groups.entry(group(&row)).or_default().push(point);
        }
    }
    let layout = |p: &Point| (p.tp, p.pp, p.ep, p.attention_dp);
    groups.retain(|_, points| points.iter().any(|p| layout(p) != layout(&points[0])));
    if groups.is_empty() {
        return Vec::new();
    }
    LIMITS.iter().map(|limit| choice(*limit, groups.values())).collect()
}

/// Rows that differ only in layout and concurrency.
fn group(row: &Row) -> String {
    let columns = ["model", "engine", "gpu", "weight_dtype", "kv_dtype", "isl", "osl"];
    let mut key: Vec<String> = columns.iter().map(|c| row.text(c).unwrap_or("").to_owned()).collect();
    let version = Asked::read(row.text("engine_version").unwrap_or("")).version;
    key.push(version.map_or(String::new(), Version::family));
    key.join("|")
}

/// Throughput per GPU at a concurrency follows from the times: `C·OSL/(TTFT + TPOT·(OSL − 1))/GPUs`.
fn point(row: &Row, prediction: &[(&'static str, f64)]) -> Option<Point> {
    let predicted = |name: &str| prediction.iter().find(|(n, _)| *n == name).map(|(_, value)| *value);
    let scale = if row.text("protocol") == Some("inferencex") { INFERENCEX_MEAN_LENGTH } else { 1.0 };
    let osl = row.number("osl")? * scale;
    let concurrency = row.number("concurrency")?;
    let gpus = row.number("num_gpus").unwrap_or(1.0).max(1.0);
    let rate = |ttft: f64, tpot: f64| {
        let seconds = (ttft + tpot * (osl - 1.0)) / 1000.0;
        (seconds > 0.0).then(|| concurrency * osl / seconds / gpus)
    };
    let (tpot, predicted_tpot) = (row.number("tpot_ms")?, predicted("tpot_ms")?);
    Some(Point {
        tp: row.degree("tp"),
        pp: row.degree("pp"),
        ep: row.degree("ep"),
        attention_dp: row.degree("attention_dp"),
        tpot,
        throughput: rate(row.number("ttft_ms")?, tpot)?,
        predicted_tpot,
        predicted_throughput: rate(predicted("ttft_ms")?, predicted_tpot)?,
    })
}

fn choice<'a>(limit: f64, groups: impl Iterator<Item = &'a Vec<Point>>) -> Choice {
    let (mut picks, mut broken, mut losses) = (0_usize, 0_usize, Vec::new());
    for points in groups {
        let best = points.iter().filter(|p| p.tpot <= limit).map(|p| p.throughput).reduce(f64::max);
        let pick = points
            .iter()
            .filter(|p| p.predicted_tpot <= limit)
            .max_by(|a, b| a.predicted_throughput.total_cmp(&b.predicted_throughput));
        let (Some(best), Some(pick)) = (best, pick) else { continue };
        picks += 1;
        if pick.tpot > limit {
            broken += 1;
        } else {
            losses.push(100.0 * (1.0 - pick.throughput / best));
        }
    }
    let mean = losses.iter().sum::<f64>() / losses.len().max(1) as f64;
    Choice { limit, groups: picks, loss: mean, broken: 100.0 * broken as f64 / picks.max(1) as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One group of two layouts at two concurrencies each; the second layout is predicted too fast.
    fn points() -> Vec<Point> {
        let point = |tp, tpot, throughput, predicted_tpot, predicted_throughput| Point {
            tp,
            pp: 1,
            ep: 1,
            attention_dp: 1,
            tpot,
            throughput,
            predicted_tpot,
            predicted_throughput,
        };
        vec![
            point(1, 15.0, 100.0, 15.0, 100.0),
            point(1, 28.0, 160.0, 28.0, 160.0),
            point(2, 18.0, 90.0, 14.0, 120.0),
            point(2, 34.0, 150.0, 29.0, 170.0),
        ]
    }

    #[test]
    fn a_pick_that_keeps_the_limit_loses_against_the_best_that_does() {
        let group = points();
        let c = choice(20.0, std::iter::once(&group));
        // The pick has 90 of the 100 that the first layout measures under 20 ms.
        assert_eq!((c.groups, c.broken), (1, 0.0));
        assert!((c.loss - 10.0).abs() < 1e-9, "{}", c.loss);
    }

    #[test]
    fn a_pick_that_breaks_the_limit_counts_as_broken_and_not_as_a_loss() {
        let group = points();
        let c = choice(30.0, std::iter::once(&group));
        assert_eq!((c.groups, c.broken, c.loss), (1, 100.0, 0.0));
    }
}
