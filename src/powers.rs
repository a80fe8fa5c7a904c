//! Real powers and logarithms that are the same to the last bit on every machine, and several times as fast as
//! a library's: accurate to some 1e-13, which is a hundred million times finer than any coefficient they act on.

use std::f64::consts::{LN_2, LOG2_E};

/// Bits of the mantissa.
const MANTISSA: u32 = 52;

/// Each power of two is cut into so many intervals, within which short series are exact.
const INTERVALS: usize = 128;

/// Bits of a mantissa inside an interval.
const INSIDE: u32 = MANTISSA - INTERVALS.trailing_zeros();

/// Where the first interval starts: 1 lies in the middle of one, so that its logarithm is nothing but zero.
const FIRST: u64 = 0.6875f64.to_bits() - (1 << (INSIDE - 1));

/// The middle of an interval: its reciprocal, and its binary logarithm.
#[derive(Clone, Copy)]
struct Middle {
    inverse: f64,
    log2: f64,
}

static MIDDLES: [Middle; INTERVALS] = {
    let mut middles = [Middle { inverse: 1.0, log2: 0.0 }; INTERVALS];
    let mut i = 0;
    while i < INTERVALS {
        let middle = f64::from_bits(FIRST + ((i as u64) << INSIDE) + (1 << (INSIDE - 1)));
        middles[i] = Middle { inverse: 1.0 / middle, log2: log2_by_series(middle) };
        i += 1;
    }
    middles
};

/// Bits of `2^(i/128)`.
static ROOTS: [u64; INTERVALS] = {
    let mut roots = [0; INTERVALS];
    let mut i = 0;
    while i < INTERVALS {
        roots[i] = exp_by_series(i as f64 * LN_2 / INTERVALS as f64).to_bits();
        i += 1;
    }
    roots
};

/// `2·artanh(s)/ln 2` with `s = (x − 1)/(x + 1)`, for `x` from ½ to 2.
const fn log2_by_series(x: f64) -> f64 {
    let s = (x - 1.0) / (x + 1.0);
    let (mut sum, mut n) = (0.0, 41);
    // Smallest terms first, by Horner's rule: Σ s^n/n over odd n.
    while n > 0 {
        sum = sum * s * s + 1.0 / n as f64;
        n -= 2;
    }
    2.0 * s * sum / LN_2
}

/// `Σ x^n/n!`, for `x` from 0 to ln 2.
const fn exp_by_series(x: f64) -> f64 {
    let (mut sum, mut n) = (1.0, 24);
    while n > 0 {
        sum = 1.0 + sum * x / n as f64;
        n -= 1;
    }
    sum
}

/// `x^p` for normal `x > 0`; zero where it is too small to be normal.
#[inline]
pub(crate) fn power(x: f64, p: f64) -> f64 {
    exp2(p * log2(x))
}

/// The binary logarithm of a normal `x > 0`: the exponent, that of the middle of the mantissa's interval, and
/// that of the rest, `1 + r`.
#[inline]
pub(crate) fn log2(x: f64) -> f64 {
    const C: [f64; 5] = [LOG2_E, -LOG2_E / 2.0, LOG2_E / 3.0, -LOG2_E / 4.0, LOG2_E / 5.0];
    let from_first = x.to_bits().wrapping_sub(FIRST);
    // The shift is of a signed number, so that exponents below zero come out right.
    let exponent = (from_first as i64) >> MANTISSA;
    let mantissa = f64::from_bits(x.to_bits().wrapping_sub((exponent as u64) << MANTISSA));
    let middle = &MIDDLES[(from_first >> INSIDE) as usize % INTERVALS];
    let r = mantissa * middle.inverse - 1.0;
    // |r| ≤ 0.004, so that r^6/6 and what follows is below 1e-15.
    let square = r * r;
    let series = (C[0] + r * C[1]) + square * ((C[2] + r * C[3]) + square * C[4]);
    (exponent as f64 + middle.log2) + r * series
}

/// `2^y`; zero where it is too small to be normal, infinite above `2^1023`.
#[inline]
pub(crate) fn exp2(y: f64) -> f64 {
    if y < -1021.0 {
        return 0.0;
    }
    if y > 1023.0 {
        return f64::INFINITY;
    }
    // Adding and taking away this rounds to whole 128ths, and leaves their number in the low bits.
    const ROUND: f64 = 1.5 * (1u64 << INSIDE) as f64;
    let rounded = y + ROUND;
    let count = rounded.to_bits();
    let t = (y - (rounded - ROUND)) * LN_2;
    // e^t − 1; |t| ≤ 0.0027, so that t^5/5! and what follows is below 2e-15.
    let rest = t + t * t * (0.5 + t * (1.0 / 6.0) + t * t * (1.0 / 24.0));
    let exponent = (count >> INTERVALS.trailing_zeros()) << MANTISSA;
    let root = f64::from_bits(ROOTS[count as usize % INTERVALS].wrapping_add(exponent));
    root + root * rest
}

