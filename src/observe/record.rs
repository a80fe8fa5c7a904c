//! What a run of requests measured.

use std::collections::BTreeMap;

use super::observation::Figures;

/// One answered request; times in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// From its being sent to its first token.
    pub ttft: f64,
    /// From its being sent to its last token.
    pub e2e: f64,
    /// When its last token came, since the first request was sent.
    pub ended: f64,
    /// Prompt tokens.
    pub prompt: u64,
    /// Output tokens.
    pub output: u64,
}

/// A run of requests.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// Those that were answered.
    pub samples: Vec<Sample>,
    /// Those that were not, by why.
    pub failures: BTreeMap<String, u64>,
    /// Answers whose stated usage cannot be true, with an example.
    pub wrong_usage: Option<(u64, String)>,
    /// Requests that were sent more than a tenth of a second late.
    pub late: u64,
    /// Whether the time was up before all were sent.
    pub cut: bool,
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, n) = values.fold((0.0, 0u64), |(sum, n), value| (sum + value, n + 1));
    (n > 0).then(|| sum / n as f64)
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut all: Vec<f64> = values.collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len().checked_sub(1)? / 2).copied()
}

impl Record {
    /// Time per output token after the first of each request that has a second one: `(e2e − TTFT) / (tokens − 1)`.
    fn tpots(&self) -> impl Iterator<Item = f64> {
        let long = self.samples.iter().filter(|s| s.output > 1);
        long.map(|s| (s.e2e - s.ttft).max(0.0) / (s.output - 1) as f64)
    }

    /// The figures; none where nothing was answered. Rates are over the time from the first request to the last token of
    /// any, as benchmarks take them.
    pub fn figures(&self) -> Figures {
        let mut out = Figures::new();
        let mut put = |column, value: Option<f64>| {
            if let Some(value) = value.filter(|v| v.is_finite()) {
                out.insert(column, value);
            }
        };
        let ms = |seconds: Option<f64>| seconds.map(|s| s * 1e3);
        put("ttft_ms", ms(mean(self.samples.iter().map(|s| s.ttft))));
        put("median_ttft_ms", ms(median(self.samples.iter().map(|s| s.ttft))));
        put("tpot_ms", ms(mean(self.tpots())));
        put("median_tpot_ms", ms(median(self.tpots())));
        put("e2e_ms", ms(mean(self.samples.iter().map(|s| s.e2e))));
        let duration = self.samples.iter().map(|s| s.ended).fold(0.0, f64::max);
        if duration > 0.0 {
            let tokens: u64 = self.samples.iter().map(|s| s.output).sum();
            put("output_tok_s", Some(tokens as f64 / duration));
            put("req_s", Some(self.samples.len() as f64 / duration));
        }
        out
    }

    /// Mean prompt and output tokens.
    pub fn lengths(&self) -> Option<(f64, f64)> {
        Some((
            mean(self.samples.iter().map(|s| s.prompt as f64))?,
            mean(self.samples.iter().map(|s| s.output as f64))?,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_those_of_benchmarks() {
        let sample = |ttft, e2e, ended, output| Sample { ttft, e2e, ended, prompt: 10, output };
        let record = Record {
            samples: vec![sample(0.1, 1.1, 1.1, 11), sample(0.3, 1.3, 2.0, 21)],
            ..Record::default()
        };
        let figures = record.figures();
        assert!((figures["ttft_ms"] - 200.0).abs() < 1e-9);
        assert!((figures["tpot_ms"] - 75.0).abs() < 1e-9, "100 and 50 ms");
        assert!((figures["output_tok_s"] - 16.0).abs() < 1e-9, "32 tokens in two seconds");
        assert!(Record::default().figures().is_empty());
    }
}
