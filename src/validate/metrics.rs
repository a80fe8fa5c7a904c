//! Errors in per cent.

use std::collections::BTreeMap;

use super::{Prediction, Row, Table};

/// Errors of one column, in per cent of the measured value.
#[derive(Clone, Copy, Debug, PartialEq)]
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
    /// Median absolute error, in the column's own unit.
    pub median_ae: f64,
    /// Mean absolute error, in the column's own unit.
    pub mae: f64,
}

impl Metric {
    /// Of errors in per cent and in the column's unit.
    fn of(pairs: &[(f64, f64)]) -> Option<Metric> {
        if pairs.is_empty() {
            return None;
        }
        let mut errors: Vec<f64> = pairs.iter().map(|(percent, _)| *percent).collect();
        let mut own: Vec<f64> = pairs.iter().map(|(_, own)| own.abs()).collect();
        own.sort_by(f64::total_cmp);
        let (median_ae, mae) = (quantile(&own, 0.5), own.iter().sum::<f64>() / own.len() as f64);
        errors.sort_by(f64::total_cmp);
        let bias = quantile(&errors, 0.5);
        let mut absolute: Vec<f64> = errors.iter().map(|e| e.abs()).collect();
        absolute.sort_by(f64::total_cmp);
        let mape = absolute.iter().sum::<f64>() / absolute.len() as f64;
        let (median_ape, p90_ape) = (quantile(&absolute, 0.5), quantile(&absolute, 0.9));
        Some(Metric { n: errors.len(), mape, median_ape, p90_ape, bias, median_ae, mae })
    }
}

/// Linear interpolation between order statistics.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let at = q * (sorted.len() - 1) as f64;
    let (low, high) = (at.floor() as usize, at.ceil() as usize);
    sorted[low] + (sorted[high] - sorted[low]) * (at - at.floor())
}

/// The errors of the rows that pass a filter, by column. Rows whose measured value is zero count as
/// exact when the prediction is zero too, else as off by 100 %.
pub fn collect(
    table: &Table,
    predictions: &[Prediction],
    keep: impl Fn(&Row) -> bool,
) -> BTreeMap<String, Metric> {
    let mut errors: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    for (i, prediction) in predictions.iter().enumerate() {
        let row = table.row(i);
        let Ok(values) = prediction else { continue };
        if !keep(&row) {
            continue;
        }
        for (column, predicted) in values {
            let Some(measured) = row.number(column) else { continue };
            let error = if measured == *predicted {
                0.0
            } else if measured == 0.0 {
                100.0
            } else {
                100.0 * (predicted - measured) / measured
            };
            errors.entry(column).or_default().push((error, predicted - measured));
        }
    }
    errors.into_iter().filter_map(|(c, e)| Metric::of(&e).map(|m| (c.to_owned(), m))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bias_is_signed_and_the_rest_is_absolute() {
        let m = Metric::of(&[(-10.0, -1.0), (20.0, 4.0), (30.0, 1.0)]).unwrap();
        assert_eq!((m.n, m.mape, m.median_ape, m.bias), (3, 20.0, 20.0, 20.0));
        assert_eq!((m.median_ae, m.mae), (1.0, 2.0));
    }
}
