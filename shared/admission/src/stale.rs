//! Cheap rejection: a refusal from a view that a router already has, so that overload costs the ledger nothing.
//!
//! A view that says no is a promise about the past. Since then slots came free and tickets were served, at the rate
//! that the view itself holds, give or take what chance does. As long as somebody must still be waiting by then, a slot that
//! came free has gone to a ticket and not to waste, and who comes now loses nothing but the place of that ticket, which
//! whoever asks next gets. Where the queue may be empty, and everywhere that a view says yes, the ledger decides.
//!
//! To age the queue as well, and ask where one ticket less would let the request in, was tried: at ten times the load the
//! queue stands at its limit, where one ticket less is always near: a third of the refusals of ten slots were asked for.
//!
//! No script mirrors this file: only routers use it.

use crate::{
    decide::{Asked, Numbers, Refusal, numbers, refuse, rejects},
    limits::Limits,
    time::seconds,
    view::View,
};

/// Microseconds after which a view answers nothing any more.
pub const MAX_AGE: u64 = 50_000;

/// The refusal that an old view stands for, with the numbers behind it; `None` means: ask the ledger.
///
/// `age` is in microseconds, on the router's own clock, from when it *asked* for the view (so that it is never too
/// small); `asked` is what the ledger would be asked, with the same draws. At age 0 this refuses exactly where
/// [`crate::decide::decide`] does, and with the same refusal. It never refuses where the queue may be empty by now (rule 1),
/// nor where nothing was measured that the view could be aged by.
pub fn refuse_unasked(view: &View, age: u64, limits: &Limits, asked: &Asked) -> Option<(Refusal, Numbers)> {
    if age > MAX_AGE {
        return None;
    }
    let numbers = numbers(view, limits, asked);
    let reason = rejects(view, view.free, limits, &numbers)?;
    if age > 0 && view.slots > 0 && most_drained(view, age)? >= numbers.queued {
        return None;
    }
    Some((refuse(reason, view, &numbers, asked), numbers))
}

/// Tickets that may have been served meanwhile, were slots to come free as they did while all were busy: what is expected, three
/// standard deviations of a Poisson process, and one, since the next may be about to come. Unknown before the first service
/// time; a pool without slots serves none.
pub fn most_drained(view: &View, age: u64) -> Option<f64> {
    if age == 0 || view.slots == 0 {
        return Some(0.0);
    }
    let expected = view.estimate.drain(f64::from(view.slots)) * seconds(age);
    view.estimate.measured().then(|| expected + 3.0 * expected.sqrt() + 1.0)
}
