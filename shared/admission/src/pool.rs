//! The account of one pool as a state machine: events in, actions out.
//!
//! In the order of reading: [`clock`] lets time pass and expires what is due, [`admit`] takes requests in and tickets
//! back, [`callers`] knows whose they are, [`grant`] gives free slots to the first tickets, [`finish`] ends attempts, [`nodes`] keeps the backends,
//! [`lease`] keeps the routers, [`reentry`] takes back what routers hold after the account was out of reach, [`record`] holds
//! the records themselves.

mod admit;
mod callers;
mod clock;
mod finish;
mod grant;
mod lease;
mod nodes;
mod record;
mod reentry;

use std::collections::{BTreeMap, BTreeSet};

pub use self::callers::{KEY_MEMORY, KeyUse, Tenant};
pub use self::record::{Attempt, Node, Phase, Recovery, RouterLease};
use crate::{
    estimate::Estimate,
    event::{Action, AttemptId, Event, Outcome, Reply},
    mended::Mended,
    snapshot::{BUCKET, BUCKETS, Counted, RouterView, Snapshot, TicketView, Totals},
    time::{SECOND, Time},
    view::View,
};

/// Microseconds for which a router's lease holds without renewal.
pub const ROUTER_LEASE: u64 = 5 * SECOND;
/// Microseconds for which a backend counts as live without renewal.
pub const BACKEND_LEASE: u64 = 5 * SECOND;
/// Microseconds for which an abandoned attempt counts as provably running since its backend last said so.
pub const PROOF_LASTS: u64 = 5 * SECOND;
/// Microseconds for which a pool without backends and requests is remembered at least.
pub const POOL_MEMORY: u64 = 60 * SECOND;

/// An instant that never comes.
const NEVER: Time = Time(u64::MAX);

/// The account of one pool.
#[derive(Debug, Clone, PartialEq)]
pub struct Pool {
    /// The latest instant seen: time never runs backwards here.
    pub(crate) now: Time,
    /// Microseconds by which the caller's clock was ever put back: they are added to what it shows.
    pub(crate) skew: u64,
    /// An instant before which nothing expires: mostly a step has nothing to look through.
    pub(crate) due: Time,
    /// The place of the latest arrival: its time in microseconds, or one more than the one before. Places of a time when the
    /// account was elsewhere, or lost, so compare with those of today.
    pub(crate) arrivals: u64,
    /// Service time and drain rate.
    pub(crate) estimate: Estimate,
    /// Every attempt that holds a place or a slot.
    pub(crate) attempts: BTreeMap<AttemptId, Attempt>,
    /// Tickets in the order of service: rank of the priority, arrival.
    pub(crate) queue: BTreeSet<(usize, u64, AttemptId)>,
    /// The same tickets in the order in which their time runs out.
    pub(crate) deadlines: BTreeSet<(Time, AttemptId)>,
    /// Backends that take work, or on which something may still run.
    pub(crate) nodes: BTreeMap<String, Node>,
    /// Live backends with a free slot, the least loaded first (the load's bits order as the load does).
    pub(crate) free: BTreeSet<(u64, String)>,
    /// Slots of the live backends that are not draining.
    pub(crate) slots: u32,
    /// Attempts that run.
    pub(crate) running: u32,
    /// Attempts that were given up and still hold their slot.
    pub(crate) abandoned: u32,
    /// Tickets by rank of the priority.
    pub(crate) queued: [u32; 3],
    /// Routers with a lease.
    pub(crate) routers: BTreeMap<String, RouterLease>,
    /// What was counted, by number of the bucket.
    pub(crate) counts: BTreeMap<u64, BTreeMap<Counted, u64>>,
    /// When abandoned work was last reconciled.
    pub(crate) last_reset: Time,
    /// When a backend last registered or renewed.
    pub(crate) backend_seen: Time,
    /// Slots of the backend that did.
    pub(crate) backend_slots: u32,
    /// Set while routers have yet to say what they hold: nothing is granted before.
    pub(crate) recovery: Option<Recovery>,
    /// What each key has used.
    pub(crate) keys: BTreeMap<String, KeyUse>,
    /// What each tenant has on the account.
    pub(crate) tenants: BTreeMap<String, Tenant>,
    /// Weights of the tenants that have anything there.
    pub(crate) weights: u64,
    /// The place of the tenant's ticket that was served last, the greatest so far.
    pub(crate) turn: u64,
    /// Requests that have told what a request costs.
    pub(crate) costs: f64,
    /// What one costs on average: see [`crate::caller::PER_TOKEN`].
    pub(crate) cost: f64,
    /// What the step under way has put right; nothing between two steps.
    pub(crate) mended: Mended,
}

impl Pool {
    /// An empty account, opened at `now`.
    pub fn new(now: Time) -> Pool {
        Pool {
            now,
            skew: 0,
            due: NEVER,
            arrivals: 0,
            estimate: Estimate::default(),
            attempts: BTreeMap::new(),
            queue: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            nodes: BTreeMap::new(),
            free: BTreeSet::new(),
            slots: 0,
            running: 0,
            abandoned: 0,
            queued: [0; 3],
            routers: BTreeMap::new(),
            counts: BTreeMap::new(),
            last_reset: now,
            backend_seen: now,
            backend_slots: 0,
            recovery: None,
            keys: BTreeMap::new(),
            tenants: BTreeMap::new(),
            weights: 0,
            turn: 0,
            costs: 0.0,
            cost: 0.0,
            mended: Mended::default(),
        }
    }

