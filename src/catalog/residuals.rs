//! How far measured servers lie from what is estimated for them, by class. `shardfit-evidence residuals` makes the
//! figures, `residuals/serving.yaml` holds them.

use std::sync::LazyLock;

use serde::Deserialize;

use super::builtin;

/// What a model's layers are made of, as far as estimates differ in how good they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// Dense layers.
    Dense,
    /// Routed experts.
    Moe,
    /// Latent attention, mostly with routed experts.
    Latent,
    /// Recurrent layers beside attention.
    Hybrid,
}

impl Architecture {
    /// Every one.
    pub const ALL: [Architecture; 4] =
        [Architecture::Dense, Architecture::Moe, Architecture::Latent, Architecture::Hybrid];

    /// As the data has it.
    pub fn name(self) -> &'static str {
        match self {
            Architecture::Dense => "dense",
            Architecture::Moe => "moe",
            Architecture::Latent => "latent",
            Architecture::Hybrid => "hybrid",
        }
    }
}

/// How a server is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Traffic {
    /// Up to [`FEW`] requests in flight on each replica.
    Few,
    /// More of them, each followed by the next.
    Many,
    /// Requests arrive at a rate of their own.
    Rate,
    /// Pools of prefill and of decode workers.
    Split,
}

/// Most requests in flight on a replica that are few.
pub const FEW: f64 = 4.0;

impl Traffic {
    /// Every one.
    pub const ALL: [Traffic; 4] = [Traffic::Few, Traffic::Many, Traffic::Rate, Traffic::Split];

    /// Of so many requests in flight on each replica.
    pub fn of(in_flight: f64) -> Traffic {
        if in_flight <= FEW { Traffic::Few } else { Traffic::Many }
    }

    /// As the data has it.
    pub fn name(self) -> &'static str {
        match self {
            Traffic::Few => "few",
            Traffic::Many => "many",
            Traffic::Rate => "rate",
            Traffic::Split => "split",
        }
    }
}

/// Shares of measured servers at which a spread is known.
pub const SHARES: [f64; 9] = [0.02, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98];

/// Their standard deviations from the middle of a normal distribution.
const DEVIATIONS: [f64; 9] =
    [-2.053_749, -1.644_854, -1.281_552, -0.674_490, 0.0, 0.674_490, 1.281_552, 1.644_854, 2.053_749];

/// Measured times as multiples of the estimated one, at each of [`SHARES`] of the servers. Between them, and beyond, the
/// logarithm of the multiple is linear in the deviations of a normal distribution.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Spread(pub [f64; 9]);

impl Spread {
    /// What a tenth of the servers stays below.
    pub fn low(&self) -> f64 {
        self.0[2]
    }

    /// What nine tenths of the servers stay below.
    pub fn high(&self) -> f64 {
        self.0[6]
    }

    /// The same middle, and to each side of it at least as far as another: by the same multiple of its own middle.
    #[must_use]
    fn around(self, other: Spread) -> Spread {
        let (own, theirs) = (self.0[4], other.0[4]);
        let mut all = self.0;
        for (i, multiple) in all.iter_mut().enumerate() {
            let as_far = own * other.0[i] / theirs;
            *multiple = if i < 4 { multiple.min(as_far) } else { multiple.max(as_far) };
        }
        Spread(all)
    }

    /// What servers stay below with the share of a normal distribution that lies below so many deviations.
    pub fn at(&self, deviations: f64) -> f64 {
        let i = DEVIATIONS.iter().take(8).rposition(|d| *d <= deviations).unwrap_or(0);
        let (a, b) = (self.0[i].ln(), self.0[i + 1].ln());
        let along = (deviations - DEVIATIONS[i]) / (DEVIATIONS[i + 1] - DEVIATIONS[i]);
        (a + (b - a) * along).exp()
    }

    /// The share of servers that stay below a multiple.
    pub fn below(&self, multiple: f64) -> f64 {
        let i = self.0.iter().take(8).rposition(|m| *m <= multiple).unwrap_or(0);
        let (a, b) = (self.0[i].ln(), self.0[i + 1].ln());
        // Classes of few rows repeat a multiple.
        let along = if b > a { (multiple.ln() - a) / (b - a) } else { 1.0 };
        normal_below(DEVIATIONS[i] + (DEVIATIONS[i + 1] - DEVIATIONS[i]) * along)
    }
}

/// Share of a normal distribution below so many deviations, as a logistic one of a cubic, to 2e-4: Bowling et al.,
/// JIEM 2 (2009), 114.
pub fn normal_below(deviations: f64) -> f64 {
    1.0 / (1.0 + (-(1.5976 * deviations + 0.070_56 * deviations.powi(3))).exp())
}

/// The deviations below which such a share of a normal distribution lies.
pub fn deviations_of(share: f64) -> f64 {
    let (mut low, mut high) = (-8.0, 8.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if normal_below(middle) < share { low = middle } else { high = middle }
    }
    high
}

/// The spreads of a class of servers.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct Class {
    /// Of the mean time to first token.
    pub ttft: Spread,
    /// Of the mean time per output token.
    pub tpot: Spread,
    /// Of the time from request to last token, and with it of the throughput of as many requests in flight.
    pub e2e: Spread,
    /// Measured runs of the class itself; the fewer there are, the more its spreads are those of its relatives.
    pub rows: u32,
}

impl Class {
    /// The class with spreads at least as wide as another's: of kernels that nobody measured no more is known than of those
    /// that somebody did.
    #[must_use]
    fn no_surer_than(self, measured: &Class) -> Class {
        let wider = |own: Spread, other: Spread| own.around(other);
        Class {
            ttft: wider(self.ttft, measured.ttft),
            tpot: wider(self.tpot, measured.tpot),
            e2e: wider(self.e2e, measured.e2e),
            ..self
        }
    }
}

