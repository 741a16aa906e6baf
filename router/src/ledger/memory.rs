//! The account in this process: the pure state machine behind a mutex, and a task that lets time pass.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tidegate_admission::{
    Action, Admit, AttemptId, Backend, End, Event, HandBack, Outcome, Pool, Reason, Refusal, Renewal, Reply,
    Return, Time, View,
};
use tokio::{sync::Notify, time::sleep_until};

use super::{
    Admission, Ask, Fleet, LedgerError, LedgerMode, LedgerOptions, clock::Clock, holding::Holdings, micros,
};

/// Time between two renewals of a router's lease.
pub(super) const RENEW_EVERY: Duration = Duration::from_secs(1);
/// When an unknown pool may be asked for again: a backend that starts up registers within a second.
pub(super) const UNKNOWN_RETRY_AFTER: f64 = 1.0;

/// The account, shared by all routers of this process.
#[derive(Debug)]
struct Account {
    clock: Clock,
    pools: Mutex<BTreeMap<String, Pool>>,
    /// Where grants of a router's tickets go.
    routers: Mutex<HashMap<String, Weak<Holdings>>>,
    /// Wakes the timers when something falls due sooner than they expect.
    sooner: Notify,
}

#[derive(Debug)]
struct Router {
    account: Arc<Account>,
    holdings: Arc<Holdings>,
    options: LedgerOptions,
}

/// The account kept in this process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct MemoryLedger {
    router: Arc<Router>,
}

impl MemoryLedger {
    /// Opens an account. Its timer is a task of the tokio runtime that this is called in, and ends when the last
    /// clone is dropped.
    pub fn new(options: LedgerOptions) -> MemoryLedger {
        let account = Account {
            clock: Clock::start(),
            pools: Mutex::default(),
            routers: Mutex::default(),
            sooner: Notify::new(),
        };
        MemoryLedger::on(Arc::new(account), options)
    }

    fn on(account: Arc<Account>, options: LedgerOptions) -> MemoryLedger {
        let holdings = Arc::new(Holdings::default());
        lock(&account.routers).insert(options.router_id.clone(), Arc::downgrade(&holdings));
        let router = Arc::new(Router { account, holdings, options });
        tokio::spawn(run_timer(Arc::downgrade(&router), router.account.clone()));
        MemoryLedger { router }
    }

    /// See [`super::Ledger::admit`].
    pub async fn admit(&self, pool: &str, ask: Ask) -> Result<Admission, LedgerError> {
        let Ask { attempt, priority, remaining, draw, jitter } = ask;
        let receiver = self.router.holdings.open(pool, &attempt);
        let (router, limits) = (self.router.options.router_id.clone(), self.router.options.limits);
        let remaining = micros(remaining);
        let event = Event::Admit(Admit {
            attempt: attempt.clone(),
            router,
            limits,
            priority,
            remaining,
            draw,
            jitter,
        });
        let reply = self.router.account.apply(pool, &event).unwrap_or_else(unknown_pool);
        self.router.holdings.answered(&attempt, receiver, reply)
    }

    /// See [`super::Ledger::release`].
    pub async fn release(&self, pool: &str, attempt: &AttemptId, end: End) -> Result<(), LedgerError> {
        self.router.account.apply(pool, &Event::Release(attempt.clone(), end));
        self.router.holdings.close(attempt);
        Ok(())
    }

    /// See [`super::Ledger::cancel`].
    pub async fn cancel(&self, pool: &str, attempt: &AttemptId, end: End) -> Result<(), LedgerError> {
        self.router.account.apply(pool, &Event::Cancel(attempt.clone(), end));
        self.router.holdings.close(attempt);
        Ok(())
    }

    /// See [`super::Ledger::abandon`].
    pub async fn abandon(&self, pool: &str, attempt: &AttemptId, end: End) -> Result<(), LedgerError> {
        self.router.holdings.abandon(attempt);
        self.router.account.apply(pool, &Event::Abandon(attempt.clone(), end));
        Ok(())
    }

    /// See [`super::Ledger::confirm`].
    pub async fn confirm(&self, pool: &str, attempt: &AttemptId) -> Result<(), LedgerError> {
        self.router.account.apply(pool, &Event::Confirm(attempt.clone()));
        self.router.holdings.close(attempt);
        Ok(())
    }

    /// See [`super::Ledger::hand_back`].
    pub async fn hand_back(
        &self,
        pool: &str,
        attempt: &AttemptId,
        why: HandBack,
        next: AttemptId,
    ) -> Result<Admission, LedgerError> {
        let Router { account, holdings, options } = &*self.router;
        let place = holdings.place(attempt)?;
        let receiver = holdings.open(pool, &next);
        let (router, max_queue_size) = (options.router_id.clone(), options.limits.max_queue_size);
        let returned =
            Return { attempt: attempt.clone(), next: next.clone(), router, max_queue_size, why, place };
        let reply = account.apply(pool, &Event::HandBack(returned)).unwrap_or_else(unknown_pool);
        holdings.handed_back(attempt, why);
        holdings.answered(&next, receiver, reply)
    }

