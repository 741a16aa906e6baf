//! What the samples come to: what a process held, and whether that grows.

use super::sample::{Sample, Stock};
use super::trend::slope;
use std::time::Duration;

/// A series of figures: when, and how much.
#[derive(Debug, Clone, PartialEq)]
pub struct Series(Vec<(Duration, f64)>);

/// How a series went in the second half of the load; the first one is its warm-up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Growth {
    /// Mean.
    pub mean: f64,
    /// Slope of the line of least squares, each minute.
    pub per_minute: f64,
    /// By how much that line rises over the whole half.
    pub whole: f64,
}

impl Series {
    /// A figure of a process.
    pub fn of(samples: &[Sample], figure: impl Fn(&Sample) -> u64) -> Series {
        Series(samples.iter().map(|sample| (sample.at, figure(sample) as f64)).collect())
    }

    /// `used_memory` of Redis, in KiB.
    pub fn of_redis(stocks: &[Stock]) -> Series {
        Series(stocks.iter().map(|stock| (stock.at, stock.used as f64 / 1024.0)).collect())
    }

    /// The figure after this part of the load; 0 where there is none.
    pub fn after(&self, part: f64, load: Duration) -> f64 {
        let at = load.mul_f64(part);
        let nearest = self.0.iter().min_by_key(|(when, _)| when.abs_diff(at));
        nearest.map_or(0.0, |(_, figure)| *figure)
    }

    /// How it went in the second half of the load.
    pub fn growth(&self, load: Duration) -> Growth {
        let half = load / 2;
        let steady: Vec<(f64, f64)> = self
            .0
            .iter()
            .filter(|(at, _)| (half..=load).contains(at))
            .map(|(at, figure)| (at.as_secs_f64() / 60.0, *figure))
            .collect();
        let per_minute = slope(&steady);
        let mean = steady.iter().map(|(_, figure)| figure).sum::<f64>() / (steady.len() as f64).max(1.0);
        Growth { mean, per_minute, whole: per_minute * half.as_secs_f64() / 60.0 }
    }
}

impl Growth {
    /// Percent of the mean that would be added in an hour.
    pub fn percent_per_hour(&self) -> f64 {
        tidegate_sim::stats::ratio(100.0 * 60.0 * self.per_minute, self.mean)
    }

    /// Whether it rises by no more than this part of its mean, or by no more than `least`.
    pub fn is_flat(&self, part: f64, least: f64) -> bool {
        self.whole <= (part * self.mean).max(least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOAD: Duration = Duration::from_secs(600);

    /// 1,000 at first, which grows by this much each second, from the middle of the load on by `later`.
    fn series(early: f64, later: f64) -> Series {
        let figure = |second: f64| 1000.0 + early * second.min(300.0) + later * (second - 300.0).max(0.0);
        Series((0..=300).map(|n| (Duration::from_secs(2 * n), figure(2.0 * n as f64))).collect())
    }

    #[test]
    fn only_the_second_half_counts() {
        let growth = series(5.0, 0.0).growth(LOAD);
        assert_eq!((growth.mean, growth.per_minute, growth.whole), (2500.0, 0.0, 0.0));
        assert!(growth.is_flat(0.0, 0.0));
    }

    #[test]
    fn a_leak_is_seen() {
        let growth = series(0.0, 0.5).growth(LOAD);
        assert!(
            (growth.per_minute - 30.0).abs() < 0.001 && (growth.whole - 150.0).abs() < 0.01,
            "{growth:?}"
        );
        assert!((growth.percent_per_hour() - 100.0 * 1800.0 / 1075.0).abs() < 0.01, "{growth:?}");
        assert!(!growth.is_flat(0.02, 149.0) && growth.is_flat(0.02, 151.0) && growth.is_flat(0.15, 0.0));
    }

    #[test]
    fn parts_of_the_load_are_found() {
        let series = series(1.0, 0.0);
        assert_eq!([0.25, 0.5, 1.0].map(|part| series.after(part, LOAD)), [1150.0, 1300.0, 1300.0]);
    }
}
