//! Cheap rejection: a refusal from a view that a router already has, so that overload costs the ledger nothing.
//!
//! A view that says no is a promise about the past. Since then slots came free and tickets were served, at the rate
//! that the view itself holds; so the view is aged by that many tickets, from the head of the queue, and the same rules
//! are asked again. Only what says no before and after is refused here; everything else is the ledger's to decide.
//! Arrivals since then are left out: they only make the queue longer.
//!
//! No script mirrors this file: only routers use it.

use crate::{
    decide::{Asked, Measured, Numbers, Refusal, numbers, probability, refuse, rejects},
    limits::Limits,
    time::seconds,
    view::View,
};

/// Microseconds after which a view answers nothing any more.
pub const MAX_AGE: u64 = 50_000;

/// The refusal that an old view stands for, with the aged numbers behind it; `None` means: ask the ledger.
///
/// `age` is in microseconds, on the router's own clock, from when it *asked* for the view (so that it is never too
/// small); `asked` is what the ledger would be asked, with the same draws. At age 0 this refuses exactly where
/// [`crate::decide::decide`] does, and with the same refusal. It never refuses where the aged view has a free slot and
/// an empty queue (rule 1), nor where nothing was measured that the view could be aged by.
pub fn refuse_unasked(view: &View, age: u64, limits: &Limits, asked: &Asked) -> Option<(Refusal, Numbers)> {
    if age > MAX_AGE {
        return None;
    }
    let fresh = numbers(view, limits, asked);
    rejects(view.free, &fresh)?;
    let drained = drained(view, age)?;
    let aged = after(&fresh, drained, limits);
    let free = view.free || drained > fresh.queued;
    let reason = rejects(free, &aged)?;
    Some((refuse(reason, view, &aged, asked), aged))
}

/// Tickets that were served meanwhile, were slots to come free as they did while all were busy. A part of a ticket
/// counts as that part of its wait. Unknown before the first service time; a pool without slots serves none.
pub fn drained(view: &View, age: u64) -> Option<f64> {
    if age == 0 || view.slots == 0 {
        return Some(0.0);
    }
    view.estimate.measured().then(|| view.estimate.drain(f64::from(view.slots)) * seconds(age))
}

/// The numbers once so many tickets have left the head of the queue.
fn after(fresh: &Numbers, drained: f64, limits: &Limits) -> Numbers {
    let less = |count: f64| if count > drained { count - drained } else { 0.0 };
    let ahead = less(fresh.ahead);
    let held = fresh.held - (fresh.ahead - ahead);
    let shrunk = (ahead + 1.0) / (fresh.ahead + 1.0);
    Numbers {
        held,
        ahead,
        queued: less(fresh.queued),
        p: probability(held, fresh.slots, fresh.capacity, limits.rejection_start),
        measured: fresh.measured.map(|measured| Measured { wait: measured.wait * shrunk, ..measured }),
        ..*fresh
    }
}