    /// Applies one event at the instant that the caller's clock shows. A clock that is put back stays behind the account's own.
    pub fn apply(&mut self, clock: Time, event: &Event) -> Outcome {
        let mut actions = Vec::new();
        self.advance(clock, &mut actions);
        let reply = match event {
            Event::Admit(ask) => self.admit(ask, &mut actions),
            Event::Reenter(reentry) => self.reenter(reentry, &mut actions),
            Event::HandBack(returned) => self.hand_back(returned, &mut actions),
            other => {
                let reply = self.settle(other);
                self.dispatch(None, &mut actions);
                reply
            }
        };
        self.begin_anew();
        Outcome { reply, mended: std::mem::take(&mut self.mended), actions }
    }

    /// The events that at most free something.
    fn settle(&mut self, event: &Event) -> Reply {
        match event {
            Event::Release(attempt, end, tokens) => self.release(attempt, *end, *tokens),
            Event::Cancel(attempt, end) => self.cancel(attempt, *end),
            Event::Abandon(attempt, end, tokens) => self.abandon(attempt, *end, *tokens),
            Event::Confirm(attempt) => self.confirm(attempt),
            Event::PutBackend(backend) => self.put_backend(backend),
            Event::RemoveBackend(id) => {
                self.retire(id);
                self.stop_on_gone_backends();
            }
            Event::Reconcile(id, held) => self.reconcile(id, held),
            Event::Renew(renewal) => return self.renew(renewal),
            Event::Refused(refused) => self.refused(refused),
            Event::Tick | Event::Admit(_) | Event::HandBack(_) | Event::Reenter(_) => {}
        }
        Reply::Done
    }

    /// Counts and estimates as they stand.
    pub fn view(&self) -> View {
        View {
            at: self.now,
            slots: self.slots,
            free: self.grants() && !self.free.is_empty(),
            running: self.running,
            abandoned: self.abandoned,
            queued: self.queued,
            estimate: self.estimate,
            backend_seen: self.backend_seen,
            backend_slots: self.backend_slots,
        }
    }

    /// The whole account as it stands.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            view: self.view(),
            totals: self.totals(),
            backends: self.nodes.iter().map(|(id, node)| node.view(id)).collect(),
            tickets: self.queue.iter().filter_map(|(_, _, id)| self.ticket_view(id)).collect(),
            routers: self.routers.iter().map(|(id, lease)| self.router_view(id, lease)).collect(),
            last_reset: self.last_reset,
        }
    }

    /// Every attempt on the account.
    pub fn attempts(&self) -> &BTreeMap<AttemptId, Attempt> {
        &self.attempts
    }

    /// What each key has used; those that used nothing lately may not stand here.
    pub fn keys(&self) -> &BTreeMap<String, KeyUse> {
        &self.keys
    }

    /// What each tenant has on the account; those that owe nothing may not stand here.
    pub fn tenants(&self) -> &BTreeMap<String, Tenant> {
        &self.tenants
    }

    /// The place of the tenant's ticket that was served last, the greatest so far.
    pub fn turn(&self) -> u64 {
        self.turn
    }

    /// How many requests have told what one costs, and what one costs on average: see [`crate::caller::PER_TOKEN`].
    pub fn costs(&self) -> (f64, f64) {
        (self.costs, self.cost)
    }

    /// True when nothing is left and no backend was seen for [`POOL_MEMORY`] and as long as any router remembers: whoever
    /// keeps the pool forgets it.
    pub fn forgettable(&self) -> bool {
        let remembered = self.routers.values().map(|lease| lease.pool_memory).fold(POOL_MEMORY, u64::max);
        self.nodes.is_empty() && self.attempts.is_empty() && self.now.since(self.backend_seen) >= remembered
    }

    /// Whether slots may be given out at all.
    pub(crate) fn grants(&self) -> bool {
        self.recovery.is_none()
    }

    fn ticket_view(&self, id: &AttemptId) -> Option<TicketView> {
        let ticket = self.attempts.get(id)?;
        Some(TicketView {
            id: id.as_str().to_owned(),
            router: ticket.router.clone(),
            priority: ticket.place.priority,
            age: self.now.since(ticket.place.entered),
        })
    }

    fn router_view(&self, id: &str, lease: &RouterLease) -> RouterView {
        RouterView { id: id.to_owned(), age: self.now.since(lease.renewed), flags: lease.flags.clone() }
    }

    /// Counts one of something.
    pub(crate) fn count(&mut self, what: Counted) {
        self.count_many(what, 1);
    }

    /// Counts so many of something in the present bucket, and forgets the buckets that are too old.
    pub(crate) fn count_many(&mut self, what: Counted, many: u64) {
        let bucket = self.now.0 / BUCKET;
        let oldest = (bucket + 1).saturating_sub(BUCKETS);
        while self.counts.first_key_value().is_some_and(|(bucket, _)| *bucket < oldest) {
            self.counts.pop_first();
        }
        *self.counts.entry(bucket).or_default().entry(what).or_default() += many;
    }

    fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        let oldest = (self.now.0 / BUCKET + 1).saturating_sub(BUCKETS);
        for (what, count) in self.counts.range(oldest..).flat_map(|(_, counts)| counts) {
            totals.add(what.as_str(), *count);
        }
        totals
    }
}

/// Appends an action; the order is the order of what happened.
pub(crate) type Actions = Vec<Action>;
