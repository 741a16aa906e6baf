//! Proxies beside each other: a backend that costs next to nothing, and clients that cost as little, so that what is left is the proxy's.
//!
//! Both speak HTTP/1.1 over plain sockets and know just what they send each other; `tests/load/peers/compare.py` starts them with
//! each proxy between.
//!
//! 1. [`mock`]: the backend. 2. [`answer`]: reading an answer. 3. [`client`]: one connection.
//! 4. [`requests`]: as many as go, or so many a second. 5. [`streams`]: answers in chunks, and those that a client gives up.

pub mod answer;
pub mod client;
pub mod mock;
pub mod requests;
pub mod streams;
