//! Budgets: how large a model and how many tokens a number of FLOPs buys, and what loss to expect.
//!
//! Laws of Hoffmann et al. 2022 (arXiv:2203.15556) and the corrected fit of Besiroglu et al. 2024
//! (arXiv:2404.10102). Pure functions; `docs/training.md` has the equations.

use crate::diagnostic::{Code, Diagnostic};
use crate::units::Flops;

/// FLOPs for each parameter and token (Kaplan et al. 2020, arXiv:2001.08361 §2.1).
pub const PER_PARAMETER_AND_TOKEN: f64 = 6.0;

/// How the best size was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Approach {
    /// Lowest loss over training curves (§3.1): table 3 of the paper.
    Curves,
    /// IsoFLOP profiles (§3.2): table A3.
    Profiles,
    /// A parametric loss (§3.3), with the constants as published.
    Parametric,
    /// The same law, fitted again by Besiroglu et al.
    Corrected,
}

impl Approach {
    /// Every approach.
    pub const ALL: [Approach; 4] =
        [Approach::Curves, Approach::Profiles, Approach::Parametric, Approach::Corrected];
    /// Names as on the command line.
    pub const NAMES: [&'static str; 4] = ["1", "2", "3", "3-corrected"];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// What it is, in words.
    pub fn about(self) -> &'static str {
        match self {
            Approach::Curves => "approach 1, training curves (Hoffmann et al. 2022, table 3)",
            Approach::Profiles => "approach 2, IsoFLOP profiles (Hoffmann et al. 2022, table A3)",
            Approach::Parametric => "approach 3, parametric loss as published (Hoffmann et al. 2022)",
            Approach::Corrected => "approach 3, corrected fit (Besiroglu et al. 2024)",
        }
    }
}

impl std::str::FromStr for Approach {
    type Err = Diagnostic;
    fn from_str(text: &str) -> Result<Self, Diagnostic> {
        Approach::ALL.into_iter().find(|a| a.name() == text).ok_or_else(|| {
            let list = format!("allowed: {}", Approach::NAMES.join(", "));
            Diagnostic::unknown("approach", text, Approach::NAMES, &list)
        })
    }
}

/// `L(N, D) = E + A/N^α + B/D^β`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Law {
    e: f64,
    a: f64,
    b: f64,
    alpha: f64,
    beta: f64,
}

/// Hoffmann et al. 2022, equation 10 of appendix D.3, as rounded in the paper.
pub const PUBLISHED: Law = Law { e: 1.69, a: 406.4, b: 410.7, alpha: 0.34, beta: 0.28 };

/// Besiroglu et al. 2024, table 1.
pub const CORRECTED: Law = Law { e: 1.8172, a: 482.01, b: 2085.43, alpha: 0.3478, beta: 0.3658 };

/// A model and the tokens that it is trained on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Size {
    /// Parameters.
    pub parameters: f64,
    /// Tokens.
    pub tokens: f64,
}

impl Size {
    /// `6·N·D`.
    pub fn flops(&self) -> Flops {
        Flops::new(PER_PARAMETER_AND_TOKEN * self.parameters * self.tokens)
    }

    /// Tokens for each parameter.
    pub fn ratio(&self) -> f64 {
        self.tokens / self.parameters
    }
}

impl Law {
    /// Expected loss, in nats a token of the paper's data.
    pub fn loss(&self, size: &Size) -> f64 {
        self.e + self.a / size.parameters.powf(self.alpha) + self.b / size.tokens.powf(self.beta)
    }

    /// The size of least loss: `N = G·(C/6)^(β/(α+β))`, `D = C/(6N)`, `G = (αA/(βB))^(1/(α+β))` (equation 4).
    pub fn best(&self, flops: Flops) -> Size {
        let sum = self.alpha + self.beta;
        let g = (self.alpha * self.a / (self.beta * self.b)).powf(1.0 / sum);
        let compute = flops.get() / PER_PARAMETER_AND_TOKEN;
        let parameters = g * compute.powf(self.beta / sum);
        Size { parameters, tokens: compute / parameters }
    }

