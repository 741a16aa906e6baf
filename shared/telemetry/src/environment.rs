//! What the `OTEL_*` variables ask for.
//!
//! The Rust SDK reads some of them itself (batch sizes, headers, timeout, resource attributes) and ignores others:
//! `OTEL_SDK_DISABLED`, `OTEL_TRACES_EXPORTER`, `OTEL_PROPAGATORS`. Those, the choice of endpoint and protocol, and the
//! sampler, whose bad values the SDK takes in silence, are decided here, without touching the process: the same map gives
//! the same [`Settings`].
//! Meaning of each variable: OpenTelemetry specification, "Environment Variable Specification" and "OTLP exporter".

mod push;
mod sampling;

pub use push::Push;
pub use sampling::Sampling;

use std::collections::BTreeMap;

use thiserror::Error;

/// A snapshot of the variables that telemetry looks at.
#[derive(Debug, Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The variables of this process. Values that are not Unicode are left out.
    #[must_use]
    pub fn of_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self(std::env::vars_os().filter_map(text).collect())
    }

    /// The value of `name`; an empty value counts as unset, as the OpenTelemetry specification wants it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// The first of `names` that is set, with its value.
    fn first<'a>(&'a self, names: &[&'static str]) -> Option<(&'static str, &'a str)> {
        names.iter().find_map(|name| self.get(name).map(|value| (*name, value)))
    }

    /// A boolean as the specification defines it: only `true`, in any case, is true.
    fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// How telemetry travels to the collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// OTLP over gRPC, usually port 4317.
    Grpc,
    /// OTLP as protobuf over HTTP, usually port 4318. The default of the specification.
    HttpProtobuf,
}

/// Where a signal goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Otlp {
    /// How they travel.
    pub protocol: Protocol,
    /// The full URL; for HTTP with the path of the signal.
    pub endpoint: String,
}

/// A format in which trace context crosses process borders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagator {
    /// W3C `traceparent` and `tracestate`.
    TraceContext,
    /// W3C `baggage`.
    Baggage,
}

/// What the environment asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The collector, or none: then spans are only propagated.
    pub otlp: Option<Otlp>,
    /// Which requests are traced.
    pub sampling: Sampling,
    /// The formats read from requests and written to them.
    pub propagators: Vec<Propagator>,
    /// How metrics are pushed, if they are.
    pub push: Option<Push>,
    /// `OTEL_SERVICE_NAME`, if set.
    pub service_name: Option<String>,
    /// What was asked for and cannot be had; said in the log once logging runs.
    pub warnings: Vec<String>,
}

/// A value that would silently lose every trace; start-up refuses it.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{variable}={value}: {reason}")]
pub struct EndpointError {
    /// The variable that holds the value.
    pub variable: &'static str,
    /// The value as given.
    pub value: String,
    /// What is wrong, and what would be right.
    pub reason: String,
}

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const PROPAGATORS: &str = "OTEL_PROPAGATORS";

