//! What the words beside a row (`doubt`, `notes`) say of its lengths and its figures, where no column does.

use crate::simulate::Lengths;
use crate::validate::Row;
use crate::workload::MAX_LENGTH;

/// Standard deviation of the logarithm of the lengths of ShareGPT's requests as `benchmark_serving` cuts them. With 0.6 to 0.75
/// the output of 50 offline runs and 80 under a rate comes out right in the middle; with equal lengths it is 73 and 7 %
/// too high, as no run waits for the longest answers.
const SHAREGPT_SIGMA: f64 = 0.65;

/// Half the width of the lengths of answers that end by themselves or at a limit, as a share of their mean: AccelMark's end at
/// 512 tokens and have 350 in the mean.
const CUT_WIDTH: f64 = 0.5;

/// How the lengths of a row's requests vary about the stated ones, their means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Variety {
    /// As people's do: log-normal, with this standard deviation of the logarithm.
    LogNormal(f64),
    /// Uniform from this share of the longest to the longest (`--random-range-ratio` of SGLang's `bench_serving`).
    FromShare(f64),
}

impl Variety {
    /// What the row says: `length_sigma`, else words of a data set or of a range.
    pub fn of(row: &Row) -> Option<Variety> {
        if let Some(sigma) = row.stated("length_sigma") {
            return Some(Variety::LogNormal(sigma));
        }
        let words = said(row);
        if let Some(ratio) = ratio(&words) {
            return Some(Variety::FromShare(ratio));
        }
        // Answers that end by themselves, a few of them late.
        if words.contains("tail of long ones") {
            return Some(Variety::FromShare((1.0 - CUT_WIDTH) / (1.0 + CUT_WIDTH)));
        }
        let varies = words.contains("sharegpt") && words.contains("lengths vary");
        varies.then_some(Variety::LogNormal(SHAREGPT_SIGMA))
    }

    /// Lengths with this mean.
    pub fn about(self, mean: u64) -> Lengths {
        let whole = |length: f64| (length.round() as u64).max(1);
        match self {
            Variety::LogNormal(sigma) => Lengths::LogNormal { mean: mean as f64, sigma, most: MAX_LENGTH },
            Variety::FromShare(share) => {
                let most = 2.0 * mean as f64 / (1.0 + share);
                Lengths::Uniform { low: whole(share * most), high: whole(most) }
            }
        }
    }
}

/// Which of a row's times are medians over its requests; the others are means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Medians {
    /// The time to the first token.
    pub ttft: bool,
    /// All other times.
    pub rest: bool,
}

impl Medians {
    /// What the row says: `statistic`, else words.
    pub fn of(row: &Row) -> Medians {
        if let Some(named) = row.text("statistic") {
            let median = named.eq_ignore_ascii_case("median");
            return Medians { ttft: median, rest: median };
        }
        let words = said(row);
        let both = words.contains("medians");
        let first = ["ttft is a median", "ttft is the median", "median ttft"];
        Medians { ttft: both || first.iter().any(|phrase| words.contains(phrase)), rest: both }
    }
}

/// The words beside a row, in small letters.
fn said(row: &Row) -> String {
    let text = |column| row.text(column).unwrap_or_default();
    format!("{}; {}", text("doubt"), text("notes")).to_lowercase()
}

/// The number in `range ratio 0.5`.
fn ratio(words: &str) -> Option<f64> {
    let (_, rest) = words.split_once("range ratio ")?;
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    rest[..end].trim_end_matches('.').parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validate::Table;

    fn with<T>(cells: &str, read: impl Fn(&Row) -> T) -> T {
        let table = Table::parse(&format!("doubt,notes,length_sigma,statistic\n{cells}\n"), "rows").unwrap();
        read(&table.row(0))
    }

    #[test]
    fn lengths_vary_as_the_row_says_in_columns_or_in_words() {
        let of = |cells: &str| with(cells, Variety::of);
        assert_eq!(of("ShareGPT: lengths vary,,,"), Some(Variety::LogNormal(0.65)));
        assert_eq!(of("ShareGPT: lengths vary,,0.4,"), Some(Variety::LogNormal(0.4)));
        assert_eq!(of(",uniform lengths (range ratio 0),,"), Some(Variety::FromShare(0.0)));
        assert_eq!(of("range ratio of lengths not stated,,,"), None);
        assert_eq!(of(",200 ShareGPT prompts,,"), None);
        assert_eq!(of(",,,"), None);
    }

    #[test]
    fn lengths_of_a_range_have_the_stated_mean() {
        for share in [0.0, 1.0 / 3.0, 0.8] {
            let mean = Variety::FromShare(share).about(350).mean();
            assert!((mean - 350.0).abs() <= 1.0, "{share}: {mean}");
        }
        let cut = with("output lengths vary (tail of long ones),,,", Variety::of).unwrap();
        assert_eq!(cut.about(350), Lengths::Uniform { low: 175, high: 525 });
    }

    #[test]
    fn medians_are_told_from_means() {
        let of = |cells: &str| with(cells, Medians::of);
        assert_eq!(of("medians of TTFT and TPOT,,,"), Medians { ttft: true, rest: true });
        assert_eq!(of(",TTFT is a median,,"), Medians { ttft: true, rest: false });
        assert_eq!(of("medians,,,mean"), Medians::default());
        assert_eq!(of(",,,median"), Medians { ttft: true, rest: true });
        assert_eq!(of(",median over three runs,,"), Medians::default());
    }
}
