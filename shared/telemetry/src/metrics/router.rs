//! What a router counts.

use std::{sync::atomic::AtomicU64, time::Duration};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::label::{Answer, Pool, Refusal};
use super::{InFlight, bucket, encode, name};

type ByPool<M> = Family<Pool, M, fn() -> M>;

/// A router's registry. Made once, shared by reference or in an `Arc`.
#[derive(Debug)]
pub struct RouterMetrics {
    registry: Registry,
    running: Family<Pool, Gauge>,
    waiting: Family<Pool, Gauge>,
    requests: Family<Answer, Counter>,
    rejections: Family<Refusal, Counter>,
    resends: Family<Pool, Counter>,
    latency: ByPool<Histogram>,
    first_token: ByPool<Histogram>,
    queue_time: ByPool<Histogram>,
    account: Account,
}

/// The ledger's account, by pool.
#[derive(Debug, Default)]
struct Account {
    slots: Family<Pool, Gauge>,
    running: Family<Pool, Gauge>,
    abandoned: Family<Pool, Gauge>,
    queued: Family<Pool, Gauge>,
    held: Family<Pool, Gauge>,
    oldest_wait: Family<Pool, Gauge<f64, AtomicU64>>,
    desired_backends: Family<Pool, Gauge>,
    degraded: Gauge,
    flag_sets: Gauge,
}

/// One pool as the ledger sees it at the moment of a scrape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PoolSample {
    /// Slots over live backends that are not draining.
    pub slots: u32,
    /// Slots in use.
    pub running: u32,
    /// Slots whose request was given up while the work may still run.
    pub abandoned: u32,
    /// Tickets in the queue.
    pub queued: u32,
    /// Wait of the oldest ticket.
    pub oldest_wait: Duration,
    /// Backends that all that is held would fill: held over slots per backend, rounded up.
    pub desired_backends: u32,
}

impl RouterMetrics {
    /// An empty registry with every metric of a router in it.
    #[must_use]
    pub fn new() -> Self {
        let registry = Registry::default();
        let mut metrics = Self {
            registry,
            running: Family::default(),
            waiting: Family::default(),
            requests: Family::default(),
            rejections: Family::default(),
            resends: Family::default(),
            latency: ByPool::new_with_constructor(bucket::request),
            first_token: ByPool::new_with_constructor(bucket::request),
            queue_time: ByPool::new_with_constructor(bucket::request),
            account: Account::default(),
        };
        metrics.register_requests();
        metrics.register_pools();
        metrics
    }

    fn register_requests(&mut self) {
        let to = &mut self.registry;
        to.register(name::RUNNING, "Requests of this router that have a slot", self.running.clone());
        to.register(name::WAITING, "Requests of this router that wait for a slot", self.waiting.clone());
        to.register(name::REQUESTS, "Answers of this router", self.requests.clone());
        to.register(name::REJECTIONS, "Requests refused before they took a slot", self.rejections.clone());
        to.register(
            name::RESENDS,
            "Requests sent to another backend before a first byte",
            self.resends.clone(),
        );
        to.register(name::LATENCY, "Seconds from arrival to the last byte", self.latency.clone());
        to.register(name::FIRST_TOKEN, "Seconds from arrival to the first byte", self.first_token.clone());
        to.register(name::QUEUE_TIME, "Seconds from arrival to the grant of a slot", self.queue_time.clone());
    }

    fn register_pools(&mut self) {
        let to = &mut self.registry;
        let gauges = [
            (
                name::POOL_SLOTS,
                "Slots of the pool, fleet-wide: take the max over routers",
                &self.account.slots,
            ),
            (name::POOL_RUNNING, "Slots in use, fleet-wide", &self.account.running),
            (
                name::POOL_ABANDONED,
                "Slots held by work that was given up, fleet-wide",
                &self.account.abandoned,
            ),
            (name::POOL_QUEUED, "Tickets in the pool's queue, fleet-wide", &self.account.queued),
            (name::POOL_HELD, "Running, abandoned and queued, fleet-wide", &self.account.held),
            (
                name::POOL_DESIRED_BACKENDS,
                "Backends that all that is held would fill, for an autoscaler",
                &self.account.desired_backends,
            ),
        ];
        let account = &self.account;
        to.register(name::DEGRADED, "1 while the ledger is out of reach", account.degraded.clone());
        let help =
            "Different sets of admission flags among the routers; more than 1 is a mistake or a rollout";
        to.register(name::FLAG_SETS, help, account.flag_sets.clone());
        to.register(
            name::POOL_OLDEST_WAIT,
            "Seconds that the oldest ticket has waited",
            account.oldest_wait.clone(),
        );
        for (name, help, family) in gauges {
            to.register(name, help, family.clone());
        }
    }

    /// A request of `pool` has a slot until the guard drops.
    pub fn running(&self, pool: &str) -> InFlight {
        InFlight::enter(&self.running.get_or_create_owned(&by(pool)))
    }

    /// A request of `pool` waits for a slot until the guard drops.
    pub fn waiting(&self, pool: &str) -> InFlight {
        InFlight::enter(&self.waiting.get_or_create_owned(&by(pool)))
    }

