//! Whether metrics are pushed to a collector, where and how often.
//!
//! Meaning of each variable: OpenTelemetry specification, "Environment Variable Specification", "Periodic exporting
//! MetricReader" and "OTLP exporter".

use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::{EndpointError, Environment, Otlp, Signal, Wanted};

const METRICS: Signal = Signal {
    exporter: "OTEL_METRICS_EXPORTER",
    endpoint: "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    protocols: ["OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"],
    insecure: ["OTEL_EXPORTER_OTLP_METRICS_INSECURE", "OTEL_EXPORTER_OTLP_INSECURE"],
    path: "v1/metrics",
};
const HEADERS: [&str; 2] = ["OTEL_EXPORTER_OTLP_METRICS_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"];
const TIMEOUT: [&str; 2] = ["OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"];
const INTERVAL: &str = "OTEL_METRIC_EXPORT_INTERVAL";
/// The specification's defaults, in milliseconds.
const DEFAULT_INTERVAL: u64 = 60_000;
const DEFAULT_TIMEOUT: u64 = 10_000;

/// How metrics are pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// Where they go.
    pub otlp: Otlp,
    /// Time from one push to the next.
    pub interval: Duration,
    /// Time that one push may take.
    pub timeout: Duration,
    /// What is sent along, such as a key.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl Push {
    /// Reads it out of `environment`. Nothing is pushed unless `OTEL_METRICS_EXPORTER` says `otlp`: Prometheus asks by itself, and
    /// who gets both would count twice.
    ///
    /// # Errors
    /// An endpoint that cannot work, as for traces.
    pub fn read(
        environment: &Environment,
        warnings: &mut Vec<String>,
    ) -> Result<Option<Self>, EndpointError> {
        if super::exporter_wanted(environment, &METRICS, &["prometheus"], warnings) != Wanted::Yes {
            return Ok(None);
        }
        let otlp = super::otlp(environment, &METRICS, Wanted::Yes, warnings)?;
        let interval = milliseconds(environment, &[INTERVAL], DEFAULT_INTERVAL, warnings);
        let timeout = milliseconds(environment, &TIMEOUT, DEFAULT_TIMEOUT, warnings);
        let headers = headers(environment, warnings);
        Ok(otlp.map(|otlp| Self { otlp, interval, timeout, headers }))
    }
}

fn milliseconds(
    environment: &Environment,
    names: &[&'static str],
    default: u64,
    warnings: &mut Vec<String>,
) -> Duration {
    let Some((variable, value)) = environment.first(names) else { return Duration::from_millis(default) };
    match value.parse() {
        Ok(milliseconds) if milliseconds > 0 => Duration::from_millis(milliseconds),
        _ => {
            warnings.push(format!("{variable}: {value:?} is no number of milliseconds; {default} is used"));
            Duration::from_millis(default)
        }
    }
}

/// `name=value,…` with values in percent-encoding, as W3C baggage writes them.
fn headers(environment: &Environment, warnings: &mut Vec<String>) -> Vec<(HeaderName, HeaderValue)> {
    let Some((variable, list)) = environment.first(&HEADERS) else { return Vec::new() };
    let mut found = Vec::new();
    for pair in list.split(',').filter(|pair| !pair.trim().is_empty()) {
        let header = pair.split_once('=').and_then(|(name, value)| {
            let name = name.trim().to_ascii_lowercase().parse::<HeaderName>().ok()?;
            Some((name, HeaderValue::from_bytes(&decoded(value.trim())).ok()?))
        });
        match header {
            Some(header) => found.push(header),
            // Not with its value, which may be a key.
            None => warnings.push(format!("{variable}: an entry that is no name=value is left out")),
        }
    }
    found
}

fn decoded(value: &str) -> Vec<u8> {
    let bytes = value.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let code = value.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (byte, code) {
            (b'%', Some(code)) => {
                out.push(code);
                at += 3;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Protocol;

    fn read(variables: &[(&str, &str)]) -> (Option<Push>, Vec<String>) {
        let mut warnings = Vec::new();
        let environment: Environment = variables.iter().copied().collect();
        (Push::read(&environment, &mut warnings).unwrap(), warnings)
    }

    #[test]
    fn nothing_is_pushed_unless_it_is_asked_for_by_name() {
        for variables in [
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318")][..],
            &[("OTEL_METRICS_EXPORTER", "none")],
            &[("OTEL_METRICS_EXPORTER", "prometheus")],
            &[("OTEL_METRICS_EXPORTER", "otlp"), ("OTEL_SDK_DISABLED", "true")],
        ] {
            assert_eq!(read(variables), (None, Vec::new()), "{variables:?}");
        }
        assert_eq!(read(&[("OTEL_METRICS_EXPORTER", "statsd")]).1.len(), 1);
    }

    #[test]
    fn the_specifications_defaults_hold_and_its_variables_count() {
        let (push, warnings) = read(&[("OTEL_METRICS_EXPORTER", "otlp")]);
        let push = push.unwrap();
        assert_eq!(warnings, Vec::<String>::new());
        assert_eq!(push.otlp.endpoint, "http://localhost:4318/v1/metrics");
        assert_eq!((push.interval, push.timeout), (Duration::from_secs(60), Duration::from_secs(10)));

        let (push, warnings) = read(&[
            ("OTEL_METRICS_EXPORTER", "prometheus, otlp"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317"),
            ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "grpc"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "250"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer%20abc, x-scope = 7,nonsense"),
        ]);
        let push = push.unwrap();
        let expected = Otlp { protocol: Protocol::Grpc, endpoint: "http://c:4317".to_owned() };
        assert_eq!((push.otlp, push.interval), (expected, Duration::from_millis(250)));
        assert_eq!(push.timeout, Duration::from_secs(10));
        let headers = push.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
        assert_eq!(headers.collect::<Vec<_>>(), [("authorization", "Bearer abc"), ("x-scope", "7")]);
        assert_eq!(warnings.len(), 2, "{warnings:?}");
    }
}
