//! Exponentials of a whole vocabulary: without branches and calls, so that the compiler computes several at a time.
//!
//! e^x = 2^n e^r with n = round(x / ln 2), and the Taylor series of e^r to the seventh power: |r| is at most ln 2 / 2, so that
//! what is left out is below 6e-9 of the result.

/// Below, the result would be no normal number any more: it is 0.
const LEAST: f32 = -87.0;
/// 1.5 * 2^23: a number added to it has its integer part in the lowest bits of the sum.
const ROUND: f32 = 12_582_912.0;
/// ln 2 in two parts, the first of so few bits that its product with n is exact.
const LN_2_HIGH: f32 = 355.0 / 512.0;
const LN_2_LOW: f32 = -2.121_944_4e-4;
/// 1 / k! from k = 7 down to 2.
const TAYLOR: [f32; 6] = [1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5];

/// e^x for x up to 0, to about the precision of f32.
pub(super) fn exp(x: f32) -> f32 {
    let shifted = x.max(LEAST) * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x.max(LEAST) - n * LN_2_HIGH - n * LN_2_LOW;
    let series = TAYLOR.iter().fold(0.0, |sum, coefficient| sum * r + coefficient);
    // The bits of 2^n: n, in the lowest bits of `shifted`, with the bias of exponents, where exponents stand.
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    let result = (series * r * r + r + 1.0) * power;
    if x < LEAST { 0.0 } else { result }
}

#[cfg(test)]
mod tests;