    /// An answer with `status` on `route` (as the route table has it) ended, `took` after the request arrived.
    pub fn answered(&self, pool: &str, route: &'static str, status: u16, took: Duration) {
        self.requests.get_or_create(&Answer { pool: pool.to_owned(), route, status }).inc();
        self.latency.get_or_create(&by(pool)).observe(took.as_secs_f64());
    }

    /// A request was refused at the door.
    pub fn rejected(&self, pool: &str, priority: &'static str, reason: &'static str) {
        self.rejections.get_or_create(&Refusal { reason, priority, pool: pool.to_owned() }).inc();
    }

    /// A request goes to another backend, before its first byte.
    pub fn resent(&self, pool: &str) {
        self.resends.get_or_create(&by(pool)).inc();
    }

    /// A request got its slot `waited` after it arrived.
    pub fn granted(&self, pool: &str, waited: Duration) {
        self.queue_time.get_or_create(&by(pool)).observe(waited.as_secs_f64());
    }

    /// The first byte of an answer came `took` after the request arrived.
    pub fn first_token(&self, pool: &str, took: Duration) {
        self.first_token.get_or_create(&by(pool)).observe(took.as_secs_f64());
    }

    /// Takes over the ledger's account of a pool; to be called before [`encode`](Self::encode).
    pub fn set_pool(&self, pool: &str, sample: PoolSample) {
        let set =
            |family: &Family<Pool, Gauge>, value: u32| family.get_or_create(&by(pool)).set(i64::from(value));
        set(&self.account.slots, sample.slots);
        set(&self.account.running, sample.running);
        set(&self.account.abandoned, sample.abandoned);
        set(&self.account.queued, sample.queued);
        set(&self.account.held, sample.running + sample.abandoned + sample.queued);
        set(&self.account.desired_backends, sample.desired_backends);
        self.account.oldest_wait.get_or_create(&by(pool)).set(sample.oldest_wait.as_secs_f64());
    }

    /// Notes how many different sets of flags the routers decide by.
    pub fn set_flag_sets(&self, sets: usize) {
        self.account.flag_sets.set(i64::try_from(sets).unwrap_or(i64::MAX));
    }

    /// Notes whether the ledger is out of reach.
    pub fn set_degraded(&self, degraded: bool) {
        self.account.degraded.set(i64::from(degraded));
    }

    /// Everything as OpenMetrics text, to be served as [`CONTENT_TYPE`](super::CONTENT_TYPE).
    #[must_use]
    pub fn encode(&self) -> String {
        encode(&self.registry)
    }
}

impl Default for RouterMetrics {
    fn default() -> Self {
        Self::new()
    }
}

fn by(pool: &str) -> Pool {
    Pool { pool: pool.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_colons_come_out_as_prometheus_wants_them() {
        let metrics = RouterMetrics::new();
        metrics.rejected("m", "normal", "queue_full");
        metrics.answered("m", "/v1/completions", 200, Duration::from_millis(30));
        let text = metrics.encode();
        let lines = [
            "# TYPE tidegate:admission_rejections counter",
            "tidegate:admission_rejections_total{reason=\"queue_full\",priority=\"normal\",pool=\"m\"} 1",
            "tidegate:requests_total{pool=\"m\",route=\"/v1/completions\",status=\"200\"} 1",
            "tidegate:e2e_request_latency_seconds_bucket{le=\"0.05\",pool=\"m\"} 1",
            "tidegate:e2e_request_latency_seconds_count{pool=\"m\"} 1",
            "tidegate:ledger_degraded 0",
        ];
        for line in lines {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn a_guard_counts_only_while_it_lives() {
        let metrics = RouterMetrics::new();
        let first = metrics.running("m");
        let second = metrics.running("m");
        assert!(metrics.encode().contains("tidegate:num_requests_running{pool=\"m\"} 2"));
        drop((first, second));
        assert!(metrics.encode().contains("tidegate:num_requests_running{pool=\"m\"} 0"));
    }

    #[test]
    fn the_ledger_part_shows_in_the_same_text() {
        let metrics = RouterMetrics::new();
        metrics.set_degraded(true);
        metrics.set_pool(
            "m",
            PoolSample {
                slots: 3,
                running: 2,
                abandoned: 1,
                queued: 4,
                oldest_wait: Duration::from_millis(1500),
                desired_backends: 3,
            },
        );
        let text = metrics.encode();
        let lines = [
            "tidegate:ledger_degraded 1",
            "tidegate:pool_slots{pool=\"m\"} 3",
            "tidegate:pool_running{pool=\"m\"} 2",
            "tidegate:pool_abandoned{pool=\"m\"} 1",
            "tidegate:pool_queued{pool=\"m\"} 4",
            "tidegate:pool_held{pool=\"m\"} 7",
            "tidegate:pool_oldest_wait_seconds{pool=\"m\"} 1.5",
            "tidegate:pool_desired_backends{pool=\"m\"} 3",
        ];
        for line in lines {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
