//! Tidegate under load: real routers, a real Redis and backends of timers, each a process of its own, and people who come whether
//! or not they are served.
//!
//! 1. [`arrivals`]: when people come. 2. [`generator`]: fires each of them at its instant, whatever the fleet does.
//! 3. [`caller`]: one person behind an SDK, and [`retry`]: when the SDK tries again.
//! 4. [`fleet`]: routers, Redis and nodes, to be started, killed and stopped; [`member`]: one of them.
//! 5. [`service`]: how long work takes, as a flag says it.
//! 6. [`chaos`]: a fleet whose processes are killed and stopped under load, and what it promised.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a load that cannot set up its scene should stop at once, loudly"
)]

pub mod arrivals;
pub mod caller;
pub mod chaos;
pub mod fleet;
pub mod generator;
pub mod member;
pub mod retry;
pub mod service;