    /// See [`super::Ledger::put_backend`].
    pub async fn put_backend(&self, pool: &str, backend: Backend) -> Result<(), LedgerError> {
        self.router.account.open(pool);
        self.router.account.apply(pool, &Event::PutBackend(backend));
        Ok(())
    }

    /// See [`super::Ledger::remove_backend`].
    pub async fn remove_backend(&self, pool: &str, id: &str) -> Result<(), LedgerError> {
        self.router.account.apply(pool, &Event::RemoveBackend(id.to_owned()));
        Ok(())
    }

    /// See [`super::Ledger::reconcile_backend`].
    pub async fn reconcile_backend(
        &self,
        pool: &str,
        id: &str,
        held: &[AttemptId],
    ) -> Result<(), LedgerError> {
        self.router.account.apply(pool, &Event::Reconcile(id.to_owned(), held.to_vec()));
        Ok(())
    }

    /// See [`super::Ledger::view`].
    pub async fn view(&self, pool: &str) -> Result<Option<View>, LedgerError> {
        self.router.account.apply(pool, &Event::Tick);
        Ok(lock(&self.router.account.pools).get(pool).map(Pool::view))
    }

    /// See [`super::Ledger::fleet`].
    pub async fn fleet(&self) -> Result<Fleet, LedgerError> {
        let Router { account, options, .. } = &*self.router;
        account.tick();
        let pools = lock(&account.pools).iter().map(|(name, pool)| (name.clone(), pool.snapshot())).collect();
        Ok(Fleet::new(LedgerMode::Memory, pools, &options.limits, options.reset_interval))
    }
}

impl Account {
    /// Makes sure that there is a pool of that name.
    fn open(&self, pool: &str) {
        let now = self.clock.now();
        lock(&self.pools).entry(pool.to_owned()).or_insert_with(|| Pool::new(now));
    }

    /// Applies an event and delivers what follows from it. `None` where there is no such pool.
    fn apply(&self, pool: &str, event: &Event) -> Option<Reply> {
        let mut pools = lock(&self.pools);
        let account = pools.get_mut(pool)?;
        let due = account.next_due();
        let Outcome { reply, actions } = account.apply(self.clock.now(), event);
        if account.next_due().is_some_and(|next| due.is_none_or(|due| next < due)) {
            self.sooner.notify_waiters();
        }
        if account.forgettable() {
            pools.remove(pool);
        }
        // Delivered under the lock: a grant must not be overtaken by the next one of the same ticket.
        for action in actions {
            self.deliver(action);
        }
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
        for pool in &names {
            self.apply(pool, &Event::Tick);
        }
        lock(&self.pools).values().filter_map(Pool::next_due).min()
    }
}

impl Router {
    /// Renews this router's lease in every pool.
    fn renew(&self) {
        let names: Vec<String> = lock(&self.account.pools).keys().cloned().collect();
        for pool in names {
            let (known, check) = self.holdings.in_pool(&pool);
            let renewal = Renewal {
                router: self.options.router_id.clone(),
                flags: self.options.flags(),
                max_queue_size: self.options.limits.max_queue_size,
                known,
                check,
                reset_interval: micros(self.options.reset_interval),
            };
            if let Some(Reply::Renewed { granted, gone }) = self.account.apply(&pool, &Event::Renew(renewal))
            {
                granted.into_iter().for_each(|granted| self.holdings.deliver(Action::Grant(granted)));
                self.holdings.gone(&gone);
            }
        }
    }
}

/// Renews one router's lease each second and lets time pass whenever something is due.
async fn run_timer(router: Weak<Router>, account: Arc<Account>) {
    let mut renew_at = account.clock.now();
    loop {
        let sooner = account.sooner.notified();
        let Some(router) = router.upgrade() else { return };
        let now = account.clock.now();
        if now >= renew_at {
            router.renew();
            renew_at = now.plus(micros(RENEW_EVERY));
        }
        drop(router);
        let next = account.tick().unwrap_or(renew_at).min(renew_at);
        tokio::select! {
            () = sleep_until(account.clock.instant(next)) => {}
            () = sooner => {}
        }
    }
}

/// The refusal of a request for a pool that no backend ever served.
pub(super) fn unknown_pool() -> Reply {
    let refusal = Refusal { reason: Reason::UnknownPool, retry_after: UNKNOWN_RETRY_AFTER, hopeless: false };
    Reply::Rejected(refusal, None)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
