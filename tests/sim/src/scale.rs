//! A large fleet: 1,000 backends, 100 routers, 20,000 requests a second, on the real pool. What the pool took is kept and
//! replayed alone, so that its CPU time is measured and not the simulation's.

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

use tidegate_admission::{Event, Pool, Time, stale::MAX_AGE};

use crate::{
    client::Retries,
    fleet::{self, Logged, Watch},
    scenario::{Asking, Scenario},
    stats::quantile,
    summary::Summary,
    table::{Table, short},
    tally::Tally,
    workload::{Mix, Service},
};

/// Events from one look at the invariants to the next.
const LOOK_EVERY: u64 = 25_000;

/// The fleet, in so many pools: 32,000 slots that serve 10,000 a second, asked 20,000 times a second.
pub fn scenario(pools: usize, seconds: f64, asking: Asking) -> Scenario {
    let mut scenario = Scenario::plain(32_000, 5_000, Service::Lognormal(3.2, 1.0), 30.0, 2.0);
    (scenario.backends, scenario.routers, scenario.pools) = (1_000, 100, pools);
    scenario.limits.max_queue_size /= pools as u32;
    (scenario.mix, scenario.retries, scenario.asking) = (Mix::Mixed, Retries::NONE, asking);
    (scenario.warm_up, scenario.measured, scenario.tail) = (4.0, seconds, 0.0);
    scenario
}

/// What a replay took.
#[derive(Debug, Default)]
struct Cost {
    events: usize,
    /// CPU time of all events, or their wall time where the system does not tell.
    cpu: Duration,
    /// Microseconds of wall time of each event, by kind.
    by_kind: BTreeMap<&'static str, Vec<f32>>,
}

/// Runs the fleet in one pool and in sixteen.
pub fn run(seconds: f64) -> (Table, Table) {
    let mut whole = Table::new(&[
        "pools, asking",
        "goodput %",
        "missed %",
        "wait p50 / p99 s",
        "longest queue",
        "refused %",
        "of these from the view / wrong %",
        "invariants broken",
        "events per s",
        "CPU us per event",
        "CPU s per s",
    ]);
    let mut kinds = Table::new(&["pools, asking: kind", "events", "us p50", "us p99", "part of the time %"]);
    for (pools, name, asking) in [
        (1, "1, the ledger", Asking::Ledger),
        (1, "1, views", Asking::View(MAX_AGE)),
        (16, "16, the ledger", Asking::Ledger),
    ] {
        let scenario = scenario(pools, seconds, asking);
        let watch = Watch { every: LOOK_EVERY, log: true };
        let (tally, log) = fleet::watched(&scenario, 1, watch);
        let cost = replay(pools, &log);
        whole.row(row(name, &scenario, &tally, &cost));
        by_kind(&mut kinds, name, &cost);
    }
    (whole, kinds)
}

fn row(name: &str, scenario: &Scenario, tally: &Tally, cost: &Cost) -> Vec<String> {
    let run = Summary::of(scenario, tally);
    let virtual_seconds = scenario.horizon();
    let broken: u64 = tally.broken.values().sum();
    vec![
        name.to_owned(),
        short(run.goodput),
        short(run.missed),
        format!("{} / {}", short(run.waits[0]), short(run.waits[1])),
        tally.longest_queue.to_string(),
        short(run.refused),
        format!("{} / {}", short(run.unasked), short(run.wrong)),
        broken.to_string(),
        format!("{:.0}", cost.events as f64 / virtual_seconds),
        short(cost.cpu.as_secs_f64() * 1e6 / cost.events as f64),
        format!("{:.2}", cost.cpu.as_secs_f64() / virtual_seconds),
    ]
}

fn by_kind(table: &mut Table, name: &str, cost: &Cost) {
    let all: f32 = cost.by_kind.values().flatten().sum();
    for (kind, micros) in &cost.by_kind {
        table.row([
            format!("{name}: {kind}"),
            micros.len().to_string(),
            short(quantile(micros, 0.5)),
            short(quantile(micros, 0.99)),
            short(100.0 * f64::from(micros.iter().sum::<f32>() / all)),
        ]);
    }
}

/// Gives fresh pools the same events once more.
fn replay(pools: usize, log: &[Logged]) -> Cost {
    let mut pools = vec![Pool::new(Time(0)); pools];
    let mut cost = Cost { events: log.len(), ..Cost::default() };
    let before = (now(), cpu_time());
    for (pool, at, event) in log {
        let began = now();
        pools[*pool].apply(*at, event);
        cost.by_kind.entry(kind(event)).or_default().push(began.elapsed().as_secs_f32() * 1e6);
    }
    cost.cpu = match (before.1, cpu_time()) {
        (Some(from), Some(to)) => to.saturating_sub(from),
        _ => before.0.elapsed(),
    };
    cost
}

#[expect(clippy::disallowed_methods, reason = "measures real time; decides nothing")]
fn now() -> Instant {
    Instant::now()
}

/// CPU time of this thread, where the system tells: its first number is nanoseconds on a CPU.
fn cpu_time() -> Option<Duration> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

fn kind(event: &Event) -> &'static str {
    match event {
        Event::Admit(_) => "admit",
        Event::Release(..) => "release",
        Event::Cancel(..) => "cancel",
        Event::Abandon(..) => "abandon",
        Event::Confirm(_) => "confirm",
        Event::HandBack(_) => "hand back",
        Event::PutBackend(_) | Event::RemoveBackend(_) => "backend",
        Event::Reconcile(..) => "reconcile",
        Event::Renew(_) => "renew",
        Event::Reenter(_) => "re-enter",
        Event::Refused(_) => "refused",
        Event::Tick => "tick",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replay_of_a_small_fleet_takes_every_event() {
        let mut small = scenario(2, 2.0, Asking::Ledger);
        (small.slots, small.backends, small.routers) = (64, 4, 3);
        let (tally, log) = fleet::watched(&small, 1, Watch { every: 1, log: true });
        let cost = replay(2, &log);
        assert_eq!(cost.events as u64, tally.events);
        assert_eq!(cost.by_kind.values().map(Vec::len).sum::<usize>(), cost.events);
        assert!(tally.broken.is_empty(), "{:?}", tally.broken);
    }
}
