//! A small fleet of real processes: a load goes through it, and its members can be killed and come back.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its scene should stop at once, loudly")]

use std::sync::Arc;
use std::time::Duration;
use tidegate_admission::Priority;
use tidegate_load::arrivals::poisson;
use tidegate_load::caller::{Ask, Caller, End, Outcome, Policy};
use tidegate_load::fleet::{Fleet, Plan};
use tidegate_load::generator::open_loop;
use tidegate_load::retry::Retries;
use tokio::time::Instant;

const SEED: u64 = 11;

fn plan(redis: bool, node_flags: &str, router_flags: &str) -> Plan {
    let words = |flags: &str| flags.split_whitespace().map(str::to_owned).collect();
    Plan {
        routers: 2,
        router_flags: words(router_flags),
        nodes: 2,
        node_flags: words(node_flags),
        redis,
        diaries: None,
    }
}

async fn load(fleet: &Fleet, rate: f64, retries: Retries) -> Vec<Outcome> {
    let (origin, length) = (Instant::now(), Duration::from_secs(2));
    let policy = Policy { retries, deadline: Duration::from_secs(5), until: length * 10, seed: SEED };
    let caller = Arc::new(Caller::new(fleet.targets(), policy, origin));
    let arrivals = poisson(SEED, rate, length);
    let load = open_loop(origin, &arrivals, 1000, |number| {
        let caller = caller.clone();
        let ask = Ask {
            prompt: format!("user {number}"),
            priority: Priority::Normal,
            streamed: number.is_multiple_of(2),
        };
        async move { caller.call(ask).await }
    })
    .await;
    assert_eq!((load.outcomes.len(), load.unfired), (arrivals.len(), 0));
    load.outcomes
}

fn last(outcome: &Outcome) -> &End {
    &outcome.attempts.last().unwrap().end
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everyone_gets_their_own_answer_and_a_killed_node_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(true, "--slots 4 --service exponential:0.05", "--wait-share 1");
    let mut fleet = Fleet::start(&Plan { diaries: Some(folder.path().to_owned()), ..plan }).await;
    let outcomes = load(&fleet, 60.0, Retries::None).await;
    assert!(outcomes.iter().all(|outcome| *last(outcome) == End::Answered), "seed {SEED}: {outcomes:?}");
    fleet.until_idle().await;

    fleet.nodes[0].kill();
    fleet.nodes[0].start().await;
    fleet.ready().await;
    let again = load(&fleet, 60.0, Retries::Sdk).await;
    assert!(again.iter().all(|outcome| *last(outcome) == End::Answered), "seed {SEED}: {again:?}");
    fleet.until_idle().await;
    let diaries: Vec<String> = (0..2)
        .map(|number| std::fs::read_to_string(folder.path().join(format!("node-{number}"))).unwrap())
        .collect();
    let [begun, done] = ["begun ", "done "].map(|word| {
        diaries.iter().flat_map(|diary| diary.lines()).filter(|line| line.starts_with(word)).count()
    });
    assert!(begun >= outcomes.len() && done >= outcomes.len(), "{begun} begun, {done} done");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_fits_is_refused_and_counts_are_zero_after_it() {
    let flags = "--wait-share 1 --max-queue-size 4 --request-timeout 5";
    let fleet = Fleet::start(&plan(true, "--slots 2 --service constant:0.2", flags)).await;
    let outcomes = load(&fleet, 100.0, Retries::None).await;
    let refused = outcomes.iter().filter(|outcome| matches!(last(outcome), End::Refused(429, _))).count();
    let answered = outcomes.iter().filter(|outcome| *last(outcome) == End::Answered).count();
    assert_eq!(refused + answered, outcomes.len(), "seed {SEED}: {outcomes:?}");
    assert!(refused > 20 && answered > 20, "seed {SEED}: {refused} refused, {answered} answered");
    fleet.until_idle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_queue_take_everything_and_run_it_in_turn() {
    let flags = "--backend-slots 100000";
    let fleet = Fleet::start(&plan(false, "--foreign --queue --slots 2 --service constant:0.1", flags)).await;
    // Twice what the nodes can do: nobody is refused, and the last ones wait for those before them.
    let outcomes = load(&fleet, 80.0, Retries::None).await;
    assert!(outcomes.iter().all(|outcome| *last(outcome) == End::Answered), "seed {SEED}: {outcomes:?}");
    let longest = outcomes.iter().map(|outcome| outcome.attempts[0].total).max().unwrap();
    assert!(longest > Duration::from_secs(1), "{longest:?}");
    fleet.until_idle().await;
}
