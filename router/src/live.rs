//! The live feed of the admin port: what the fleet does now, and what this router has seen in the last minutes.
//!
//! 1. [`history`]: one point a second, whether anybody listens or not.
//! 2. [`feed`]: one snapshot for all who listen, four times a second, as long as somebody does.

pub mod feed;
pub mod history;

use crate::config::Fleet;
use crate::report::{FleetReport, PoolReport, RouterReport, Word};
use crate::shared::{Shared, unix_millis, unix_seconds};
use history::{History, Point};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tidegate_admission::View;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_util::sync::CancellationToken;

/// From one point of the history to the next.
pub const STEP: Duration = Duration::from_secs(1);
/// From one snapshot to the next.
const EVERY: Duration = Duration::from_millis(250);
/// Looking at the fleet may take this part of the time at most: a huge queue in Redis is looked at less often.
const LARGEST_SHARE: u32 = 10;
/// How long the ledger may take to say how the fleet stands at the end of a second.
const PATIENCE: Duration = Duration::from_millis(250);
/// Tickets of a pool that a snapshot shows.
const MOST_TICKETS: usize = 5000;

/// Everything in an event but the history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Now {
    /// Unix milliseconds of this router.
    pub at_ms: u64,
    /// The id of this router: one life of its process.
    pub router: String,
    /// Its version.
    pub version: Word,
    /// `embedded` where the backend runs in this process, else `fleet`.
    pub mode: Word,
    /// Whether this router takes no new work.
    pub draining: bool,
    /// `memory`, `redis`, or `degraded` while Redis is out of reach.
    pub ledger: Word,
    /// Pools by model name; of the tickets at most the first 5,000.
    pub pools: Vec<PoolReport>,
    /// Routers by id.
    pub routers: Vec<RouterReport>,
    /// Whether the routers decide by different flags.
    pub flags_differ: bool,
}

/// [`Now`] as JSON, written once for all who listen.
#[derive(Debug)]
pub struct Snapshot(String);

impl Snapshot {
    /// The JSON object without its closing brace.
    fn opened(&self) -> &str {
        self.0.strip_suffix('}').unwrap_or(&self.0)
    }
}

/// What the feed shares between the tasks that fill it and those who listen.
#[derive(Debug)]
pub struct Live {
    history: Mutex<History>,
    /// The newest snapshot: whoever is slow finds only this one.
    latest: watch::Sender<Option<Arc<Snapshot>>>,
    /// Somebody has begun to listen, and wants a snapshot at once.
    wake: Notify,
    /// The feed ends: an admin port that waits for its listeners would wait for ever.
    ended: CancellationToken,
}

impl Default for Live {
    fn default() -> Self {
        Self {
            history: Mutex::default(),
            latest: watch::Sender::new(None),
            wake: Notify::new(),
            ended: CancellationToken::new(),
        }
    }
}

impl Live {
    /// Ends every listener's stream.
    pub fn end(&self) {
        self.ended.cancel();
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes the history, a point a second. Does not end.
pub async fn keep_history(shared: Shared) {
    // In the middle between two seconds of the clock: a tick that comes a little early or late is still of its own second.
    let phase = Duration::from_millis(1500 - unix_millis() % 1000);
    let mut ticks = interval_at(Instant::now() + phase, STEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut views: Vec<(String, View)> = Vec::new();
    loop {
        ticks.tick().await;
        // A ledger that does not answer leaves the fleet as it was last seen.
        if let Ok(Ok(seen)) = timeout(PATIENCE, shared.desk.ledger.views()).await {
            views = seen;
        }
        let point = Point::new(unix_seconds(), shared.desk.tally.take(), &views);
        shared.live.history().push(point);
    }
}

/// Takes the snapshots as long as somebody listens. Does not end.
pub async fn take_snapshots(shared: Shared) {
    let live = shared.live.clone();
    loop {
        if live.latest.receiver_count() == 0 {
            live.wake.notified().await;
        }
        let began = Instant::now();
        let snapshot = snapshot(&shared).await;
        live.latest.send_replace(Some(Arc::new(snapshot)));
        let pause = EVERY.max(began.elapsed() * LARGEST_SHARE);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = live.wake.notified() => {}
        }
    }
}

async fn snapshot(shared: &Shared) -> Snapshot {
    let fleet = FleetReport::new(&*shared.fleet.look().await, MOST_TICKETS)
        .seen_by(&shared.heard, &shared.desk.roster);
    let embedded = shared.config.fleet == Fleet::Embedded;
    let now = Now {
        at_ms: unix_millis(),
        router: shared.desk.router_id().to_owned(),
        version: Word::Borrowed(env!("CARGO_PKG_VERSION")),
        mode: Word::Borrowed(if embedded { "embedded" } else { "fleet" }),
        draining: shared.draining.is_cancelled(),
        ledger: fleet.ledger,
        pools: fleet.pools,
        routers: fleet.routers,
        flags_differ: fleet.flags_differ,
    };
    // Maps with string keys and finite numbers always become JSON.
    Snapshot(serde_json::to_string(&now).unwrap_or_else(|_| "{}".to_owned()))
}
