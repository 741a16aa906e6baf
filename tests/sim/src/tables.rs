//! The tables of the report, each in its own file: what is run, and what is shown of it.

pub mod batching;
pub mod cheap;
pub mod constants;
pub mod fresh;
pub mod short;
pub mod steps;
pub mod trouble;

/// How much is run.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Seeds of each configuration.
    pub seeds: u64,
    /// Part of the measured time that is run: 1 for the report, less for a quick look.
    pub part: f64,
}

impl Effort {
    /// The scenario with its measured time cut to the part that is run.
    pub fn cut(&self, mut scenario: crate::scenario::Scenario) -> crate::scenario::Scenario {
        scenario.measured *= self.part;
        scenario
    }
}