/// The classes of an engine's servers of one architecture.
#[derive(Clone, Copy, Debug)]
pub struct Classes([[&'static Class; 4]; 2]);

/// A class as the file has it.
#[derive(Debug, Deserialize)]
struct Entry {
    /// `any` for servers of no other.
    engine: String,
    calibrated: bool,
    architecture: Architecture,
    traffic: Traffic,
    #[serde(flatten)]
    class: Class,
}

/// The file.
#[derive(Debug, Deserialize)]
struct File {
    classes: Vec<Entry>,
}

/// Measured runs below which a class may look narrow by chance.
const FEW_ROWS: u32 = 30;

static ENTRIES: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    // The file is part of the program; a test reads it.
    let file = builtin::residuals().and_then(|file| serde_json::from_str::<File>(file.json).ok());
    let mut classes = file.map_or_else(Vec::new, |file| file.classes);
    // A class of few rows may look narrow by chance, and is no surer than that of kernels that were measured.
    let measured: Vec<(String, Architecture, Traffic, Class)> = classes
        .iter()
        .filter(|entry| entry.calibrated)
        .map(|entry| (entry.engine.clone(), entry.architecture, entry.traffic, entry.class))
        .collect();
    for entry in classes.iter_mut().filter(|entry| !entry.calibrated && entry.class.rows < FEW_ROWS) {
        let twin = |engine: &str| {
            let is = |(name, architecture, traffic, _): &&(String, Architecture, Traffic, Class)| {
                name == engine && *architecture == entry.architecture && *traffic == entry.traffic
            };
            measured.iter().find(is).map(|(.., class)| *class)
        };
        if let Some(twin) = twin(&entry.engine).or_else(|| twin("any")) {
            entry.class = entry.class.no_surer_than(&twin);
        }
    }
    classes
});

/// Where the file lacks a class, nothing is known: a third to three times the estimate.
static UNKNOWN: Class = {
    let wide = Spread([0.17, 0.25, 0.33, 0.6, 1.0, 1.7, 3.0, 4.0, 6.0]);
    Class { ttft: wide, tpot: wide, e2e: wide, rows: 0 }
};

impl Classes {
    /// Those of an engine; of no other's servers where it has none.
    pub fn of(engine: &str, architecture: Architecture) -> Classes {
        let find = |name: &str, calibrated: bool, traffic: Traffic| {
            let is = |e: &&Entry| {
                (e.engine == name && e.calibrated == calibrated)
                    && (e.architecture == architecture && e.traffic == traffic)
            };
            ENTRIES.iter().find(is).map(|entry| &entry.class)
        };
        let class = |calibrated: bool, traffic: Traffic| {
            let own = find(engine, calibrated, traffic);
            own.or_else(|| find("any", calibrated, traffic)).unwrap_or(&UNKNOWN)
        };
        Classes([false, true].map(|calibrated| Traffic::ALL.map(|traffic| class(calibrated, traffic))))
    }

    /// That of servers of which nothing is known.
    pub fn unknown() -> &'static Class {
        &UNKNOWN
    }

    /// That of servers whose kernels were measured or not, under some traffic. How kernels of split pools are known is
    /// not told apart.
    pub fn class(&self, calibrated: bool, traffic: Traffic) -> &'static Class {
        self.0[usize::from(calibrated && traffic != Traffic::Split)][traffic as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_class_of_the_file_falls_from_share_to_share_and_has_relatives_that_stand_in() {
        assert!(!ENTRIES.is_empty());
        for entry in ENTRIES.iter() {
            for spread in [entry.class.ttft, entry.class.tpot, entry.class.e2e] {
                assert!(spread.0.windows(2).all(|pair| 0.0 < pair[0] && pair[0] <= pair[1]), "{entry:?}");
            }
        }
        for architecture in Architecture::ALL {
            let classes = Classes::of("an engine that nobody has measured", architecture);
            for traffic in Traffic::ALL {
                assert_ne!(*classes.class(false, traffic), UNKNOWN, "{architecture:?} {traffic:?}");
            }
        }
    }

    #[test]
    fn what_was_not_measured_is_no_surer_than_what_was_unless_many_rows_say_so() {
        let mut few = 0;
        for architecture in Architecture::ALL {
            let classes = Classes::of("an engine that nobody has measured", architecture);
            for traffic in [Traffic::Few, Traffic::Many, Traffic::Rate] {
                let [bare, measured] = [false, true].map(|known| classes.class(known, traffic));
                if bare.rows >= FEW_ROWS {
                    continue;
                }
                few += 1;
                for [bare, measured] in [[bare.tpot, measured.tpot], [bare.ttft, measured.ttft]] {
                    let width = |spread: &Spread| spread.high() / spread.low();
                    assert!(width(&bare) >= width(&measured) * (1.0 - 1e-9), "{architecture:?} {traffic:?}");
                }
            }
        }
        assert!(few > 0);
    }

    #[test]
    fn a_share_of_servers_and_what_they_stay_below_are_each_others_inverse() {
        let spread = Spread([0.5, 0.6, 0.7, 0.9, 1.0, 1.2, 1.5, 1.9, 3.0]);
        for (share, multiple) in SHARES.into_iter().zip(spread.0) {
            assert!((spread.below(multiple) - share).abs() < 1e-3, "{multiple}");
            assert!((spread.at(deviations_of(share)) / multiple - 1.0).abs() < 2e-3, "{share}");
        }
        assert!(spread.below(1e-9) < 1e-6 && spread.below(1e9) > 1.0 - 1e-6);
        assert!(spread.at(-3.0) < 0.5 && spread.at(3.0) > 3.0);
    }
}
