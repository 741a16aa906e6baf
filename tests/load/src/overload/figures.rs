//! What a run comes to.

use super::point::{Point, SERVICE};
use crate::caller::{Attempt, End, Outcome};
use crate::meter::Done;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use tidegate_sim::stats::{quantile, ratio};
use tidegate_tests::fake_node::work_of;

/// The figures of one run, over its measured time. An attempt belongs to the time in which it ended, a user to the one in which
/// they came.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Users who came per second.
    pub users: f64,
    /// Attempts that ended per second.
    pub attempts: f64,
    /// Slot time of answers inside their deadline, in percent of the slots' time: goodput.
    pub goodput: f64,
    /// Number of these answers, in percent of what the fleet can give.
    pub answers: f64,
    /// Part of the accepted attempts that was not answered inside its deadline, in percent.
    pub missed: f64,
    /// Milliseconds to the last byte of an answer: median and 99th percentile.
    pub accepted_ms: [f64; 2],
    /// Part of the attempts that was refused, in percent.
    pub refused: f64,
    /// Milliseconds to the last byte of a refusal: median and 99th percentile.
    pub refused_ms: [f64; 2],
    /// Refusals by their reason.
    pub reasons: BTreeMap<String, u64>,
    /// Users who got an answer inside a deadline, at the first or a later try, in percent of those who came. Those whom the end
    /// of the run left without an end count as not served.
    pub served: f64,
    /// The same by class, in percent of each class.
    pub served_by: [f64; 3],
    /// Accepted attempts per second.
    pub accepted: f64,
    /// Script calls to Redis per second.
    pub calls: f64,
    /// The same before the load began.
    pub idle_calls: f64,
    /// Busy part of the machine's cores, in percent.
    pub cpu: f64,
    /// By how much the generator was late at the most, in milliseconds.
    pub late_ms: f64,
    /// Arrivals that were not fired.
    pub unfired: u64,
    /// Answers that were somebody else's, in the whole run.
    pub mixed_up: u64,
    /// Attempts that ended in no other way, in the whole run: what they ended with, and how many.
    pub odd: BTreeMap<String, u64>,
}

impl Figures {
    /// Redis calls that a run may cost per second: those before the load, an admission and a release of what was accepted (and a
    /// further one where it was given up), and twenty looks of each router.
    pub fn allowed_calls(&self, routers: usize) -> f64 {
        let accepted = self.accepted * (2.0 + self.missed / 100.0);
        self.idle_calls + accepted + 20.0 * routers as f64
    }

    /// Of the users and attempts of a run.
    pub fn of(point: &Point, outcomes: &[Outcome], done: Done, idle: Done) -> Self {
        let inside = within(point);
        let ended = outcomes.iter().flat_map(|outcome| &outcome.attempts);
        let ended: Vec<&Attempt> = ended.filter(|attempt| inside(attempt.at + attempt.total)).collect();
        let refused = ended.iter().filter(|attempt| matches!(attempt.end, End::Refused(..))).count();
        let accepted = ended.iter().filter(|attempt| was_accepted(&attempt.end)).count();
        let good = ended.iter().filter(|attempt| in_time(point, attempt)).count();
        let seconds = point.measured;
        let figures = Self {
            attempts: ended.len() as f64 / seconds,
            goodput: 100.0 * useful_slot_time(point, outcomes) / (point.all_slots() * seconds),
            answers: 100.0 * good as f64 / (point.capacity() * seconds),
            missed: percent(accepted - good, accepted),
            accepted_ms: latencies(&ended, |end| *end == End::Answered),
            refused: percent(refused, ended.len()),
            refused_ms: latencies(&ended, |end| matches!(end, End::Refused(..))),
            reasons: reasons(&ended),
            accepted: accepted as f64 / seconds,
            calls: done.calls,
            idle_calls: idle.calls,
            cpu: done.cpu,
            mixed_up: count(outcomes, |end| matches!(end, End::MixedUp(_))),
            odd: odd(outcomes),
            ..Self::default()
        };
        figures.with_users(point, outcomes)
    }

    fn with_users(mut self, point: &Point, outcomes: &[Outcome]) -> Self {
        let inside = within(point);
        let users: Vec<&Outcome> = outcomes.iter().filter(|user| inside(user.attempts[0].at)).collect();
        let served = |users: &[&Outcome]| {
            let got = |user: &&&Outcome| user.attempts.iter().any(|one| in_time(point, one));
            percent(users.iter().filter(got).count(), users.len())
        };
        let class = |rank| {
            let those = users.iter().filter(|user| user.ask.priority.rank() == rank);
            served(&those.copied().collect::<Vec<_>>())
        };
        self.users = users.len() as f64 / point.measured;
        (self.served, self.served_by) = (served(&users), [0, 1, 2].map(class));
        self
    }
}

/// Whether an instant lies in the measured time.
fn within(point: &Point) -> impl Fn(Duration) -> bool + use<> {
    let [from, to] = point.window();
    move |at| at >= from && at < to
}

