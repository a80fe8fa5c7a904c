//! Real powers and logarithms that are the same to the last bit on every machine, and several times as fast as
//! a library's: accurate to some 1e-14, which is a billion times finer than any coefficient they act on.

/// `2 / ln 2`.
const TWO_OVER_LN2: f64 = 2.0 * std::f64::consts::LOG2_E;

/// Bits of `√½`: mantissas are taken from `[√½, √2)`, so that their logarithm is near zero.
const ROOT_HALF: u64 = std::f64::consts::FRAC_1_SQRT_2.to_bits();

/// Bits of the mantissa.
const MANTISSA: u32 = 52;

/// `1/3, 1/5, …, 1/15`: products are faster than quotients.
const ODD: [f64; 7] = [1.0 / 3.0, 1.0 / 5.0, 1.0 / 7.0, 1.0 / 9.0, 1.0 / 11.0, 1.0 / 13.0, 1.0 / 15.0];

/// `1/n!`.
const FACTORIAL: [f64; 12] = {
    let mut inverse = [1.0; 12];
    let mut n = 1;
    while n < 12 {
        inverse[n] = inverse[n - 1] / n as f64;
        n += 1;
    }
    inverse
};

/// `x^p` for normal `x > 0`; zero where it is too small to be normal.
#[inline]
pub(crate) fn power(x: f64, p: f64) -> f64 {
    exp2(p * log2(x))
}

/// The binary logarithm of a normal `x > 0`: the exponent, and `2·artanh((m − 1)/(m + 1))/ln 2` of the mantissa.
#[inline]
pub(crate) fn log2(x: f64) -> f64 {
    let bits = x.to_bits();
    // The shift is of a signed number, so that exponents below zero come out right.
    let exponent = (bits.wrapping_sub(ROOT_HALF) as i64) >> MANTISSA;
    let m = f64::from_bits(bits.wrapping_sub((exponent as u64) << MANTISSA));
    let s = (m - 1.0) / (m + 1.0);
    let z = s * s;
    let z2 = z * z;
    // artanh(s)/s = 1 + z/3 + z²/5 + …; z ≤ 0.0295, so that what is left out is below 4e-14.
    let low = (1.0 + z * ODD[0]) + z2 * (ODD[1] + z * ODD[2]);
    let high = (ODD[3] + z * ODD[4]) + z2 * (ODD[5] + z * ODD[6]);
    exponent as f64 + s * (low + z2 * z2 * high) * TWO_OVER_LN2
}

/// `2^y`; zero where it is too small to be normal, infinite where it is too large.
#[inline]
pub(crate) fn exp2(y: f64) -> f64 {
    if y < -1021.0 {
        return 0.0;
    }
    if y >= 1024.0 {
        return f64::INFINITY;
    }
    // Adding and taking away 1.5·2^52 rounds to the nearest whole number.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    let whole = (y + ROUND) - ROUND;
    let t = (y - whole) * std::f64::consts::LN_2;
    let (t2, t4) = (t * t, t * t * t * t);
    // The exponential series up to t^11/11!; |t| ≤ 0.347, so that what is left out is below 1e-14.
    let low = (1.0 + t) + t2 * (FACTORIAL[2] + t * FACTORIAL[3]);
    let middle = (FACTORIAL[4] + t * FACTORIAL[5]) + t2 * (FACTORIAL[6] + t * FACTORIAL[7]);
    let high = (FACTORIAL[8] + t * FACTORIAL[9]) + t2 * (FACTORIAL[10] + t * FACTORIAL[11]);
    let series = low + t4 * (middle + t4 * high);
    // 2^1024 has no exponent of its own, though values near it do.
    let half = f64::from_bits(((whole as i64 + 1022) as u64) << MANTISSA);
    series * half * 2.0
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
    if share > f64::MIN_POSITIVE { power(share, p) } else { 0.0 }
}

/// `large·(1 + rest)^(1/p)`; where the rest is lost beside 1 the root is 1, and where it is small the binomial
/// series up to its third power is exact.
#[inline]
fn root_of_sum(large: f64, rest: f64, p: f64) -> f64 {
    const SMALL: f64 = 1e-4;
    let q = 1.0 / p;
    if rest < SMALL {
        let third = 1.0 + (q - 2.0) * ODD[0] * rest;
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
        assert_eq!((exp2(-1022.0), exp2(1024.0)), (0.0, f64::INFINITY));
    }
}
