//! The backend over real sockets: what it answers, what it refuses, and that nothing leaks when something goes wrong.
#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod bad_input;
mod cache;
mod chat;
mod client;
mod completions;
mod drain;
mod embeddings;
mod limits;
mod logprobs;
mod node;
mod probes;
mod register;
mod sampling;
mod schemas;
mod serial;
mod streams;
mod structured;
mod tools;