    /// Tokens that bring a model of `parameters` to `loss`; `None` where no number does.
    pub fn tokens_for(&self, parameters: f64, loss: f64) -> Option<f64> {
        let rest = loss - self.e - self.a / parameters.powf(self.alpha);
        (rest > 0.0).then(|| (self.b / rest).powf(1.0 / self.beta)).filter(|d| d.is_finite())
    }
}

/// Parameters, FLOPs and tokens, of table 3.
const CURVES: [(f64, f64, f64); 9] = [
    (400e6, 1.92e19, 8.0e9),
    (1e9, 1.21e20, 20.2e9),
    (10e9, 1.23e22, 205.1e9),
    (67e9, 5.76e23, 1.5e12),
    (175e9, 3.85e24, 3.7e12),
    (280e9, 9.90e24, 5.9e12),
    (520e9, 3.43e25, 11.0e12),
    (1e12, 1.27e26, 21.2e12),
    (10e12, 1.30e28, 216.2e12),
];

/// The same of table A3, approach 2.
const PROFILES: [(f64, f64, f64); 9] = [
    (400e6, 1.84e19, 7.7e9),
    (1e9, 1.20e20, 20.0e9),
    (10e9, 1.32e22, 219.5e9),
    (67e9, 6.88e23, 1.7e12),
    (175e9, 4.54e24, 4.3e12),
    (280e9, 1.18e25, 7.1e12),
    (520e9, 4.19e25, 13.4e12),
    (1e12, 1.59e26, 26.5e12),
    (10e12, 1.75e28, 292.0e12),
];

/// The best size for a budget, as an approach has it, with `C = 6·N·D`. Approaches 1 and 2 take the parameters of their
/// tables, straight lines in the logarithms between rows and beyond the ends.
pub fn best(approach: Approach, flops: Flops) -> Size {
    match approach {
        Approach::Curves => between(&CURVES, flops),
        Approach::Profiles => between(&PROFILES, flops),
        Approach::Parametric => PUBLISHED.best(flops),
        Approach::Corrected => CORRECTED.best(flops),
    }
}

/// The law whose loss goes with an approach: approaches 1 and 2 state none, and take the corrected one.
pub fn law(approach: Approach) -> Law {
    if approach == Approach::Parametric { PUBLISHED } else { CORRECTED }
}

fn between(table: &[(f64, f64, f64)], flops: Flops) -> Size {
    let x = flops.get().ln();
    let above = table.iter().position(|(_, c, _)| c.ln() >= x).unwrap_or(table.len() - 1).max(1);
    let ((n0, c0, _), (n1, c1, _)) = (table[above - 1], table[above]);
    let t = (x - c0.ln()) / (c1.ln() - c0.ln());
    let line = |a: f64, b: f64| (a.ln() + t * (b.ln() - a.ln())).exp();
    let parameters = line(n0, n1);
    // The tables' own tokens count FLOPs operator by operator and are up to 5 % beside 6·N·D.
    Size { parameters, tokens: flops.get() / (PER_PARAMETER_AND_TOKEN * parameters) }
}

/// A smaller model trained longer, to the same loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Longer {
    /// The size.
    pub size: Size,
    /// FLOPs of training.
    pub training: Flops,
    /// FLOPs of serving `2·N` for each token (Sardana et al. 2023, arXiv:2401.00448 §2).
    pub inference: Flops,
}

impl Longer {
    /// Both.
    pub fn total(&self) -> Flops {
        self.training + self.inference
    }
}

/// Shares of the best size that a curve shows.
pub const SHARES: [f64; 8] = [1.0, 0.85, 0.7, 0.6, 0.5, 0.4, 0.35, 0.3];

