//! What a router's text says after what happened.

use super::*;
use crate::metrics::Mended;
use crate::metrics::account::{BackendSample, PoolSample};

fn assert_lines(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.lines().any(|found| found == *line), "{line} is not in\n{text}");
    }
}

#[test]
fn names_with_colons_come_out_as_prometheus_wants_them() {
    let metrics = RouterMetrics::new();
    metrics.rejected("m", "normal", "queue_full");
    metrics.answered("m", "/v1/completions", 200, Duration::from_millis(30), None);
    metrics.granted("m", "high", Duration::from_millis(30));
    metrics.resent("m", "unreachable");
    metrics.backend_error("m", "b", BackendError::BrokenOff);
    let text = metrics.encode();
    assert_lines(
        &text,
        &[
            "# TYPE tidegate:admission_rejections counter",
            "tidegate:admission_rejections_total{reason=\"queue_full\",priority=\"normal\",pool=\"m\"} 1",
            "tidegate:admissions_total{priority=\"high\",pool=\"m\"} 1",
            "tidegate:requests_total{pool=\"m\",route=\"/v1/completions\",status=\"200\"} 1",
            "tidegate:e2e_request_latency_seconds_bucket{le=\"0.05\",pool=\"m\"} 1",
            "tidegate:e2e_request_latency_seconds_count{pool=\"m\"} 1",
            "tidegate:backend_resends_total{reason=\"unreachable\",pool=\"m\"} 1",
            "tidegate:backend_errors_total{kind=\"broken_off\",backend=\"b\",pool=\"m\"} 1",
            "tidegate:ledger_degraded 0.0",
        ],
    );
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn a_guard_counts_only_while_it_lives_and_a_wait_says_how_it_ended() {
    let metrics = RouterMetrics::new();
    let guards = (metrics.running("m"), metrics.running("m"));
    let mut granted = metrics.waiting("m", "low");
    let given_up = metrics.waiting("m", "low");
    granted.ended(WaitEnd::Granted);
    assert_lines(
        &metrics.encode(),
        &["tidegate:num_requests_running{pool=\"m\"} 2", "tidegate:num_requests_waiting{pool=\"m\"} 2"],
    );
    drop((guards, granted, given_up));
    assert_lines(
        &metrics.encode(),
        &[
            "tidegate:num_requests_running{pool=\"m\"} 0",
            "tidegate:num_requests_waiting{pool=\"m\"} 0",
            "tidegate:admission_waits_total{outcome=\"granted\",priority=\"low\",pool=\"m\"} 1",
            "tidegate:admission_waits_total{outcome=\"given_up\",priority=\"low\",pool=\"m\"} 1",
        ],
    );
}

fn pool(name: &str) -> PoolSample {
    PoolSample {
        pool: name.to_owned(),
        slots: 3,
        running: 2,
        abandoned: 1,
        queued: 4,
        oldest_wait: Duration::from_millis(1500),
        desired_backends: 3,
        backends: vec![BackendSample {
            id: "b1".to_owned(),
            state: "live",
            slots: 3,
            running: 2,
            abandoned: 1,
        }],
        ..PoolSample::default()
    }
}

#[test]
fn the_account_shows_in_the_same_text_and_what_has_gone_from_it_is_gone() {
    let metrics = RouterMetrics::new();
    metrics.set_fleet(FleetSample { degraded: true, routers: 2, flag_sets: 1, pools: vec![pool("m")] });
    let text = metrics.encode();
    assert_lines(
        &text,
        &[
            "tidegate:ledger_degraded 1.0",
            "tidegate:routers 2.0",
            "tidegate:pool_slots{pool=\"m\"} 3.0",
            "tidegate:pool_running{pool=\"m\"} 2.0",
            "tidegate:pool_abandoned{pool=\"m\"} 1.0",
            "tidegate:pool_queued{pool=\"m\"} 4.0",
            "tidegate:pool_held{pool=\"m\"} 7.0",
            "tidegate:pool_oldest_wait_seconds{pool=\"m\"} 1.5",
            "tidegate:pool_desired_backends{pool=\"m\"} 3.0",
            "tidegate:pool_backends{state=\"live\",pool=\"m\"} 1.0",
            "tidegate:pool_backends{state=\"gone\",pool=\"m\"} 0.0",
            "tidegate:backend_running{backend=\"b1\",pool=\"m\"} 2.0",
            // So that the first increment counts as one.
            "tidegate:admission_rejections_total{reason=\"capacity\",priority=\"low\",pool=\"m\"} 0",
            "tidegate:ledger_reset_drift_total{pool=\"m\"} 0",
        ],
    );
    metrics.set_fleet(FleetSample::default());
    assert!(!metrics.encode().contains("tidegate:pool_slots{"));
}

#[test]
fn what_the_ledger_put_right_is_counted_by_what_it_was() {
    let metrics = RouterMetrics::new();
    let mended = Mended { routers: 1, backends: 2, tickets: 3, slots: 4, drift: 5 };
    metrics.ledger().mended("m", mended);
    metrics.ledger().mended("m", mended);
    metrics.ledger().called("admit", Duration::from_micros(300), None);
    metrics.ledger().called("admit", Duration::from_millis(50), Some("unavailable"));
    assert_lines(
        &metrics.encode(),
        &[
            "tidegate:ledger_leases_expired_total{holder=\"router\",pool=\"m\"} 2",
            "tidegate:ledger_leases_expired_total{holder=\"backend\",pool=\"m\"} 4",
            "tidegate:ledger_reclaimed_total{held=\"ticket\",pool=\"m\"} 6",
            "tidegate:ledger_reclaimed_total{held=\"slot\",pool=\"m\"} 8",
            "tidegate:ledger_reset_drift_total{pool=\"m\"} 10",
            "tidegate:ledger_round_trip_seconds_count{operation=\"admit\"} 2",
            "tidegate:ledger_errors_total{kind=\"unavailable\"} 1",
        ],
    );
}

#[test]
fn names_without_end_do_not_grow_the_text_without_end() {
    let metrics = RouterMetrics::new();
    for number in 0..5000 {
        let name = format!("m{number}");
        metrics.rejected(&name, "normal", "capacity");
        metrics.backend_error(&name, &name, BackendError::Timeout);
        metrics.ledger().lost(&name);
    }
    metrics.set_fleet(FleetSample {
        pools: (0..5000).map(|number| pool(&format!("m{number}"))).collect(),
        ..FleetSample::default()
    });
    let text = metrics.encode();
    let lines = |name: &str| text.lines().filter(|line| line.starts_with(name)).count();
    assert!(
        lines("tidegate:admission_rejections_total") <= 201 * 3 * REASONS.len(),
        "{}",
        lines("tidegate:admission_rejections_total")
    );
    assert!(lines("tidegate:backend_errors_total") <= 1001);
    assert_eq!(lines("tidegate:ledger_losses_total"), 201);
    assert_eq!(lines("tidegate:pool_slots"), 200);
}

#[test]
fn an_observation_shows_its_trace() {
    let metrics = RouterMetrics::new();
    let trace = TraceLabel {
        trace_id: "0af7651916cd43dd8448eb211c80319c".to_owned(),
        span_id: "b7ad6b7169203331".to_owned(),
    };
    metrics.answered("m", "/v1/completions", 200, Duration::from_millis(30), Some(trace));
    let line = "tidegate:e2e_request_latency_seconds_bucket{le=\"0.05\",pool=\"m\"} 1 # \
                {trace_id=\"0af7651916cd43dd8448eb211c80319c\",span_id=\"b7ad6b7169203331\"} 0.03";
    assert_lines(&metrics.encode(), &[line]);
}
