//! People behind an SDK: they try again, as the OpenAI SDKs do.

use tidegate_admission::{Priority, Refusal, Time};

use crate::chance::Chance;

/// Seconds before the first retry where the refusal names none; doubles with each further one.
const FIRST_BACK_OFF: f64 = 0.5;
/// Seconds of back-off at most.
const LONGEST_BACK_OFF: f64 = 8.0;
/// Part of the back-off that chance may take away.
const BACK_OFF_JITTER: f64 = 0.25;

/// One person's wish.
#[derive(Debug, Clone, Copy)]
pub struct User {
    /// When it was first asked for.
    pub arrived: Time,
    /// How urgent it is.
    pub priority: Priority,
    /// Seconds of work on a backend that has nothing else to do.
    pub service: f64,
    /// The bound on the tokens of the answer, where this person sends one.
    pub bound: Option<u64>,
    /// The pool that it is for.
    pub pool: usize,
    /// Retries left.
    pub retries: u32,
    /// Seconds after which this person hangs up; infinite for those who wait as long as the fleet does.
    pub patience: f64,
}

/// How clients answer a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    /// Retries at most.
    pub most: u32,
    /// Whether they wait as long as `retry-after` says; else they back off as if it were not there.
    pub obey: bool,
}

impl Retries {
    /// What the OpenAI SDKs do.
    pub const SDK: Retries = Retries { most: 2, obey: true };
    /// Nobody tries again.
    pub const NONE: Retries = Retries { most: 0, obey: true };

    /// Seconds until this user tries again after a refusal, if at all; `x-should-retry: false` ends it.
    pub fn after(self, user: &User, refusal: &Refusal, chance: &mut Chance) -> Option<f64> {
        if user.retries == 0 || refusal.hopeless {
            return None;
        }
        if self.obey {
            return Some(refusal.retry_after);
        }
        let made = self.most.saturating_sub(user.retries);
        let back_off = (FIRST_BACK_OFF * f64::from(1_u32 << made.min(8))).min(LONGEST_BACK_OFF);
        Some(back_off * (1.0 - BACK_OFF_JITTER * chance.unit()))
    }
}

#[cfg(test)]
mod tests {
    use tidegate_admission::Reason;

    use super::*;

    #[test]
    fn the_back_off_doubles_up_to_its_bound() {
        let chance = &mut Chance::new(1, 0);
        let refusal = Refusal { reason: Reason::Capacity, retry_after: 33.0, hopeless: false };
        let user = |retries| User {
            arrived: Time(0),
            priority: Priority::Normal,
            service: 1.0,
            bound: None,
            pool: 0,
            retries,
            patience: f64::INFINITY,
        };
        let stubborn = Retries { most: 9, obey: false };
        for (made, most) in [(0, 0.5), (1, 1.0), (3, 4.0), (6, 8.0)] {
            let seconds = stubborn.after(&user(9 - made), &refusal, chance).unwrap();
            assert!((0.75 * most..=most).contains(&seconds), "{made}: {seconds}");
        }
        assert_eq!(Retries::SDK.after(&user(2), &refusal, chance), Some(33.0));
        assert_eq!(Retries::SDK.after(&user(0), &refusal, chance), None);
        let hopeless = Refusal { hopeless: true, ..refusal };
        assert_eq!(Retries::SDK.after(&user(2), &hopeless, chance), None);
    }
}
