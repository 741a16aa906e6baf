//! The overload scenario: what comes out of a fleet that is offered up to ten times what it can do.
//!
//! 1. [`point`]: one run, what is offered to what. 2. [`parts`]: all of them. 3. [`run`]: runs one. 4. [`figures`]: what it comes to.
//! 5. [`rows`]: the file in which the results of several calls of the command come together.
//! 6. [`tables`], [`bars`] and [`chart`]: what the report shows of them. 7. [`short`]: the form that is a test.

pub mod bars;
pub mod chart;
pub mod figures;
pub mod parts;
pub mod point;
pub mod rows;
pub mod run;
pub mod short;
pub mod tables;