/// Models of shares of the best size that reach its loss, with `served` tokens of inference.
pub fn longer(approach: Approach, flops: Flops, served: f64) -> Vec<Longer> {
    let (law, best) = (law(approach), best(approach, flops));
    let loss = law.loss(&best);
    let at = |share: &f64| {
        let parameters = best.parameters * share;
        // The best itself needs no solving.
        let tokens = if *share == 1.0 { best.tokens } else { law.tokens_for(parameters, loss)? };
        let size = Size { parameters, tokens };
        Some(Longer { size, training: size.flops(), inference: Flops::new(2.0 * parameters * served) })
    };
    SHARES.iter().filter_map(at).collect()
}

/// Checks a budget: that its best model is neither smaller nor larger than anything that a law was fitted to by
/// more than a few orders of magnitude.
///
/// # Errors
/// [`Code::Range`].
pub fn check(flops: Flops) -> Result<(), Diagnostic> {
    let range = 1e15..=1e32;
    if range.contains(&flops.get()) {
        return Ok(());
    }
    Err(Diagnostic::new(Code::Range, format!("a budget of {:.3e} FLOPs is out of range", flops.get()))
        .help("the laws were fitted between 1e18 and 1e22 and are used from 1e15 to 1e32"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOPHER: Flops = Flops::new(5.76e23);

    fn near(x: f64, y: f64, share: f64) {
        assert!((x / y - 1.0).abs() <= share, "{x:.4e} is not {y:.4e}");
    }

    #[test]
    fn approach_3_as_published_makes_32_b_and_2_98_t_of_gophers_budget() {
        let size = best(Approach::Parametric, GOPHER);
        near(size.parameters, 32.2e9, 0.01);
        near(size.tokens, 2.98e12, 0.01);
    }

    #[test]
    fn the_corrected_fit_makes_72_b_and_1_33_t_of_gophers_budget() {
        let size = best(Approach::Corrected, GOPHER);
        near(size.parameters, 72.2e9, 0.01);
        near(size.tokens, 1.33e12, 0.01);
    }

    #[test]
    fn approaches_1_and_2_are_their_tables() {
        for (approach, table) in [(Approach::Curves, CURVES), (Approach::Profiles, PROFILES)] {
            for (parameters, flops, tokens) in table {
                let size = best(approach, Flops::new(flops));
                near(size.parameters, parameters, 1e-9);
                near(size.tokens, tokens, 0.05);
            }
        }
        for approach in Approach::ALL {
            near(best(approach, GOPHER).flops().get(), GOPHER.get(), 1e-9);
        }
        // 67 B at Gopher's budget; about 20 tokens for each parameter.
        near(best(Approach::Curves, GOPHER).ratio(), 20.0, 0.15);
        near(best(Approach::Profiles, GOPHER).ratio(), 25.0, 0.15);
    }

    #[test]
    fn the_best_size_has_the_least_loss_of_its_budget() {
        for law in [PUBLISHED, CORRECTED] {
            let best = law.best(GOPHER);
            for share in [0.8, 0.95, 1.05, 1.25] {
                let other = Size { parameters: best.parameters * share, tokens: best.tokens / share };
                assert!(law.loss(&other) > law.loss(&best));
            }
        }
    }

    #[test]
    fn smaller_models_reach_the_same_loss_with_more_compute() {
        let curve = longer(Approach::Corrected, GOPHER, 1e13);
        let loss = CORRECTED.loss(&curve[0].size);
        for pair in curve.windows(2) {
            assert!(pair[1].training >= pair[0].training);
            assert!(pair[1].inference < pair[0].inference);
            near(CORRECTED.loss(&pair[1].size), loss, 1e-9);
        }
    }

    #[test]
    fn a_model_too_small_for_a_loss_has_no_number_of_tokens() {
        assert_eq!(CORRECTED.tokens_for(1e6, 2.0), None);
    }

    #[test]
    fn budgets_beyond_reason_are_refused() {
        assert!(check(Flops::new(1e40)).is_err() && check(Flops::new(1.0)).is_err());
        assert!(check(GOPHER).is_ok());
    }
}
