//! The server metrics of OpenTelemetry's semantic conventions for generative AI, under their Prometheus names.

use std::time::Duration;

use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::bucket::{self, Traced};
use super::exemplar::TraceLabel;
use super::label::GenAi;
use super::name;

type Histograms = Family<GenAi, Traced, fn() -> Traced>;

/// `gen_ai.provider.name`: whoever runs the model; here it is Tidegate's own engine.
const PROVIDER: &str = "tidegate";

/// The three histograms.
#[derive(Debug)]
pub(super) struct GenAiMetrics {
    model: String,
    duration: Histograms,
    first_token: Histograms,
    per_token: Histograms,
}

impl GenAiMetrics {
    /// For the model of this name.
    pub(super) fn new(model: &str) -> Self {
        Self {
            model: model.to_owned(),
            duration: Histograms::new_with_constructor(bucket::gen_ai_duration),
            first_token: Histograms::new_with_constructor(bucket::gen_ai_first_token),
            per_token: Histograms::new_with_constructor(bucket::gen_ai_per_token),
        }
    }

    pub(super) fn register(&self, to: &mut Registry) {
        let help = "Seconds from arrival to the last byte or token";
        to.register(name::GEN_AI_DURATION, help, self.duration.clone());
        let help = "Seconds to the first token of a successful answer";
        to.register(name::GEN_AI_FIRST_TOKEN, help, self.first_token.clone());
        let help = "Seconds per token after the first, of successful answers";
        to.register(name::GEN_AI_PER_TOKEN, help, self.per_token.clone());
    }

    pub(super) fn answered(
        &self,
        operation: &'static str,
        status: u16,
        took: Duration,
        trace: Option<TraceLabel>,
    ) {
        let error_type = if status < 400 { String::new() } else { status.to_string() };
        let labels = GenAi { error_type, ..self.labels(operation) };
        self.duration.get_or_create(&labels).observe(took.as_secs_f64(), trace, None);
    }

    pub(super) fn first_token(&self, operation: &'static str, took: Duration, trace: Option<TraceLabel>) {
        self.first_token.get_or_create(&self.labels(operation)).observe(took.as_secs_f64(), trace, None);
    }

    pub(super) fn per_token(&self, operation: &'static str, seconds: f64, trace: Option<TraceLabel>) {
        self.per_token.get_or_create(&self.labels(operation)).observe(seconds, trace, None);
    }

    fn labels(&self, operation: &'static str) -> GenAi {
        GenAi {
            gen_ai_operation_name: operation,
            gen_ai_provider_name: PROVIDER,
            gen_ai_request_model: self.model.clone(),
            error_type: String::new(),
        }
    }
}
