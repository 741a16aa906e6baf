//! How long work takes, as a flag says it.

use tidegate_sim::workload::Service;

/// Reads `constant:SECONDS`, `exponential:MEAN`, `gamma:MEAN:SHAPE` (a whole number), `lognormal:MEAN:SIGMA` or
/// `bimodal:SHORT:LONG:SHARE` (the share of the long ones).
///
/// # Errors
/// Anything else, with what is wanted.
pub fn parse(text: &str) -> Result<Service, String> {
    let mut parts = text.split(':');
    let name = parts.next().unwrap_or_default();
    let numbers: Option<Vec<f64>> =
        parts.map(|part| part.parse().ok().filter(|number| *number >= 0.0)).collect();
    match (name, numbers.as_deref()) {
        ("constant", Some(&[seconds])) => Ok(Service::Fixed(seconds)),
        ("exponential", Some(&[mean])) => Ok(Service::Exponential(mean)),
        ("gamma", Some(&[mean, shape])) if shape >= 1.0 && shape.fract() == 0.0 => {
            Ok(Service::Gamma(mean, shape as u32))
        }
        ("lognormal", Some(&[mean, sigma])) => Ok(Service::Lognormal(mean, sigma)),
        ("bimodal", Some(&[short, long, share])) if share <= 1.0 => Ok(Service::Bimodal(short, long, share)),
        _ => {
            Err("constant:SECONDS, exponential:MEAN, gamma:MEAN:SHAPE, lognormal:MEAN:SIGMA or bimodal:SHORT:LONG:SHARE"
                .to_owned())
        }
    }
}

/// The text that [`parse`] reads as this.
pub fn text(service: &Service) -> String {
    match service {
        Service::Fixed(seconds) => format!("constant:{seconds}"),
        Service::Exponential(mean) => format!("exponential:{mean}"),
        Service::Gamma(mean, shape) => format!("gamma:{mean}:{shape}"),
        Service::Lognormal(mean, sigma) => format!("lognormal:{mean}:{sigma}"),
        Service::Bimodal(short, long, share) => format!("bimodal:{short}:{long}:{share}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for service in [
            Service::Fixed(0.5),
            Service::Exponential(2.0),
            Service::Gamma(3.0, 2),
            Service::Lognormal(1.5, 1.0),
            Service::Bimodal(0.2, 4.0, 0.1),
        ] {
            assert_eq!(parse(&text(&service)), Ok(service));
        }
        for bad in
            ["", "constant", "exponential:-1", "lognormal:1", "bimodal:1:2:3", "gamma:1", "gamma:1:0.5"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
