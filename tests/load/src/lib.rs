//! Load on real parts: what it costs, what stays of it.
//!
//! 1. [`cost`]: what the account costs Redis.

pub mod cost;
