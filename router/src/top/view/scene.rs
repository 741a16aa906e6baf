//! Scenes for the tests of the view: a fleet in rest, one under load, and as much of it as there may be.

use crate::live::Now;
use crate::live::feed::HistoryReport;
use crate::live::history::{Milliseconds, Point, PoolPoint};
use crate::report::{
    BackendReport, ByPriority, CurveReport, PoolReport, RouterReport, ServiceReport, TicketReport,
};
use crate::top::feed::{Event, Heard};
use crate::top::state::State;
use std::borrow::Cow;

fn all(value: f64) -> ByPriority {
    ByPriority { high: value, normal: value, low: value }
}

pub(crate) fn backend(at: usize, slots: u32, running: u32, state: &'static str) -> BackendReport {
    BackendReport {
        id: format!("backend-{at}"),
        url: format!("http://10.0.{}.{}:8100", at / 250, at % 250),
        slots,
        running,
        abandoned: 0,
        state: Cow::Borrowed(state),
        silent_ms: Some(400),
    }
}

/// Three slots, one of which is busy.
pub(crate) fn idle_pool() -> PoolReport {
    PoolReport {
        model: "tidegate-demo".to_owned(),
        slots: 3,
        running: 1,
        abandoned: 0,
        queued: 0,
        max_queue_size: 50,
        capacity: 53,
        rejection_probability: 0.0,
        drain_per_s: 10.0,
        oldest_wait_ms: 0,
        desired_backends: 1,
        curve: CurveReport {
            start: ByPriority { high: 37.1, normal: 30.1, low: 16.1 },
            capacity: ByPriority { high: 53.0, normal: 43.0, low: 23.0 },
            held: all(1.0),
            p: all(0.0),
            queue_limit: ByPriority { high: 50.0, normal: 40.0, low: 20.0 },
        },
        service_ms: Some(ServiceReport { mean: 300.0, p90: 500.0 }),
        backends: vec![backend(0, 3, 1, "live")],
        tickets: Vec::new(),
    }
}

/// A pool that is nearly full: backends in every state, tickets of every priority.
pub(crate) fn busy_pool(backends: usize, tickets: usize) -> PoolReport {
    let mut backends: Vec<BackendReport> = (0..backends).map(|at| backend(at, 8, 8, "live")).collect();
    if let [first, second, third, ..] = backends.as_mut_slice() {
        (first.state, first.running) = (Cow::Borrowed("gone"), 0);
        (second.state, second.running) = (Cow::Borrowed("draining"), 3);
        (third.abandoned, third.running) = (2, 6);
    }
    if let Some(fourth) = backends.get_mut(3) {
        (fourth.silent_ms, fourth.running) = (Some(3100), 4);
    }
    let ticket = |at: usize| TicketReport {
        id: format!("r-{at}"),
        router: "r0".to_owned(),
        priority: Cow::Borrowed(["high", "normal", "low"][at * 3 / tickets.max(1)]),
        age_ms: 9_000 - (at as u64 * 8_000) / tickets.max(1) as u64,
    };
    PoolReport {
        model: "llama-3-70b-instruct".to_owned(),
        slots: 8 * backends.len() as u32,
        running: backends.iter().map(|backend| backend.running).sum(),
        abandoned: 2,
        queued: tickets as u32,
        oldest_wait_ms: 9_000,
        desired_backends: backends.len() as u32 + 3,
        rejection_probability: 0.4,
        curve: CurveReport {
            held: ByPriority { high: 14.0, normal: 35.0, low: 44.0 },
            p: ByPriority { high: 0.0, normal: 0.4, low: 1.0 },
            ..idle_pool().curve
        },
        tickets: (0..tickets).map(ticket).collect(),
        backends,
        ..idle_pool()
    }
}

/// Two pools, two routers.
pub(crate) fn now() -> Now {
    let router = |id: &str, age_ms| RouterReport {
        id: id.to_owned(),
        age_ms,
        flags: "max_queue_size=50 wait_share=0.15".to_owned(),
    };
    Now {
        at_ms: 1_800_000_000_000,
        router: "r0123456789ab".to_owned(),
        version: Cow::Borrowed("0.1.0"),
        mode: Cow::Borrowed("fleet"),
        draining: false,
        ledger: Cow::Borrowed("redis"),
        pools: vec![busy_pool(5, 31), idle_pool()],
        routers: vec![router("r9876543210fe", 700), router("r0123456789ab", 300)],
        flags_differ: false,
    }
}

/// Five minutes with a burst in the last of them.
fn points(model: &str) -> Vec<Point> {
    let at = |t: u64| {
        let burst = t >= 240;
        let ms = |value: f64| Some(Milliseconds { p50: value / 2.0, p90: value, max: value * 2.0 });
        let rejected = if burst { vec![("capacity", t % 7), ("queue_full", 2)] } else { Vec::new() };
        let point = PoolPoint {
            accepted: if burst { 10 } else { t % 4 },
            rejected: rejected.into_iter().map(|(code, count)| (Cow::Borrowed(code), count)).collect(),
            waited_ms: ms(if burst { 40.0 * (t - 239) as f64 } else { 3.0 }),
            first_token_ms: ms(90.0),
            tokens: 20 + t % 9,
            queued: if burst { 31 } else { 0 },
            ..PoolPoint::default()
        };
        Point { t: 1_800_000_000 + t, pools: [(model.to_owned(), point)].into() }
    };
    (0..300).map(at).collect()
}

/// A state that has heard of `now`.
pub(crate) fn state(now: Now) -> State {
    let points = now.pools.first().map(|pool| points(&pool.model)).unwrap_or_default();
    let mut state = State::new("http://127.0.0.1:8001");
    let history = HistoryReport { step_ms: 1000, points, ..HistoryReport::default() };
    state.hear(Heard::Event(Box::new(Event { first: true, now, history })));
    state
}
