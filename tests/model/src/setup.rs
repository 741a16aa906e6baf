//! How large a world is explored, and what may go wrong in it.

use tidegate_admission::{Caller, Limits, Priority, Quota};

use crate::{
    breakage::Breakage,
    names::{KEYS, ROUTERS},
};

/// Patience of a request whose ticket is never dropped for its time.
pub const FOREVER: u32 = 1_000_000;

/// A request that a client may make.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    /// The router that it goes to.
    pub router: usize,
    /// Its priority.
    pub priority: Priority,
    /// Ticks until its ticket is dropped.
    pub patience: u32,
    /// The key that it comes with.
    pub key: Option<u8>,
}

/// A key, the only one of its tenant, and what its requests use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Key {
    /// Its tenant's weight.
    pub weight: u64,
    /// Requests that it may hold.
    pub concurrency: Option<u64>,
    /// Tokens that it may use in a minute. 24 leak one in a tick.
    pub tokens: Option<u64>,
    /// Tokens that each of its requests declares.
    pub declared: u64,
    /// Tokens that each of its answers takes.
    pub taken: u64,
}

impl Key {
    /// Whose a request with this key is, as its router says it.
    pub fn caller(&self, number: u8) -> Caller {
        Caller {
            key: format!("k{number}"),
            tenant: format!("t{number}"),
            weight: self.weight,
            quota: Quota { requests: None, tokens: self.tokens, concurrency: self.concurrency },
            reserved: self.declared,
        }
    }
}

/// What is explored.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The requests; each is made at any time, or never.
    pub wishes: Vec<Wish>,
    /// The keys that they name.
    pub keys: [Key; KEYS],
    /// Backends of one slot each, at most [`crate::names::BACKENDS`].
    pub backends: usize,
    /// Queue limit that each router decides by.
    pub max_queue_size: [u32; ROUTERS],
    /// How much may go wrong on one path: a message is late (it may arrive at any time after others, or never) or comes
    /// a second time, a router or a backend is killed or cut off for a tick, a connection breaks, an old registration
    /// or report or renewal comes late.
    pub faults: u8,
    /// Clients that leave on one path, or whose time is over while their request is under way.
    pub leaves: u8,
    /// Ticks from one reconciliation of abandoned work to the next.
    pub reset_interval: u32,
    /// Ticks that pass on one path; without end where nothing is said. What is left at its end still has its time.
    pub ticks: Option<u8>,
    /// What is deliberately broken.
    pub breakage: Breakage,
}

impl Setup {
    /// Three requests (two of one priority), two routers, two backends of one slot.
    pub fn fleet(faults: u8) -> Setup {
        let wish = |router, priority, patience| Wish { router, priority, patience, key: None };
        Setup {
            wishes: vec![
                wish(0, Priority::Normal, FOREVER),
                wish(1, Priority::Normal, FOREVER),
                wish(1, Priority::High, 1),
            ],
            keys: [Key::default(); KEYS],
            backends: 2,
            max_queue_size: [2, 2],
            faults,
            leaves: 1,
            reset_interval: 2,
            ticks: None,
            breakage: Breakage::None,
        }
    }

    /// The same on one backend: everybody queues.
    pub fn crowded(faults: u8) -> Setup {
        Setup { backends: 1, ..Setup::fleet(faults) }
    }

    /// Requests of two tenants, as `owners` says, from one router and the other in turn, on one backend. The first may hold one
    /// request; the second counts twice, and its second request finds the bucket one token too full until a tick has passed
    /// after the first.
    pub fn tenants(owners: &[u8], faults: u8) -> Setup {
        let wish =
            |router, key| Wish { router, priority: Priority::Normal, patience: FOREVER, key: Some(key) };
        let one = Key { weight: 1, concurrency: Some(1), tokens: None, declared: 0, taken: 1 };
        let two = Key { weight: 2, concurrency: None, tokens: Some(24), declared: 12, taken: 13 };
        Setup {
            wishes: owners
                .iter()
                .zip([0, 1].into_iter().cycle())
                .map(|(key, router)| wish(router, *key))
                .collect(),
            keys: [one, two],
            ticks: Some(3),
            ..Setup::crowded(faults)
        }
    }

    /// The limits that a router decides by. Nothing is left to a draw, so that every branch is explored.
    pub fn limits(&self, router: usize) -> Limits {
        Limits {
            max_queue_size: self.max_queue_size[router],
            queue_rejection_threshold: 1.0,
            rejection_start: 1.0,
            wait_share: 1.0,
            pool_memory: 0,
        }
    }

    /// The router that a request goes to.
    pub fn router(&self, request: u8) -> usize {
        self.wishes[usize::from(request)].router
    }

    /// The key of a request, and its number.
    pub fn key(&self, request: u8) -> Option<(u8, Key)> {
        let number = self.wishes[usize::from(request)].key?;
        Some((number, self.keys[usize::from(number)]))
    }

    /// Whether requests come with keys.
    pub fn keyed(&self) -> bool {
        self.wishes.iter().any(|wish| wish.key.is_some())
    }

    /// The priority of a request.
    pub fn priority(&self, request: u8) -> Priority {
        self.wishes[usize::from(request)].priority
    }
}
