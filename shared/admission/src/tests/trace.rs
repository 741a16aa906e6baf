//! Made-up lives of a pool: what two routers, three backends and time can do to it, in any order, also twice.

use std::sync::Arc;

use proptest::prelude::*;

use crate::{
    Action, Admit, AttemptId, Backend, Caller, End, Event, HandBack, Held, Limits, Outcome, Place, Pool,
    Priority, Quota, Reentry, Renewal, Reply, Return, Seat, Stage, Time, invariants::violated, time::SECOND,
};

/// Slots of each backend.
const SLOTS: [u32; 3] = [1, 2, 3];
/// When a life begins: late enough for a clock to be put back by hours.
const START: Time = Time(40_000 * SECOND);

/// One thing that happens. Small numbers choose among what there is.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Admit { router: u8, rank: usize, remaining: u64, draw: f64 },
    End { which: prop::sample::Index, how: u8 },
    HandBack { which: prop::sample::Index, unreachable: bool },
    Put { backend: usize, epoch: u8, draining: bool },
    Remove { backend: usize },
    Report { backend: usize, every: usize },
    Renew { router: u8, forgets: usize },
    Reenter { router: u8, forgets: usize, routers: u32 },
    Pass { micros: u64 },
    Late { which: prop::sample::Index },
}

pub(super) fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    let index = any::<prop::sample::Index>;
    let step = prop_oneof![
        8 => (0_u8..2, 0_usize..3, SECOND / 10..20 * SECOND, 0.0..1.0)
            .prop_map(|(router, rank, remaining, draw)| Step::Admit { router, rank, remaining, draw }),
        8 => (index(), 0_u8..7).prop_map(|(which, how)| Step::End { which, how }),
        2 => (index(), any::<bool>()).prop_map(|(which, unreachable)| Step::HandBack { which, unreachable }),
        4 => (0_usize..3, 0_u8..2, prop::bool::weighted(0.1))
            .prop_map(|(backend, epoch, draining)| Step::Put { backend, epoch, draining }),
        1 => (0_usize..3).prop_map(|backend| Step::Remove { backend }),
        2 => (0_usize..3, 1_usize..4).prop_map(|(backend, every)| Step::Report { backend, every }),
        3 => (0_u8..2, 0_usize..5).prop_map(|(router, forgets)| Step::Renew { router, forgets }),
        1 => (0_u8..2, 0_usize..5, 0_u32..4)
            .prop_map(|(router, forgets, routers)| Step::Reenter { router, forgets, routers }),
        4 => prop_oneof![0..SECOND / 10, 0..2 * SECOND, 0..7 * SECOND].prop_map(|micros| Step::Pass { micros }),
        2 => index().prop_map(|which| Step::Late { which }),
    ];
    prop::collection::vec(step, 1..most)
}

/// A pool and all that its routers remember of it.
pub(super) struct World {
    pub(super) pool: Pool,
    pub(super) now: Time,
    /// What each router decides by.
    limits: [Limits; 2],
    /// Every attempt that ever was, with its place once it had one.
    attempts: Vec<(AttemptId, String, Place)>,
    /// What routers said of themselves as a whole, and backends of themselves: copies of it may come late.
    said: Vec<Event>,
    /// What re-enters may pass the limits.
    reentered: bool,
}

impl World {
    pub(super) fn new(limits: [Limits; 2]) -> World {
        let mut pool = Pool::new(START);
        for id in 0..3 {
            pool.apply(START, &Event::PutBackend(backend(id, 0, false)));
        }
        World { pool, now: START, limits, attempts: Vec::new(), said: Vec::new(), reentered: false }
    }

