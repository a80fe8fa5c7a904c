//! Robust least squares: Levenberg and Marquardt's damped steps on a soft absolute loss.
//!
//! Kernel times span six decades and a benchmark has outliers, so residuals are logarithms of predicted over
//! measured, and beyond [`SCALE`] they count in proportion instead of squared (`soft_l1`, Triggs et al.,
//! Bundle Adjustment, §3.2).

/// Relative errors up to about this size count squared.
const SCALE: f64 = 0.1;
/// Usual weight of staying at the start, in units of residual per e-fold: little, but it decides where the
/// measurements do not.
pub const PRIOR: f64 = 0.05;
/// Steps of one descent.
const STEPS: usize = 80;
/// Descents from different starts.
const STARTS: u64 = 4;
/// Spread of the starts, in e-folds.
const SPREAD: f64 = 0.7;

/// A coefficient's bounds.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Smallest value.
    pub low: f64,
    /// Largest value.
    pub high: f64,
    /// Whether it is searched on a logarithmic axis; others may be negative.
    pub logarithmic: bool,
}

impl Bounds {
    fn inward(self, value: f64) -> f64 {
        let value = value.clamp(self.low, self.high);
        if self.logarithmic { value.ln() } else { value }
    }

    fn outward(self, at: f64) -> f64 {
        let value = if self.logarithmic { at.exp() } else { at };
        value.clamp(self.low, self.high)
    }

    fn clamp(self, at: f64) -> f64 {
        self.inward(self.outward(at))
    }
}

/// A fit and its loss.
#[derive(Clone, Debug)]
pub struct Fit {
    /// Coefficients.
    pub values: Vec<f64>,
    /// Mean loss per point.
    pub loss: f64,
}

/// The loss of one residual: its square where it is small, its size where it is large.
pub fn loss(residual: f64) -> f64 {
    let scaled = residual / SCALE;
    2.0 * SCALE * SCALE * ((1.0 + scaled * scaled).sqrt() - 1.0)
}

/// The coefficients under which `residuals` are least, from a start and from places around it.
///
/// `residuals` fills its second argument from coefficients; `stay` is the weight of staying at the start; the
/// same input gives the same fit.
pub fn fit(
    start: &[f64],
    bounds: &[Bounds],
    points: usize,
    stay: f64,
    residuals: &dyn Fn(&[f64], &mut [f64]),
) -> Fit {
    let problem = Problem { bounds, points, residuals, stay, prior: inward(start, bounds) };
    let descents = (0..STARTS).map(|n| problem.descend(problem.beginning(n)));
    let best = descents.min_by(|a, b| a.loss.total_cmp(&b.loss));
    best.unwrap_or(Fit { values: start.to_vec(), loss: f64::INFINITY })
}

fn inward(values: &[f64], bounds: &[Bounds]) -> Vec<f64> {
    values.iter().zip(bounds).map(|(v, b)| b.inward(*v)).collect()
}

struct Problem<'a> {
    bounds: &'a [Bounds],
    points: usize,
    residuals: &'a dyn Fn(&[f64], &mut [f64]),
    stay: f64,
    prior: Vec<f64>,
}

impl Problem<'_> {
    /// The first start is the given one, the rest lie around it.
    fn beginning(&self, number: u64) -> Vec<f64> {
        let moved = |(i, (at, bounds)): (usize, (&f64, &Bounds))| {
            let reach = if bounds.logarithmic { 1.0 } else { 0.2 * (bounds.high - bounds.low) };
            let shift = if number == 0 { 0.0 } else { SPREAD * reach * scattered(number, i as u64) };
            bounds.clamp(at + shift)
        };
        self.prior.iter().zip(self.bounds).enumerate().map(moved).collect()
    }

    fn evaluate(&self, at: &[f64], out: &mut [f64]) -> f64 {
        let values: Vec<f64> = at.iter().zip(self.bounds).map(|(x, b)| b.outward(*x)).collect();
        (self.residuals)(&values, &mut out[..self.points]);
        let (measured, kept) = out.split_at_mut(self.points);
        for (slot, (x, prior)) in kept.iter_mut().zip(at.iter().zip(&self.prior)) {
            *slot = self.stay * (x - prior);
        }
        measured.iter().map(|r| loss(*r)).sum::<f64>() + kept.iter().map(|r| r * r).sum::<f64>()
    }

    fn descend(&self, mut at: Vec<f64>) -> Fit {
        let (n, rows) = (at.len(), self.points + at.len());
        let (mut here, mut there) = (vec![0.0; rows], vec![0.0; rows]);
        let mut jacobian = vec![vec![0.0; rows]; n];
        let mut cost = self.evaluate(&at, &mut here);
        let mut damping = 1e-2;
        for _ in 0..STEPS {
            self.differentiate(&at, &here, &mut jacobian);
            let mut improved = false;
            for _ in 0..8 {
                let step = self.step(&here, &jacobian, damping);
                let next: Vec<f64> =
                    at.iter().zip(&step).zip(self.bounds).map(|((x, s), b)| b.clamp(x + s)).collect();
                let trial = self.evaluate(&next, &mut there);
                if trial < cost {
                    improved = cost - trial > 1e-7 * cost;
                    (at, cost) = (next, trial);
                    std::mem::swap(&mut here, &mut there);
                    damping = (damping * 0.3).max(1e-9);
                    break;
                }
                damping *= 4.0;
            }
            if !improved {
                break;
            }
        }
        let values = at.iter().zip(self.bounds).map(|(x, b)| b.outward(*x)).collect();
        Fit { values, loss: cost / self.points.max(1) as f64 }
    }

    /// Forward differences, backward at an upper bound.
    fn differentiate(&self, at: &[f64], here: &[f64], jacobian: &mut [Vec<f64>]) {
        for (i, column) in jacobian.iter_mut().enumerate() {
            let mut moved = at.to_vec();
            let ahead = self.bounds[i].clamp(at[i] + 1e-5);
            moved[i] = if ahead > at[i] { ahead } else { at[i] - 1e-5 };
            let change = moved[i] - at[i];
            self.evaluate(&moved, column);
            column.iter_mut().zip(here).for_each(|(c, h)| *c = (*c - h) / change);
        }
    }

    /// `(JᵀWJ + damping·diag) step = −JᵀWr`, the loss's weights on the measured part.
    fn step(&self, here: &[f64], jacobian: &[Vec<f64>], damping: f64) -> Vec<f64> {
        let n = jacobian.len();
        let weight = |i: usize| match i < self.points {
            true => 1.0 / (1.0 + (here[i] / SCALE).powi(2)).sqrt(),
            false => 1.0,
        };
        let weights: Vec<f64> = (0..here.len()).map(weight).collect();
        let product = |a: &[f64], b: &[f64]| -> f64 {
            a.iter().zip(b).zip(&weights).map(|((x, y), w)| x * y * w).sum()
        };
        let mut system = vec![vec![0.0; n + 1]; n];
        for i in 0..n {
            for j in 0..n {
                system[i][j] = product(&jacobian[i], &jacobian[j]);
            }
            system[i][i] += damping * system[i][i] + 1e-12;
            system[i][n] = -product(&jacobian[i], here);
        }
        solve(system)
    }
}

