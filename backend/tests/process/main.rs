//! The backend's binary as a process: how it refuses to start, and how it stops.
#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod hub;
mod process;
mod signals;
mod start;