/// Everything but a refusal was accepted, unless the run ended first.
fn was_accepted(end: &End) -> bool {
    !matches!(end, End::Refused(..) | End::Open)
}

fn in_time(point: &Point, attempt: &Attempt) -> bool {
    attempt.end == End::Answered && attempt.total <= point.deadline()
}

/// Seconds of slot time inside the window that went into answers in time. A node works on a request right up to its answer.
fn useful_slot_time(point: &Point, outcomes: &[Outcome]) -> f64 {
    let [from, to] = point.window();
    let useful = outcomes.iter().flat_map(|outcome| {
        let work = work_of(&SERVICE, point.seed(), &outcome.ask.prompt);
        let good = outcome.attempts.iter().filter(|attempt| in_time(point, attempt));
        good.map(move |attempt| {
            let end = attempt.at + attempt.total;
            end.min(to).saturating_sub(end.saturating_sub(work).max(from)).as_secs_f64()
        })
    });
    useful.sum()
}

fn latencies(ended: &[&Attempt], which: impl Fn(&End) -> bool) -> [f64; 2] {
    let those = ended.iter().filter(|attempt| which(&attempt.end));
    let milliseconds: Vec<f32> = those.map(|attempt| attempt.total.as_secs_f32() * 1000.0).collect();
    [0.5, 0.99].map(|part| quantile(&milliseconds, part))
}

fn reasons(ended: &[&Attempt]) -> BTreeMap<String, u64> {
    let mut reasons = BTreeMap::new();
    for attempt in ended {
        if let End::Refused(_, reason) = &attempt.end {
            *reasons.entry(reason.clone()).or_default() += 1;
        }
    }
    reasons
}

fn odd(outcomes: &[Outcome]) -> BTreeMap<String, u64> {
    let mut odd = BTreeMap::new();
    for attempt in outcomes.iter().flat_map(|outcome| &outcome.attempts) {
        let what = match &attempt.end {
            End::Failed(status, code) => format!("{status} {code}"),
            End::Broken(how) => how.clone(),
            End::Silent => "silence".to_owned(),
            _ => continue,
        };
        *odd.entry(what).or_default() += 1;
    }
    odd
}

fn count(outcomes: &[Outcome], which: impl Fn(&End) -> bool) -> u64 {
    outcomes.iter().flat_map(|outcome| &outcome.attempts).filter(|attempt| which(&attempt.end)).count() as u64
}

fn percent(part: usize, whole: usize) -> f64 {
    100.0 * ratio(part as f64, whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caller::Ask;
    use crate::overload::point::Mode;
    use tidegate_admission::Priority;

    const NOTHING: Done = Done { span: Duration::from_secs(1), calls: 0.0, cpu: 0.0 };

    /// A user whose attempts begin at these seconds, take so long and end so.
    fn user(attempts: &[(f64, f64, End)]) -> Outcome {
        let ask = Ask { prompt: "p".to_owned(), priority: Priority::Normal, streamed: false };
        let attempts = attempts.iter().map(|(at, total, end)| Attempt {
            at: Duration::from_secs_f64(*at),
            target: 0,
            end: end.clone(),
            first_byte: None,
            total: Duration::from_secs_f64(*total),
        });
        Outcome { ask, attempts: attempts.collect(), cut: false }
    }

    #[test]
    fn late_answers_and_timeouts_are_missed_and_refusals_are_not() {
        let point = Point::new(Mode::Tidegate, 1.0, false);
        let refused = || End::Refused(429, "capacity".to_owned());
        let outcomes = [
            user(&[(9.0, 0.002, refused()), (10.0, 1.0, End::Answered)]),
            user(&[(9.0, 5.5, End::Answered)]),
            user(&[(9.0, 5.0, End::TimedOut)]),
            user(&[(9.0, 0.004, refused())]),
            user(&[(1.0, 1.0, End::Answered)]),
            user(&[(19.0, 1.0, End::Open)]),
        ];
        let figures = Figures::of(&point, &outcomes, NOTHING, NOTHING);
        assert!((figures.missed - 200.0 / 3.0).abs() < 1e-9, "{figures:?}");
        assert_eq!(figures.reasons, BTreeMap::from([("capacity".to_owned(), 2)]));
        assert_eq!((figures.refused, figures.served), (40.0, 25.0));
        assert!((figures.refused_ms[1] - 4.0).abs() < 1e-3, "{figures:?}");
    }

    #[test]
    fn slot_time_counts_as_far_as_it_lies_in_the_window() {
        let point = Point::new(Mode::Tidegate, 1.0, false);
        let work = work_of(&SERVICE, point.seed(), "p").as_secs_f64();
        let [from, _] = point.window().map(|at| at.as_secs_f64());
        let half = user(&[(from - work / 2.0, work, End::Answered)]);
        let whole = user(&[(from + 1.0, work + 0.5, End::Answered)]);
        let found = useful_slot_time(&point, &[half, whole]);
        assert!((found - 1.5 * work).abs() < 1e-6, "{found} and {work}");
    }
}