/// The variables of one kind of telemetry.
struct Signal {
    exporter: &'static str,
    endpoint: &'static str,
    /// Its own one first, then that of all signals.
    protocols: [&'static str; 2],
    insecure: [&'static str; 2],
    /// Below the general endpoint, where that is HTTP.
    path: &'static str,
}

const TRACES: Signal = Signal {
    exporter: "OTEL_TRACES_EXPORTER",
    endpoint: "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    protocols: ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"],
    insecure: ["OTEL_EXPORTER_OTLP_TRACES_INSECURE", "OTEL_EXPORTER_OTLP_INSECURE"],
    path: "v1/traces",
};

impl Settings {
    /// Reads the settings out of `environment`.
    ///
    /// # Errors
    /// An endpoint that cannot work: not a URL, or https, which this build does not speak.
    pub fn read(environment: &Environment) -> Result<Self, EndpointError> {
        let mut warnings = Vec::new();
        let wanted = exporter_wanted(environment, &TRACES, &[], &mut warnings);
        let otlp = match wanted {
            Wanted::No => None,
            Wanted::IfEndpoint | Wanted::Yes => otlp(environment, &TRACES, wanted, &mut warnings)?,
        };
        let push = Push::read(environment, &mut warnings)?;
        Ok(Self {
            otlp,
            push,
            sampling: Sampling::read(environment, &mut warnings),
            propagators: propagators(environment, &mut warnings),
            service_name: environment.get("OTEL_SERVICE_NAME").map(str::to_owned),
            warnings,
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    No,
    /// Nobody asked by name: the presence of an endpoint decides.
    IfEndpoint,
    /// Asked for by name: without an endpoint, the specification's default is used.
    Yes,
}

/// What the signal's variable asks for; `served` are exporters that need no push.
fn exporter_wanted(
    environment: &Environment,
    signal: &Signal,
    served: &[&str],
    warnings: &mut Vec<String>,
) -> Wanted {
    if environment.is_true("OTEL_SDK_DISABLED") {
        return Wanted::No;
    }
    let Some(list) = environment.get(signal.exporter) else { return Wanted::IfEndpoint };
    let mut wanted = Wanted::No;
    for name in list.split(',').map(str::trim) {
        match name {
            "otlp" => wanted = Wanted::Yes,
            "none" => {}
            other if served.contains(&other) => {}
            other => warnings.push(format!("{}: {other:?} is not supported (otlp, none)", signal.exporter)),
        }
    }
    wanted
}

fn otlp(
    environment: &Environment,
    signal: &Signal,
    wanted: Wanted,
    warnings: &mut Vec<String>,
) -> Result<Option<Otlp>, EndpointError> {
    let protocol = protocol(environment, signal, warnings);
    let (variable, value) = match environment.first(&[signal.endpoint, ENDPOINT]) {
        Some(found) => found,
        None if wanted == Wanted::Yes => (ENDPOINT, default_endpoint(protocol)),
        None => return Ok(None),
    };
    let mut endpoint = with_scheme(environment, signal, protocol, value);
    check(&endpoint).map_err(|reason| EndpointError { variable, value: value.to_owned(), reason })?;
    // The general endpoint is a base for all signals; the signal's own is used as it stands.
    if protocol == Protocol::HttpProtobuf && variable == ENDPOINT {
        endpoint = format!("{}/{}", endpoint.trim_end_matches('/'), signal.path);
    }
    Ok(Some(Otlp { protocol, endpoint }))
}

fn protocol(environment: &Environment, signal: &Signal, warnings: &mut Vec<String>) -> Protocol {
    match environment.first(&signal.protocols) {
        None | Some((_, "http/protobuf")) => Protocol::HttpProtobuf,
        Some((_, "grpc")) => Protocol::Grpc,
        Some((variable, other)) => {
            let message = "is not supported (grpc, http/protobuf); http/protobuf is used";
            warnings.push(format!("{variable}: {other:?} {message}"));
            Protocol::HttpProtobuf
        }
    }
}

fn default_endpoint(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Grpc => "http://localhost:4317",
        Protocol::HttpProtobuf => "http://localhost:4318",
    }
}

/// gRPC endpoints may come as `host:port`; then the INSECURE variable says whether TLS is meant.
fn with_scheme(environment: &Environment, signal: &Signal, protocol: Protocol, endpoint: &str) -> String {
    let insecure =
        environment.first(&signal.insecure).is_some_and(|(_, value)| value.eq_ignore_ascii_case("true"));
    if protocol == Protocol::Grpc && insecure && !endpoint.contains("://") {
        return format!("http://{endpoint}");
    }
    endpoint.to_owned()
}

fn check(endpoint: &str) -> Result<(), String> {
    let uri: http::Uri = endpoint.parse().map_err(|error| format!("not a URL: {error}"))?;
    match (uri.scheme_str(), uri.host()) {
        (Some("http"), Some(_)) => Ok(()),
        (Some("https"), _) => {
            Err("https is not built in; send to a collector beside this process over http://".to_owned())
        }
        _ => Err("a URL like http://127.0.0.1:4318 is needed".to_owned()),
    }
}

fn propagators(environment: &Environment, warnings: &mut Vec<String>) -> Vec<Propagator> {
    let Some(list) = environment.get(PROPAGATORS) else {
        return vec![Propagator::TraceContext, Propagator::Baggage];
    };
    let mut found = Vec::new();
    for name in list.split(',').map(str::trim) {
        let propagator = match name {
            "tracecontext" => Propagator::TraceContext,
            "baggage" => Propagator::Baggage,
            "none" => continue,
            other => {
                warnings
                    .push(format!("{PROPAGATORS}: {other:?} is not supported (tracecontext, baggage, none)"));
                continue;
            }
        };
        if !found.contains(&propagator) {
            found.push(propagator);
        }
    }
    found
}

#[cfg(test)]
mod tests;
