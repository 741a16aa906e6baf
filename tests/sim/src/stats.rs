//! Small statistics of what was counted.

/// Arithmetic mean; 0 of nothing.
pub fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

/// Standard error of the mean; 0 where there is no second value.
pub fn standard_error(values: &[f64]) -> f64 {
    let (count, centre) = (values.len() as f64, mean(values));
    let squares: f64 = values.iter().map(|value| (value - centre) * (value - centre)).sum();
    if count < 2.0 { 0.0 } else { (squares / (count - 1.0) / count).sqrt() }
}

/// The value below which that part of the values lies; 0 of nothing.
pub fn quantile(values: &[f32], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f32::total_cmp);
    let at = (sorted.len() as f64 * part) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).map_or(0.0, |value| f64::from(*value))
}

/// Variance over mean: 1 for a Poisson process, below it for a steadier one, far above it for one that comes in gusts.
pub fn dispersion(counts: &[u32]) -> f64 {
    let values: Vec<f64> = counts.iter().map(|count| f64::from(*count)).collect();
    let centre = mean(&values);
    let variance = mean(&values.iter().map(|value| (value - centre) * (value - centre)).collect::<Vec<_>>());
    ratio(variance, centre)
}

/// Correlation of a series with itself `lag` steps later.
pub fn autocorrelation(counts: &[u32], lag: usize) -> f64 {
    let values: Vec<f64> = counts.iter().map(|count| f64::from(*count)).collect();
    let centre = mean(&values);
    let product = |(a, b): (&f64, &f64)| (a - centre) * (b - centre);
    let shifted: f64 = values.iter().zip(values.iter().skip(lag)).map(product).sum();
    let whole: f64 = values.iter().zip(&values).map(product).sum();
    ratio(shifted, whole)
}

/// The strongest positive correlation at lags of 2 to 60 steps, and its lag: a lasting oscillation shows as a high one at
/// its period. Of a series without memory the strongest of 59 is about `2.5 / sqrt(length)`.
pub fn echo(counts: &[u32]) -> (f64, usize) {
    let lags = 2..=60.min(counts.len() / 3);
    lags.map(|lag| (autocorrelation(counts, lag), lag)).max_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((0.0, 0))
}

/// One number over another; 0 where that is 0.
pub fn ratio(part: f64, whole: f64) -> f64 {
    if whole == 0.0 { 0.0 } else { part / whole }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::Chance;

    #[test]
    fn a_wave_is_heard_at_its_period_and_noise_is_not() {
        let wave: Vec<u32> = (0..600).map(|n| if n % 20 < 10 { 30 } else { 5 }).collect();
        let (strength, lag) = echo(&wave);
        assert!(strength > 0.9 && lag == 20, "{strength} at {lag}");
        let mut chance = Chance::new(3, 0);
        let noise: Vec<u32> = (0..600).map(|_| chance.between(0, 30) as u32).collect();
        assert!(echo(&noise).0 < 0.2, "{:?}", echo(&noise));
    }

    #[test]
    fn quantiles_and_errors() {
        let values: Vec<f32> = (0..100).map(|n| n as f32).collect();
        assert_eq!((quantile(&values, 0.5), quantile(&values, 0.99), quantile(&[], 0.5)), (50.0, 99.0, 0.0));
        assert!((standard_error(&[1.0, 3.0]) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn dispersion_of_a_steady_series_is_nil() {
        assert_eq!(dispersion(&[4; 50]), 0.0);
        assert!(dispersion(&[0, 8, 0, 8]) > 3.9);
    }
}
