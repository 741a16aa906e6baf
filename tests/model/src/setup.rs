//! How large a world is explored, and what may go wrong in it.

use tidegate_admission::{Limits, Priority};

use crate::{breakage::Breakage, names::ROUTERS};

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
}

/// What is explored.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The requests; each is made at any time, or never.
    pub wishes: Vec<Wish>,
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
    /// What is deliberately broken.
    pub breakage: Breakage,
}

impl Setup {
    /// Three requests (two of one priority), two routers, two backends of one slot.
    pub fn fleet(faults: u8) -> Setup {
        let wish = |router, priority, patience| Wish { router, priority, patience };
        Setup {
            wishes: vec![
                wish(0, Priority::Normal, FOREVER),
                wish(1, Priority::Normal, FOREVER),
                wish(1, Priority::High, 1),
            ],
            backends: 2,
            max_queue_size: [2, 2],
            faults,
            leaves: 1,
            reset_interval: 2,
            breakage: Breakage::None,
        }
    }

    /// The same on one backend: everybody queues.
    pub fn crowded(faults: u8) -> Setup {
        Setup { backends: 1, ..Setup::fleet(faults) }
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

    /// The priority of a request.
    pub fn priority(&self, request: u8) -> Priority {
        self.wishes[usize::from(request)].priority
    }
}
