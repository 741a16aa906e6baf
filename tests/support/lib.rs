//! What the end-to-end tests stand on.
//!
//! 1. [`fake_node`]: a backend with fixed slots and service times from timers, that can be told to misbehave.
//! 2. [`router`]: a real router in this process, on ports of its own.
//! 3. [`process`]: the real binaries, started as a user starts them.
//! 4. [`redis`]: a real Redis server on a port of its own.
//! 5. [`client`]: HTTP as a client speaks it, down to hanging up.
//! 6. [`collector`]: an OTLP collector that shows what it was sent. [`live`]: a listener of the live feed.
//! 7. [`terminal`]: a program in a terminal, as a person sees it.
//! 8. [`certificates`]: an authority, what it signs, and clients that know it.
//! 9. [`wait`]: waiting for a condition instead of sleeping.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot set up its scene should stop at once, loudly"
)]

pub mod certificates;
pub mod client;
pub mod collector;
pub mod fake_node;
pub mod live;
pub mod process;
pub mod redis;
#[cfg(feature = "router")]
pub mod router;
pub mod terminal;
pub mod wait;
