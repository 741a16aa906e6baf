//! The run: callers in a closed loop, more than there are slots, so that tickets wait at every release.

use super::gaps;
use super::ping::Pinger;
use crate::caller::{Ask, Caller, End, Policy};
use crate::fleet::{Fleet, Plan};
use crate::meter::Meter;
use crate::retry::Retries;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tidegate_admission::Priority;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// Nodes.
const NODES: usize = 2;
/// Slots of each.
const SLOTS: usize = 8;
/// Service time: about eighty releases a second.
const SERVICE: &str = "exponential:0.2";
/// Callers for each slot: two thirds of them wait.
const CALLERS: usize = 3;
/// Time until the callers have spread.
const WARM: Duration = Duration::from_secs(2);
/// The load goes on for so long after the measured time, so that every slot that came free in it is taken again.
const TAIL: Duration = Duration::from_secs(1);

/// What a run found. Times in seconds.
#[derive(Debug)]
pub struct Found {
    /// Idle times of slots.
    pub idle: Vec<f32>,
    /// Round trips to Redis; none where the routers keep their accounts themselves.
    pub pings: Vec<f32>,
    /// Busy part of the machine's cores, in percent.
    pub cpu: f64,
}

/// Runs it for so long, with routers that share an account in Redis, or with one that keeps its own.
///
/// # Errors
/// An answer that is not as it must be, or a diary that does not fit.
pub async fn run(routers: usize, redis: bool, measured: Duration) -> anyhow::Result<Found> {
    let diaries = tempfile::tempdir()?;
    let fleet = Fleet::start(&plan(routers, redis, diaries.path())).await;
    let url = fleet.redis.as_ref().map(crate::member::Redis::url);
    let mut meter = Meter::new(url.as_deref()).await;
    let mut callers = callers(&fleet, WARM + measured + TAIL);
    sleep(WARM).await;
    let (from, before) = (time_of_day(), meter.read().await);
    let pinger = url.as_deref().map(Pinger::start);
    sleep(measured).await;
    let pings = pinger.map(Pinger::stop).unwrap_or_default();
    let (to, cpu) = (time_of_day(), meter.since(before).await.cpu);
    while let Some(ended) = callers.join_next().await {
        ended??;
    }
    fleet.until_idle().await;
    let mut idle = Vec::new();
    for number in 0..NODES {
        let diary = std::fs::read_to_string(diaries.path().join(format!("node-{number}")))?;
        idle.extend(gaps::idle(&diary, SLOTS, [from, to]).map_err(anyhow::Error::msg)?);
    }
    Ok(Found { idle, pings, cpu })
}

fn plan(routers: usize, redis: bool, diaries: &Path) -> Plan {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
    Plan {
        routers,
        // Nobody is refused: who waits, and for how long, is what the callers make it.
        router_flags: words(
            "--wait-share 1 --max-queue-size 1000 --queue-rejection-threshold 1 --vllm-rejection-threshold 1",
        ),
        nodes: NODES,
        node_flags: words(&format!("--slots {SLOTS} --service {SERVICE}")),
        redis,
        diaries: Some(diaries.to_owned()),
    }
}

/// Callers that ask again as soon as they have their answer, until so long after now.
fn callers(fleet: &Fleet, length: Duration) -> JoinSet<anyhow::Result<()>> {
    let origin = Instant::now();
    let policy = Policy { retries: Retries::None, deadline: Duration::from_secs(60), until: length, seed: 1 };
    let caller = Arc::new(Caller::new(fleet.targets(), policy, origin));
    let number = Arc::new(AtomicUsize::new(0));
    let mut callers = JoinSet::new();
    for _ in 0..NODES * SLOTS * CALLERS {
        let (caller, number) = (caller.clone(), number.clone());
        callers.spawn(async move {
            while origin.elapsed() < length {
                let prompt = format!("request {}", number.fetch_add(1, Ordering::Relaxed));
                let ask = Ask { prompt, priority: Priority::Normal, streamed: false };
                let outcome = caller.call(ask).await;
                let end = outcome.attempts.last().map(|attempt| &attempt.end);
                anyhow::ensure!(end == Some(&End::Answered), "{outcome:?}");
            }
            Ok(())
        });
    }
    callers
}

#[expect(clippy::disallowed_methods, reason = "the nodes' diaries, of other processes, are compared with it")]
fn time_of_day() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}
