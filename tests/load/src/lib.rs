//! Tidegate under load: real routers, a real Redis and backends of timers, each a process of its own, and people who come whether
//! or not they are served.
//!
//! 1. [`arrivals`]: when people come. 2. [`generator`]: fires each of them at its instant, whatever the fleet does.
//! 3. [`caller`]: one person behind an SDK, and [`retry`]: when the SDK tries again.
//! 4. [`fleet`]: routers, Redis and nodes, to be started, killed and stopped; [`member`]: one of them.
//! 5. [`service`]: how long work takes, as a flag says it. [`meter`] and [`machine`]: what the machine did, and which it is.
//! 6. [`overload`]: what comes out at up to ten times the capacity. [`idle`]: how long a slot stands idle while tickets wait.
//!    [`report`]: the page that shows both.
//! 7. [`cost`]: what the account costs Redis.
//! 8. [`trace_cost`]: what tracing costs a router.
//! 9. [`chaos`]: a fleet whose processes are killed and stopped under load, and what it promised.
//! 10. [`soak`]: a fleet above its capacity for a long time, and whether anything grows, is lost or is wrong.
//! 11. [`peers`]: a backend and clients for proxies of every make.
//! 12. [`streams`]: thousands of slow streams through one router, and what each takes.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a load that cannot set up its scene should stop at once, loudly"
)]

pub mod arrivals;
pub mod caller;
pub mod chaos;
pub mod cost;
pub mod fleet;
pub mod generator;
pub mod idle;
pub mod machine;
pub mod member;
pub mod meter;
pub mod overload;
pub mod peers;
pub mod report;
pub mod retry;
pub mod service;
pub mod soak;
pub mod streams;
pub mod trace_cost;
