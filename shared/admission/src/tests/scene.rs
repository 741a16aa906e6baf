//! A small pool that a test plays with.

use super::trace::backend;
use crate::{
    Action, Admit, AttemptId, Event, HandBack, Held, Limits, Place, Pool, Priority, Reentry, Renewal, Reply,
    Return, Seat, Stage, Time, time::SECOND,
};

pub(super) fn limits() -> Limits {
    Limits { max_queue_size: 3, queue_rejection_threshold: 1.0, ..Limits::default() }
}

/// A pool with one backend of one slot, and a clock.
pub(super) struct Scene {
    pub(super) pool: Pool,
    pub(super) now: Time,
    /// How often routers said something of themselves as a whole.
    said: u64,
}

impl Scene {
    pub(super) fn new() -> Scene {
        let mut scene = Scene::empty(Time(0));
        scene.apply(&Event::PutBackend(backend(0, 0, false)));
        scene
    }

    /// One without the backend.
    pub(super) fn empty(now: Time) -> Scene {
        Scene { pool: Pool::new(Time(0)), now, said: 0 }
    }

    pub(super) fn apply(&mut self, event: &Event) -> (Reply, Vec<Action>) {
        let outcome = self.pool.apply(self.now, event);
        (outcome.reply, outcome.actions)
    }

    pub(super) fn pass(&mut self, micros: u64) -> Vec<Action> {
        self.now = self.now.plus(micros);
        self.apply(&Event::Tick).1
    }

    pub(super) fn ask(&mut self, attempt: &str, priority: Priority) -> Reply {
        self.apply(&ask(attempt, priority)).0
    }

    pub(super) fn prefers(&mut self, attempt: &str, backend: &str) -> Reply {
        let Event::Admit(ask) = ask(attempt, Priority::Normal) else { unreachable!() };
        self.apply(&Event::Admit(Admit { prefer: Some(backend.to_owned()), ..ask })).0
    }

    /// Whether the account still waits for other routers.
    pub(super) fn reenter(&mut self, router: &str, routers: u32, held: Vec<Held>) -> bool {
        let reentry = self.reentry(router, routers, held);
        matches!(self.apply(&reentry).0, Reply::Reentered { recovering: true, .. })
    }

    pub(super) fn reentry(&mut self, router: &str, routers: u32, held: Vec<Held>) -> Event {
        self.said += 1;
        let (router, flags) = (router.to_owned(), String::new());
        Event::Reenter(Reentry { router, number: self.said, flags, limits: limits(), routers, held })
    }

    pub(super) fn runs(&mut self, attempt: &str) -> Place {
        match self.ask(attempt, Priority::Normal) {
            Reply::Granted(granted, _) => granted.place,
            other => panic!("{attempt} should run: {other:?}"),
        }
    }

    pub(super) fn waits(&mut self, attempt: &str, priority: Priority) {
        let reply = self.ask(attempt, priority);
        assert!(matches!(reply, Reply::Queued { .. }), "{attempt} should wait: {reply:?}");
    }

    pub(super) fn hand_back(&mut self, attempt: &str, why: HandBack, place: Place) -> (Reply, Vec<Action>) {
        self.apply(&Event::HandBack(Return {
            attempt: attempt.into(),
            next: AttemptId::from(format!("{attempt}+")),
            router: "r".to_owned(),
            limits: limits(),
            why,
            place,
            caller: None,
        }))
    }

    pub(super) fn renew(&mut self, known: &[&str]) -> (Reply, Vec<Action>) {
        let renewal = self.renewal("r", limits(), known);
        self.apply(&renewal)
    }

    pub(super) fn renewal(&mut self, router: &str, limits: Limits, known: &[&str]) -> Event {
        self.said += 1;
        let known: Vec<AttemptId> = known.iter().map(|id| AttemptId::from(*id)).collect();
        Event::Renew(Renewal {
            router: router.to_owned(),
            number: self.said,
            flags: String::new(),
            limits,
            check: known.clone(),
            known,
            reset_interval: 300 * SECOND,
        })
    }

    pub(super) fn counts(&self) -> (u32, u32, u32) {
        let view = self.pool.view();
        (view.running, view.abandoned, view.queued_total())
    }
}

pub(super) fn ask(attempt: &str, priority: Priority) -> Event {
    Event::Admit(Admit {
        attempt: attempt.into(),
        router: "r".to_owned(),
        limits: limits(),
        priority,
        remaining: 4 * SECOND,
        length: None,
        draw: 0.999,
        jitter: 0.0,
        prefer: None,
        caller: None,
    })
}

pub(super) fn seat(backend: &str) -> Seat {
    Seat { backend: backend.to_owned(), epoch: "epoch-0".to_owned(), since: Time(0) }
}

pub(super) fn running(attempt: &str, place: Place) -> Held {
    Held { stage: Stage::Running(seat("backend-0")), ..waiting(attempt, place) }
}

pub(super) fn waiting(attempt: &str, place: Place) -> Held {
    Held { attempt: attempt.into(), place, avoid: Vec::new(), stage: Stage::Waiting, caller: None }
}

pub(super) fn granted(actions: &[Action]) -> Vec<&str> {
    let ids = actions.iter().map(|action| match action {
        Action::Grant(granted) => granted.attempt.as_str(),
        Action::Drop { attempt, .. } => attempt.as_str(),
    });
    ids.collect()
}
