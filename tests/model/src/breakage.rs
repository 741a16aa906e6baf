//! Ledgers that are wrong on purpose: whether the checks see it is the test of the checks.
//!
//! The production machine stays as it is. What is broken is what it is told: events that it should not get, or gets
//! changed, through its public interface.

use tidegate_admission::{
    Admit, AttemptId, Caller, End, Event, Limits, Outcome, Place, Pool, Quota, Renewal, Return, Time,
    pool::Phase, snapshot::BackendView,
};

use crate::{
    names::{LEASE, TICK, tick},
    state::word_number,
};

/// What is deliberately broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breakage {
    /// Nothing.
    None,
    /// A release counts each time that it arrives: the second one takes the slot of somebody else.
    ReleaseTwice,
    /// A reset sets the abandoned count to zero, whatever still runs.
    ResetToZero,
    /// A ticket that is handed back goes to the end of the queue.
    HandBackToTheEnd,
    /// A router that has been granted a slot is never found dead.
    DeadRouterKept,
    /// A renewal counts each time that it arrives.
    RenewalTwice,
    /// A registration counts whenever it arrives.
    RegistrationLate,
    /// All tenants count alike, whatever their weights.
    EqualWeights,
    /// Keys have no limits.
    NoLimits,
    /// A key gets back the tokens that its answers took.
    TokensGivenBack,
}

impl Breakage {
    /// Applies an event, broken.
    pub fn apply(self, pool: &mut Pool, now: Time, event: &Event) -> Outcome {
        match (self, event) {
            (Breakage::ReleaseTwice, Event::Release(id, end, None)) if !pool.attempts().contains_key(id) => {
                let other = some_running(pool).unwrap_or_else(|| id.clone());
                pool.apply(now, &Event::Release(other, *end, None))
            }
            (Breakage::ResetToZero, Event::Renew(renewal)) => reset_to_zero(pool, now, renewal),
            (Breakage::HandBackToTheEnd, Event::HandBack(returned)) => {
                let last = Place { arrival: returned.place.arrival + (1 << 40), ..returned.place };
                pool.apply(now, &Event::HandBack(Return { place: last, ..returned.clone() }))
            }
            (Breakage::DeadRouterKept, Event::Tick) => keep_alive(pool, now),
            (Breakage::RenewalTwice, Event::Renew(renewal)) => free_suspects(pool, now, renewal),
            (Breakage::RegistrationLate, Event::PutBackend(backend)) => {
                let other = |known: &BackendView| known.id == backend.id && known.epoch != backend.epoch;
                if pool.snapshot().backends.iter().any(other) {
                    pool.apply(now, &Event::RemoveBackend(backend.id.clone()));
                }
                pool.apply(now, event)
            }
            (Breakage::EqualWeights, Event::Admit(ask)) => {
                pool.apply(now, &with_caller(ask, |caller| Caller { weight: 1, ..caller }))
            }
            (Breakage::NoLimits, Event::Admit(ask)) => {
                pool.apply(now, &with_caller(ask, |caller| Caller { quota: Quota::default(), ..caller }))
            }
            (Breakage::TokensGivenBack, Event::Release(id, end, Some(_))) => {
                pool.apply(now, &Event::Release(id.clone(), *end, Some(0)))
            }
            _ => pool.apply(now, event),
        }
    }
}

fn with_caller(ask: &Admit, change: impl FnOnce(Caller) -> Caller) -> Event {
    let caller = ask.caller.as_deref().map(|caller| change(caller.clone()).into());
    Event::Admit(Admit { caller, ..ask.clone() })
}

fn some_running(pool: &Pool) -> Option<AttemptId> {
    let runs = |phase: &Phase| matches!(phase, Phase::Running { .. });
    pool.attempts().iter().find(|(_, attempt)| runs(&attempt.phase)).map(|(id, _)| id.clone())
}

/// Renews, and frees what the router did not know the last time either, whatever became of that since.
fn free_suspects(pool: &mut Pool, now: Time, renewal: &Renewal) -> Outcome {
    let suspects = pool.attempts().iter().filter(|(id, attempt)| {
        attempt.suspect && attempt.router == renewal.router && !renewal.known.contains(id)
    });
    let suspects: Vec<AttemptId> = suspects.map(|(id, _)| id.clone()).collect();
    let mut outcome = pool.apply(now, &Event::Renew(renewal.clone()));
    for id in suspects {
        outcome.actions.extend(pool.apply(now, &Event::Cancel(id, End::ClientGone)).actions);
    }
    outcome
}

fn reset_to_zero(pool: &mut Pool, now: Time, renewal: &Renewal) -> Outcome {
    let due = now.since(pool.snapshot().last_reset) >= renewal.reset_interval;
    let mut outcome = pool.apply(now, &Event::Renew(renewal.clone()));
    let abandoned = |phase: &Phase| matches!(phase, Phase::Abandoned { .. });
    let all: Vec<AttemptId> = pool
        .attempts()
        .iter()
        .filter(|(_, attempt)| due && abandoned(&attempt.phase))
        .map(|(id, _)| id.clone())
        .collect();
    for id in all {
        outcome.actions.extend(pool.apply(now, &Event::Confirm(id)).actions);
    }
    outcome
}

/// Renews in the name of each router that has a slot, just before time passes.
fn keep_alive(pool: &mut Pool, now: Time) -> Outcome {
    let before = Time(now.0.saturating_sub(TICK));
    for router in pool.snapshot().routers {
        let held = || pool.attempts().iter().filter(|(_, attempt)| attempt.router == router.id);
        if held().any(|(_, attempt)| matches!(attempt.phase, Phase::Running { .. })) {
            let renewal = Renewal {
                known: held().map(|(id, _)| id.clone()).collect(),
                // After all that was said until then, and before what is said from now on.
                number: word_number(tick(now), 0),
                router: router.id,
                flags: String::new(),
                limits: Limits { max_queue_size: 2, ..Limits::default() },
                check: Vec::new(),
                reset_interval: TICK * u64::from(LEASE),
            };
            pool.apply(before, &Event::Renew(renewal));
        }
    }
    pool.apply(now, &Event::Tick)
}
