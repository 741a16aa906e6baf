//! L6, the honest curve: requests are refused as often as the rejection probability says, whichever router they ask.
//!
//! `TIDEGATE_L6_SEED` sets the draws; a failure names its seed.

use std::{env, time::Duration};

use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::bench::{Bench, POOL, counts, generous, granted, put, queued, rejected};
use crate::ledger::{Admission, Ask, AttemptId, End, Ledger, Limits, Numbers, Reason};

/// Draws at each point of the curve.
const DRAWS: u32 = 10_000;
/// Chi-square with one degree of freedom passes this once in a million points where the frequency is right. At 10,000 draws
/// it is a deviation of two percentage points.
const THRESHOLD: f64 = 23.93;
/// Tickets that wait, and the probability that follows: capacity 4 + 12, half of it is 8, and 4 run.
const POINTS: [(u32, f64); 5] = [(4, 0.0), (6, 0.25), (8, 0.5), (10, 0.75), (12, 1.0)];

pub(super) async fn the_curve_rejects_by_the_draw(bench: &Bench) {
    let limits =
        Limits { max_queue_size: 9, queue_rejection_threshold: 1.0, rejection_start: 0.5, ..generous() };
    let router = bench.router_with("r", limits).await;
    put(&router, "b", 1).await;
    granted(&router, bench.ask("r")).await;
    let mut tickets = Vec::new();
    for _ in 0..6 {
        tickets.push(queued(&router, bench.ask("r")).await);
    }
    // Capacity 10, start 5, held 7: p = 0.4.
    let refused = rejected(&router, Ask { draw: 0.399, ..bench.ask("r") }).await;
    let numbers = refused.numbers.expect("a decision has numbers");
    assert_eq!(refused.reason, Reason::Capacity);
    assert_eq!((numbers.held, numbers.capacity, numbers.p, numbers.draw), (7.0, 10.0, 0.4, 0.399));
    tickets.push(queued(&router, Ask { draw: 0.4, ..bench.ask("r") }).await);
}

/// Two routers take turns at each point; what is accepted is given up at once, so that the next draw meets the same account.
pub(super) async fn rejections_are_as_frequent_as_the_curve_says(bench: &Bench) {
    let seed = env::var("TIDEGATE_L6_SEED").ok().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(rand::random::<u32>);
    println!("TIDEGATE_L6_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed.into());
    let limits = Limits { max_queue_size: 12, rejection_start: 0.5, ..generous() };
    let routers = [bench.router_with("one", limits).await, bench.router_with("two", limits).await];
    put(&routers[0], "b", 4).await;
    // With a service time known, a router under pressure refuses from its own view: that is part of the curve.
    let measured = granted(&routers[0], bench.ask("one")).await;
    bench.pass(Duration::from_secs(1));
    routers[0].release(POOL, &measured.attempt, End::Finished, None).await.unwrap();
    for _ in 0..4 {
        granted(&routers[0], bench.ask("one")).await;
    }
    let mut tickets = Vec::new();
    for (waiting, p) in POINTS {
        while tickets.len() < waiting as usize {
            tickets.push(queued(&routers[1], bench.ask("two")).await);
        }
        let refused = refused_of(&routers, bench, &mut random, p).await;
        assert_eq!(counts(&routers[1]).await, (4, 0, waiting), "nothing but the draws has changed");
        agrees(p, refused, seed);
    }
}

/// How many of the draws at one point are refused.
async fn refused_of(routers: &[Ledger; 2], bench: &Bench, random: &mut StdRng, p: f64) -> u32 {
    let mut refused = 0;
    for n in 0..DRAWS {
        let (router, name) = if n % 2 == 0 { (&routers[0], "one") } else { (&routers[1], "two") };
        let ask = Ask { draw: random.random(), jitter: random.random(), ..bench.ask(name) };
        let attempt = ask.attempt.clone();
        let (was_refused, numbers) = verdict(router.admit(POOL, ask).await.unwrap(), &attempt);
        if !was_refused {
            router.cancel(POOL, &attempt, End::ClientGone).await.unwrap();
        }
        // A view is aged by what has drained since, which nothing does here: its p may stand a little lower, never higher.
        assert!(numbers.p <= p && (was_refused || numbers.p == p), "{numbers:?}, expected {p}");
        refused += u32::from(was_refused);
    }
    refused
}

fn verdict(admission: Admission, attempt: &AttemptId) -> (bool, Numbers) {
    let (refused, numbers) = match admission {
        Admission::Queued(ticket) => (false, ticket.numbers),
        Admission::Rejected(rejection) => (true, rejection.numbers),
        Admission::Granted(_) => panic!("{attempt} was granted a slot that is taken"),
    };
    (refused, numbers.expect("a decision has numbers"))
}

/// Chi-square over the refused and the accepted; at both ends of the curve there is nothing to chance.
fn agrees(p: f64, refused: u32, seed: u32) {
    let (draws, refused) = (f64::from(DRAWS), f64::from(refused));
    let expected = draws * p;
    let variance = expected * (1.0 - p);
    if variance == 0.0 {
        assert_eq!(refused, expected, "p = {p}, TIDEGATE_L6_SEED={seed}");
        return;
    }
    let chi_square = (refused - expected).powi(2) / variance;
    println!("p = {p}: {refused} of {draws} refused, chi-square {chi_square:.2}");
    assert!(
        chi_square < THRESHOLD,
        "p = {p}: {refused} of {draws} refused, chi-square {chi_square:.2}, TIDEGATE_L6_SEED={seed}"
    );
}
