//! When people come: a Poisson process with a seed, fixed before the run, so that nothing that the fleet does changes it.

use std::time::Duration;
use tidegate_sim::chance::Chance;

/// The stream of chance that arrivals are drawn from.
const STREAM: u64 = 1;

/// Instants of arrival, from the start of the load: `rate` a second on average, for this long. The same seed gives the same ones.
pub fn poisson(seed: u64, rate: f64, duration: Duration) -> Vec<Duration> {
    let mut chance = Chance::new(seed, STREAM);
    let mut arrivals = Vec::new();
    let mut at = chance.exponential(1.0 / rate);
    while at < duration.as_secs_f64() {
        arrivals.push(Duration::from_secs_f64(at));
        at += chance.exponential(1.0 / rate);
    }
    arrivals
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_as_many_as_the_rate_says_in_order_and_the_same_again() {
        let arrivals = poisson(7, 100.0, Duration::from_secs(100));
        // Six standard deviations of a Poisson count of 10,000.
        assert!((9_400..10_600).contains(&arrivals.len()), "seed 7: {}", arrivals.len());
        assert!(arrivals.is_sorted() && arrivals.last().is_some_and(|last| *last < Duration::from_secs(100)));
        assert_eq!(arrivals, poisson(7, 100.0, Duration::from_secs(100)));
        assert_ne!(arrivals, poisson(8, 100.0, Duration::from_secs(100)));
    }

    #[test]
    fn gaps_have_the_spread_of_a_poisson_process() {
        let arrivals = poisson(3, 50.0, Duration::from_secs(400));
        let gaps: Vec<f64> = arrivals.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
        let mean = tidegate_sim::stats::mean(&gaps);
        let square = tidegate_sim::stats::mean(&gaps.iter().map(|gap| gap * gap).collect::<Vec<_>>());
        // An exponential gap has a variance of its mean squared.
        let ratio = (square - mean * mean) / (mean * mean);
        assert!((ratio - 1.0).abs() < 0.1, "seed 3: {ratio}");
    }
}
