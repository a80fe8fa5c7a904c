//! Why a server differs from what is predicted for it: what it counts of itself is put into the prediction, part by part,
//! and what is left is told apart by which times it is in.

use super::observation::{Figure, Figures, Observation};

/// A figure measured and predicted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Compared {
    /// Which.
    pub figure: Figure,
    /// As measured.
    pub measured: Option<f64>,
    /// As predicted.
    pub predicted: Option<f64>,
    /// Where eight of ten measured servers of such a model and engine lie, around the prediction.
    pub range: Option<(f64, f64)>,
}

impl Compared {
    /// Measured over predicted.
    pub fn ratio(&self) -> Option<f64> {
        Some(self.measured? / self.predicted.filter(|p| *p > 0.0)?)
    }

    /// Whether the measured value lies in the range.
    pub fn within(&self) -> Option<bool> {
        let (low, high) = self.range?;
        Some((low..=high).contains(&self.measured?))
    }
}

/// What a prediction assumed and the server says otherwise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// Share of each prompt that comes from the prefix cache.
    PrefixHit(f64),
    /// Sequences that run at once.
    Sequences(u64),
}

/// Something that explains a difference, or part of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// In a sentence.
    pub says: String,
    /// Predictions with it, where it was put in.
    pub predicted: Option<Figures>,
}

/// An observation beside what is predicted for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    /// What was seen.
    pub seen: Observation,
    /// What it was predicted for, in words: engine, plan, GPUs.
    pub subject: String,
    /// Figure by figure.
    pub compared: Vec<Compared>,
    /// What explains the difference.
    pub explanations: Vec<Explanation>,
}

/// What is known beside the observation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known<'a> {
    /// The engine's version in the launch.
    pub version: Option<&'a str>,
    /// Output tokens that were asked for, mean.
    pub osl: Option<f64>,
    /// Whether tokens are drafted in the prediction, and how likely one is accepted.
    pub acceptance: Option<f64>,
    /// Share of prompts from the prefix cache in the prediction.
    pub prefix_hit: f64,
}

/// Ratios nearer to one than this need no explanation: what runs of one server differ by (truth of repeated runs, about 5 %).
const REPEATS: f64 = 0.05;

/// A share of a prompt below this moves no figure.
const SLIGHT: f64 = 0.02;

/// Says what explains the difference. `again` predicts with something changed.
pub fn explain(
    seen: &Observation,
    compared: &[Compared],
    known: &Known,
    mut again: impl FnMut(Change) -> Option<Figures>,
) -> Vec<Explanation> {
    let mut out = Vec::new();
    let mut say = |says: String, predicted| out.push(Explanation { says, predicted });
    let of = |column: &str| compared.iter().find(|c| c.figure.column == column);
    let ratio = |column: &str| of(column).and_then(Compared::ratio);
    if let (Some(launched), Some(told)) = (known.version, &seen.version)
        && !same_version(launched, told)
    {
        say(format!("the server says that it is version {told}, and the launch {launched}"), None);
    }
    let failed: u64 = seen.failures.values().sum();
    if failed > 0 {
        let share = 100.0 * failed as f64 / (failed + seen.answered) as f64;
        say(format!("{failed} requests ({share:.0} %) failed: what was answered had less company"), None);
    }
    if let Some(osl) = known.osl
        && seen.osl < osl * (1.0 - REPEATS)
    {
        say(
            format!(
                "answers have {:.0} tokens in the mean, and {osl:.0} were asked for: predicted is for what came",
                seen.osl
            ),
            None,
        );
    }
    let c = &seen.counters;
    if let Some(hits) = c.hits().filter(|hits| (hits - known.prefix_hit).abs() > SLIGHT) {
        let with = again(Change::PrefixHit(hits));
        say(
            format!(
                "{:.0} % of prompt tokens came from the prefix cache, and {:.0} % were assumed",
                100.0 * hits,
                100.0 * known.prefix_hit
            ),
            with,
        );
    }
    if let (Some(accepted), Some(assumed)) = (c.acceptance(), known.acceptance)
        && (accepted - assumed).abs() > SLIGHT
    {
        say(
            format!(
                "{:.0} % of drafted tokens were accepted: --acceptance says how likely each one is; {assumed} was assumed",
                100.0 * accepted
            ),
            None,
        );
    }
    if let (Some(running), Some(asked)) = (c.running, seen.concurrency)
        && running >= 1.0
        && running < asked as f64 * (1.0 - REPEATS)
    {
        let with = again(Change::Sequences(running.round() as u64));
        say(format!("at most {running:.0} requests ran at once of {asked} that were sent"), with);
    }
    if let Some(c) = of("kv_cache_tokens").filter(|c| c.ratio().is_some_and(|r| (r - 1.0).abs() > REPEATS)) {
        let (measured, predicted) = (c.measured.unwrap_or(0.0), c.predicted.unwrap_or(0.0));
        say(format!("the KV cache holds {measured:.0} tokens, and {predicted:.0} were predicted"), None);
    }
    if let Some(n) = c.preemptions.filter(|n| *n > 0.0) {
        say(format!("{n:.0} times a sequence lost its cache to others and was computed again"), None);
    }
    let trip = seen.round_trip_ms.unwrap_or(0.0);
    if let Some(ttft) = of("ttft_ms").and_then(|c| c.measured)
        && trip > REPEATS * ttft
    {
        say(
            format!("a round trip to the server takes {trip:.1} ms of the {ttft:.1} ms to the first token"),
            None,
        );
    }
    let (ttft, tpot) = (ratio("ttft_ms"), ratio("tpot_ms"));
    say(rest(ttft, tpot, compared), None);
    out
}

