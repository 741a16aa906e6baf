//! Where nothing is exported no span is made, and what a client sent is written over by nobody. Alone in its process, as in production:
//! whether spans are made is asked of all subscribers that a process has.

use http::{HeaderMap, HeaderValue};
use tidegate_telemetry::environment::Environment;
use tidegate_telemetry::start::assemble;
use tidegate_telemetry::{LogOptions, RequestScope};
use tracing::{Level, dispatcher, info_span, span_enabled};

#[test]
fn without_an_exporter_no_span_is_made_and_the_clients_headers_stay_as_they_came() {
    let (dispatch, telemetry, _) =
        assemble("tidegate-test", LogOptions::default(), &Environment::default()).unwrap();
    dispatcher::with_default(&dispatch, || {
        assert!(!span_enabled!(target: "tidegate_test", Level::INFO));
        assert!(info_span!(target: "tidegate_test", "server").is_disabled());
        let mut headers = HeaderMap::new();
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        headers.insert("traceparent", HeaderValue::from_static(parent));
        let open = || info_span!(target: "tidegate_test", "server");
        let scope = RequestScope::begin(&headers, HeaderValue::from_static("mine"), open);
        let before = headers.clone();
        scope.enter(|| scope.inject(&mut headers));
        assert_eq!(headers, before);
        assert!(!scope.is_traced());
    });
    telemetry.shutdown();
}
