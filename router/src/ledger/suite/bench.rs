//! What a scene is played on: one account, some routers at it, and a clock that only the scene moves.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tidegate_serve::workers::Workers;
use tidegate_telemetry::metrics::LedgerMetrics;
use tokio::time::timeout;

use super::server::RedisServer;
use crate::ledger::{
    Admission, Ask, AttemptId, Backend, FleetPool, Grant, Ledger, LedgerOptions, Limits, MemoryLedger,
    OnLoss, Priority, RedisLedger, Rejection, Ticket, Waited,
    clock::Clock,
    holding::Holdings,
    memory::Shared,
    redis::link::{Link, Now, Terms},
};

/// The pool of most scenes.
pub(super) const POOL: &str = "demo model {1}";

enum Kept {
    Memory(Arc<Shared>),
    Redis(RedisServer),
}

/// An account and its clock.
pub(super) struct Bench {
    kept: Kept,
    now: Arc<AtomicU64>,
    counter: AtomicU64,
}

impl Bench {
    pub(super) fn memory() -> Bench {
        let now = start();
        let shared = Shared::new(Clock::Manual(Arc::clone(&now)), LedgerMetrics::default());
        Bench { kept: Kept::Memory(Arc::new(shared)), now, counter: AtomicU64::new(0) }
    }

    pub(super) async fn redis() -> Bench {
        let server = RedisServer::start().await;
        Bench { kept: Kept::Redis(server), now: start(), counter: AtomicU64::new(0) }
    }

    /// A router with the bench's usual limits: five tickets, of all priorities.
    pub(super) async fn router(&self, id: &str) -> Ledger {
        self.router_with(id, Limits { max_queue_size: 5, ..generous() }).await
    }

    pub(super) async fn router_with(&self, id: &str, limits: Limits) -> Ledger {
        let options = LedgerOptions { limits, ..options(id) };
        match &self.kept {
            Kept::Memory(shared) => Ledger::Memory(MemoryLedger::on(Arc::clone(shared), options)),
            Kept::Redis(server) => {
                let holdings = Arc::new(Holdings::default());
                let link = Link::open(
                    &server.url(),
                    "test",
                    id,
                    Arc::clone(&holdings),
                    self.terms(),
                    &Workers::here(),
                )
                .await;
                Ledger::Redis(RedisLedger::at(link.unwrap(), holdings, options))
            }
        }
    }

    /// The bench's clock, and patience enough for a machine that does much else.
    fn terms(&self) -> Terms {
        Terms {
            now: Now::Manual(Arc::clone(&self.now)),
            patience: Duration::from_secs(20),
            ..Terms::default()
        }
    }

    /// Lets time pass. Nothing notices before the next call.
    pub(super) fn pass(&self, time: Duration) {
        self.now.fetch_add(time.as_micros() as u64, Ordering::SeqCst);
    }

    /// A request of normal priority with a minute's time, whose draw rejects nothing.
    pub(super) fn ask(&self, router: &str) -> Ask {
        let attempt = AttemptId::from(format!("{router}-{}", self.counter.fetch_add(1, Ordering::SeqCst)));
        let remaining = Duration::from_secs(60);
        Ask {
            attempt,
            priority: Priority::Normal,
            remaining,
            length: None,
            draw: 0.999,
            jitter: 0.5,
            prefer: None,
            caller: None,
        }
    }

    pub(super) fn ask_with(&self, router: &str, priority: Priority) -> Ask {
        Ask { priority, ..self.ask(router) }
    }
}

/// A time at which instants of the clock look like Redis's own.
fn start() -> Arc<AtomicU64> {
    Arc::new(AtomicU64::new(1_795_000_000_123_456))
}

/// What a router brings to the account whose limits bound the queue and nothing else.
pub(super) fn options(router_id: &str) -> LedgerOptions {
    LedgerOptions {
        router_id: router_id.to_owned(),
        limits: generous(),
        reset_interval: Duration::from_secs(300),
        on_loss: OnLoss::Share,
        pools: Vec::new(),
        metrics: LedgerMetrics::default(),
    }
}

/// Limits that bound the queue and nothing else.
pub(super) fn generous() -> Limits {
    Limits { queue_rejection_threshold: 1.0, wait_share: 1.0, ..Limits::default() }
}

/// A backend of so many slots.
pub(super) fn backend(id: &str, slots: u32) -> Backend {
    Backend { id: id.to_owned(), epoch: "1".to_owned(), url: format!("http://{id}"), slots, draining: false }
}

/// Registers a backend.
pub(super) async fn put(ledger: &Ledger, id: &str, slots: u32) {
    ledger.put_backend(POOL, backend(id, slots)).await.unwrap();
}

pub(super) async fn granted(ledger: &Ledger, ask: Ask) -> Grant {
    match ledger.admit(POOL, ask).await.unwrap() {
        Admission::Granted(grant) => grant,
        other => panic!("not granted: {other:?}"),
    }
}

pub(super) async fn queued(ledger: &Ledger, ask: Ask) -> Ticket {
    match ledger.admit(POOL, ask).await.unwrap() {
        Admission::Queued(ticket) => ticket,
        other => panic!("not queued: {other:?}"),
    }
}

pub(super) async fn rejected(ledger: &Ledger, ask: Ask) -> Rejection {
    match ledger.admit(POOL, ask).await.unwrap() {
        Admission::Rejected(rejection) => rejection,
        other => panic!("not rejected: {other:?}"),
    }
}

/// How a wait ended; it must have ended, give or take a push.
pub(super) async fn waited(ticket: &mut Ticket) -> Waited {
    timeout(Duration::from_secs(20), &mut ticket.grant)
        .await
        .expect("nothing came")
        .expect("the ticket was lost")
}

pub(super) async fn wait_granted(ticket: &mut Ticket) -> Grant {
    match waited(ticket).await {
        Waited::Granted(grant) => *grant,
        Waited::Dropped(reason) => panic!("dropped: {reason}"),
    }
}

/// Renews a router's lease, as its timer does.
pub(super) async fn renew(ledger: &Ledger) {
    match ledger {
        Ledger::Memory(ledger) => ledger.desk.renew().await.unwrap(),
        Ledger::Redis(ledger) => ledger.desk.renew().await.unwrap(),
    }
}

/// Forgets an attempt on the router's side only, as a call that got lost does.
pub(super) fn forget(ledger: &Ledger, attempt: &AttemptId) {
    match ledger {
        Ledger::Memory(ledger) => ledger.desk.holdings.close(attempt),
        Ledger::Redis(ledger) => ledger.desk.holdings.close(attempt),
    }
}

/// The pool as `/fleet` has it.
pub(super) async fn pool(ledger: &Ledger) -> FleetPool {
    let fleet = ledger.fleet().await.unwrap();
    fleet.pools.into_iter().find(|pool| pool.model == POOL).expect("the pool is known")
}

/// Running, abandoned, queued.
pub(super) async fn counts(ledger: &Ledger) -> (u32, u32, u32) {
    let pool = pool(ledger).await;
    (pool.running, pool.abandoned, pool.queued)
}