    /// The event that a step comes to, if it comes to any.
    pub(super) fn event(&mut self, step: &Step) -> Option<Event> {
        Some(match step {
            Step::Admit { router, rank, remaining, draw } => self.ask(*router, *rank, *remaining, *draw),
            Step::End { which, how } => {
                let (id, ..) = self.pick(*which)?;
                end(id, *how)
            }
            Step::HandBack { which, unreachable } => self.give_back(*which, *unreachable)?,
            Step::Put { backend: id, epoch, draining } => {
                self.say(Event::PutBackend(backend(*id, *epoch, *draining)))
            }
            Step::Remove { backend } => Event::RemoveBackend(backend_id(*backend)),
            Step::Report { backend, every } => {
                let held = self.attempts.iter().step_by(*every).map(|(id, ..)| id.clone()).collect();
                Event::Reconcile(backend_id(*backend), held)
            }
            Step::Renew { router, forgets } => {
                let renewal = self.renew(*router, *forgets);
                self.say(renewal)
            }
            Step::Reenter { router, forgets, routers } => {
                let reentry = self.reenter(*router, *forgets, *routers);
                self.say(reentry)
            }
            Step::Late { which } => (!self.said.is_empty()).then(|| which.get(&self.said).clone())?,
            Step::Pass { micros } => {
                self.now = self.now.plus(*micros);
                Event::Tick
            }
        })
    }

    /// Applies an event and remembers what routers would.
    pub(super) fn apply(&mut self, event: &Event) -> Outcome {
        let outcome = self.pool.apply(self.now, event);
        self.reentered |= matches!(event, Event::Reenter(_));
        let granted = outcome.actions.iter().filter_map(|action| match action {
            Action::Grant(granted) => Some((granted.attempt.clone(), granted.router.clone(), granted.place)),
            Action::Drop { .. } => None,
        });
        self.attempts.extend(granted);
        match (&outcome.reply, event) {
            (Reply::Granted(granted, _), _) => {
                self.attempts.push((granted.attempt.clone(), granted.router.clone(), granted.place));
            }
            (Reply::Queued { place, .. }, Event::Admit(ask)) => {
                self.attempts.push((ask.attempt.clone(), ask.router.clone(), *place));
            }
            (Reply::Queued { place, .. }, Event::HandBack(back)) => {
                self.attempts.push((back.next.clone(), back.router.clone(), *place));
            }
            _ => {}
        }
        outcome
    }

    fn say(&mut self, event: Event) -> Event {
        self.said.push(event.clone());
        event
    }

    /// The number of what is said next: each is said once.
    fn number(&self) -> u64 {
        self.said.len() as u64 + 1
    }

    fn ask(&self, router: u8, rank: usize, remaining: u64, draw: f64) -> Event {
        Event::Admit(Admit {
            attempt: AttemptId::from(format!("{}-{}", router_id(router), self.attempts.len())),
            router: router_id(router),
            limits: self.limits[usize::from(router)],
            priority: Priority::ALL[rank],
            remaining,
            length: (draw < 0.5).then_some(draw * 20.0),
            draw,
            jitter: draw,
            prefer: (draw < 0.3).then(|| backend_id(rank)),
            caller: (draw > 0.3).then(|| caller(rank, remaining)),
        })
    }

    fn give_back(&self, which: prop::sample::Index, unreachable: bool) -> Option<Event> {
        let (attempt, router, place) = self.pick(which)?;
        // A router hands back only what it was granted, and each grant once.
        let next = AttemptId::from(format!("{attempt}+"));
        let waits = self.pool.attempts().get(&attempt).is_some_and(|attempt| attempt.backend().is_none());
        let handed_back = self.attempts.iter().any(|(id, ..)| *id == next);
        let why = if unreachable { HandBack::Unreachable } else { HandBack::Concurrency };
        let limits = self.limits[usize::from(router == router_id(1))];
        (!waits && !handed_back).then_some(Event::HandBack(Return {
            attempt,
            next,
            router,
            limits,
            why,
            place,
            caller: place.arrival.is_multiple_of(2).then(|| caller(place.priority.rank(), place.arrival)),
        }))
    }

