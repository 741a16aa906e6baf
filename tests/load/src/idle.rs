//! How long a slot stands idle while tickets wait (promise L3): from the end of one piece of work on a node to the beginning of the
//! next one in its place.
//!
//! Idle begins when the node has finished a piece of work, just before it sends the last byte of its answer, and ends when the node
//! begins the next piece. In between lie: the answer's way through the router, the router's release call, the grant in the same
//! call, the push to the router in which the ticket waits, that router's request to the node, and the node's reading of it. Both
//! instants are of one clock, the node's.
//!
//! 1. [`gaps`]: idle times from a node's diary. 2. [`ping`]: round trips to Redis, sampled in the same run. 3. [`scene`]: the run.

pub mod gaps;
pub mod ping;
pub mod scene;
