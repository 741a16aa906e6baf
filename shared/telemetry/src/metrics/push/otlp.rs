//! The text of a scrape as OTLP.
//!
//! Names stay as they are, so that a collector which feeds Prometheus shows what a scrape would; only OpenTelemetry's own metrics
//! get their own names back, dots and all. Data model: opentelemetry-proto, metrics/v1.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, Sum, exemplar, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_sdk::Resource;

use crate::metrics::exposition::{Exposition, MetricFamily, Sample};
use crate::metrics::name;

/// OpenTelemetry's own metrics and attributes, and how Prometheus writes them.
const OF_CONVENTIONS: [(&str, &str); 7] = [
    (name::GEN_AI_DURATION, "gen_ai.server.request.duration"),
    (name::GEN_AI_FIRST_TOKEN, "gen_ai.server.time_to_first_token"),
    (name::GEN_AI_PER_TOKEN, "gen_ai.server.time_per_output_token"),
    ("gen_ai_operation_name", "gen_ai.operation.name"),
    ("gen_ai_provider_name", "gen_ai.provider.name"),
    ("gen_ai_request_model", "gen_ai.request.model"),
    ("error_type", "error.type"),
];

/// Times of all points, in Unix nanoseconds.
#[derive(Debug, Clone, Copy)]
struct Times {
    started: u64,
    now: u64,
}

/// A text as one request to a collector. `started`: since when totals count.
pub(super) fn request(
    text: &str,
    resource: &Resource,
    started: u64,
    now: u64,
) -> ExportMetricsServiceRequest {
    let times = Times { started, now };
    let families = Exposition::read(text).families;
    let scope = InstrumentationScope {
        name: "tidegate".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let scope_metrics = ScopeMetrics {
        scope: Some(scope),
        metrics: families.iter().map(|family| metric(family, times)).collect(),
        ..ScopeMetrics::default()
    };
    let attributes = ResourceAttributesWithSchema::from(resource).attributes.0;
    let resource = v1::Resource { attributes, ..v1::Resource::default() };
    let metrics = ResourceMetrics {
        resource: Some(resource),
        scope_metrics: vec![scope_metrics],
        ..ResourceMetrics::default()
    };
    ExportMetricsServiceRequest { resource_metrics: vec![metrics] }
}

fn metric(family: &MetricFamily<'_>, times: Times) -> Metric {
    let name = convention(family.name);
    let points = || family.samples.iter().map(|sample| number(sample, times)).collect();
    let temporality = AggregationTemporality::Cumulative as i32;
    let data = match family.kind {
        "counter" => {
            Data::Sum(Sum { data_points: points(), aggregation_temporality: temporality, is_monotonic: true })
        }
        "histogram" => Data::Histogram(Histogram {
            data_points: histograms(family, times),
            aggregation_temporality: temporality,
        }),
        _ => Data::Gauge(Gauge { data_points: points() }),
    };
    Metric {
        name: if family.kind == "info" { format!("{name}_info") } else { name.to_owned() },
        description: family.help.to_owned(),
        unit: unit(family.name).to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

fn convention(name: &str) -> &str {
    OF_CONVENTIONS.iter().find(|(ours, _)| *ours == name).map_or(name, |(_, theirs)| theirs)
}

/// The unit that a name ends with, by UCUM.
fn unit(name: &str) -> &'static str {
    if name.ends_with("_seconds") {
        "s"
    } else if name.ends_with("_bytes") {
        "By"
    } else {
        ""
    }
}

fn number(sample: &Sample<'_>, times: Times) -> NumberDataPoint {
    let value = match sample.value.parse() {
        Ok(whole) => number_data_point::Value::AsInt(whole),
        Err(_) => number_data_point::Value::AsDouble(sample.value.parse().unwrap_or_default()),
    };
    NumberDataPoint {
        attributes: attributes(sample.pairs()),
        start_time_unix_nano: times.started,
        time_unix_nano: times.now,
        value: Some(value),
        ..NumberDataPoint::default()
    }
}

/// The attributes of labels; an empty label is none.
fn attributes(labels: Vec<(&str, String)>) -> Vec<KeyValue> {
    let known = labels.into_iter().filter(|(_, value)| !value.is_empty());
    known
        .map(|(name, value)| KeyValue {
            key: convention(name).to_owned(),
            value: Some(AnyValue { value: Some(Value::StringValue(value)) }),
            ..KeyValue::default()
        })
        .collect()
}

/// The histograms of a family: the samples of each set of labels belong together, and each bucket counts those below it too.
fn histograms(family: &MetricFamily<'_>, times: Times) -> Vec<HistogramDataPoint> {
    let mut points: BTreeMap<Vec<(&str, String)>, HistogramDataPoint> = BTreeMap::new();
    for sample in &family.samples {
        let mut labels = sample.pairs();
        let bound = labels.iter().position(|(name, _)| *name == "le").map(|at| labels.remove(at).1);
        let point = points.entry(labels).or_insert_with_key(|labels| HistogramDataPoint {
            attributes: attributes(labels.clone()),
            start_time_unix_nano: times.started,
            time_unix_nano: times.now,
            ..HistogramDataPoint::default()
        });
        let whole = || sample.value.parse::<u64>().unwrap_or_default();
        match bound {
            Some(bound) => {
                let below: u64 = point.bucket_counts.iter().sum();
                point.bucket_counts.push(whole().saturating_sub(below));
                // The last bucket has no bound.
                point.explicit_bounds.extend(bound.parse::<f64>().ok().filter(|bound| bound.is_finite()));
                point.exemplars.extend(exemplar_of(sample, times));
            }
            None if sample.name.ends_with("_count") => point.count = whole(),
            None => point.sum = sample.value.parse().ok(),
        }
    }
    points.into_values().collect()
}

fn exemplar_of(sample: &Sample<'_>, times: Times) -> Option<Exemplar> {
    let (labels, value) = sample.exemplar()?;
    let id = |wanted: &str| {
        let digits = labels.iter().find(|(name, _)| *name == wanted).map_or("", |(_, digits)| digits);
        let byte = |at| digits.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
        (0..digits.len()).step_by(2).filter_map(byte).collect()
    };
    Some(Exemplar {
        time_unix_nano: times.now,
        trace_id: id("trace_id"),
        span_id: id("span_id"),
        value: Some(exemplar::Value::AsDouble(value)),
        ..Exemplar::default()
    })
}

#[cfg(test)]
mod tests;
