//! End to end: real routers over real sockets, in front of fake nodes where faults are made and of the demo model where
//! answers must be true.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its scene should stop at once, loudly")]

mod admission;
mod bad_input;
mod drain;
mod failover;
mod hangup;
mod streams;