/// What is left, by the times that it is in.
fn rest(ttft: Option<f64>, tpot: Option<f64>, compared: &[Compared]) -> String {
    let times = |r: f64| format!("{r:.2} times as long as predicted");
    let off = |r: f64| (r - 1.0).abs() > REPEATS;
    let judged: Vec<bool> = compared.iter().filter_map(Compared::within).collect();
    let band = match judged.iter().all(|within| *within) {
        _ if judged.is_empty() => "",
        true => ", within what such servers differ by",
        false => ", beyond what eight of ten such servers differ by",
    };
    match (ttft, tpot) {
        (None, None) => "no time was measured that is predicted".to_owned(),
        (Some(t), Some(p)) if !off(t) && !off(p) => "both times are as predicted".to_owned(),
        (Some(t), Some(p)) if off(t) && off(p) && (t / p - 1.0).abs() < 3.0 * REPEATS => format!(
            "every step takes {}{band}: the GPU's clocks or the kernels of this build, which `calibrate` measures",
            times((t * p).sqrt())
        ),
        (Some(t), Some(p)) if off(p) && (!off(t) || (p - 1.0).abs() >= (t - 1.0).abs()) => format!(
            "decode steps take {}{band}, the first token {t:.2} times: reading weights and cache, or the engine's own \
             time of a step",
            times(p)
        ),
        (Some(t), p) => {
            let beside = p.map_or(String::new(), |p| format!(", tokens after it {p:.2} times"));
            format!(
                "the first token takes {}{band}{beside}: prompts wait or are computed otherwise",
                times(t)
            )
        }
        (None, Some(p)) => format!("decode steps take {}{band}", times(p)),
    }
}

/// Whether two spellings are of one version: `0.21.0` and `v0.21.0+cu129`, builds by their number.
fn same_version(one: &str, other: &str) -> bool {
    let parts = |text: &str| -> Vec<u64> {
        let release = text.split(['+', '-', ' ']).next().unwrap_or_default();
        let digits = release.split(|c: char| !c.is_ascii_digit());
        digits.filter(|d| !d.is_empty()).filter_map(|d| d.parse().ok()).collect()
    };
    let (one, other) = (parts(one), parts(other));
    let n = one.len().min(other.len());
    n == 0 || one[..n] == other[..n]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::metrics::Counters;
    use crate::observe::observation::FIGURES;

    fn compared(ttft: f64, tpot: f64) -> Vec<Compared> {
        let of = |column: &str, measured| Compared {
            figure: FIGURES.into_iter().find(|f| f.column == column).unwrap(),
            measured: Some(measured),
            predicted: Some(100.0),
            range: Some((80.0, 125.0)),
        };
        vec![of("ttft_ms", ttft), of("tpot_ms", tpot)]
    }

    fn last(ttft: f64, tpot: f64) -> String {
        explain(&Observation::default(), &compared(ttft, tpot), &Known::default(), |_| None)
            .pop()
            .unwrap()
            .says
    }

    #[test]
    fn what_is_left_is_told_by_the_times_that_it_is_in() {
        assert_eq!(last(103.0, 98.0), "both times are as predicted");
        assert!(last(190.0, 200.0).starts_with("every step takes 1.95 times as long as predicted, beyond"));
        assert!(last(300.0, 101.0).starts_with("the first token takes 3.00 times"));
        assert!(last(101.0, 120.0).starts_with("decode steps take 1.20 times as long as predicted, within"));
    }

    #[test]
    fn what_the_server_counts_is_put_into_the_prediction() {
        let seen = Observation {
            counters: Counters { found: Some(50.0), looked_up: Some(100.0), ..Counters::default() },
            version: Some("0.21.0+cu129".into()),
            ..Observation::default()
        };
        let known = Known { version: Some("0.21.0"), ..Known::default() };
        let said = explain(&seen, &compared(60.0, 100.0), &known, |change| {
            assert_eq!(change, Change::PrefixHit(0.5));
            Some(Figures::from([("ttft_ms", 61.0)]))
        });
        assert_eq!(said[0].predicted.as_ref().unwrap()["ttft_ms"], 61.0);
        assert!(said[0].says.starts_with("50 % of prompt tokens"), "{said:?}");
    }
}
