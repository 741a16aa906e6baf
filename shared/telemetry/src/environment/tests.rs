//! The variables, one by one, against what the OpenTelemetry specification says they mean.

use super::*;

fn read(variables: &[(&str, &str)]) -> Settings {
    Settings::read(&variables.iter().copied().collect()).unwrap()
}

fn refused(variables: &[(&str, &str)]) -> EndpointError {
    Settings::read(&variables.iter().copied().collect()).unwrap_err()
}

fn endpoint(variables: &[(&str, &str)]) -> Option<(Protocol, String)> {
    read(variables).otlp.map(|otlp| (otlp.protocol, otlp.endpoint))
}

#[test]
fn nothing_set_exports_nothing_and_propagates_w3c() {
    let settings = read(&[]);
    assert_eq!(settings.otlp, None);
    assert_eq!(settings.propagators, [Propagator::TraceContext, Propagator::Baggage]);
    assert_eq!(settings.service_name, None);
    assert!(settings.warnings.is_empty());
}

#[test]
fn the_general_endpoint_is_a_base_and_the_one_for_traces_is_not() {
    let base = endpoint(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/")]);
    assert_eq!(base, Some((Protocol::HttpProtobuf, "http://collector:4318/v1/traces".into())));
    let traces = endpoint(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://other:4318/in"),
    ]);
    assert_eq!(traces, Some((Protocol::HttpProtobuf, "http://other:4318/in".into())));
}

#[test]
fn the_protocol_for_traces_wins_over_the_general_one() {
    let grpc = endpoint(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc"),
    ]);
    assert_eq!(grpc, Some((Protocol::Grpc, "http://collector:4317".into())));
}

#[test]
fn a_protocol_that_is_not_built_in_is_said() {
    let settings = read(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
    ]);
    assert_eq!(settings.otlp.unwrap().protocol, Protocol::HttpProtobuf);
    assert!(settings.warnings[0].contains("http/json"), "{:?}", settings.warnings);
}

#[test]
fn the_switches_turn_export_off_but_not_propagation() {
    let on = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");
    for off in [("OTEL_SDK_DISABLED", "TRUE"), ("OTEL_TRACES_EXPORTER", "none")] {
        let settings = read(&[on, off]);
        assert_eq!(settings.otlp, None, "{off:?}");
        assert_eq!(settings.propagators.len(), 2, "{off:?}");
    }
    assert!(read(&[on, ("OTEL_SDK_DISABLED", "1")]).otlp.is_some(), "only `true` is true");
}

#[test]
fn the_exporter_asked_for_by_name_uses_the_default_endpoint() {
    let http = endpoint(&[("OTEL_TRACES_EXPORTER", "otlp")]);
    assert_eq!(http, Some((Protocol::HttpProtobuf, "http://localhost:4318/v1/traces".into())));
    let grpc = endpoint(&[("OTEL_TRACES_EXPORTER", "otlp"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]);
    assert_eq!(grpc, Some((Protocol::Grpc, "http://localhost:4317".into())));
}

#[test]
fn an_unknown_exporter_is_said_and_left_out() {
    let on = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");
    let settings = read(&[on, ("OTEL_TRACES_EXPORTER", "zipkin")]);
    assert_eq!(settings.otlp, None);
    assert!(settings.warnings[0].contains("zipkin"));
}

#[test]
fn propagators_can_be_chosen_and_unknown_ones_are_said() {
    let settings = read(&[("OTEL_PROPAGATORS", "baggage, b3 ,tracecontext,baggage")]);
    assert_eq!(settings.propagators, [Propagator::Baggage, Propagator::TraceContext]);
    assert!(settings.warnings[0].contains("b3"));
    assert!(read(&[("OTEL_PROPAGATORS", "none")]).propagators.is_empty());
}

#[test]
fn an_endpoint_that_would_lose_every_trace_is_refused_by_name() {
    for value in ["https://collector:4318", "collector:4318", "not a url"] {
        let error = refused(&[("OTEL_EXPORTER_OTLP_ENDPOINT", value)]);
        assert!(error.to_string().contains("OTEL_EXPORTER_OTLP_ENDPOINT"), "{error}");
    }
    assert!(refused(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://x")]).reason.contains("https"));
}

#[test]
fn a_grpc_endpoint_without_scheme_needs_the_word_that_it_is_insecure() {
    let bare = [("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")];
    assert_eq!(refused(&bare).variable, "OTEL_EXPORTER_OTLP_ENDPOINT");
    let said = [bare[0], bare[1], ("OTEL_EXPORTER_OTLP_INSECURE", "true")];
    assert_eq!(endpoint(&said), Some((Protocol::Grpc, "http://collector:4317".into())));
}

#[test]
fn an_empty_value_counts_as_unset() {
    let settings = read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", " "), ("OTEL_PROPAGATORS", "")]);
    assert_eq!(settings, read(&[]));
}

fn sampling(sampler: &str, argument: &str) -> (Sampling, Vec<String>) {
    let settings = read(&[("OTEL_TRACES_SAMPLER", sampler), ("OTEL_TRACES_SAMPLER_ARG", argument)]);
    (settings.sampling, settings.warnings)
}

#[test]
fn samplers_are_those_of_the_specification() {
    let with = |follows_parent, share| Sampling { follows_parent, share };
    assert_eq!(read(&[]).sampling, with(true, 1.0));
    for (name, expected) in [
        ("always_on", with(false, 1.0)),
        ("always_off", with(false, 0.0)),
        ("traceidratio", with(false, 0.25)),
        ("parentbased_always_on", with(true, 1.0)),
        ("parentbased_always_off", with(true, 0.0)),
        ("parentbased_traceidratio", with(true, 0.25)),
    ] {
        assert_eq!(sampling(name, "0.25"), (expected, Vec::new()), "{name}");
    }
    assert_eq!(
        sampling("traceidratio", ""),
        (with(false, 1.0), Vec::new()),
        "the share is 1 where none is given"
    );
}

#[test]
fn a_sampler_that_cannot_be_had_is_said_and_every_request_is_traced() {
    let (all, said) = sampling("jaeger_remote", "");
    assert_eq!(all, Sampling::default());
    assert!(said[0].contains("jaeger_remote") && said[0].contains("parentbased_traceidratio"), "{said:?}");
    for share in ["2", "-0.1", "NaN", "a tenth"] {
        let (all, said) = sampling("parentbased_traceidratio", share);
        assert_eq!(all, Sampling::default(), "{share}");
        assert!(said[0].contains(share) && said[0].contains("OTEL_TRACES_SAMPLER_ARG"), "{said:?}");
    }
}
