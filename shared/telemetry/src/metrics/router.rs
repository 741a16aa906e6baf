//! What a router counts.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use foldhash::fast::RandomState;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use super::account::{Account, FleetSample, MOST_BACKENDS};
use super::bound::Bound;
use super::bucket::Traced;
use super::exemplar::TraceLabel;
use super::in_flight::{WaitEnd, Waiting};
use super::label::{Admission, Answer, Backend, Build, Pool, Preference, Refusal, Resend, Trouble, Wait};
use super::ledger::LedgerMetrics;
use super::per_pool::PoolCounters;
use super::process::Process;
use super::{InFlight, bucket, encode, name};

type ByPool<M> = Family<Pool, M, fn() -> M>;

/// The words of the label `reason` of a refusal that names a pool.
const REASONS: [&str; 5] = ["capacity", "queue_full", "deadline", "no_backend", "rate_limit_exceeded"];
/// The words of the label `priority`.
const PRIORITIES: [&str; 3] = ["high", "normal", "low"];

/// A router's registry. Made once, shared by reference or in an `Arc`.
#[derive(Debug)]
pub struct RouterMetrics {
    registry: Registry,
    ledger: LedgerMetrics,
    account: Account,
    backends: Bound,
    /// Pools whose counters stand at 0 or more.
    shown: Bound,
    /// What is counted with every request, by pool, so that it is looked up once.
    by_pool: RwLock<HashMap<String, Arc<PoolCounters>, RandomState>>,
    running: Family<Pool, Gauge>,
    waiting: Family<Pool, Gauge>,
    requests: Family<Answer, Counter>,
    admissions: Family<Admission, Counter>,
    rejections: Family<Refusal, Counter>,
    waits: Family<Wait, Counter>,
    resends: Family<Resend, Counter>,
    backend_errors: Family<Trouble, Counter>,
    backends_lost: Family<Pool, Counter>,
    retries_denied: Family<Pool, Counter>,
    ejections: Family<Backend, Counter>,
    preferences: Family<Preference, Counter>,
    latency: ByPool<Traced>,
    first_token: ByPool<Traced>,
    queue_time: ByPool<Histogram>,
}

/// What can go wrong between a router and a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackendError {
    /// No connection, or one that broke before the answer's head was there.
    Unreachable,
    /// It said that it is full, loading or draining.
    Refused,
    /// It answered with a status of 500 or more that is no refusal.
    Status,
    /// It broke its answer off.
    BrokenOff,
    /// It was not done when the request's time was over.
    Timeout,
}

impl BackendError {
    /// The word for it in the label `kind`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Refused => "refused",
            Self::Status => "status",
            Self::BrokenOff => "broken_off",
            Self::Timeout => "timeout",
        }
    }
}

impl RouterMetrics {
    /// An empty registry with every metric of a router in it.
    #[must_use]
    pub fn new() -> Self {
        let ledger = LedgerMetrics::default();
        let mut metrics = Self {
            registry: Registry::default(),
            account: Account::default(),
            backends: Bound::new(MOST_BACKENDS),
            shown: Bound::new(super::account::MOST_POOLS),
            by_pool: RwLock::default(),
            running: Family::default(),
            waiting: Family::default(),
            requests: Family::default(),
            admissions: Family::default(),
            rejections: Family::default(),
            waits: Family::default(),
            resends: Family::default(),
            backend_errors: Family::default(),
            backends_lost: Family::default(),
            retries_denied: Family::default(),
            ejections: Family::default(),
            preferences: Family::default(),
            latency: ByPool::new_with_constructor(bucket::traced_request),
            first_token: ByPool::new_with_constructor(bucket::traced_request),
            queue_time: ByPool::new_with_constructor(bucket::request),
            ledger,
        };
        metrics.register_requests();
        metrics.register_admission();
        metrics.register_choice();
        metrics.ledger.register(&mut metrics.registry);
        metrics.registry.register_collector(Box::new(metrics.account.clone()));
        metrics.registry.register_collector(Box::new(Process));
        let build = Info::new(Build { component: "router", version: env!("CARGO_PKG_VERSION") });
        metrics.registry.register(name::BUILD, "Version and role", build);
        metrics
    }