/// Gaussian elimination with the largest pivot of each column; a column without one stays at zero.
fn solve(mut system: Vec<Vec<f64>>) -> Vec<f64> {
    let n = system.len();
    for column in 0..n {
        let largest =
            (column..n).max_by(|a, b| system[*a][column].abs().total_cmp(&system[*b][column].abs()));
        system.swap(column, largest.unwrap_or(column));
        let pivot = system[column].clone();
        if pivot[column].abs() < 1e-300 {
            continue;
        }
        for row in system.iter_mut().skip(column + 1) {
            let factor = row[column] / pivot[column];
            row.iter_mut().zip(&pivot).skip(column).for_each(|(x, p)| *x -= factor * p);
        }
    }
    let mut out = vec![0.0; n];
    for row in (0..n).rev() {
        let known: f64 = (row + 1..n).map(|j| system[row][j] * out[j]).sum();
        let pivot = system[row][row];
        out[row] = if pivot.abs() < 1e-300 { 0.0 } else { (system[row][n] - known) / pivot };
    }
    out
}

/// A number in `[-1, 1)` that two whole numbers scatter to (splitmix64).
pub fn scattered(a: u64, b: u64) -> f64 {
    let mut x = a.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(b.wrapping_mul(0xD1B5_4A32_D192_ED03));
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^= x >> 31;
    (x >> 11) as f64 / (1u64 << 52) as f64 - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: Bounds = Bounds { low: 1e-3, high: 1e3, logarithmic: true };

    /// `a + b·x`, as logarithms of prediction over measurement.
    fn line<'a>(points: &'a [(f64, f64)]) -> impl Fn(&[f64], &mut [f64]) + 'a {
        move |v, out| {
            for (slot, (x, y)) in out.iter_mut().zip(points) {
                *slot = ((v[0] + v[1] * x) / y).ln();
            }
        }
    }

    #[test]
    fn a_line_is_found_from_far_away() {
        let points: Vec<(f64, f64)> = (1..60).map(|x| (f64::from(x), 3.0 + 0.5 * f64::from(x))).collect();
        let found = fit(&[1.0, 5.0], &[ANY, ANY], points.len(), PRIOR, &line(&points));
        assert!((found.values[0] / 3.0 - 1.0).abs() < 0.02, "{found:?}");
        assert!((found.values[1] / 0.5 - 1.0).abs() < 0.02, "{found:?}");
    }

    #[test]
    fn outliers_hardly_move_the_fit() {
        let off = |x: u32| if x.is_multiple_of(10) { 20.0 } else { 1.0 };
        let points: Vec<(f64, f64)> =
            (1..80).map(|x| (f64::from(x), (3.0 + 0.5 * f64::from(x)) * off(x))).collect();
        let found = fit(&[1.0, 1.0], &[ANY, ANY], points.len(), PRIOR, &line(&points));
        assert!((found.values[1] / 0.5 - 1.0).abs() < 0.05, "{found:?}");
    }

    #[test]
    fn what_nothing_was_measured_of_stays_where_it_started() {
        let points = vec![(0.0, 3.0); 50];
        let found = fit(&[1.0, 5.0], &[ANY, ANY], points.len(), PRIOR, &line(&points));
        assert!((found.values[1] - 5.0).abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn bounds_hold() {
        let points: Vec<(f64, f64)> = (1..60).map(|x| (f64::from(x), 3.0 + 0.5 * f64::from(x))).collect();
        let low = Bounds { high: 0.2, ..ANY };
        let found = fit(&[1.0, 0.1], &[ANY, low], points.len(), PRIOR, &line(&points));
        assert!(found.values[1] <= 0.2);
    }
}
