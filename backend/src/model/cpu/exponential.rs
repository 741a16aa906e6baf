//! `exp` as plain arithmetic, which the compiler turns into vectors, within about an ulp of the exact value.
//!
//! The argument is cut into a whole power of two and a rest of at most half of ln 2, for which a polynomial does (after Cephes'
//! `expf`, Moshier 1992).

/// Bounds within which the result is a normal number.
const LEAST: f32 = -87.0;
const MOST: f32 = 88.0;
/// Adding it rounds to a whole number, which then stands in the lowest bits: 1.5 * 2^23.
const ROUNDING: f32 = 12_582_912.0;
/// ln 2 in two parts, of which the first has so few bits that its products with whole numbers are exact.
const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
const POLYNOMIAL: [f32; 6] =
    [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 5.0e-1];

/// `e` to the power of `x`. What is below -87 gives what -87 gives (1.6e-38), what is above 88 what 88 does; NaN stays NaN.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    let x = if x < LEAST { LEAST } else { x };
    let x = if x > MOST { MOST } else { x };
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUNDING);
    let whole = shifted - ROUNDING;
    let rest = whole.mul_add(-LN_2[1], whole.mul_add(-LN_2[0], x));
    let mut sum = POLYNOMIAL[0];
    for factor in &POLYNOMIAL[1..] {
        sum = sum.mul_add(rest, *factor);
    }
    let fraction = sum.mul_add(rest * rest, rest) + 1.0;
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0f32.to_bits()));
    fraction * power
}

#[cfg(test)]
mod tests {
    use super::exp;

    #[test]
    fn it_is_exp_within_two_ulps() {
        for step in -870_000..=880_000 {
            let x = step as f32 * 1e-4;
            let exact = f64::from(x).exp();
            let error = (f64::from(exp(x)) - exact).abs() / exact;
            assert!(error < 2.0 * f64::from(f32::EPSILON), "{x}: {error}");
        }
        assert_eq!(exp(0.0), 1.0);
    }

    #[test]
    fn the_ends_are_finite_and_nan_is_nan() {
        assert!(exp(f32::NEG_INFINITY) < 2e-38 && exp(f32::NEG_INFINITY) >= 0.0);
        assert!(exp(f32::INFINITY).is_finite() && exp(1e30) > 1e38);
        assert!(exp(f32::NAN).is_nan());
    }
}