    fn register_requests(&mut self) {
        let to = &mut self.registry;
        to.register(name::RUNNING, "Requests of this router that have a slot", self.running.clone());
        to.register(name::WAITING, "Requests of this router that wait for a slot", self.waiting.clone());
        to.register(name::REQUESTS, "Answers of this router", self.requests.clone());
        to.register(name::LATENCY, "Seconds from arrival to the last byte", self.latency.clone());
        to.register(name::FIRST_TOKEN, "Seconds from arrival to the first byte", self.first_token.clone());
        to.register(name::QUEUE_TIME, "Seconds from arrival to the grant of a slot", self.queue_time.clone());
        let help = "Requests sent to another backend before a first byte";
        to.register(name::RESENDS, help, self.resends.clone());
        let help = "What went wrong between this router and a backend";
        to.register(name::BACKEND_ERRORS, help, self.backend_errors.clone());
        let help = "Backends that stopped answering or renewing without saying that they drain";
        to.register(name::BACKENDS_LOST, help, self.backends_lost.clone());
    }

    fn register_choice(&mut self) {
        let to = &mut self.registry;
        let help = "Requests not sent again because too many were";
        to.register(name::RETRIES_DENIED, help, self.retries_denied.clone());
        let help = "Times that this router left a backend out because it failed";
        to.register(name::EJECTIONS, help, self.ejections.clone());
        let help = "Requests that wished for a backend, by whether they got it";
        to.register(name::PREFERENCES, help, self.preferences.clone());
    }

    fn register_admission(&mut self) {
        let to = &mut self.registry;
        to.register(name::ADMISSIONS, "Requests that got a slot", self.admissions.clone());
        to.register(name::REJECTIONS, "Requests refused before they took a slot", self.rejections.clone());
        to.register(name::WAITS, "Waits for a slot that are over, by how they ended", self.waits.clone());
    }

    /// The part that the ledger counts in. Clones count together.
    #[must_use]
    pub fn ledger(&self) -> &LedgerMetrics {
        &self.ledger
    }

    /// A request of `pool` has a slot until the guard drops.
    pub fn running(&self, pool: &str) -> InFlight {
        InFlight::enter(&self.counters(pool).running)
    }

    /// A request of `pool` waits for a slot until the guard drops.
    pub fn waiting(&self, pool: &str, priority: &'static str) -> Waiting {
        let pool = self.by(pool);
        let gauge = InFlight::enter(&self.waiting.get_or_create_owned(&pool));
        let (waits, end) = (self.waits.clone(), WaitEnd::GivenUp);
        Waiting { _gauge: gauge, waits, pool: pool.pool, priority, end }
    }

    /// An answer with `status` on `route` (as the route table has it) ended, `took` after the request arrived.
    pub fn answered(
        &self,
        pool: &str,
        route: &'static str,
        status: u16,
        took: Duration,
        trace: Option<TraceLabel>,
    ) {
        let counters = self.counters(pool);
        counters.latency.observe(took.as_secs_f64(), trace, None);
        counters.answers.count((route, status), |pool| {
            self.requests.get_or_create_owned(&Answer { pool, route, status })
        });
    }

    /// A request was refused at the door. `pool` and `priority` are empty where it was not read to them.
    pub fn rejected(&self, pool: &str, priority: &'static str, reason: &'static str) {
        self.rejections
            .get_or_create(&Refusal { reason, priority, pool: self.ledger.pools.name(pool) })
            .inc();
    }

    /// A request goes to another backend before its first byte: `concurrency` or `unreachable` is why.
    pub fn resent(&self, pool: &str, reason: &'static str) {
        self.resends.get_or_create(&Resend { reason, pool: self.ledger.pools.name(pool) }).inc();
    }

    /// Something went wrong at a backend.
    pub fn backend_error(&self, pool: &str, backend: &str, error: BackendError) {
        let (backend, pool) = (self.backends.name(backend), self.ledger.pools.name(pool));
        self.backend_errors.get_or_create(&Trouble { kind: error.as_str(), backend, pool }).inc();
    }

    /// A backend of `pool` stopped answering.
    pub fn backend_lost(&self, pool: &str) {
        self.backends_lost.get_or_create(&self.by(pool)).inc();
    }

