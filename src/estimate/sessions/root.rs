//! Roots of functions of one number, in few evaluations.

use crate::powers::{exp2, log2};

/// Evaluations at most.
const MOST: usize = 40;

/// Relative width to which a root is found.
const WIDTH: f64 = 1e-4;

/// Points of the ladder on which the first change of sign is looked for.
const LADDER: usize = 10;

/// Finds where `f` crosses the diagonal between `a` with its value, which is not below it, and `b`, whose value is taken
/// to be not above it. `f` has been evaluated last within `width` of there.
pub fn crossing(
    (mut a, fa): (f64, f64),
    (mut b, fb): (f64, f64),
    width: f64,
    mut f: impl FnMut(f64) -> f64,
) -> f64 {
    // By the Illinois rule: a secant that halves the weight of an end that stays.
    let (mut above, mut below) = (fa - a, fb - b);
    if above <= width {
        return f(a);
    }
    let mut x = fa.min(b);
    let mut side = 0;
    for _ in 0..MOST {
        let y = f(x) - x;
        if y.abs() <= width || b - a <= width {
            break;
        }
        if y > 0.0 {
            (a, above) = (x, y);
            below *= if side == 1 { 0.5 } else { 1.0 };
            side = 1;
        } else {
            (b, below) = (x, y);
            above *= if side == -1 { 0.5 } else { 1.0 };
            side = -1;
        }
        let secant = if below < above { (a * below - b * above) / (below - above) } else { f64::NAN };
        x = if secant > a && secant < b { secant } else { (a + b) / 2.0 };
    }
    x
}

/// The first `x` from 0 to `most` at which `f`, negative at first, is not; `None` where it stays negative. Looked for along
/// a ladder: what rises and falls between two of its steps is passed over.
pub fn first_root(most: f64, mut f: impl FnMut(f64) -> f64) -> Option<f64> {
    let (mut a, mut ya) = (0.0, None);
    let ratio = log2((most / 0.5).max(2.0)) / (LADDER - 1) as f64;
    let mut found = None;
    for i in 0..LADDER {
        let x = if i + 1 == LADDER { most } else { most / exp2(ratio * (LADDER - 1 - i) as f64) };
        let y = f(x);
        if y >= 0.0 {
            found = Some((x, y));
            break;
        }
        (a, ya) = (x, Some(y));
    }
    let (mut b, mut yb) = found?;
    // At no request in flight nothing is served.
    let mut ya = match ya {
        Some(y) => y,
        None => f(0.0).min(-1e-12),
    };
    let mut side = 0;
    for _ in 0..MOST {
        if b - a <= WIDTH * b {
            break;
        }
        let secant = b - yb * (b - a) / (yb - ya);
        let x = if secant > a && secant < b { secant } else { (a + b) / 2.0 };
        let y = f(x);
        if y >= 0.0 {
            (b, yb) = (x, y);
            ya *= if side == 1 { 0.5 } else { 1.0 };
            side = 1;
        } else {
            (a, ya) = (x, y);
            yb *= if side == -1 { 0.5 } else { 1.0 };
            side = -1;
        }
        if y == 0.0 {
            break;
        }
    }
    Some(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_root_is_found_in_few_evaluations() {
        let mut n = 0;
        let root = first_root(1000.0, |x| {
            n += 1;
            x * x - 90_000.0
        });
        assert!((root.unwrap() - 300.0).abs() < 0.1 && n < 25, "{root:?} in {n}");
        assert_eq!(first_root(10.0, |x| x - 11.0), None);
        // Of several the first: it rises to 17 at 20, falls to -1, and rises again.
        let humps = |x: f64| if x < 20.0 { x - 3.0 } else { (x - 27.0) / 7.0 };
        assert!((first_root(100.0, humps).unwrap() - 3.0).abs() < 0.01);
    }

    #[test]
    fn a_fixed_point_is_where_a_falling_function_crosses_the_diagonal() {
        let f = |x: f64| 100.0 - 0.9 * x;
        let found = crossing((0.0, 100.0), (1000.0, 1000.0), 1e-6, f);
        assert!((found - 100.0 / 1.9).abs() < 1e-5, "{found}");
    }
}
