//! The text, taken apart and put together again.

use super::*;

const TEXT: &str = r##"# HELP t:requests Answers.
# TYPE t:requests counter
t:requests_total{pool="a } # {b\"",status="200"} 3
# HELP t:build Version.
# TYPE t:build info
t:build_info{version="1"} 1
# HELP t:took_seconds Time.
# TYPE t:took_seconds histogram
t:took_seconds_sum{pool="a"} 0.5
t:took_seconds_count{pool="a"} 1
t:took_seconds_bucket{le="1.0",pool="a"} 1 # {trace_id="ab",span_id="cd"} 0.5
t:took_seconds_bucket{le="+Inf",pool="a"} 1
# HELP t:up Up.
# TYPE t:up gauge
t:up 1
# EOF
"##;

#[test]
fn open_metrics_comes_out_as_it_went_in() {
    assert_eq!(Exposition::read(TEXT).write(Format::OpenMetrics), TEXT);
}

#[test]
fn plain_text_names_families_as_their_samples_and_has_no_exemplars() {
    let plain = Exposition::read(TEXT).write(Format::Prometheus);
    for line in [
        "# TYPE t:requests_total counter",
        "# TYPE t:build_info gauge",
        "# TYPE t:took_seconds histogram",
        "t:took_seconds_bucket{le=\"1.0\",pool=\"a\"} 1",
        "t:up 1",
    ] {
        assert!(plain.lines().any(|found| found == line), "{line} is not in\n{plain}");
    }
    assert!(!plain.contains("EOF") && !plain.contains("trace_id"), "{plain}");
}

#[test]
fn labels_and_exemplars_are_read_whatever_stands_in_quotes() {
    let text = Exposition::read(TEXT);
    let sample = &text.families[0].samples[0];
    let expected = vec![("pool", "a } # {b\"".to_owned()), ("status", "200".to_owned())];
    assert_eq!((sample.pairs(), sample.value, sample.exemplar), (expected, "3", None));
    let (labels, value) = text.families[2].samples[2].exemplar().unwrap();
    assert_eq!(labels, [("trace_id", "ab".to_owned()), ("span_id", "cd".to_owned())]);
    assert!((value - 0.5).abs() < f64::EPSILON);
}

#[test]
fn joined_texts_have_each_family_and_each_sample_once() {
    let other = "# HELP t:up Up.\n# TYPE t:up gauge\nt:up 1\nt:up{model_name=\"m\"} 2\n\
                 # HELP t:new New.\n# TYPE t:new gauge\nt:new 7\n# EOF\n";
    let mut text = Exposition::read(TEXT);
    text.join(Exposition::read(other));
    let joined = text.write(Format::OpenMetrics);
    assert_eq!(joined.matches("# TYPE t:up ").count(), 1, "{joined}");
    assert_eq!(joined.matches("\nt:up 1\n").count(), 1, "{joined}");
    assert!(joined.contains("\nt:up{model_name=\"m\"} 2\n") && joined.contains("\nt:new 7\n"), "{joined}");
    assert!(joined.ends_with("# EOF\n") && joined.matches("# EOF").count() == 1, "{joined}");
}

#[test]
fn a_scraper_gets_the_format_that_it_likes_best() {
    let prometheus_2 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                        text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                        text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
    for accept in [prometheus_2, prometheus_3, "application/openmetrics-text"] {
        assert_eq!(Format::accepted(accept), Format::OpenMetrics, "{accept}");
    }
    let plain = [
        "",
        "*/*",
        "text/plain",
        "text/plain, application/openmetrics-text;q=0.1",
        "application/openmetrics-text;q=0",
    ];
    for accept in plain {
        assert_eq!(Format::accepted(accept), Format::Prometheus, "{accept}");
    }
}
