//! The ledger's account as gauges: the last look at the fleet, encoded anew at each scrape, so that what has gone from the account
//! is gone from the text.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use super::label::{Backend, BackendState, Pool};
use super::name;

/// Pools that are shown at most, and backends of one pool: names that operators and machines make up must not grow the text
/// without end.
pub(super) const MOST_POOLS: usize = 200;
/// See [`MOST_POOLS`].
pub(super) const MOST_BACKENDS: usize = 1000;
/// The states of a backend: each is shown, so that one that empties falls to 0.
const STATES: [&str; 5] = ["live", "ejected", "trial", "draining", "gone"];

/// The fleet as the ledger sees it at the moment of a scrape.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FleetSample {
    /// Whether the ledger is out of reach.
    pub degraded: bool,
    /// Routers that share the account.
    pub routers: usize,
    /// Different sets of flags that they decide by.
    pub flag_sets: usize,
    /// Pools by name.
    pub pools: Vec<PoolSample>,
}

/// One pool as the ledger sees it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PoolSample {
    /// Its model name.
    pub pool: String,
    /// Slots over live backends that are not draining.
    pub slots: u32,
    /// Slots in use.
    pub running: u32,
    /// Slots whose request was given up while the work may still run.
    pub abandoned: u32,
    /// Tickets in the queue.
    pub queued: u32,
    /// Tickets that may wait at most.
    pub queue_limit: u32,
    /// Slots and queue together.
    pub capacity: u32,
    /// The rejection probability of a request of normal priority, 0 to 1.
    pub rejection_probability: f64,
    /// Slots that come free per second while all are busy; 0 until something is measured.
    pub drain_per_s: f64,
    /// Wait of the oldest ticket.
    pub oldest_wait: Duration,
    /// Backends that all that is held would fill: held over slots per backend, rounded up.
    pub desired_backends: u32,
    /// Backends by id.
    pub backends: Vec<BackendSample>,
}

/// One backend as the ledger sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BackendSample {
    /// Its id.
    pub id: String,
    /// `live`, `ejected`, `trial`, `draining` or `gone`.
    pub state: &'static str,
    /// Requests that it runs at once.
    pub slots: u32,
    /// Requests that run on it.
    pub running: u32,
    /// Requests given up there whose work may still run.
    pub abandoned: u32,
}

/// The last look.
#[derive(Debug, Clone, Default)]
pub(super) struct Account(Arc<RwLock<FleetSample>>);

/// One number of each pool: its name, what it says, and where it stands.
type PoolGauge = (&'static str, &'static str, fn(&PoolSample) -> f64);
/// One number of each backend.
type BackendGauge = (&'static str, &'static str, fn(&BackendSample) -> u32);

const POOL_GAUGES: [PoolGauge; 11] = [
    (name::POOL_SLOTS, "Slots of the pool, fleet-wide: take the max over routers", |pool| {
        f64::from(pool.slots)
    }),
    (name::POOL_RUNNING, "Slots in use, fleet-wide", |pool| f64::from(pool.running)),
    (name::POOL_ABANDONED, "Slots held by work that was given up, fleet-wide", |pool| {
        f64::from(pool.abandoned)
    }),
    (name::POOL_QUEUED, "Tickets in the pool's queue, fleet-wide", |pool| f64::from(pool.queued)),
    (name::POOL_QUEUE_LIMIT, "Tickets that may wait at most", |pool| f64::from(pool.queue_limit)),
    (name::POOL_HELD, "Running, abandoned and queued, fleet-wide", |pool| {
        f64::from(pool.running) + f64::from(pool.abandoned) + f64::from(pool.queued)
    }),
    (name::POOL_CAPACITY, "Slots and queue together", |pool| f64::from(pool.capacity)),
    (name::POOL_PROBABILITY, "Rejection probability of a request of normal priority, 0 to 1", |pool| {
        pool.rejection_probability
    }),
    (name::POOL_DRAIN, "Slots that come free per second while all are busy; 0 until measured", |pool| {
        pool.drain_per_s
    }),
    (name::POOL_OLDEST_WAIT, "Seconds that the oldest ticket has waited", |pool| {
        pool.oldest_wait.as_secs_f64()
    }),
    (name::POOL_DESIRED_BACKENDS, "Backends that all that is held would fill, for an autoscaler", |pool| {
        f64::from(pool.desired_backends)
    }),
];

const BACKEND_STATES: (&str, &str) = (name::POOL_BACKENDS, "Backends of the pool, by whether they take work");

const BACKEND_GAUGES: [BackendGauge; 3] = [
    (name::BACKEND_SLOTS, "Slots of one backend on the account", |backend| backend.slots),
    (name::BACKEND_RUNNING, "Requests that run on one backend, by the account", |backend| backend.running),
    (name::BACKEND_ABANDONED, "Work given up on one backend that may still run", |backend| backend.abandoned),
];

impl Account {
    /// Takes over a look.
    pub(super) fn set(&self, sample: FleetSample) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = sample;
    }
}

impl Collector for Account {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let fleet = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let pools = &fleet.pools[..fleet.pools.len().min(MOST_POOLS)];
        whole_fleet(&mut encoder, &fleet)?;
        for (name, help, value) in POOL_GAUGES {
            let of = |pool: &PoolSample| (Pool { pool: pool.pool.clone() }, value(pool));
            family(&mut encoder, (name, help), pools.iter().map(of))?;
        }
        let states = pools.iter().flat_map(|pool| STATES.map(|state| in_state(pool, state)));
        family(&mut encoder, BACKEND_STATES, states)?;
        for (name, help, value) in BACKEND_GAUGES {
            let of_pool = |pool: &PoolSample| of_backends(pool, value);
            family(&mut encoder, (name, help), pools.iter().flat_map(of_pool))?;
        }
        Ok(())
    }
}

/// What is said of the fleet as a whole.
fn whole_fleet(encoder: &mut DescriptorEncoder<'_>, fleet: &FleetSample) -> Result<(), fmt::Error> {
    let flags = "Different sets of admission flags among the routers; more than 1 is a mistake or a rollout";
    for (name, help, value) in [
        (name::DEGRADED, "1 while the ledger is out of reach", usize::from(fleet.degraded)),
        (name::ROUTERS, "Routers that share the account", fleet.routers),
        (name::FLAG_SETS, flags, fleet.flag_sets),
    ] {
        let gauge = ConstGauge::new(value as f64);
        gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
    }
    Ok(())
}

/// One number of each backend of a pool.
fn of_backends(pool: &PoolSample, value: fn(&BackendSample) -> u32) -> Vec<(Backend, f64)> {
    let named = |backend: &BackendSample| Backend { backend: backend.id.clone(), pool: pool.pool.clone() };
    let of = |backend: &BackendSample| (named(backend), f64::from(value(backend)));
    pool.backends.iter().take(MOST_BACKENDS).map(of).collect()
}

fn in_state(pool: &PoolSample, state: &'static str) -> (BackendState, f64) {
    let many = pool.backends.iter().filter(|backend| backend.state == state).count();
    (BackendState { state, pool: pool.pool.clone() }, many as f64)
}

/// Writes one gauge with a value for each set of labels.
fn family<L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help): (&str, &str),
    values: impl Iterator<Item = (L, f64)>,
) -> Result<(), fmt::Error> {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in values {
        let gauge = ConstGauge::new(value);
        gauge.encode(metric.encode_family(&labels)?)?;
    }
    Ok(())
}
