//! Tidegate's router: the OpenAI API in front of a fleet.
//!
//! Read in this order:
//!
//! 1. [`flags`] and [`config`]: the command line, and what it comes to once it is checked.
//! 2. [`start`] and [`run`]: tells people what runs, puts the parts together, listens, drains. Embedded mode stands in
//!    `embedded`: a backend in the same process.
//! 3. [`server`]: the path table, and the way of a request read from the outermost layer in; [`shared`] is what all paths
//!    share.
//!    [`browsers`]: pages of other sites that may call.
//! 4. [`request`]: the steps of that way.
//! 5. [`keys`]: who may come in, and how much each may use.
//! 6. [`ledger`]: the account of slots, tickets and leases that all routers share.
//! 7. [`discovery`], [`catalogue`] and [`names`]: which backends there are, which names they serve, and which others stand for
//!    those; [`drained`]: backends that an operator takes out; [`roster`]: how each backend stands by what requests on it came to;
//!    [`balance`]: which one a request would rather have.
//! 8. [`upstream`] and [`confirm`]: connections to backends, and how given-up work is known to have stopped.
//! 9. [`health`], [`admin`], [`drain`], `scrape`, [`fleet_watch`], [`report`]: what operators and load balancers see.
//! 10. [`tally`], [`live`], [`demo_load`]: what the live views show, and the load that a newcomer may watch on them.
//! 11. [`page`] and [`trial`]: the live page for people, and its way to send a request. [`top`]: the same view in a terminal.
//! 12. [`error`]: everything that can end a request other than its answer.

pub mod admin;
pub mod balance;
pub mod browsers;
pub mod catalogue;
pub mod config;
pub mod confirm;
pub mod demo_load;
pub mod discovery;
pub mod drain;
pub mod drained;
#[cfg(feature = "embedded")]
pub mod embedded;
pub mod error;
pub mod flags;
pub mod fleet_watch;
pub mod health;
pub mod keys;
pub mod ledger;
pub mod live;
pub mod names;
pub mod page;
pub mod report;
pub mod request;
pub mod roster;
pub mod run;
mod scrape;
pub mod server;
pub mod shared;
pub mod start;
pub mod tally;
pub mod top;
pub mod trial;
pub mod upstream;
