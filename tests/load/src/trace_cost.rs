//! What tracing costs a router: CPU time for each request and latency, with tracing off, for every request, for one in a hundred, and
//! with collectors that are away, silent or overloaded.
//!
//! One router for each of these runs all the time, in front of the same node, and they take turns: in each round each of them serves
//! as many requests, in another order, so that what else the machine does falls on all of them. The node answers at once and the
//! account is in the router's memory: what is compared with is the least that a request can cost.
//!
//! 1. [`variant`]: one router, and what its environment says of traces. 2. [`round`]: turns, and what was measured in each.
//! 3. [`figures`]: what comes out.

pub mod figures;
pub mod round;
pub mod variant;
