//! Errors in per cent.

use std::collections::BTreeMap;

use super::{Prediction, Row, Table};

/// Errors of one column, in per cent of the measured value.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Metric {
    /// Rows compared.
    pub n: usize,
    /// Mean absolute error.
    pub mape: f64,
    /// Median absolute error.
    pub median_ape: f64,
    /// 90th percentile of the absolute error.
    pub p90_ape: f64,
    /// Median signed error: positive when predictions are too high.
    pub bias: f64,
    /// Spearman's rank correlation of predicted and measured values.
    pub rank: f64,
    /// Median absolute error, in the column's own unit.
    pub median_ae: f64,
    /// Mean absolute error, in the column's own unit.
    pub mae: f64,
    /// Of the rows that have a range, those that were measured within it, in per cent.
    pub within: Option<f64>,
}

impl Metric {
    /// Of predicted and measured values; `None` of none.
    pub fn of(pairs: &[(f64, f64)]) -> Option<Metric> {
        if pairs.is_empty() {
            return None;
        }
        let mut errors: Vec<f64> =
            pairs.iter().map(|(predicted, measured)| error(*predicted, *measured)).collect();
        let mut own: Vec<f64> =
            pairs.iter().map(|(predicted, measured)| (predicted - measured).abs()).collect();
        own.sort_by(f64::total_cmp);
        let (median_ae, mae) = (quantile(&own, 0.5), own.iter().sum::<f64>() / own.len() as f64);
        errors.sort_by(f64::total_cmp);
        let bias = quantile(&errors, 0.5);
        let mut absolute: Vec<f64> = errors.iter().map(|e| e.abs()).collect();
        absolute.sort_by(f64::total_cmp);
        let mape = absolute.iter().sum::<f64>() / absolute.len() as f64;
        let (median_ape, p90_ape) = (quantile(&absolute, 0.5), quantile(&absolute, 0.9));
        let rank = rank_correlation(pairs);
        Some(Metric { n: errors.len(), mape, median_ape, p90_ape, bias, rank, median_ae, mae, within: None })
    }
}

/// Error of a prediction in per cent. A measured zero counts as exact when the prediction is zero too, else
/// as off by 100 %.
fn error(predicted: f64, measured: f64) -> f64 {
    if measured == predicted {
        0.0
    } else if measured == 0.0 {
        100.0
    } else {
        100.0 * (predicted - measured) / measured
    }
}

/// Spearman's rank correlation: Pearson's, of the ranks, ties having their mean rank. 1 for a single pair.
fn rank_correlation(pairs: &[(f64, f64)]) -> f64 {
    let (predicted, measured): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let (a, b) = (ranks(&predicted), ranks(&measured));
    let mean = (pairs.len() as f64 + 1.0) / 2.0;
    let product = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| (x - mean) * (y - mean)).sum::<f64>();
    let spread = (product(&a, &a) * product(&b, &b)).sqrt();
    if spread > 0.0 { product(&a, &b) / spread } else { 1.0 }
}

/// The rank of every value, from 1.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|i, j| values[*i].total_cmp(&values[*j]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    for same in order.chunk_by(|i, j| values[*i] == values[*j]) {
        let rank = start as f64 + (same.len() as f64 + 1.0) / 2.0;
        same.iter().for_each(|i| ranks[*i] = rank);
        start += same.len();
    }
    ranks
}

/// Linear interpolation between order statistics.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let at = q * (sorted.len() - 1) as f64;
    let (low, high) = (at.floor() as usize, at.ceil() as usize);
    sorted[low] + (sorted[high] - sorted[low]) * (at - at.floor())
}

/// The column of files that hold one value a row, and the one that says what it is.
const LONG: (&str, &str) = ("value", "metric");

/// The errors of the rows that pass a filter, by column, or by `metric` where a row has one value.
pub fn collect(
    table: &Table,
    predictions: &[Prediction],
    keep: impl Fn(&Row) -> bool,
) -> BTreeMap<String, Metric> {
    let mut pairs: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    let mut within: BTreeMap<&str, Vec<bool>> = BTreeMap::new();
    for (i, prediction) in predictions.iter().enumerate() {
        let row = table.row(i);
        let Ok(values) = prediction else { continue };
        if !keep(&row) {
            continue;
        }
        for (column, predicted) in values {
            let Some(measured) = row.number(column) else { continue };
            let name = if *column == LONG.0 { row.text(LONG.1) } else { None };
            let name = name.unwrap_or(column);
            pairs.entry(name).or_default().push((*predicted, measured));
            let end = |end: &str| {
                let is = |(other, _): &&(&str, f64)| other.strip_suffix(end) == Some(column);
                values.iter().find(is).map(|(_, value)| *value)
            };
            if let (Some(low), Some(high)) = (end("_low"), end("_high")) {
                within.entry(name).or_default().push((low..=high).contains(&measured));
            }
        }
    }
    let share = |name: &str| {
        let within = within.get(name)?;
        Some(100.0 * within.iter().filter(|within| **within).count() as f64 / within.len() as f64)
    };
    let metric = |(name, pairs): (&str, Vec<(f64, f64)>)| {
        let found = Metric { within: share(name), ..Metric::of(&pairs)? };
        Some((name.to_owned(), found))
    };
    pairs.into_iter().filter_map(metric).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bias_is_signed_and_the_rest_is_absolute() {
        let m = Metric::of(&[(90.0, 100.0), (120.0, 100.0), (130.0, 100.0)]).unwrap();
        assert_eq!((m.n, m.mape, m.median_ape, m.bias), (3, 20.0, 20.0, 20.0));
        assert_eq!((m.median_ae, m.mae), (20.0, 20.0));
    }

    #[test]
    fn ranks_agree_whatever_the_scale_and_ties_share_theirs() {
        assert_eq!(rank_correlation(&[(1.0, 10.0), (2.0, 50.0), (9.0, 70.0)]), 1.0);
        assert_eq!(rank_correlation(&[(3.0, 10.0), (2.0, 50.0), (1.0, 70.0)]), -1.0);
        assert_eq!(ranks(&[5.0, 1.0, 5.0]), [2.5, 1.0, 2.5]);
    }
}
