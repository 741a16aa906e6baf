//! End to end: real routers over real sockets, in front of fake nodes where faults are made. What the demo model must
//! answer is in `truth.rs`, a test program of its own, because it takes both cores.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its scene should stop at once, loudly")]

mod admission;
mod bad_input;
mod balance;
mod changing_names;
mod drain;
mod ejection;
mod failover;
mod fair;
mod hangup;
mod keys;
mod listing;
mod live;
mod processes;
mod redis_away;
mod redis_fleet;
mod streams;
mod top;
