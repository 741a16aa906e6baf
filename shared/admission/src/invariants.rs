//! What holds in every state of a pool, as named predicates: the promises L1, L2, L3 and L5 in the small.

use std::collections::BTreeSet;

use crate::pool::{Phase, Pool};

/// A predicate and its name.
pub type Invariant = (&'static str, fn(&Pool) -> bool);

/// All predicates.
pub const ALL: [Invariant; 9] = [
    ("bounded: the queue is no longer than the largest limit in force", bounded),
    ("counted: every count equals the attempts it counts", counted),
    ("queued once: the queue holds exactly the attempts that wait, each once", queued_once),
    ("placed: whatever runs or is abandoned is on a known backend", placed),
    ("within slots: no backend has more than its slots", within_slots),
    ("work-conserving: no slot is free that a waiting ticket could have", work_conserving),
    ("owned: every attempt belongs to a router with a lease", owned),
    ("charged: every key and every tenant has what its attempts say, and no more", charged),
    ("in time: nothing is due before the account looks for it", in_time),
];

/// Names of the predicates that do not hold.
pub fn violated(pool: &Pool) -> Vec<&'static str> {
    ALL.iter().filter(|(_, holds)| !holds(pool)).map(|(name, _)| *name).collect()
}

/// L1: queued <= `max_queue_size`, the largest one where routers differ. Tickets that were taken while the ledger was away may
/// pass it when they re-enter.
pub fn bounded(pool: &Pool) -> bool {
    let largest = pool.routers.values().map(|lease| lease.max_queue_size).max().unwrap_or(0);
    pool.queue.len() <= largest as usize
}

/// L2 in the small: counts are kept by adding and subtracting, and never drift from what they count.
pub fn counted(pool: &Pool) -> bool {
    let count = |wanted: fn(&Phase) -> bool| {
        pool.attempts.values().filter(|attempt| wanted(&attempt.phase)).count() as u64
    };
    let running = count(|phase| matches!(phase, Phase::Running { .. }));
    let abandoned = count(|phase| matches!(phase, Phase::Abandoned { .. }));
    let nodes = pool.nodes.values();
    let on_nodes: (u64, u64) = nodes.fold((0, 0), |(running, abandoned), node| {
        (running + u64::from(node.running), abandoned + u64::from(node.abandoned))
    });
    let slots: u64 = pool.nodes.values().map(|node| u64::from(node.offers())).sum();
    (u64::from(pool.running), u64::from(pool.abandoned)) == (running, abandoned)
        && on_nodes == (running, abandoned)
        && u64::from(pool.slots) == slots
}

/// L5 in the small: no attempt waits twice, and none waits while it runs.
pub fn queued_once(pool: &Pool) -> bool {
    let waiting: BTreeSet<_> = pool
        .attempts
        .iter()
        .filter(|(_, attempt)| attempt.phase == Phase::Queued)
        .map(|(id, attempt)| (attempt.place.priority.rank(), attempt.place.arrival, id.clone()))
        .collect();
    let per_rank = |rank: usize| waiting.iter().filter(|ticket| ticket.0 == rank).count() as u32;
    let same_deadlines = pool.deadlines.len() == waiting.len()
        && waiting.iter().all(|(_, _, id)| {
            pool.attempts
                .get(id)
                .is_some_and(|ticket| pool.deadlines.contains(&(ticket.place.deadline, id.clone())))
        });
    waiting == pool.queue && pool.queued == [per_rank(0), per_rank(1), per_rank(2)] && same_deadlines
}

/// Whatever holds a slot holds it on a backend that the account knows.
pub fn placed(pool: &Pool) -> bool {
    pool.attempts.values().filter_map(|attempt| attempt.backend()).all(|id| pool.nodes.contains_key(id))
}

/// L1: work on a backend <= its slots. Holds as long as no backend lowers its slots while it is full, and nothing re-enters
/// that was granted while the ledger was away.
pub fn within_slots(pool: &Pool) -> bool {
    pool.nodes.values().all(|node| node.used() <= node.slots)
}

/// L3 in the small: after every step, no ticket waits that a free slot could serve; while the routers re-enter what they hold,
/// nobody is served.
pub fn work_conserving(pool: &Pool) -> bool {
    let free = |id: &str| pool.nodes.get(id).is_some_and(|node| node.load().is_some());
    let indexed: BTreeSet<&str> = pool.free.iter().map(|(_, id)| id.as_str()).collect();
    let really: BTreeSet<&str> = pool.nodes.keys().map(String::as_str).filter(|id| free(id)).collect();
    let useless = |ticket: &crate::pool::Attempt| {
        really.iter().all(|id| pool.nodes.get(*id).is_some_and(|node| ticket.avoid.contains(&node.life(id))))
    };
    let waiting = pool.queue.iter().filter_map(|(_, _, id)| pool.attempts.get(id));
    indexed == really && (!pool.grants() || waiting.into_iter().all(useless))
}

/// Nothing outlives its router: what is held is covered by a lease.
pub fn owned(pool: &Pool) -> bool {
    pool.attempts.values().all(|attempt| pool.routers.contains_key(&attempt.router))
}

/// L2 in the small, for keys and tenants: what they hold is what the account holds for them.
pub fn charged(pool: &Pool) -> bool {
    let of = |wanted: &dyn Fn(&crate::Caller) -> bool, queued: bool| {
        let attempts = pool.attempts.values().filter(|attempt| !queued || attempt.phase == Phase::Queued);
        attempts.filter_map(|attempt| attempt.caller.as_ref()).filter(|caller| wanted(caller)).count() as u64
    };
    let keys = pool.keys.iter().all(|(id, usage)| {
        usage.held == of(&|caller| caller.key == *id, false) && usage.requests >= 0.0 && usage.tokens >= 0.0
    });
    let tenants = pool.tenants.iter().all(|(name, tenant)| {
        let own = |caller: &crate::Caller| caller.tenant == *name;
        tenant.held == of(&own, false) && tenant.queued.iter().sum::<u64>() == of(&own, true)
    });
    let active = pool.tenants.values().filter(|tenant| tenant.held > 0);
    keys && tenants && active.map(|tenant| tenant.weight).sum::<u64>() == pool.weights
}

/// What expires does so when its time has come: the account looks no later than that.
pub fn in_time(pool: &Pool) -> bool {
    pool.earliest().is_none_or(|earliest| pool.due <= earliest)
}
