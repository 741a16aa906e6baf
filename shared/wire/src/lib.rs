//! What clients, router and backends say to each other.
//!
//! Read in this order:
//!
//! 1. [`header`]: the names of the headers that carry meaning across the hop.
//! 2. [`error`]: the OpenAI error body that every refusal has.
//! 3. [`openai`]: requests and answers of the OpenAI API.
//! 4. [`sse`]: the framing of streamed answers.
//! 5. [`usage`]: what a streamed answer has cost, behind its last byte.
//! 6. [`node`]: what a backend reports about itself to routers.
//! 7. [`registration`]: how a backend makes itself known through Redis.
//! 8. [`health`]: the body of `/health`, the same on both sides.
//! 9. [`flags`]: how both binaries read their command lines.

pub mod error;
pub mod flags;
pub mod header;
pub mod health;
pub mod node;
pub mod openai;
pub mod registration;
pub mod sse;
pub mod usage;
