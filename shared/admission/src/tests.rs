//! Proof of the rules and of the state machine: [`rules`], [`estimates`] and [`histories`] for the formulas, [`scenes`],
//! [`late`] and [`reentry`] for what must happen in named situations (of a [`scene`]), [`machine`] for what must hold
//! whatever happens ([`trace`] makes that up), [`stale`] for refusals from an old view.

mod callers;
mod estimates;
mod histories;
mod late;
mod machine;
mod reentry;
mod rules;
mod scene;
mod scenes;
mod stale;
mod trace;
