//! What people ask for: how long it takes, how urgent it is, how much of it comes.

use std::fmt;

use tidegate_admission::Priority;

use crate::chance::Chance;

/// Microseconds from giving a request up to the free slot: one decode step and a message.
pub const STOP_TAKES: u64 = 50_000;
/// Samples that the ceiling is taken from.
const CEILING_SAMPLES: u32 = 40_000;

/// Distribution of the service time, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Service {
    /// Always the same.
    Fixed(f64),
    /// Exponential with that mean.
    Exponential(f64),
    /// Gamma with that mean and that whole shape: the sum of so many exponential steps.
    Gamma(f64, u32),
    /// Lognormal with that mean and the sigma of its logarithm.
    Lognormal(f64, f64),
    /// Short ones, long ones, and the share of the long ones.
    Bimodal(f64, f64, f64),
}

impl Service {
    /// Its mean.
    pub fn mean(&self) -> f64 {
        match *self {
            Service::Fixed(mean) | Service::Exponential(mean) => mean,
            Service::Gamma(mean, _) | Service::Lognormal(mean, _) => mean,
            Service::Bimodal(short, long, share) => short * (1.0 - share) + long * share,
        }
    }

    /// One service time.
    pub fn draw(&self, chance: &mut Chance) -> f64 {
        match *self {
            Service::Fixed(mean) => mean,
            Service::Exponential(mean) => chance.exponential(mean),
            Service::Gamma(mean, shape) => {
                let step = mean / f64::from(shape);
                (0..shape).map(|_| chance.exponential(step)).sum()
            }
            Service::Lognormal(mean, sigma) => mean * (sigma * chance.normal() - sigma * sigma / 2.0).exp(),
            Service::Bimodal(_, long, share) if chance.happens(share) => long,
            Service::Bimodal(short, ..) => short,
        }
    }

    /// Part of the requests whose service time is at most the timeout.
    pub fn part_within(&self, timeout: f64) -> f64 {
        let mut chance = Chance::new(0, 0);
        let within = (0..CEILING_SAMPLES).filter(|_| self.draw(&mut chance) <= timeout).count();
        within as f64 / f64::from(CEILING_SAMPLES)
    }

    /// The zero-wait ceiling: the part of the slot time that is useful when every request starts at once and is
    /// stopped at its timeout, `slowdown` being what a full batch adds. Above it nobody can come who does not know
    /// beforehand which requests are too long.
    pub fn ceiling(&self, timeout: f64, slowdown: f64) -> f64 {
        let mut chance = Chance::new(0, 0);
        let (mut useful, mut used) = (0.0, 0.0);
        for _ in 0..CEILING_SAMPLES {
            let service = self.draw(&mut chance) * slowdown;
            if service <= timeout {
                useful += service;
                used += service;
            } else {
                used += timeout + STOP_TAKES as f64 / 1e6;
            }
        }
        useful / used
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Service::Fixed(mean) => write!(f, "fixed {mean} s"),
            Service::Exponential(mean) => write!(f, "exponential {mean} s"),
            Service::Gamma(mean, _) => write!(f, "gamma {mean} s"),
            Service::Lognormal(mean, 1.0) => write!(f, "lognormal {mean} s"),
            Service::Lognormal(mean, sigma) => write!(f, "lognormal {mean} s (sigma {sigma})"),
            Service::Bimodal(short, long, _) => write!(f, "bimodal {short}/{long} s"),
        }
    }
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mix {
    /// Everybody alike: normal priority.
    One,
    /// 10 % high, 60 % normal, 30 % low.
    Mixed,
}

impl Mix {
    /// The priority of one request.
    pub fn draw(self, chance: &mut Chance) -> Priority {
        let draw = chance.unit();
        match self {
            Mix::One => Priority::Normal,
            Mix::Mixed if draw < 0.1 => Priority::High,
            Mix::Mixed if draw < 0.7 => Priority::Normal,
            Mix::Mixed => Priority::Low,
        }
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mix::One => "one",
            Mix::Mixed => "mix",
        })
    }
}

/// What comes from an instant on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stage {
    /// Second at which it begins.
    pub from: f64,
    /// Offered load: arrivals over what the fleet can serve.
    pub load: f64,
    /// Factor on the service times of those who come in it.
    pub service: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean_of(service: Service) -> f64 {
        let mut chance = Chance::new(7, 0);
        (0..200_000).map(|_| service.draw(&mut chance)).sum::<f64>() / 200_000.0
    }

    #[test]
    fn draws_have_the_mean_that_is_said() {
        for service in [
            Service::Exponential(3.0),
            Service::Gamma(3.0, 2),
            Service::Lognormal(4.0, 1.0),
            Service::Bimodal(2.0, 20.0, 0.15),
        ] {
            let found = mean_of(service);
            assert!((found / service.mean() - 1.0).abs() < 0.02, "{service}: {found}");
        }
    }

    #[test]
    fn the_ceiling_is_the_useful_part_of_the_slot_time() {
        assert!((Service::Fixed(3.0).ceiling(15.0, 1.0) - 1.0).abs() < 1e-9);
        assert!(
            Service::Fixed(3.0).ceiling(15.0, 6.0).abs() < 1e-9,
            "a batch so slow that nothing ends in time"
        );
        // For mean m: m - (T + m) e^(-T/m) useful, and about m (1 - e^(-T/m)) used; m = 1, T = 1.
        let expected = (1.0 - 2.0 / std::f64::consts::E) / (1.0 - 0.95 / std::f64::consts::E);
        let found = Service::Exponential(1.0).ceiling(1.0, 1.0);
        assert!((found - expected).abs() < 0.01, "{found} against {expected}");
    }

    #[test]
    fn the_mix_is_ten_sixty_thirty() {
        let mut chance = Chance::new(1, 1);
        let mut counts = [0; 3];
        (0..100_000).for_each(|_| counts[Mix::Mixed.draw(&mut chance).rank()] += 1);
        assert!((9_500..10_500).contains(&counts[0]) && (59_000..61_000).contains(&counts[1]), "{counts:?}");
    }
}
