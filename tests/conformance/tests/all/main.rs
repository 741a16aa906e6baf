//! The router as a proxy, byte by byte: its real binary between a scripted upstream and raw or HTTP/2 clients.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its scene should stop at once, loudly")]

mod bodies;
mod breaks;
mod browsers;
mod cancel;
mod connections;
mod drain;
mod events;
mod headers;
mod http2;
mod http2_backends;
mod models;
mod own_backend;
mod smuggling;
mod timeouts;
mod vllm;
