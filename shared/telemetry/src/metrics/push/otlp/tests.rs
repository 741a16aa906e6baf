//! What a text of ours comes to.

use std::time::Duration;

use super::*;
use crate::metrics::{BackendMetrics, EngineMetrics, Served, TraceLabel};

fn metrics() -> Vec<Metric> {
    let engine = EngineMetrics::default();
    let served = Served { model_name: "m \"1\"".to_owned(), engine, block_tokens: 16, blocks: 1 };
    let metrics = BackendMetrics::new(&served);
    let trace = TraceLabel {
        trace_id: "0af7651916cd43dd8448eb211c80319c".to_owned(),
        span_id: "b7ad6b7169203331".to_owned(),
    };
    for (milliseconds, trace) in [(3, None), (30, Some(trace)), (30, None), (700_000, None)] {
        metrics.answered(
            "/v1/completions",
            "text_completion",
            200,
            Duration::from_millis(milliseconds),
            trace,
        );
    }
    let sent = request(&metrics.encode(), &Resource::builder_empty().build(), 5, 7);
    sent.resource_metrics[0].scope_metrics[0].metrics.clone()
}

fn find<'a>(metrics: &'a [Metric], name: &str) -> &'a Metric {
    metrics.iter().find(|metric| metric.name == name).unwrap_or_else(|| panic!("{name} is missing"))
}

fn pairs(attributes: &[KeyValue]) -> Vec<(&str, String)> {
    let text = |value: &Option<AnyValue>| match value.as_ref().and_then(|any| any.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        other => panic!("{other:?}"),
    };
    attributes.iter().map(|pair| (pair.key.as_str(), text(&pair.value))).collect()
}

#[test]
fn a_histogram_has_a_count_for_each_bucket_and_the_trace_of_one_request() {
    let metrics = metrics();
    let latency = find(&metrics, "tidegate:e2e_request_latency_seconds");
    let Some(Data::Histogram(histogram)) = &latency.data else { panic!("{latency:?}") };
    let point = &histogram.data_points[0];
    assert_eq!((latency.unit.as_str(), point.count, histogram.data_points.len()), ("s", 4, 1));
    assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
    assert_eq!(point.bucket_counts.iter().sum::<u64>(), 4);
    let filled: Vec<_> = point.bucket_counts.iter().enumerate().filter(|(_, many)| **many > 0).collect();
    assert_eq!(filled, [(1, &1), (4, &2), (point.explicit_bounds.len(), &1)]);
    assert!((point.sum.unwrap() - 700.063).abs() < 1e-9, "{:?}", point.sum);
    assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (5, 7));
    assert_eq!(pairs(&point.attributes), [("model_name", "m \"1\"".to_owned())]);
    assert_eq!((point.exemplars.len(), point.exemplars[0].trace_id.len()), (1, 16));
    assert_eq!(point.exemplars[0].span_id, [0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31]);
}

#[test]
fn the_conventions_own_metrics_have_their_own_names() {
    let metrics = metrics();
    let duration = find(&metrics, "gen_ai.server.request.duration");
    let Some(Data::Histogram(histogram)) = &duration.data else { panic!("{duration:?}") };
    let attributes = pairs(&histogram.data_points[0].attributes);
    let expected = [
        ("gen_ai.operation.name", "text_completion".to_owned()),
        ("gen_ai.provider.name", "tidegate".to_owned()),
        ("gen_ai.request.model", "m \"1\"".to_owned()),
    ];
    assert_eq!(attributes, expected, "an answer without an error has no error.type");
}

#[test]
fn counters_are_sums_since_the_start_and_constants_are_gauges() {
    let metrics = metrics();
    let requests = find(&metrics, "tidegate:requests");
    let Some(Data::Sum(sum)) = &requests.data else { panic!("{requests:?}") };
    assert!(sum.is_monotonic && sum.aggregation_temporality == AggregationTemporality::Cumulative as i32);
    assert_eq!(sum.data_points[0].value, Some(number_data_point::Value::AsInt(4)));
    assert!(matches!(find(&metrics, "tidegate:build_info").data, Some(Data::Gauge(_))));
    assert!(matches!(find(&metrics, "tidegate:kv_cache_usage_perc").data, Some(Data::Gauge(_))));
}
