//! The real account, stepped event by event, and each step looked at: what was granted, and what has gone and why.

use tidegate_admission::{Action, Event, Granted, Outcome, Pool, Reply};

use crate::{
    books::Books,
    breakage::Breakage,
    facts::{Facts, Spot},
    names::{ATTEMPTS, BACKENDS, LEASE, ROUTERS, Try, instant, number, tick},
    setup::Setup,
    step_check::{Breach, Step},
};

/// The account of one pool, and what a careful onlooker remembers of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Ledger {
    /// The machine itself.
    pub pool: Pool,
    /// What it holds now.
    pub facts: Facts,
    /// Ticks so far.
    pub now: u32,
    /// When each backend last registered: the account does not show it.
    pub registered: [u32; BACKENDS],
    /// The number of each router's last renewal; 0 where it has no lease.
    pub heard: [u64; ROUTERS],
    /// When each abandoned attempt was last known to run, as the onlooker saw it.
    pub proved: [u32; ATTEMPTS],
    /// Each ticket's true arrival, whatever the account makes of it.
    pub arrived: [u64; ATTEMPTS],
    /// What keys and tenants have, and whose turn it is.
    pub books: Books,
    /// The first promise that a step broke.
    pub breach: Option<Breach>,
}

impl Ledger {
    /// An empty account.
    pub fn new(setup: &Setup) -> Ledger {
        let pool = Pool::new(instant(0));
        let facts = Facts::of(&pool);
        Ledger {
            pool,
            facts,
            now: 0,
            registered: [0; BACKENDS],
            heard: [0; ROUTERS],
            proved: [0; ATTEMPTS],
            arrived: [0; ATTEMPTS],
            books: Books::new(setup),
            breach: None,
        }
    }

    /// Half a lease passes.
    pub fn pass(&mut self, breakage: Breakage) -> Outcome {
        self.now += 1;
        self.apply(breakage, &Event::Tick)
    }

    /// Applies an event, and looks at what it did.
    pub fn apply(&mut self, breakage: Breakage, event: &Event) -> Outcome {
        let before = self.facts;
        let news = self.is_news(event);
        let outcome = breakage.apply(&mut self.pool, instant(self.now), event);
        self.read();
        if news {
            self.hear(event);
        }
        self.remember(&before, event);
        let wrong = self.books.enter(&before, event, &outcome);
        let granted = self.granted(&before, event, &outcome);
        let step = Step { before: &before, event, news, outcome: &outcome, ledger: self };
        let breach = wrong.or(step.breach(&granted));
        self.breach = self.breach.or(breach);
        granted.iter().for_each(|(one, ..)| self.books.granted(*one));
        self.books.close(&self.facts);
        outcome
    }

    /// Applies a renewal that can do nothing but renew. Half the time is saved by looking at several of them at once:
    /// see [`Ledger::look`].
    pub fn refresh(&mut self, event: &Event) {
        self.hear(event);
        let outcome = self.pool.apply(instant(self.now), event);
        if !outcome.actions.is_empty() {
            self.breach = self.breach.or(Some(Breach::TakenAway));
        }
    }

    /// Looks at what refreshing did: nothing that anybody holds may have changed.
    pub fn look(&mut self) {
        let before = self.facts.entries;
        self.read();
        if self.facts.entries != before {
            self.breach = self.breach.or(Some(Breach::TakenAway));
        }
    }

    /// Ticks since a backend registered, as far as its lease has any.
    pub fn backend_age(&self, backend: usize) -> u32 {
        (self.now - self.registered[backend]).min(LEASE)
    }

    /// Whether what a router or a backend says of itself is new: not a copy, and not of before something that was heard.
    fn is_news(&self, event: &Event) -> bool {
        match event {
            Event::Renew(renewal) => self.heard[usize::from(number(&renewal.router))] < renewal.number,
            Event::PutBackend(backend) => {
                let present = self.facts.backends[usize::from(number(&backend.id))];
                present.is_none_or(|known| !known.live || known.epoch <= number(&backend.epoch))
            }
            _ => true,
        }
    }

    /// Notes when who was heard last.
    fn hear(&mut self, event: &Event) {
        match event {
            Event::Renew(renewal) => self.heard[usize::from(number(&renewal.router))] = renewal.number,
            Event::PutBackend(backend) => self.registered[usize::from(number(&backend.id))] = self.now,
            _ => {}
        }
    }

    /// Reads the facts off. An invariant that did not hold for a moment stays broken.
    fn read(&mut self) {
        let violated = self.facts.violated;
        self.facts = Facts::of(&self.pool);
        self.facts.violated |= violated;
        for (heard, lease) in self.heard.iter_mut().zip(self.facts.leases) {
            *heard = lease.map_or(0, |_| *heard);
        }
    }

    fn remember(&mut self, before: &Facts, event: &Event) {
        match event {
            Event::HandBack(back) => {
                self.arrived[Try::of(&back.next).index()] = crate::facts::place(&back.place).arrival;
            }
            Event::Admit(ask) => {
                let one = Try::of(&ask.attempt);
                if let (Spot::Absent, Spot::Queued(place) | Spot::Running(_, place)) =
                    (before.spot(one), self.facts.spot(one))
                {
                    self.arrived[one.index()] = place.arrival;
                }
            }
            _ => {}
        }
        let held = match event {
            Event::Reconcile(_, held) => held.iter().map(Try::of).collect(),
            _ => crate::names::Tries::default(),
        };
        for one in Try::all() {
            let fresh = !matches!(before.spot(one), Spot::Abandoned(..));
            if matches!(self.facts.spot(one), Spot::Abandoned(..)) && (fresh || held.contains(one)) {
                self.proved[one.index()] = self.now;
            }
        }
    }

    /// What was granted in a step, in the order in which it was.
    fn granted(&self, before: &Facts, event: &Event, outcome: &Outcome) -> Vec<(Try, u8, u32)> {
        let pushed = outcome.actions.iter().filter_map(|action| match action {
            Action::Grant(granted) => Some(granted),
            Action::Drop { .. } => None,
        });
        let answered = match (event, &outcome.reply) {
            (Event::Admit(_) | Event::HandBack(_), Reply::Granted(granted, _)) => Some(granted),
            _ => None,
        };
        let fresh = |granted: &&Granted| {
            !matches!(before.spot(Try::of(&granted.attempt)), Spot::Running(..) | Spot::Abandoned(..))
        };
        let known = |granted: &Granted| {
            (Try::of(&granted.attempt), number(&granted.backend), tick(granted.place.deadline))
        };
        pushed.chain(answered).filter(fresh).map(known).collect()
    }
}
