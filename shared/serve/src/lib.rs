//! How both binaries listen: the same door for clients of the router and of a backend.
//!
//! Read in this order:
//!
//! 1. [`signal`]: what asks a process to end, and what a second asking does.
//! 2. [`listen`]: binding an address, taking connections, letting them finish; [`farewell`]: so that none is lost.
//!    [`crowd`]: how many connections there may be. [`workers`]: the threads that serve them. [`tls`]: what they show and ask of
//!    each other.
//! 3. [`app`]: what is served, what its connection hears of it, by a [`bell`], and when it writes: [`batched`]; [`door`]: what every request passes before a handler sees it.
//! 4. [`body`]: reading a request's body whole, up to a limit.
//! 5. [`from_files`]: values that stand in files and change; [`token`]: who holds one may come in, through a [`gate`].
//! 6. [`files`]: the limit of open files; [`pages`]: small pages of memory.
//! 7. [`causes`]: why a process could not start, as one line. [`version`]: what `--version` says.
//! 8. [`supervisor`]: what systemd is told.

pub mod app;
pub mod batched;
pub mod bell;
pub mod body;
pub mod causes;
pub mod crowd;
pub mod door;
pub mod farewell;
pub mod files;
pub mod from_files;
pub mod gate;
pub mod listen;
pub mod pages;
mod protocol;
pub mod signal;
pub mod supervisor;
pub mod tls;
pub mod token;
pub mod version;
pub mod workers;