    fn renew(&self, router: u8, forgets: usize) -> Event {
        let (limits, router) = (self.limits[usize::from(router)], router_id(router));
        let mine =
            || self.attempts.iter().filter(|(_, owner, _)| *owner == router).map(|(id, ..)| id.clone());
        Event::Renew(Renewal {
            router: router.clone(),
            number: self.number(),
            flags: limits.to_string(),
            limits,
            known: mine()
                .enumerate()
                .filter(|(n, _)| forgets == 0 || n % 5 != forgets)
                .map(|(_, id)| id)
                .collect(),
            check: mine().collect(),
            reset_interval: 3 * SECOND,
        })
    }

    /// What a router re-enters: some of what the account has of it as it stands there, some as it never was.
    fn reenter(&self, router: u8, forgets: usize, routers: u32) -> Event {
        let (limits, router) = (self.limits[usize::from(router)], router_id(router));
        let mine = self.attempts.iter().filter(|(_, owner, _)| *owner == router);
        let kept = mine.enumerate().filter(|(n, _)| forgets == 0 || n % 5 != forgets);
        let held = kept.filter_map(|(n, (id, _, place))| {
            let stands = self.pool.attempts().get(id);
            if stands.is_none() && n % 3 > 0 {
                return None;
            }
            let backend = stands.and_then(|attempt| attempt.backend().map(str::to_owned));
            let seat = Seat {
                backend: backend.clone().unwrap_or_else(|| backend_id(n % 4)),
                epoch: "epoch-0".to_owned(),
                since: place.entered,
            };
            let elsewhere = seat.clone();
            let stage = match (backend, n % 4) {
                (None, 0 | 1) => Stage::Waiting,
                (_, 3) => Stage::Abandoned(seat),
                _ => Stage::Running(seat),
            };
            let life = || Seat { backend: backend_id(n % 4), ..elsewhere.clone() }.life();
            let avoid = (n % 3 == 0).then(life).into_iter().collect();
            Some(Held { attempt: id.clone(), place: *place, avoid, stage, caller: None })
        });
        Event::Reenter(Reentry {
            held: held.collect(),
            router: router.clone(),
            number: self.number(),
            flags: limits.to_string(),
            limits,
            routers,
        })
    }

    /// Names of the predicates that do not hold and should.
    pub(super) fn violated(&self) -> Vec<&'static str> {
        let passes_limits = |name: &&str| name.starts_with("bounded") || name.starts_with("within slots");
        violated(&self.pool).into_iter().filter(|name| !(self.reentered && passes_limits(name))).collect()
    }

    fn pick(&self, which: prop::sample::Index) -> Option<(AttemptId, String, Place)> {
        (!self.attempts.is_empty()).then(|| which.get(&self.attempts).clone())
    }
}

fn end(id: AttemptId, how: u8) -> Event {
    match how {
        0 => Event::Cancel(id, End::ClientGone),
        1 => Event::Abandon(id, End::TimedOut, None),
        2 => Event::Confirm(id),
        3 => Event::Release(id, End::Failed, None),
        _ => Event::Release(id, End::Finished, None),
    }
}

pub(super) fn backend(id: usize, epoch: u8, draining: bool) -> Backend {
    let (epoch, url) = (format!("epoch-{epoch}"), format!("http://{}", backend_id(id)));
    Backend { id: backend_id(id), epoch, url, slots: SLOTS[id], draining }
}

fn backend_id(id: usize) -> String {
    format!("backend-{id}")
}

fn router_id(router: u8) -> String {
    format!("router-{router}")
}

/// One of three keys of two tenants, with limits that are met now and then.
fn caller(rank: usize, remaining: u64) -> Arc<Caller> {
    let quota = Quota {
        requests: Some(30),
        tokens: remaining.is_multiple_of(2).then_some(500),
        concurrency: Some(6),
    };
    Arc::new(Caller {
        key: format!("key {rank}"),
        tenant: format!("tenant {}", rank % 2),
        weight: 1 + remaining % 3,
        quota,
        reserved: remaining % 50,
    })
}
