//! What can be seen of a request: its trace, as a collector of OTLP receives it, and its log lines. Real processes throughout.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot set up its scene should stop at once, loudly"
)]

mod tracing {
    pub(crate) mod collectors;
    pub(crate) mod decisions;
    pub(crate) mod logs;
    pub(crate) mod scene;
    pub(crate) mod switches;
    pub(crate) mod tree;
}
