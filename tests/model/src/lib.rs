//! An exhaustive model check: the real account of `tidegate-admission` among routers, backends and a network of which
//! everything may go wrong that does so in production, in every order.
//!
//! The account is the production state machine, driven through its public interface. All that surrounds it is a model
//! of what surrounds it: small, and as adverse as the setup allows. `tests/exhaustive.rs` explores every state of a small
//! fleet; `cargo run --release -p tidegate-model` explores a larger one.
//!
//! Read in this order:
//!
//! 1. [`setup`]: how large the world is, and how much may go wrong in it.
//! 2. [`state`]: what the world consists of; [`names`] and [`message`] are its words.
//! 3. [`action`]: all that can happen.
//! 4. [`world`]: what follows from it; [`router`] for routers, [`wire`] for messages.
//! 5. [`ledger`]: the real account, with [`facts`] read off it and [`step_check`] looking at every step; [`books`] count what keys
//!    and tenants have.
//! 6. [`promises`]: what must hold in every state; [`settle`] is how a state is found to end at zero.
//! 7. [`fingerprint`]: when two states are the same, which makes the world finite.
//! 8. [`explore`]: one run, and what it came to.
//! 9. [`breakage`]: ledgers that are wrong on purpose, which the checks must find.

pub mod action;
pub mod books;
pub mod breakage;
pub mod explore;
pub mod facts;
pub mod fingerprint;
pub mod ledger;
pub mod message;
pub mod names;
pub mod promises;
pub mod router;
pub mod settle;
pub mod setup;
pub mod state;
pub mod step_check;
pub mod wire;
pub mod world;

pub use setup::Setup;
pub use world::World;