/// `(a^p + b^p)^(1/p)`: the smooth maximum of two times; the sum at `p = 1`, the maximum as `p → ∞`.
#[inline]
pub(crate) fn smooth_max(a: f64, b: f64, p: f64) -> f64 {
    let (large, small) = if a >= b { (a, b) } else { (b, a) };
    if small <= 0.0 {
        return large;
    }
    // Factored so that large exponents neither overflow nor lose the smaller term.
    root_of_sum(large, term(small / large, p), p)
}

/// The smooth maximum of three times, `(a^p + b^p + c^p)^(1/p)`: that of two of them with the third, in fewer
/// powers.
#[inline]
pub(crate) fn smooth_max_of_three(a: f64, b: f64, c: f64, p: f64) -> f64 {
    let (large, other) = if a >= b { (a, b) } else { (b, a) };
    let (large, third) = if large >= c { (large, c) } else { (c, large) };
    if large <= 0.0 {
        return large;
    }
    root_of_sum(large, term(other / large, p) + term(third / large, p), p)
}

/// `x^p` of a share of the largest part, nothing where there is none.
#[inline]
fn term(share: f64, p: f64) -> f64 {
    /// Beside 1 less is lost.
    const LOST: f64 = -56.0;
    if share <= f64::MIN_POSITIVE {
        return 0.0;
    }
    let exponent = p * log2(share);
    if exponent < LOST { 0.0 } else { exp2(exponent) }
}

/// `large·(1 + rest)^(1/p)`; where the rest is lost beside 1 the root is 1, and where it is small the binomial
/// series up to its third power is exact.
#[inline]
fn root_of_sum(large: f64, rest: f64, p: f64) -> f64 {
    const SMALL: f64 = 1e-4;
    let q = 1.0 / p;
    if rest < SMALL {
        let third = 1.0 + (q - 2.0) * (1.0 / 3.0) * rest;
        large + large * q * rest * (1.0 + (q - 1.0) * 0.5 * rest * third)
    } else {
        large * power(1.0 + rest, q)
    }
}

/// The smooth maximum of two times at `p = 4`.
#[inline]
pub(crate) fn smooth_max_of_fourth_powers(a: f64, b: f64) -> f64 {
    let (large, small) = if a >= b { (a, b) } else { (b, a) };
    if small <= 0.0 {
        return large;
    }
    let square = (small / large) * (small / large);
    large * (1.0 + square * square).sqrt().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn powers_agree_with_the_librarys(x in 1e-12..1e3f64, p in -8.0..16.0f64) {
            let (ours, theirs) = (power(x, p), x.powf(p));
            prop_assert!((ours / theirs - 1.0).abs() < 1e-12, "{ours} {theirs}");
        }

        #[test]
        fn logarithms_agree_with_the_librarys(x in 1e-300..1e300f64) {
            prop_assert!((log2(x) - x.log2()).abs() < 1e-13 * x.log2().abs().max(1.0));
        }

        #[test]
        fn a_smooth_maximum_of_three_is_that_of_two_and_the_third(
            a in 0.0..1e3f64, b in 0.0..1e3f64, c in 0.0..1e3f64, p in 1.0..8.0f64,
        ) {
            let (nested, flat) = (smooth_max(smooth_max(a, b, p), c, p), smooth_max_of_three(a, b, c, p));
            prop_assert!((nested - flat).abs() <= 1e-12 * nested.max(1e-300));
        }

        #[test]
        fn a_smooth_maximum_lies_between_the_maximum_and_the_sum(
            a in 0.0..1e3f64, b in 0.0..1e3f64, p in 1.0..8.0f64,
        ) {
            let s = smooth_max(a, b, p);
            prop_assert!(s >= a.max(b) && s <= (a + b) * (1.0 + 1e-12));
            prop_assert_eq!(s, smooth_max(b, a, p));
            let fourth = smooth_max_of_fourth_powers(a, b);
            prop_assert!((fourth - smooth_max(a, b, 4.0)).abs() <= 1e-13 * fourth);
        }

        #[test]
        fn a_smooth_maximum_never_falls_when_a_part_grows(
            a in 0.0..1e3f64, b in 0.0..1e3f64, more in 0.0..1e3f64, p in 1.0..8.0f64,
        ) {
            prop_assert!(smooth_max(a + more, b, p) >= smooth_max(a, b, p) * (1.0 - 1e-12));
        }
    }

    #[test]
    fn powers_of_two_are_exact_from_the_smallest_to_the_largest() {
        for e in [-1021, -1000, -3, 0, 1, 10, 1023] {
            assert_eq!(exp2(f64::from(e)), f64::from(e).exp2(), "{e}");
            assert_eq!(log2(f64::from(e).exp2()), f64::from(e));
        }
        assert_eq!((exp2(-1022.0), exp2(1023.5)), (0.0, f64::INFINITY));
    }
}
