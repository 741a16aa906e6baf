//! Tidegate's admission rules in simulation: the real state machine of `tidegate-admission`, never a copy of it, under
//! made-up fleets, loads and faults, in virtual time and with seeds.
//!
//! 1. [`agenda`] and [`chance`]: the virtual clock, and chance with a seed.
//! 2. [`workload`], [`bounds`] and [`client`]: what people ask for, what they say of its length, and how they try again.
//! 3. [`engine`]: one backend at work.
//! 4. [`scenario`]: one fleet and what happens to it.
//! 5. [`fleet`]: a run of it; [`tally`]: what a run comes to.
//! 6. [`stats`] and [`summary`]: its figures, over several seeds.
//! 7. [`tenants`]: two tenants at one fleet.
//! 8. [`table`] and [`tables`]: what the report shows of them.

pub mod agenda;
pub mod bounds;
pub mod chance;
pub mod client;
pub mod engine;
pub mod faults;
pub mod fleet;
pub mod report;
pub mod scale;
pub mod scenario;
pub mod stats;
pub mod summary;
pub mod table;
pub mod tables;
pub mod tally;
pub mod tenants;
pub mod workload;