    /// A request of `pool` was not sent again, because the budget of retries was spent.
    pub fn retry_denied(&self, pool: &str) {
        self.retries_denied.get_or_create(&self.by(pool)).inc();
    }

    /// A backend of `pool` is left out because it fails.
    pub fn ejected(&self, pool: &str, backend: &str) {
        let (backend, pool) = (self.backends.name(backend), self.ledger.pools.name(pool));
        self.ejections.get_or_create(&Backend { backend, pool }).inc();
    }

    /// A request wished for a backend and got it, or another one.
    pub fn preferred(&self, pool: &str, met: bool) {
        let outcome = if met { "met" } else { "missed" };
        self.preferences.get_or_create(&Preference { outcome, pool: self.ledger.pools.name(pool) }).inc();
    }

    /// A request got its first slot `waited` after it arrived.
    pub fn granted(&self, pool: &str, priority: &'static str, waited: Duration) {
        let counters = self.counters(pool);
        counters.queue_time.observe(waited.as_secs_f64());
        counters
            .admissions
            .count(priority, |pool| self.admissions.get_or_create_owned(&Admission { priority, pool }));
    }

    /// The first byte of an answer came `took` after the request arrived.
    pub fn first_token(&self, pool: &str, took: Duration, trace: Option<TraceLabel>) {
        self.counters(pool).first_token.observe(took.as_secs_f64(), trace, None);
    }

    /// Takes over the ledger's account; to be called before [`encode`](Self::encode).
    pub fn set_fleet(&self, sample: FleetSample) {
        for pool in &sample.pools {
            if self.shown.is_first(&pool.pool) {
                self.expect(&pool.pool);
            }
        }
        self.account.set(sample);
    }

    /// Shows a pool's counters at 0, so that their first increment is seen as one.
    fn expect(&self, pool: &str) {
        let by = self.by(pool);
        let named = || by.pool.clone();
        self.ledger.expect(pool);
        for priority in PRIORITIES {
            let _ = self.admissions.get_or_create_owned(&Admission { priority, pool: named() });
            for reason in REASONS {
                let _ = self.rejections.get_or_create_owned(&Refusal { reason, priority, pool: named() });
            }
            for outcome in WaitEnd::ALL.map(WaitEnd::as_str) {
                let _ = self.waits.get_or_create_owned(&Wait { outcome, priority, pool: named() });
            }
        }
        for reason in ["concurrency", "unreachable"] {
            let _ = self.resends.get_or_create_owned(&Resend { reason, pool: named() });
        }
        let _ = (self.running.get_or_create_owned(&by), self.waiting.get_or_create_owned(&by));
        let _ = self.backends_lost.get_or_create_owned(&by);
        let _ = self.retries_denied.get_or_create_owned(&by);
        for histogram in [&self.latency, &self.first_token] {
            let _ = histogram.get_or_create_owned(&by);
        }
        let _ = self.queue_time.get_or_create_owned(&by);
    }

    /// Everything as OpenMetrics text.
    #[must_use]
    pub fn encode(&self) -> String {
        encode(&[&self.registry])
    }

    /// What is counted with every request of a pool.
    fn counters(&self, pool: &str) -> Arc<PoolCounters> {
        if let Some(counters) = self.by_pool.read().unwrap_or_else(PoisonError::into_inner).get(pool) {
            return Arc::clone(counters);
        }
        let by = self.by(pool);
        let counters = Arc::new(PoolCounters::new(
            by.pool.clone(),
            self.running.get_or_create_owned(&by),
            [&self.latency, &self.first_token].map(|family| family.get_or_create_owned(&by)),
            self.queue_time.get_or_create_owned(&by),
        ));
        // Names beyond the bound share one set, and are not remembered.
        if by.pool == pool {
            let mut all = self.by_pool.write().unwrap_or_else(PoisonError::into_inner);
            return Arc::clone(all.entry(by.pool).or_insert(counters));
        }
        counters
    }

    fn by(&self, pool: &str) -> Pool {
        Pool { pool: self.ledger.pools.name(pool) }
    }
}

impl Default for RouterMetrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
