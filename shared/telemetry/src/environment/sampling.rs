//! Which requests are traced: `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`.

use opentelemetry_sdk::trace::Sampler;

use super::Environment;

const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";
/// What can be asked for, as the specification names it.
const KNOWN: &str = "always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off, parentbased_traceidratio";

/// Which requests are traced.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Whether a client that brings a trace has decided already.
    pub follows_parent: bool,
    /// The share of the traces that begin here, in [0, 1]; a trace id is always decided alike.
    pub share: f64,
}

impl Default for Sampling {
    /// The specification's: every trace that begins here, and of the clients' those that they sample.
    fn default() -> Self {
        Self { follows_parent: true, share: 1.0 }
    }
}

impl Sampling {
    /// What the variables ask for; `warnings` says what cannot be had.
    pub(super) fn read(environment: &Environment, warnings: &mut Vec<String>) -> Self {
        let Some(name) = environment.get(SAMPLER) else { return Self::default() };
        let (follows_parent, own) = match name.strip_prefix("parentbased_") {
            Some(own) => (true, own),
            None => (false, name),
        };
        let share = match own {
            "always_on" => Some(1.0),
            "always_off" => Some(0.0),
            "traceidratio" => share(environment, warnings),
            _ => {
                warnings.push(format!("{SAMPLER}: {name:?} is not supported ({KNOWN}); all is traced"));
                None
            }
        };
        share.map_or_else(Self::default, |share| Self { follows_parent, share })
    }

    /// The SDK's sampler that does so.
    pub(crate) fn sampler(self) -> Sampler {
        let own = match self.share {
            1.0.. => Sampler::AlwaysOn,
            share if share > 0.0 => Sampler::TraceIdRatioBased(share),
            _ => Sampler::AlwaysOff,
        };
        if self.follows_parent { Sampler::ParentBased(Box::new(own)) } else { own }
    }
}

fn share(environment: &Environment, warnings: &mut Vec<String>) -> Option<f64> {
    let Some(text) = environment.get(ARGUMENT) else { return Some(1.0) };
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    if share.is_none() {
        warnings.push(format!("{ARGUMENT}: {text:?} is not a share from 0 to 1; all is traced"));
    }
    share
}
