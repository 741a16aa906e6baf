//! Placeholder of the crate's map.

pub mod ledger;
