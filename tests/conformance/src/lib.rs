//! The router as a proxy, byte by byte: its real binary between raw sockets.
//!
//! 1. [`message`]: an HTTP/1.1 message as it stands on the wire, read without any help that could mend it.
//! 2. [`upstream`]: a backend that does with its connection whatever a script says.
//! 3. [`upstream2`]: the same over HTTP/2, stream by stream.
//! 4. [`client`]: a client that sends bytes, well formed or not.
//! 5. [`scene`]: a router between the two.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot set up its scene should stop at once, loudly"
)]

pub mod client;
pub mod message;
pub mod scene;
pub mod upstream;
pub mod upstream2;
