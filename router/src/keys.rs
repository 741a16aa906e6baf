//! API keys: who may come in, and how much each may use.
//!
//! 1. [`secret`]: what a key looks like, and the hash that is kept of it.
//! 2. [`record`]: one line of the file: a key's hash, its tenant and its limits.
//! 3. [`ring`]: all keys of a file, to be looked up.
//! 4. [`store`]: the file, read at the start and again whenever it changes.
//! 5. [`command`]: `tidegate-router keys make|list|revoke`, which edits it.
//!
//! `hostile` is what holds for whatever stands in a file.
//!
//! The key itself stands nowhere: it is shown once, when it is made, and kept as a hash. A name that is written anywhere is that
//! of the tenant, or the key's id.

pub mod command;
#[cfg(any(test, fuzzing))]
pub mod hostile;
pub mod record;
pub mod ring;
pub mod secret;
pub mod store;

pub use record::Record;
pub use ring::{ApiKey, Ring};
pub use store::KeyStore;
