//! Proof of the rules and of the state machine: [`rules`] and [`estimates`] for the formulas, [`scenes`] for what must
//! happen in named situations, [`machine`] for what must hold whatever happens ([`trace`] makes that up),
//! [`stale`] for refusals from an old view.

mod estimates;
mod machine;
mod rules;
mod scenes;
mod stale;
mod trace;
