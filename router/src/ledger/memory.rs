//! The account in this process: the pure state machine behind a mutex, and a task that lets time pass.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use tidegate_admission::{Action, Event, Outcome, Pool, Reply, Time, View, snapshot::Snapshot};
use tidegate_telemetry::metrics::LedgerMetrics;
use tokio::{sync::Notify, time::sleep};

use super::{
    LedgerError, LedgerMode, LedgerOptions,
    clock::Clock,
    desk::{Account, Desk, RENEW_EVERY},
    holding::Holdings,
    micros, sample,
};

/// The account, shared by all routers of this process.
#[derive(Debug)]
pub(super) struct Shared {
    clock: Clock,
    pools: Mutex<BTreeMap<String, Pool>>,
    /// Where grants of a router's tickets go.
    routers: Mutex<HashMap<String, Weak<Holdings>>>,
    /// Where what a step puts right is counted.
    metrics: LedgerMetrics,
    /// Wakes the timers when something falls due sooner than they expect.
    sooner: Notify,
}

/// The account kept in this process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct MemoryLedger {
    pub(super) desk: Arc<Desk<Arc<Shared>>>,
}

impl MemoryLedger {
    /// Opens an account. Its timer is a task of the tokio runtime that this is called in, and ends when the last
    /// clone is dropped.
    pub fn new(options: LedgerOptions) -> MemoryLedger {
        let account = Shared::new(Clock::start(), options.metrics.clone());
        let ledger = MemoryLedger::on(Arc::new(account), options);
        tokio::spawn(keep_time(Arc::downgrade(&ledger.desk), Arc::clone(&ledger.desk.account)));
        ledger
    }

    /// One more router at an account.
    pub(super) fn on(account: Arc<Shared>, options: LedgerOptions) -> MemoryLedger {
        let holdings = Arc::new(Holdings::default());
        lock(&account.routers).insert(options.router_id.clone(), Arc::downgrade(&holdings));
        MemoryLedger { desk: Arc::new(Desk { account, holdings, options }) }
    }
}

impl Shared {
    /// An account without pools.
    pub(super) fn new(clock: Clock, metrics: LedgerMetrics) -> Shared {
        let (pools, routers) = (Mutex::default(), Mutex::default());
        Shared { clock, pools, routers, metrics, sooner: Notify::new() }
    }

    /// Applies an event and delivers what follows from it.
    fn step(&self, name: &str, event: &Event) -> Option<Reply> {
        let now = self.clock.now();
        let mut pools = lock(&self.pools);
        if event.opens() && !pools.contains_key(name) {
            pools.insert(name.to_owned(), Pool::new(now));
        }
        let pool = pools.get_mut(name)?;
        let due = pool.next_due();
        let Outcome { reply, mended, actions } = pool.apply(now, event);
        self.metrics.mended(name, sample(mended));
        if pool.next_due().is_some_and(|next| due.is_none_or(|due| next < due)) {
            self.sooner.notify_waiters();
        }
        if pool.forgettable() {
            pools.remove(name);
        }
        // Under the lock: what becomes of a ticket must reach its router in the order in which it happened.
        actions.into_iter().for_each(|action| self.deliver(action));
        Some(reply)
    }

    fn deliver(&self, action: Action) {
        let router = match &action {
            Action::Grant(granted) => &granted.router,
            Action::Drop { router, .. } => router,
        };
        let holdings = lock(&self.routers).get(router).and_then(Weak::upgrade);
        if let Some(holdings) = holdings {
            holdings.deliver(action);
        }
    }

    /// Lets time pass in every pool; gives the earliest instant at which something is due.
    fn tick(&self) -> Option<Time> {
        let names: Vec<String> = lock(&self.pools).keys().cloned().collect();
        for name in &names {
            self.step(name, &Event::Tick);
        }
        lock(&self.routers).retain(|_, holdings| holdings.strong_count() > 0);
        lock(&self.pools).values().filter_map(Pool::next_due).min()
    }

    /// What `look` sees of a pool at the present instant.
    fn look<T>(&self, name: &str, look: impl FnOnce(&Pool) -> T) -> Option<T> {
        self.step(name, &Event::Tick)?;
        lock(&self.pools).get(name).map(look)
    }
}

impl Account for Arc<Shared> {
    fn mode(&self) -> LedgerMode {
        LedgerMode::Memory
    }

    /// An account in this process loses nothing: what is gone has expired, and its ticket's wait is over.
    async fn lost(&self, _pool: &str) {}

    async fn apply(&self, pool: &str, event: &Event) -> Result<Option<Reply>, LedgerError> {
        Ok(self.step(pool, event))
    }

    async fn view(&self, pool: &str) -> Result<Option<View>, LedgerError> {
        Ok(self.look(pool, Pool::view))
    }

    async fn snapshot(&self, pool: &str) -> Result<Option<Snapshot>, LedgerError> {
        Ok(self.look(pool, Pool::snapshot))
    }

    async fn pools(&self) -> Result<Vec<String>, LedgerError> {
        Ok(lock(&self.pools).keys().cloned().collect())
    }
}

/// Renews one router's lease each second and lets time pass whenever something is due.
async fn keep_time(desk: Weak<Desk<Arc<Shared>>>, account: Arc<Shared>) {
    let mut renew_at = account.clock.now();
    loop {
        let sooner = account.sooner.notified();
        let Some(desk) = desk.upgrade() else { return };
        let now = account.clock.now();
        if now >= renew_at {
            if let Err(error) = desk.renew().await {
                tracing::warn!(%error, "the router's lease was not renewed");
            }
            renew_at = now.plus(micros(RENEW_EVERY));
        }
        drop(desk);
        let next = account.tick().unwrap_or(renew_at).min(renew_at);
        tokio::select! {
            () = sleep(account.clock.until(next)) => {}
            () = sooner => {}
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
